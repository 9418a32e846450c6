/* xen.c - the hypervisor seam on Xen: libxengnttab and libxenevtchn. Called through the seam. */
#include "linux/xen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xengnttab.h>

#include "linux/error.h"
#include "linux/evtchn.h"

enum {
    PIECES_PER_CALL = 256, /* of a grant copy; more go in several calls */
    /* Each page mapped by itself is an area of the process' memory, of which Linux allows 65530
     * (vm.max_map_count), and one more that gntdev looks through whenever it maps or unmaps. */
    KEPT_MAX = 8192
};

/* Mappings through a handle of their own, which has a lock and a list of them. */
struct mappings {
    xengnttab_handle *handle;
};

struct vbd_xen {
    struct mappings mappings; /* first: it is the seam's ctx, and copies go through it also */
    struct vbd_hypervisor seam;
    uint32_t kept;
};

/* A handle of its own for each channel: a queue's thread waits on one descriptor. */
struct vbd_event_channel {
    xenevtchn_handle *handle;
    evtchn_port_t port;
};

static int map(void *ctx, unsigned domid, const uint32_t *refs, size_t count, bool writable,
               void **ret)
{
    struct mappings *m = ctx;
    uint32_t copy[64];
    void *pages;

    if (count > sizeof copy / sizeof copy[0])
        return -EINVAL;
    memcpy(copy, refs, count * sizeof *refs);
    pages = xengnttab_map_domain_grant_refs(m->handle, (uint32_t)count, domid, copy,
                                            writable ? PROT_READ | PROT_WRITE : PROT_READ);
    if (pages == NULL)
        return errno != 0 ? -errno : -EIO;
    *ret = pages;
    return 0;
}

static void unmap(void *ctx, void *address, size_t count)
{
    struct mappings *m = ctx;

    (void)xengnttab_unmap(m->handle, address, (uint32_t)count);
}

static int open_handle(struct mappings *m)
{
    m->handle = xengnttab_open(NULL, 0);
    if (m->handle == NULL)
        return errno != 0 ? -errno : -ENODEV;
    return 0;
}

static int open_mappings(void *ctx, void **ret)
{
    struct mappings *m = calloc(1, sizeof *m);
    int r = m == NULL ? -ENOMEM : open_handle(m);

    (void)ctx;
    if (r < 0)
        free(m);
    else
        *ret = m;
    return r;
}

static void close_mappings(void *mappings)
{
    struct mappings *m = mappings;

    (void)xengnttab_close(m->handle);
    free(m);
}

static xengnttab_grant_copy_segment_t to_xen(const struct vbd_grant_copy *piece, unsigned domid,
                                             enum vbd_copy_direction direction)
{
    xengnttab_grant_copy_segment_t s = {.len = piece->len};

    if (direction == VBD_COPY_FROM_GUEST) {
        s.flags = GNTCOPY_source_gref;
        s.source.foreign.ref = piece->grant;
        s.source.foreign.offset = piece->offset;
        s.source.foreign.domid = (uint16_t)domid;
        s.dest.virt = piece->local;
    } else {
        s.flags = GNTCOPY_dest_gref;
        s.dest.foreign.ref = piece->grant;
        s.dest.foreign.offset = piece->offset;
        s.dest.foreign.domid = (uint16_t)domid;
        s.source.virt = piece->local;
    }
    return s;
}

/* Returns how many failed. */
static int copy_statuses(const xengnttab_grant_copy_segment_t *from, struct vbd_grant_copy *to,
                         size_t count)
{
    int failed = 0;

    for (size_t i = 0; i < count; i++) {
        to[i].status = from[i].status;
        failed += from[i].status != GNTST_okay;
    }
    return failed;
}

static int copy(void *ctx, unsigned domid, enum vbd_copy_direction direction,
                struct vbd_grant_copy *pieces, size_t count)
{
    struct vbd_xen *xen = ctx;
    xengnttab_grant_copy_segment_t segments[PIECES_PER_CALL];
    int failed = 0;

