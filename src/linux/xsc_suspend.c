/* xsc_suspend.c - a client's connection ended in order and taken up again, or opened anew after it
 * was lost. Called by users' threads; never by a callback. */
#include <errno.h>
#include <string.h>

#include "linux/error.h"
#include "linux/xsc_client.h"

/* Lives on the stack of the thread that suspends. */
struct suspension {
    bool done;
    int error;
};

/* Whoever asked may have left: see out_of_time. */
static void suspended(void *ctx, int error)
{
    struct xsc_client *c = ctx;
    struct suspension *s = c->suspending;

    c->suspending = NULL;
    if (s == NULL)
        return;
    s->done = true;
    s->error = error;
}

/* Asks for it; only when that works is it this thread that is told. */
static int begin_suspension(struct xsc_client *c, struct suspension *s)
{
    struct suspension *before = c->suspending;
    int r;

    c->suspending = s;
    r = xsc_suspend(c->x, suspended, c);
    if (r < 0)
        c->suspending = before;
    return r;
}

/* Goes on, and sends what was kept meanwhile. Without memory the suspension takes its course, and
 * nobody waits for it. */
static int out_of_time(struct xsc_client *c, struct vbd_error *why)
{
    int r = xsc_client_go_on(c, false);

    c->suspending = NULL;
    xsc_client_flush(c);
    return r < 0 ? vbd_fail(why, r, "suspend: the time is over, but going on failed: %s",
                            strerror(-r))
                 : vbd_fail(why, -ETIMEDOUT, "suspend: %s", strerror(ETIMEDOUT));
}

static int suspend_and_await(struct xsc_client *c, int timeout_ms, struct vbd_error *why)
{
    struct xsc_patience patience = {.deadline = xsc_deadline(timeout_ms)};
    struct suspension s = {0};
    int r = begin_suspension(c, &s);

    if (r == 0) {
        xsc_client_flush(c);
        r = xsc_client_await(c, &s.done, &patience);
        if (r == -ETIMEDOUT && !s.done)
            return out_of_time(c, why);
        if (s.done)
            r = s.error;
    }
    return r < 0 ? vbd_fail(why, r, "suspend: %s", strerror(-r)) : 0;
}

int xsc_client_suspend(struct xsc_client *c, int timeout_ms, struct vbd_error *why)
{
    int r;

    if (xsc_client_in_callback(c))
        return vbd_fail(why, -EDEADLK, "suspend: called from a callback");
    xsc_client_lock(c);
    r = suspend_and_await(c, timeout_ms, why);
    xsc_client_wake(c);
    xsc_client_unlock(c);
    return r;
}

/* One thread at a time exchanges the transport: who comes second looks at what the first has made
 * of it. With the lock held, and released meanwhile. */
static void begin_exchange(struct xsc_client *c)
{
    while (c->exchanging)
        (void)pthread_cond_wait(&c->changed, &c->lock);
    c->exchanging = true;
}

/* Nobody reads while it is exchanged. Likewise. */
static void keep_readers_out(struct xsc_client *c)
{
    while (c->has_reader) {
        xsc_client_wake(c);
        (void)pthread_cond_wait(&c->changed, &c->lock);
    }
}

static void end_exchange(struct xsc_client *c)
{
    c->exchanging = false;
    xsc_client_flush(c);
    xsc_client_wake(c);
}

/* Goes on with *transport, which becomes the one that is not used. With the lock held. */
static int exchange(struct xsc_client *c, struct xsc_transport *transport)
{
    struct xsc_transport before;
    int r;

    if (!xsc_is_suspended(c->x) && xsc_why(c->x)[0] == '\0')
        return -EBUSY;
    keep_readers_out(c);
    r = xsc_client_go_on(c, true);
    if (r == 0) {
        before = c->transport;
        xsc_client_use(c, transport);
        *transport = before;
    }
    return r;
}

int xsc_client_resume(struct xsc_client *c, const char *address, struct vbd_error *why)
{
    struct xsc_transport transport;
    int r;

    if (xsc_client_in_callback(c))
        return vbd_fail(why, -EDEADLK, "resume: called from a callback");
    r = xsc_transport_open(address, &transport, why);
    if (r < 0)
        return r;
    xsc_client_lock(c);
    begin_exchange(c);
    r = exchange(c, &transport);
    end_exchange(c);
    xsc_client_unlock(c);
    xsc_transport_close(&transport); /* the one that is not used */
    if (r == -EBUSY)
        return vbd_fail(why, r, "resume: the connection is neither suspended nor lost");
    return r < 0 ? vbd_fail(why, r, "resume: %s", strerror(-r)) : 0;
}

int xsc_client_continue(struct xsc_client *c)
{
    int r;

    if (xsc_client_in_callback(c))
        return -EDEADLK;
    xsc_client_lock(c);
    begin_exchange(c);
    keep_readers_out(c);
    r = xsc_why(c->x)[0] != '\0' ? -ENOTCONN : xsc_client_go_on(c, false);
    end_exchange(c);
    xsc_client_unlock(c);
    return r;
}
