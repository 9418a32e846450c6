/* xsc_client.c - a session on a descriptor: the event loop's calls, and the monitor under the
 * blocking ones. Called by xsc_blocking.c, xsc_queue.c and event loops; knows no operation. */
#include "linux/xsc_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "linux/error.h"

/* The client whose callbacks this thread is running, or NULL. */
static _Thread_local const struct xsc_client *dispatching;

static int init(struct xsc_client *c)
{
    pthread_condattr_t monotonic;
    int r = xsc_new(&vbd_libc_allocator, &c->x);

    if (r < 0)
        return r;
    if (pipe2(c->kick, O_CLOEXEC | O_NONBLOCK) < 0) {
        r = -errno;
        xsc_free(c->x);
        return r;
    }
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return 0;
}

void xsc_client_use(struct xsc_client *c, const struct xsc_transport *transport)
{
    c->transport = *transport;
    /* Linux sends a message's body from the file's own buffer after write() has returned, and the
     * next write() changes that buffer: only an answer tells that a message is out. */
    xsc_set_window(c->x, transport->kind == XSC_TRANSPORT_DEVICE ? 1 : 0);
}

static int client_on(struct xsc_transport transport, struct xsc_client **ret)
{
    struct xsc_client *c = calloc(1, sizeof *c);
    int r = c == NULL ? -ENOMEM : init(c);

    if (r < 0) {
        free(c);
        xsc_transport_close(&transport);
        return r;
    }
    xsc_client_use(c, &transport);
    *ret = c;
    return 0;
}

int xsc_client_open(const char *address, struct xsc_client **ret, struct vbd_error *why)
{
    struct xsc_transport transport;
    int r = xsc_transport_open(address, &transport, why);

    if (r < 0)
        return r;
    r = client_on(transport, ret);
    return r < 0 ? vbd_fail(why, r, "cannot make a xenstore client: %s", strerror(-r)) : 0;
}

int xsc_client_adopt(int fd, struct xsc_client **ret)
{
    struct xsc_transport transport;
    int r = xsc_transport_adopt(fd, &transport);

    if (r < 0) {
        (void)close(fd);
        return r;
    }
    return client_on(transport, ret);
}

int xsc_client_open_ring(void *page, const struct xsc_ring_port *port, struct xsc_client **ret)
{
    struct xsc_transport transport;
    int r = xsc_transport_ring(page, port, &transport);

    return r < 0 ? r : client_on(transport, ret);
}

struct xsc_client *xsc_client_close(struct xsc_client *c)
{
    if (c == NULL)
        return NULL;
    xsc_client_lock(c);
    xsc_client_flush(c);
    dispatching = c;
    xsc_free(c->x);
    dispatching = NULL;
    xsc_client_unlock(c);
    xsc_transport_close(&c->transport);
    (void)close(c->kick[0]);
    (void)close(c->kick[1]);
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
    return NULL;
}

struct xsc *xsc_client_session(struct xsc_client *c)
{
    return c->x;
}

void xsc_client_lock(struct xsc_client *c)
{
    (void)pthread_mutex_lock(&c->lock);
}

void xsc_client_unlock(struct xsc_client *c)
{
    (void)pthread_mutex_unlock(&c->lock);
}

int xsc_client_fd(const struct xsc_client *c)
{
    return c->transport.fd;
}

bool xsc_client_in_callback(const struct xsc_client *c)
{
    return dispatching == c;
}

/* Returns what end_callbacks restores: a callback of one client may drive another. */
static const struct xsc_client *begin_callbacks(const struct xsc_client *c)
{
    const struct xsc_client *before = dispatching;

    dispatching = c;
    return before;
}

static void end_callbacks(struct xsc_client *c, const struct xsc_client *before)
{
    dispatching = before;
    (void)pthread_cond_broadcast(&c->changed);
}

static void lost(struct xsc_client *c, int error)
{
    char why[120];

    (void)snprintf(why, sizeof why, "the connection to xenstore was lost: %s", strerror(-error));
    xsc_disconnected(c->x, why);
}

/* Writes with the lock held; a refused message or a lost connection runs callbacks. */
static int write_out(struct xsc_client *c)
{
    const struct xsc_client *before = begin_callbacks(c);
    int r;

    r = xsc_transport_write(&c->transport, c->x);
    if (r < 0)
        lost(c, r);
    end_callbacks(c, before);
    return r;
}

/* Only a socket can be polled for output. A suspended client wants nothing of its connection. */
static short wanted(const struct xsc_client *c)
{
    bool output = c->transport.kind == XSC_TRANSPORT_SOCKET && xsc_wants_write(c->x);

    return (short)(xsc_is_suspended(c->x) ? 0 : POLLIN | (output ? POLLOUT : 0));
}

short xsc_client_events(struct xsc_client *c)
{
    short events;

    xsc_client_lock(c);
    if (c->transport.kind != XSC_TRANSPORT_SOCKET)
        (void)write_out(c);
    events = wanted(c);
    xsc_client_unlock(c);
    return events;
}

