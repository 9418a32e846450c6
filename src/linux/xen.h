/* xen.h - the hypervisor seam on Xen, for platform.c. */
#ifndef LINUX_XEN_H
#define LINUX_XEN_H

#include "vbdkit/hypervisor.h"

struct vbd_xen;

/* Opens /dev/xen/gntdev. -errno with a sentence. */
int vbd_xen_open(struct vbd_xen **ret, struct vbd_error *why);
void vbd_xen_close(struct vbd_xen *xen);
const struct vbd_hypervisor *vbd_xen_seam(const struct vbd_xen *xen);

#endif
