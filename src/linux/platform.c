/* platform.c - the Linux platform: the seams of libvbd put together. Called by the daemon and by
 * whoever embeds libvbd on Linux. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "linux/error.h"
#include "linux/threads.h"
#include "linux/xen.h"
#include "vbdkit/vbd_linux.h"

struct vbd_linux {
    struct vbd_platform platform;
    struct vbd_xen *xen; /* NULL when the hypervisor was handed in */
    struct vbd_threads *threads;
};

static int open_seams(struct vbd_linux *l, const struct vbd_hypervisor *hypervisor,
                      struct vbd_error *why)
{
    int r = hypervisor == NULL ? vbd_xen_open(&l->xen, why) : 0;

    if (r < 0)
        return r;
    l->platform.hypervisor = hypervisor != NULL ? hypervisor : vbd_xen_seam(l->xen);
    r = vbd_threads_new(l->platform.hypervisor, &l->threads);
    if (r < 0)
        return vbd_fail(why, r, "cannot prepare threads: %s", strerror(-r));
    l->platform.runner = vbd_threads_seam(l->threads);
    return 0;
}

int vbd_linux_open(const struct vbd_hypervisor *hypervisor, struct vbd_log log,
                   struct vbd_linux **ret, struct vbd_error *why)
{
    struct vbd_linux *l = calloc(1, sizeof *l);
    int r;

    if (l == NULL)
        return vbd_fail(why, -ENOMEM, "no memory");
    l->platform.allocator = &vbd_libc_allocator;
    l->platform.log = log;
    r = open_seams(l, hypervisor, why);
    if (r < 0) {
        vbd_linux_close(l);
        return r;
    }
    *ret = l;
    return 0;
}

struct vbd_linux *vbd_linux_close(struct vbd_linux *l)
{
    if (l == NULL)
        return NULL;
    vbd_threads_free(l->threads);
    vbd_xen_close(l->xen);
    free(l);
    return NULL;
}

const struct vbd_platform *vbd_linux_platform(struct vbd_linux *l)
{
    return &l->platform;
}

int vbd_linux_fd(const struct vbd_linux *l)
{
    return vbd_threads_fd(l->threads);
}

void vbd_linux_process(struct vbd_linux *l)
{
    vbd_threads_process(l->threads);
}
