/* queue.c - the machine's end of a handle's eventfd. Called by channels.c and session.c.
 *
 * An eventfd that is full makes a writer wait, and its program can fill it at any moment: a timer
 * interrupts the machine's write then, so that no program can hold the machine up.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hyperless/machine/inside.h"

enum { PATIENCE_NS = 5000000 };

static void interrupt(int signal)
{
    (void)signal; /* that the system call is interrupted is all */
}

int hl_queue_init(struct hl_machine *m)
{
    struct sigaction action = {.sa_handler = interrupt};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    timer_t *timer = malloc(sizeof *timer);

    if (timer == NULL)
        return -ENOMEM;
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (sigaction(SIGRTMIN, &action, NULL) < 0 ||
        timer_create(CLOCK_MONOTONIC, &event, timer) < 0) {
        int error = -errno;

        free(timer);
        return error;
    }
    m->queue_timer = timer;
    return 0;
}

void hl_queue_finish(struct hl_machine *m)
{
    timer_t *timer = m->queue_timer;

    if (timer != NULL)
        (void)timer_delete(*timer);
    free(timer);
}

static void set_timer(struct hl_machine *m, long nanoseconds)
{
    struct itimerspec spec = {.it_interval.tv_nsec = nanoseconds, .it_value.tv_nsec = nanoseconds};
    timer_t *timer = m->queue_timer;

    (void)timer_settime(*timer, 0, &spec, NULL);
}

void hl_queue_post(struct hl_machine *m, int queue)
{
    struct pollfd fd = {.fd = queue, .events = POLLOUT};
    uint64_t one = 1;

    if (poll(&fd, 1, 0) != 1)
        return; /* full: its reader is awake anyway */
    set_timer(m, PATIENCE_NS);
    (void)!write(queue, &one, sizeof one);
    set_timer(m, 0);
}

static long long read_info(int fd, const char *key, int base)
{
    char path[48], line[128];
    long long value = -1;
    FILE *info;

    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    info = fopen(path, "re");
    while (info != NULL && fgets(line, sizeof line, info) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtoll(line + strlen(key), NULL, base);
    if (info != NULL)
        (void)fclose(info);
    return value;
}

long long hl_queue_id(int fd)
{
    return read_info(fd, "eventfd-id:", 10);
}

long long hl_queue_count(int fd)
{
    return read_info(fd, "eventfd-count:", 16);
}
