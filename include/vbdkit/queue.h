/* queue.h - one queue of a backend, as a runner drives it, and its counters.
 *
 * Threads: from vbd_queue_begin to vbd_queue_end a queue belongs to the thread that called begin.
 * Only vbd_queue_count may be called from another.
 */
#ifndef VBDKIT_QUEUE_H
#define VBDKIT_QUEUE_H

#include "vbdkit/storage.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vbd_queue;

/* Hands the queue its storage channel, opened on this thread. */
VBD_API void vbd_queue_begin(struct vbd_queue *q, struct vbd_channel *channel);
/* One pass: takes what the ring holds, fetches written data, submits, answers what has completed.
 * To be called after each event of the guest and after storage completions were delivered. Returns
 * true when there is more to do at once: call again, do not sleep. */
VBD_API bool vbd_queue_pass(struct vbd_queue *q);
/* Takes nothing more from now on; passes still finish and answer what was taken. */
VBD_API void vbd_queue_stop(struct vbd_queue *q);
/* True when everything taken has been answered. */
VBD_API bool vbd_queue_idle(const struct vbd_queue *q);
/* True when the guest broke the ring's rules: nothing more is taken, and the run must end. */
VBD_API bool vbd_queue_broken(const struct vbd_queue *q);
/* Takes the channel back out; the queue is idle. */
VBD_API void vbd_queue_end(struct vbd_queue *q);

/* Counters, since the queue was made. X(name, what it counts). */
#define VBD_COUNTERS(X)                                                                            \
    X(reads, "read requests taken")                                                                \
    X(writes, "write requests taken")                                                              \
    X(flushes, "flush requests taken")                                                             \
    X(read_bytes, "bytes read for the guest")                                                      \
    X(written_bytes, "bytes written for the guest")                                                \
    X(refused, "requests refused before any I/O")                                                  \
    X(grant_errors, "requests that failed because a grant could not be copied")                    \
    X(storage_errors, "requests that the storage failed")                                          \
    X(segments, "segments of data requests")                                                       \
    X(passes, "passes over the ring that found work")                                              \
    X(copies, "grant copy calls")                                                                  \
    X(submits, "batches given to the storage")                                                     \
    X(notified, "events sent to the guest")                                                        \
    X(spared, "events spared, because the guest was awake")                                        \
    X(full, "passes that left requests in the ring because the limit in flight was reached")

struct vbd_counters {
#define VBD_COUNTER_FIELD(name, text) uint64_t name;
    VBD_COUNTERS(VBD_COUNTER_FIELD)
#undef VBD_COUNTER_FIELD
};

/* Adds the queue's counters to *sum. Any thread. */
VBD_API void vbd_queue_count(const struct vbd_queue *q, struct vbd_counters *sum);

#ifdef __cplusplus
}
#endif
#endif