    for (size_t begin = 0; begin < count; begin += PIECES_PER_CALL) {
        size_t n = count - begin < PIECES_PER_CALL ? count - begin : PIECES_PER_CALL;

        for (size_t i = 0; i < n; i++)
            segments[i] = to_xen(&pieces[begin + i], domid, direction);
        if (xengnttab_grant_copy(xen->mappings.handle, (uint32_t)n, segments) != 0)
            return errno != 0 ? -errno : -EIO;
        failed += copy_statuses(segments, pieces + begin, n);
    }
    return failed;
}

static void unbind(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx;
    (void)xenevtchn_close(channel->handle); /* closing the handle unbinds its port */
    free(channel);
}

static int open_channel(struct vbd_event_channel *channel, unsigned domid, uint32_t remote_port)
{
    xenevtchn_port_or_error_t port;
    int r = vbd_evtchn_open(&channel->handle);

    if (r < 0)
        return r;
    port = xenevtchn_bind_interdomain(channel->handle, domid, remote_port);
    if (port < 0)
        return errno != 0 ? -errno : -EINVAL;
    channel->port = (evtchn_port_t)port;
    return 0;
}

static int bind(void *ctx, unsigned domid, uint32_t remote_port, struct vbd_event_channel **ret)
{
    struct vbd_event_channel *channel = calloc(1, sizeof *channel);
    int r;

    (void)ctx;
    if (channel == NULL)
        return -ENOMEM;
    r = open_channel(channel, domid, remote_port);
    if (r < 0) {
        if (channel->handle != NULL)
            (void)xenevtchn_close(channel->handle);
        free(channel);
        return r;
    }
    *ret = channel;
    return 0;
}

static int notify(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx;
    return xenevtchn_notify(channel->handle, channel->port) < 0 ? -errno : 0;
}

static int wait_handle(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx;
    return xenevtchn_fd(channel->handle);
}

static bool take_event(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx;
    return vbd_evtchn_take(channel->handle);
}

/* There reads in place would need more than Linux gives: in a PV domain the kernel finds out what a
 * grant's page is on a slow path, page by page, and elsewhere it has not been tried. What lies
 * below a file, such as encryption, may also use the page for more than the data. */
static bool is_on_xen(void)
{
    return access("/sys/hypervisor/type", F_OK) == 0;
}

int vbd_xen_open(struct vbd_xen **ret, struct vbd_error *why)
{
    struct vbd_xen *xen = calloc(1, sizeof *xen);
    int r;

    if (xen == NULL)
        return vbd_fail(why, -ENOMEM, "no memory");
    r = open_handle(&xen->mappings);
    if (r < 0) {
        free(xen);
        return vbd_fail(why, r,
                        "cannot open /dev/xen/gntdev: %s (is this a Xen domain, with the module "
                        "xen-gntdev loaded?)",
                        strerror(-r));
    }
    xen->seam = (struct vbd_hypervisor){.struct_size = sizeof xen->seam,
                                        .ctx = xen,
                                        .map = map,
                                        .unmap = unmap,
                                        .copy = copy,
                                        .bind = bind,
                                        .unbind = unbind,
                                        .notify = notify,
                                        .wait_handle = wait_handle,
                                        .take_event = take_event,
                                        .kept = &xen->kept,
                                        .kept_max = KEPT_MAX,
                                        .in_place = !is_on_xen(),
                                        .open_mappings = open_mappings,
                                        .close_mappings = close_mappings};
    *ret = xen;
    return 0;
}

void vbd_xen_close(struct vbd_xen *xen)
{
    if (xen == NULL)
        return;
    (void)xengnttab_close(xen->mappings.handle);
    free(xen);
}

const struct vbd_hypervisor *vbd_xen_seam(const struct vbd_xen *xen)
{
    return &xen->seam;
}
