/* xsc_open.c - a client made on a descriptor or a ring, and closed. Called by users. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "linux/error.h"
#include "linux/xsc_client.h"

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
    vbd_list_init(&c->waiters);
    xsc_spin_init(&c->spin);
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
    const struct xsc_client *before;

    if (c == NULL)
        return NULL;
    xsc_client_lock(c);
    xsc_client_flush(c);
    before = xsc_client_begin_callbacks(c);
    xsc_free(c->x);
    xsc_client_restore_callbacks(before);
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