void xsc_client_flush(struct xsc_client *c)
{
    (void)write_out(c);
    /* What did not fit, and a loss, are the reader's business, who may be polling for input only.
     */
    if ((xsc_wants_write(c->x) || xsc_why(c->x)[0] != '\0') && c->has_reader)
        (void)!write(c->kick[1], "", 1);
}

void xsc_client_wake(struct xsc_client *c)
{
    (void)pthread_cond_broadcast(&c->changed);
    if (c->has_reader)
        (void)!write(c->kick[1], "", 1);
}

int xsc_client_go_on(struct xsc_client *c, bool new_connection)
{
    const struct xsc_client *before = begin_callbacks(c);
    int r = xsc_resume(c->x, new_connection);

    end_callbacks(c, before);
    return r;
}

/* Feeds what one read brought (or its error) with the lock held. */
static int take_in(struct xsc_client *c, const void *buffer, long n)
{
    const struct xsc_client *before = begin_callbacks(c);
    int r = 0;

    if (n < 0) {
        lost(c, (int)n);
        r = (int)n;
    } else if (n > 0) {
        r = xsc_feed(c->x, buffer, (size_t)n);
    }
    end_callbacks(c, before);
    return r;
}

/* Feeds what the ring holds, with the lock held. */
static int take_ring(struct xsc_client *c)
{
    const struct xsc_client *before = begin_callbacks(c);
    int r = xsc_transport_receive(&c->transport, c->x);

    if (r < 0 && xsc_why(c->x)[0] == '\0')
        lost(c, r);
    end_callbacks(c, before);
    return r;
}

/* Reads and feeds until there is no more, with the lock held. */
static int read_all(struct xsc_client *c)
{
    char buffer[16384];
    int r = 0;

    if (c->transport.kind == XSC_TRANSPORT_RING)
        return take_ring(c);
    for (long n = 1; r == 0 && n > 0;) {
        n = xsc_transport_read(&c->transport, buffer, sizeof buffer);
        r = take_in(c, buffer, n);
    }
    return r;
}

int xsc_client_process(struct xsc_client *c)
{
    int r;

    if (xsc_client_in_callback(c))
        return -EDEADLK;
    xsc_client_lock(c);
    r = xsc_why(c->x)[0] != '\0' ? -ENOTCONN : write_out(c);
    /* A reader among the blocking calls has the input; two would mix up the stream. */
    if (r == 0 && !c->has_reader && !xsc_is_suspended(c->x))
        r = read_all(c);
    if (r == 0)
        r = write_out(c); /* what the callbacks queued */
    xsc_client_unlock(c);
    return r;
}

int64_t xsc_deadline(int timeout_ms)
{
    struct timespec now;

    if (timeout_ms < 0)
        return -1;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + timeout_ms;
}

static int ms_until(int64_t deadline)
{
    int64_t left = deadline - xsc_deadline(0);

    if (deadline < 0)
        return -1;
    return left < 0 ? 0 : (int)(left < 3600000 ? left : 3600000);
}

/* What the reader found, with the lock held again. */
static void take_found(struct xsc_client *c, const void *buffer, long n, bool ring_event)
{
    if (xsc_is_suspended(c->x))
        return;
    if (ring_event)
        (void)take_ring(c);
    else
        (void)take_in(c, buffer, n);
    (void)write_out(c);
}

/* One turn as the reader: polls and reads unlocked. */
static void read_for_all(struct xsc_client *c, int64_t deadline)
{
    char buffer[16384], drop[64];
    struct pollfd fds[] = {
        {.fd = xsc_is_suspended(c->x) ? -1 : c->transport.fd, .events = wanted(c)},
        {.fd = c->kick[0], .events = POLLIN}};
    bool is_ring = c->transport.kind == XSC_TRANSPORT_RING, ready;
    long n = 0;

    c->has_reader = true;
    xsc_client_unlock(c);
    ready = poll(fds, 2, ms_until(deadline)) > 0 && (fds[0].revents & ~POLLOUT) != 0;
    if (ready && !is_ring)
        n = xsc_transport_read(&c->transport, buffer, sizeof buffer);
    while (read(c->kick[0], drop, sizeof drop) > 0)
        ;
    xsc_client_lock(c);
    take_found(c, buffer, n, ready && is_ring);
    c->has_reader = false;
    (void)pthread_cond_broadcast(&c->changed);
}

static void wait_for_reader(struct xsc_client *c, int64_t deadline)
{
    struct timespec until = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};

    if (deadline < 0)
        (void)pthread_cond_wait(&c->changed, &c->lock);
    else
        (void)pthread_cond_timedwait(&c->changed, &c->lock, &until);
}

int xsc_client_await(struct xsc_client *c, const bool *done, int64_t deadline)
{
    bool over = false;

    while (!*done) {
        if (xsc_why(c->x)[0] != '\0')
            return -ENOTCONN;
        if (over)
            return -ETIMEDOUT;
        /* What has come by the deadline counts, so the last turn is taken at it. */
        over = deadline >= 0 && ms_until(deadline) == 0;
        if (!c->has_reader && !c->exchanging)
            read_for_all(c, deadline);
        else if (!over)
            wait_for_reader(c, deadline);
    }
    return 0;
}
