/* runner.h - the seam to threads: what drives a queue.
 *
 * One queue is one ring, one thread, one loop. A runner makes that thread (or, in a unikernel,
 * hooks the queue to the event channel's interrupt). It calls vbd_queue_begin, then vbd_queue_pass
 * whenever the guest notified or storage completed, and vbd_queue_end at the end (see queue.h).
 */
#ifndef VBDKIT_RUNNER_H
#define VBDKIT_RUNNER_H

#include "vbdkit/hypervisor.h"
#include "vbdkit/storage.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vbd_queue;
struct vbd_run;

/* Why a run ended. */
enum vbd_run_end {
    VBD_RUN_STOPPED, /* asked to: everything taken was answered */
    VBD_RUN_BROKEN,  /* the guest broke its ring: what was taken was finished */
    VBD_RUN_FAILED   /* the loop or the storage's channel could not be made, or broke */
};

struct vbd_runner {
    size_t struct_size;
    void *ctx;
    /* Starts driving `queue`, one of `siblings` queues of a device: where devices share processors,
     * a device gets no more of them for having more queues. `ended` is called once, on the control
     * thread, when the queue's thread has let go of everything. Errors: -EAGAIN no thread to be
     * had, -ENOMEM. */
    int (*start)(void *ctx, struct vbd_queue *queue, unsigned siblings,
                 struct vbd_event_channel *channel, struct vbd_storage *storage,
                 void (*ended)(void *arg, enum vbd_run_end end), void *arg, struct vbd_run **ret);
    /* Asks a run to end: take nothing more, finish and answer what was taken. Returns at once;
     * `ended` follows. */
    void (*stop)(void *ctx, struct vbd_run *run);
    /* The clock of its passes, for a storage that completes within one. NULL: what such a storage
     * did is measured to have taken no time. Any thread. */
    uint64_t (*now)(void);
};

#ifdef __cplusplus
}
#endif
#endif
