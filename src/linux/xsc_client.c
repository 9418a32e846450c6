/* xsc_client.c - a session on a descriptor: the event loop's calls, and the monitor under the
 * blocking ones. Called by xsc_blocking.c, xsc_queue.c and event loops; knows no operation. */
#include "linux/xsc_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A thread that waits in xsc_client_await while another reads. On its stack. */
struct waiter {
    struct vbd_list link; /* in the client's `waiters`, until it is woken */
    pthread_cond_t cond;
    const bool *done;
    bool woken;
};

enum { CROWD = 100 /* answers after the last that another thread waited for */ };

/* The client whose callbacks this thread is running, or NULL. */
static _Thread_local const struct xsc_client *dispatching;

void xsc_client_lock(struct xsc_client *c)
{
    (void)pthread_mutex_lock(&c->lock);
}

void xsc_client_unlock(struct xsc_client *c)
{
    (void)pthread_mutex_unlock(&c->lock);
}

bool xsc_client_in_callback(const struct xsc_client *c)
{
    return dispatching == c;
}

int xsc_client_fd(struct xsc_client *c)
{
    bool inside = xsc_client_in_callback(c); /* then the lock is ours already */
    int fd;

    if (!inside)
        xsc_client_lock(c);
    fd = c->transport.fd;
    if (!inside)
        xsc_client_unlock(c);
    return fd;
}

const struct xsc_client *xsc_client_begin_callbacks(const struct xsc_client *c)
{
    const struct xsc_client *before = dispatching;

    dispatching = c;
    return before;
}

void xsc_client_restore_callbacks(const struct xsc_client *before)
{
    dispatching = before;
}

static void wake(struct xsc_client *c, struct waiter *w)
{
    vbd_list_remove(&w->link);
    w->woken = true;
    c->woken++;
    (void)pthread_cond_signal(&w->cond);
}

/* Wakes those whose answers are there; all, when there is nothing more to wait for. */
static void wake_answered(struct xsc_client *c)
{
    bool all = xsc_why(c->x)[0] != '\0';

    VBD_LIST_EACH(at, after, &c->waiters)
    {
        struct waiter *w = VBD_CONTAINER(at, struct waiter, link);

        if (all || *w->done)
            wake(c, w);
    }
}

static void end_callbacks(struct xsc_client *c, const struct xsc_client *before)
{
    dispatching = before;
    wake_answered(c);
}

static void lost(struct xsc_client *c, int error)
{
    char why[120];

    (void)snprintf(why, sizeof why, "the connection to xenstore was lost: %s", strerror(-error));
    if (c->transport.kind == XSC_TRANSPORT_SOCKET)
        (void)shutdown(c->transport.fd, SHUT_RDWR); /* ends a read that waits */
    xsc_disconnected(c->x, why);
}

void xsc_client_give_up(struct xsc_client *c, int error)
{
    const struct xsc_client *before;

    xsc_client_lock(c);
    before = xsc_client_begin_callbacks(c);
    lost(c, error);
    end_callbacks(c, before);
    xsc_client_wake(c);
    xsc_client_unlock(c);
}

/* Writes with the lock held; a refused message or a lost connection runs callbacks. */
static int write_out(struct xsc_client *c)
{
    const struct xsc_client *before = xsc_client_begin_callbacks(c);
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
    if (c->woken > 0 && xsc_why(c->x)[0] == '\0')
        return; /* the last of those will, or the next reader */
    (void)write_out(c);
    /* What did not fit, and a loss, are the reader's business, who may be polling for input only.
     */
    if ((xsc_wants_write(c->x) || xsc_why(c->x)[0] != '\0') && c->has_reader)
        (void)!write(c->kick[1], "", 1);
}

void xsc_client_wake(struct xsc_client *c)
{
    VBD_LIST_EACH(at, after, &c->waiters)
    wake(c, VBD_CONTAINER(at, struct waiter, link));
    (void)pthread_cond_broadcast(&c->changed);
    if (c->has_reader)
        (void)!write(c->kick[1], "", 1);
}

int xsc_client_go_on(struct xsc_client *c, bool new_connection)
{
    const struct xsc_client *before = xsc_client_begin_callbacks(c);
    int r = xsc_resume(c->x, new_connection);

    end_callbacks(c, before);
    return r;
}

