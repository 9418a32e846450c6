/* guest.h - the guest's seam on Xen, for whoever makes a front. */
#ifndef LINUX_GUEST_H
#define LINUX_GUEST_H

#include "blkfront/guest.h"

struct vbd_xen_guest;

/* Opens /dev/xen/gntalloc, by libxengnttab. -errno with a sentence. */
int vbd_xen_guest_open(struct vbd_xen_guest **ret, struct vbd_error *why);
void vbd_xen_guest_close(struct vbd_xen_guest *g);
const struct vbd_guest *vbd_xen_guest_seam(const struct vbd_xen_guest *g);
/* A descriptor that polls readable while one of its event channels has an event. */
int vbd_xen_guest_fd(const struct vbd_xen_guest *g);

#endif
