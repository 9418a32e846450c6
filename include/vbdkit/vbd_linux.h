/* vbd_linux.h - libvbd on Linux: the platform (libxengnttab, libxenevtchn, a thread and an io_uring
 * for each queue), and storage on files and block devices.
 *
 * Threads: all calls belong to the control thread. The library makes one thread for each connected
 * queue, which has all signals blocked. Fork: not after vbd_linux_open.
 */
#ifndef VBDKIT_VBD_LINUX_H
#define VBDKIT_VBD_LINUX_H

#include "vbdkit/vbd.h"
#include "vbdkit/xsc_linux.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vbd_linux;

/* Opens the platform. `hypervisor` NULL means Xen's devices: /dev/xen/gntdev, and /dev/xen/evtchn
 * once for each connection. Errors: the -errno of a device, with a sentence that names it; -ENOMEM.
 */
VBD_API int vbd_linux_open(const struct vbd_hypervisor *hypervisor, struct vbd_log log,
                           struct vbd_linux **ret, struct vbd_error *why);
/* Closes it; every back has ended. Returns NULL. */
VBD_API struct vbd_linux *vbd_linux_close(struct vbd_linux *l);
/* The seams for vbd_back_run. Valid until closed. */
VBD_API const struct vbd_platform *vbd_linux_platform(struct vbd_linux *l);
/* A descriptor that polls readable when vbd_linux_process has something to do. */
VBD_API int vbd_linux_fd(const struct vbd_linux *l);
/* Tells backs that their queues have ended. Never blocks for long. */
VBD_API void vbd_linux_process(struct vbd_linux *l);

/* Opens a regular file or a block device as storage, past the page cache (O_DIRECT) where the
 * storage takes 512-byte requests that way and through it where not. Its channels need the runner
 * of vbd_linux_open. Errors, each with its sentence: -errno of open, -EISDIR, -ENOTBLK neither file
 * nor block device, -EINVAL empty or not a multiple of 512 bytes, -EROFS a read-only device opened
 * for writing, -ENOMEM. */
VBD_API int vbd_file_open(const char *path, bool read_only, struct vbd_storage **ret,
                          struct vbd_error *why);

#ifdef __cplusplus
}
#endif
#endif
