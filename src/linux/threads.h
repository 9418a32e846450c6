/* threads.h - the runner seam on Linux, for platform.c: a thread and an io_uring for each queue. */
#ifndef LINUX_THREADS_H
#define LINUX_THREADS_H

#include "vbdkit/runner.h"

struct vbd_threads;

/* `hypervisor` is kept by reference. -errno. */
int vbd_threads_new(const struct vbd_hypervisor *hypervisor, struct vbd_threads **ret);
/* No run is left. */
void vbd_threads_free(struct vbd_threads *t);
const struct vbd_runner *vbd_threads_seam(const struct vbd_threads *t);
/* Readable when a run has ended. */
int vbd_threads_fd(const struct vbd_threads *t);
/* Joins the threads that have ended and calls their `ended`. */
void vbd_threads_process(struct vbd_threads *t);

#endif