/* Feeds what one read brought (or its error) with the lock held. */
static int take_in(struct xsc_client *c, const void *buffer, long n)
{
    const struct xsc_client *before = xsc_client_begin_callbacks(c);
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
    const struct xsc_client *before = xsc_client_begin_callbacks(c);
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
        n = xsc_transport_read(&c->transport, buffer, sizeof buffer, false);
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

/* When one answer is on its way, the descriptor need not be polled first: it will be readable. What
 * the reader is wanted for otherwise can wait until then. Of many answers, poll lets some gather;
 * reading at once would wake this thread for each. */
static bool may_read_at_once(const struct xsc_client *c, const struct xsc_patience *patience)
{
    return c->transport.kind == XSC_TRANSPORT_SOCKET && patience->deadline < 0 &&
           patience->cancelled == NULL && xsc_awaited(c->x) == 1 && !xsc_wants_write(c->x) &&
           !c->exchanging;
}

/* Polls and reads, unlocked: how many bytes, or -errno; *ring_event when a ring's event came. */
static long poll_and_read(struct xsc_client *c, short events, int64_t deadline, void *buffer,
                          size_t size, bool *ring_event)
{
    char drop[64];
    struct pollfd fds[] = {{.fd = events != 0 ? c->transport.fd : -1, .events = events},
                           {.fd = c->kick[0], .events = POLLIN}};
    bool ready = poll(fds, 2, ms_until(deadline)) > 0 && (fds[0].revents & ~POLLOUT) != 0;

    while (fds[1].revents != 0 && read(c->kick[0], drop, sizeof drop) > 0)
        ;
    *ring_event = ready && c->transport.kind == XSC_TRANSPORT_RING;
    return ready && !*ring_event ? xsc_transport_read(&c->transport, buffer, size, false) : 0;
}

/* Whether no other thread has waited for a while: where several do, the reader leaves its processor
 * to them, and lets their answers gather. */
static bool is_alone(struct xsc_client *c)
{
    if (c->crowd == 0)
        return true;
    c->crowd--;
    return false;
}

/* One turn as the reader, unlocked while it waits. Nothing stays unsent meanwhile. */
static void read_for_all(struct xsc_client *c, const struct xsc_patience *patience)
{
    char buffer[16384];
    bool ring_event = false, at_once, alone;
    short events;
    long n;

    c->has_reader = true;
    (void)write_out(c);
    events = xsc_why(c->x)[0] == '\0' ? wanted(c) : 0;
    at_once = events != 0 && may_read_at_once(c, patience);
    alone = is_alone(c);
    xsc_client_unlock(c);
    if (at_once && !alone)
        n = xsc_transport_read(&c->transport, buffer, sizeof buffer, true);
    else if (at_once)
        n = xsc_spin_read(&c->spin, &c->transport, buffer, sizeof buffer);
    else
        n = poll_and_read(c, events, patience->deadline, buffer, sizeof buffer, &ring_event);
    xsc_client_lock(c);
    take_found(c, buffer, n, ring_event);
    c->has_reader = false;
    if (c->exchanging)
        (void)pthread_cond_broadcast(&c->changed);
}

/* Waits until woken, or the deadline. */
static void wait_turn(struct xsc_client *c, const bool *done, int64_t deadline)
{
    struct timespec until = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
    struct waiter w = {.done = done};
    pthread_condattr_t monotonic;
    int r = 0;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w.cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    vbd_list_append(&c->waiters, &w.link);
    c->crowd = CROWD;
    while (!w.woken && r == 0)
        r = deadline < 0 ? pthread_cond_wait(&w.cond, &c->lock)
                         : pthread_cond_timedwait(&w.cond, &c->lock, &until);
    if (w.woken)
        c->woken--;
    else
        vbd_list_remove(&w.link);
    (void)pthread_cond_destroy(&w.cond);
}

/* Somebody has to read for those who still wait; and what was put off is sent by the last. */
static void leave(struct xsc_client *c)
{
    if (!c->has_reader && !vbd_list_empty(&c->waiters))
        wake(c, VBD_CONTAINER(c->waiters.next, struct waiter, link));
    if (c->woken == 0 && xsc_wants_write(c->x))
        xsc_client_flush(c);
}

static int await(struct xsc_client *c, const bool *done, const struct xsc_patience *patience)
{
    bool over = false;

    while (!*done) {
        if (xsc_why(c->x)[0] != '\0')
            return -ENOTCONN;
        if (patience->cancelled != NULL && *patience->cancelled)
            return -ECANCELED;
        if (over)
            return -ETIMEDOUT;
        /* What has come by the deadline counts, so the last turn is taken at it. */
        over = patience->deadline >= 0 && ms_until(patience->deadline) == 0;
        if (!c->has_reader && !c->exchanging)
            read_for_all(c, patience);
        else if (!over) {
            if (c->woken == 0 && xsc_wants_write(c->x))
                xsc_client_flush(c); /* put off for this thread, which goes on waiting */
            wait_turn(c, done, patience->deadline);
        }
    }
    return 0;
}

int xsc_client_await(struct xsc_client *c, const bool *done, const struct xsc_patience *patience)
{
    static const struct xsc_patience for_ever = {.deadline = -1};
    int r = await(c, done, patience != NULL ? patience : &for_ever);

    leave(c);
    return r;
}
