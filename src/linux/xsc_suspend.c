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

static void suspended(void *ctx, int error)
{
    struct suspension *s = ctx;

    s->done = true;
    s->error = error;
}

int xsc_client_suspend(struct xsc_client *c, int timeout_ms, struct vbd_error *why)
{
    struct suspension s = {0};
    int r;

    if (xsc_client_in_callback(c))
        return vbd_fail(why, -EDEADLK, "suspend: called from a callback");
    xsc_client_lock(c);
    r = xsc_suspend(c->x, suspended, &s);
    if (r == 0) {
        xsc_client_flush(c);
        r = xsc_client_await(c, &s.done, xsc_deadline(timeout_ms));
        if (r == -ETIMEDOUT && !s.done)
            (void)xsc_client_go_on(c, false); /* tells s, and sends what was kept */
        if (r == 0 || s.error == -ECONNRESET)
            r = s.error;
    }
    xsc_client_wake(c);
    xsc_client_unlock(c);
    return r < 0 ? vbd_fail(why, r, "suspend: %s", strerror(-r)) : 0;
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
