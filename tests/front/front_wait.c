/* front_wait.c - the one place where testfront sleeps: event channel, xenstore, signals and an
 * input in one poll(), with a deadline. Called by every file that waits for the backend; must not
 * know why. Prints errors too, since all files need both. */
#include "front/front.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static char last_sentence[256];

int front_fail(const struct front *f, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(last_sentence, sizeof last_sentence, format, arguments);
    va_end(arguments);
    if (f->options.quiet)
        return -1;
    (void)fflush(stdout);
    (void)fprintf(stderr, "testfront: %s%s%s\n", f->name, f->name[0] != '\0' ? ": " : "",
                  last_sentence);
    return -1;
}

const char *front_why(void)
{
    return last_sentence;
}

int64_t front_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int front_catch_signals(struct front *f)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    f->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return f->signals < 0 ? front_fail(f, "cannot take signals: %s", strerror(errno)) : 0;
}

static int ms_until(int64_t deadline)
{
    int64_t left = deadline - front_now();

    if (deadline < 0)
        return -1;
    return left < 0 ? 0 : (int)(left < 3600000 ? left : 3600000);
}

static void take_signal(struct front *f)
{
    struct signalfd_siginfo signal;

    if (read(f->signals, &signal, sizeof signal) == (ssize_t)sizeof signal)
        f->stopped = (int)signal.ssi_signo;
}

static bool is_ours(const struct front *f, int port)
{
    for (unsigned i = 0; i < f->queue_count; i++)
        if (f->queues[i].port == port)
            return true;
    return false;
}

/* The port is unmasked before the ring is looked at, so no event is lost. */
static int take_event(struct front *f)
{
    xenevtchn_port_or_error_t port = xenevtchn_pending(f->events);

    if (port < 0)
        return front_fail(f, "cannot read an event: %s", strerror(errno));
    if (!is_ours(f, port))
        return front_fail(f, "an event came on port %d, which is not the ring's", port);
    f->wakeups++;
    if (xenevtchn_unmask(f->events, (evtchn_port_t)port) < 0)
        return front_fail(f, "cannot unmask port %d: %s", port, strerror(errno));
    return 0;
}

static int take_xenstore(struct front *f)
{
    if (xsc_client_process(f->xenstore) >= 0)
        return 0;
    return front_fail(f, "xenstore: %s", xsc_why(xsc_client_session(f->xenstore)));
}

int front_wait(struct front *f, int input, int64_t deadline, bool *ret_input)
{
    /* poll() passes over a negative descriptor */
    struct pollfd fds[] = {
        {.fd = f->signals, .events = POLLIN},
        {.fd = f->queue_count > 0 ? xenevtchn_fd(f->events) : -1, .events = POLLIN},
        {.fd = xsc_client_fd(f->xenstore), .events = xsc_client_events(f->xenstore)},
        {.fd = input, .events = POLLIN}};

    if (poll(fds, 4, ms_until(deadline)) < 0)
        return errno == EINTR ? 0 : front_fail(f, "cannot wait: %s", strerror(errno));
    if (fds[0].revents != 0)
        take_signal(f);
    if (ret_input != NULL)
        *ret_input = fds[3].revents != 0;
    if (fds[1].revents != 0 && take_event(f) < 0)
        return -1;
    return fds[2].revents != 0 ? take_xenstore(f) : 0;
}
