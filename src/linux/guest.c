/* guest.c - the guest's seam on Xen: pages shared through libxengnttab, event channels through
 * libxenevtchn. Called through the seam, on one thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <xengnttab.h>

#include "linux/error.h"
#include "linux/evtchn.h"
#include "vbdkit/front_linux.h"

struct vbd_xen_guest {
    struct vbd_guest seam;
    xengntshr_handle *pages;
    int epoll; /* of all event channels */
};

/* A handle of its own for each, so that its event is told apart by its descriptor. */
struct vbd_event_channel {
    xenevtchn_handle *handle;
    evtchn_port_t port;
};

static int share(void *ctx, unsigned domid, size_t count, uint32_t *ret_grants, void **ret)
{
    struct vbd_xen_guest *g = ctx;
    void *pages;

    if (count > INT32_MAX)
        return -ENOMEM;
    errno = 0;
    pages = xengntshr_share_pages(g->pages, domid, (int)count, ret_grants, 1);
    if (pages == NULL)
        return errno == ENOSPC || errno == ENOMEM ? -errno : -ENOSPC;
    memset(pages, 0, count * VBD_GUEST_PAGE);
    *ret = pages;
    return 0;
}

static void unshare(void *ctx, void *pages, size_t count, const uint32_t *grants)
{
    struct vbd_xen_guest *g = ctx;

    (void)grants;
    (void)xengntshr_unshare(g->pages, pages, (uint32_t)count);
}

static int open_channel(struct vbd_xen_guest *g, struct vbd_event_channel *c, unsigned domid)
{
    struct epoll_event wanted = {.events = EPOLLIN};
    xenevtchn_port_or_error_t port;
    int r = vbd_evtchn_open(&c->handle);

    if (r < 0)
        return r;
    port = xenevtchn_bind_unbound_port(c->handle, domid);
    if (port < 0)
        return errno != 0 ? -errno : -ENOSPC;
    c->port = (evtchn_port_t)port;
    return epoll_ctl(g->epoll, EPOLL_CTL_ADD, xenevtchn_fd(c->handle), &wanted) < 0 ? -errno : 0;
}

static void withdraw(void *ctx, struct vbd_event_channel *c)
{
    (void)ctx;
    if (c->handle != NULL)
        (void)xenevtchn_close(c->handle); /* closes its port, and leaves the epoll */
    free(c);
}

static int offer(void *ctx, unsigned domid, uint32_t *ret_port, struct vbd_event_channel **ret)
{
    struct vbd_event_channel *c = calloc(1, sizeof *c);
    int r;

    if (c == NULL)
        return -ENOMEM;
    r = open_channel(ctx, c, domid);
    if (r < 0) {
        withdraw(ctx, c);
        return r;
    }
    *ret_port = c->port;
    *ret = c;
    return 0;
}

static void notify(void *ctx, struct vbd_event_channel *c)
{
    (void)ctx;
    (void)xenevtchn_notify(c->handle, c->port);
}

static bool take_event(void *ctx, struct vbd_event_channel *c)
{
    (void)ctx;
    return vbd_evtchn_take(c->handle);
}

int vbd_xen_guest_open(struct vbd_xen_guest **ret, struct vbd_error *why)
{
    struct vbd_xen_guest *g = calloc(1, sizeof *g);

    if (g == NULL)
        return vbd_fail(why, -ENOMEM, "no memory");
    g->epoll = epoll_create1(EPOLL_CLOEXEC);
    g->pages = g->epoll < 0 ? NULL : xengntshr_open(NULL, 0);
    if (g->pages == NULL) {
        int error = errno != 0 ? -errno : -ENODEV;

        vbd_xen_guest_close(g);
        return vbd_fail(why, error,
                        "cannot open /dev/xen/gntalloc: %s (is this a Xen domain, with the module "
                        "xen-gntalloc loaded?)",
                        strerror(-error));
    }
    g->seam = (struct vbd_guest){.struct_size = sizeof g->seam,
                                 .ctx = g,
                                 .share = share,
                                 .unshare = unshare,
                                 .offer = offer,
                                 .withdraw = withdraw,
                                 .notify = notify,
                                 .take_event = take_event};
    *ret = g;
    return 0;
}

void vbd_xen_guest_close(struct vbd_xen_guest *g)
{
    if (g == NULL)
        return;
    if (g->pages != NULL)
        (void)xengntshr_close(g->pages);
    if (g->epoll >= 0)
        (void)close(g->epoll);
    free(g);
}

const struct vbd_guest *vbd_xen_guest_seam(const struct vbd_xen_guest *g)
{
    return &g->seam;
}

int vbd_xen_guest_fd(const struct vbd_xen_guest *g)
{
    return g->epoll;
}
