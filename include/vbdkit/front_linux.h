/* front_linux.h - libvbd's frontend on Linux: a vbd of this domain as a disk that drives itself, by
 * calls that block, by any event loop, or by both at once; and the guest's seam on Xen.
 *
 * Threads: all calls of a disk may come from any number of threads at once, but open and close;
 * what they submit goes through its rings side by side. There is no hidden thread: one of the
 * callers that wait drives for all. Callbacks (`done` of an operation, `event`) run on whichever
 * thread drives, with the disk locked: they may use vbd_disk_submit and vbd_disk_info, and nothing
 * else of the disk. Fork: a disk belongs to the process that opened it.
 */
#ifndef VBDKIT_FRONT_LINUX_H
#define VBDKIT_FRONT_LINUX_H

#include "vbdkit/front.h"
#include "vbdkit/xsc_linux.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- (a) a disk --- */

struct vbd_disk;

struct vbd_disk_config {
    size_t struct_size;   /* sizeof(struct vbd_disk_config) */
    const char *xenstore; /* an address as for xsc_client_open; NULL: the usual */
    const struct vbd_front_options *options; /* NULL: the defaults */
    int timeout_ms;                          /* to connect, and to close; negative: for ever */
    /* For how long vbd_disk_look, and a thread that waits alone, look before they sleep; 0: not. */
    unsigned poll_us;
    /* Tells what happens to the disk after it was opened; may be NULL. */
    void (*event)(void *ctx, enum vbd_front_event event);
    void *ctx;
};

enum { VBD_DISK_TIMEOUT_MS = 10000 /* with config NULL */ };

/* Connects the vbd that `name` means (see vbd_front_choose), and waits until it can be used.
 * Errors, with a sentence: -ENODEV, -ENOTUNIQ which lists the vbds there are; -ETIMEDOUT no backend
 * connected; -EINVAL a config that is none, an option out of its range, or a disk that can't be;
 * those of xsc_client_open and vbd_xen_guest_open; -EPROTO, -ECONNREFUSED the backend lied, or
 * closes always; -ENOMEM. */
VBD_API int vbd_disk_open(const char *name, const struct vbd_disk_config *config,
                          struct vbd_disk **ret, struct vbd_error *why);
/* Closes it by the book, and gives up on a backend that does not within the timeout. What is still
 * under way is finished before; what can't be is done with -ECANCELED. No thread may be inside a
 * call. NULL is fine. Returns NULL. */
VBD_API struct vbd_disk *vbd_disk_close(struct vbd_disk *d);
/* What the disk is, and what was agreed on: that of the last connection while there is none. */
VBD_API void vbd_disk_info(struct vbd_disk *d, struct vbd_front_info *ret);
/* The counters of all its queues. */
VBD_API void vbd_disk_count(struct vbd_disk *d, struct vbd_front_counters *ret);
/* The domain is going to be saved: gives back what it shares, until vbd_disk_resume; operations
 * wait. Linux demands it: of a domain that is saved while a process has event channels, the kernel
 * stops with a BUG when they are closed (6.1, evtchn_unbind_from_user). Not from a callback. */
VBD_API void vbd_disk_suspend(struct vbd_disk *d);
/* The domain was saved and goes on elsewhere: connects to xenstore anew, and sends again what was
 * not done. Errors, with a sentence: those of xsc_client_open, and later calls try again; -EDEADLK
 * from a callback. */
VBD_API int vbd_disk_resume(struct vbd_disk *d, struct vbd_error *why);

/* --- (b) calls that block --- */

/* Each waits until the operation is done, also while there is no backend. Offsets and lengths are
 * bytes, in logical sectors. Errors, with a sentence: those of vbd_front_channel; -EDEADLK from a
 * callback. */
VBD_API int vbd_disk_read(struct vbd_disk *d, void *bytes, size_t length, uint64_t offset,
                          struct vbd_error *why);
VBD_API int vbd_disk_write(struct vbd_disk *d, const void *bytes, size_t length, uint64_t offset,
                           struct vbd_error *why);
/* Every write that was done before is on stable storage when it returns 0. */
VBD_API int vbd_disk_flush(struct vbd_disk *d, struct vbd_error *why);
/* A write; what was done before is on stable storage first, then this. */
VBD_API int vbd_disk_barrier(struct vbd_disk *d, const void *bytes, size_t length, uint64_t offset,
                             struct vbd_error *why);
/* Gives blocks back; they read as zeroes or as anything. `secure`: what was there must not be
 * readable on the medium either. */
VBD_API int vbd_disk_discard(struct vbd_disk *d, uint64_t offset, uint64_t length, bool secure,
                             struct vbd_error *why);
VBD_API int vbd_disk_zero(struct vbd_disk *d, uint64_t offset, uint64_t length,
                          struct vbd_error *why);

/* --- (c) any event loop --- */

/* A descriptor that polls readable when vbd_disk_process has something to do; the same as long as
 * the disk. */
VBD_API int vbd_disk_fd(struct vbd_disk *d);
/* Runs the callbacks of what has come. Never blocks. From a callback it does nothing. */
VBD_API void vbd_disk_process(struct vbd_disk *d);
/* Looks for answers, and takes them, for poll_us after each (50 us at most with more than four
 * under way) and as long as that pays; it ends when 250 us are over, or another thread wants the
 * disk. True when any came: then vbd_disk_process comes before the next wait. For loops that would
 * sleep otherwise; the backend is spared its events. Runs callbacks. False from a callback. */
VBD_API bool vbd_disk_look(struct vbd_disk *d);
/* Takes operations, see vbd_front_channel, and sends them; `done` may be called before it returns.
 */
VBD_API void vbd_disk_submit(struct vbd_disk *d, struct vbd_io *const *ios, size_t count);
/* Memory that the backend reaches directly, see vbd_front_buffer_new. */
VBD_API int vbd_disk_buffer_new(struct vbd_disk *d, size_t bytes, void **ret);
VBD_API void vbd_disk_buffer_free(struct vbd_disk *d, void *buffer);

/* --- the guest's seam on Xen, for fronts made by vbd_front_connect --- */

struct vbd_xen_guest;

/* Opens /dev/xen/gntalloc, by libxengnttab; /dev/xen/evtchn is opened once for each queue. Errors,
 * with a sentence: the -errno of the device, -ENOMEM. */
VBD_API int vbd_xen_guest_open(struct vbd_xen_guest **ret, struct vbd_error *why);
/* Closes it; every front has been freed. NULL is fine. */
VBD_API void vbd_xen_guest_close(struct vbd_xen_guest *g);
/* The seam; valid until closed. */
VBD_API const struct vbd_guest *vbd_xen_guest_seam(const struct vbd_xen_guest *g);
/* A descriptor that polls readable while one of its event channels has an event. */
VBD_API int vbd_xen_guest_fd(const struct vbd_xen_guest *g);

#ifdef __cplusplus
}
#endif
#endif
