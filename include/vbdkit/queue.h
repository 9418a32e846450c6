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

/* Hands the queue its storage channel, opened on this thread; a queue that was stopped goes on. */
VBD_API void vbd_queue_begin(struct vbd_queue *q, struct vbd_channel *channel);
/* One pass: takes what the ring holds, fetches written data, submits, answers what has completed.
 * To be called after each event of the guest and after storage completions were delivered, with the
 * nanoseconds of a clock that never goes back. Returns true when there is more to do at once: call
 * again, do not sleep. */
VBD_API bool vbd_queue_pass(struct vbd_queue *q, uint64_t now);
/* A pass that does not ask the guest to notify: for a runner that looks by itself whether more has
 * come, and makes a whole pass before it sleeps. */
VBD_API bool vbd_queue_poll(struct vbd_queue *q, uint64_t now);
/* True when the ring holds what the last pass did not take; for looking between passes. */
VBD_API bool vbd_queue_waits(const struct vbd_queue *q);
/* For how long looking may go on before the runner sleeps: nanoseconds, 0: not at all, and while
 * much is under way, which hides what a wake-up costs. */
VBD_API uint64_t vbd_queue_patience(const struct vbd_queue *q);
/* When the next pass is due though nothing happens, on the same clock; 0: never. */
VBD_API uint64_t vbd_queue_deadline(const struct vbd_queue *q);
/* Adds system calls of the runner or the storage to the counter. The queue's thread. */
VBD_API void vbd_queue_count_calls(struct vbd_queue *q, unsigned calls);
/* Takes nothing more from now on; passes still finish and answer what was taken. */
VBD_API void vbd_queue_stop(struct vbd_queue *q);
/* True when everything taken has been answered. */
VBD_API bool vbd_queue_idle(const struct vbd_queue *q);
/* True when the guest broke the ring's rules: nothing more is taken, and the run must end. */
VBD_API bool vbd_queue_broken(const struct vbd_queue *q);
/* Takes the channel back out, and gives back the grants that were kept mapped; the queue is idle.
 */
VBD_API void vbd_queue_end(struct vbd_queue *q);

/* Counters, since the queue was made. X(name, what it counts). */
#define VBD_COUNTERS(X)                                                                            \
    X(reads, "read requests taken")                                                                \
    X(writes, "write requests taken")                                                              \
    X(flushes, "flush requests taken")                                                             \
    X(barriers, "write barriers taken")                                                            \
    X(discards, "discard requests taken")                                                          \
    X(indirect, "of the reads and writes, those with indirect segments")                           \
    X(read_bytes, "bytes read for the guest")                                                      \
    X(written_bytes, "bytes written for the guest")                                                \
    X(discarded_bytes, "bytes discarded for the guest")                                            \
    X(refused_operation, "requests refused: an operation that was not offered")                    \
    X(refused_count, "requests refused: the number of segments")                                   \
    X(refused_range, "requests refused: a segment outside its page")                               \
    X(refused_alignment, "requests refused: within a logical sector")                              \
    X(refused_end, "requests refused: past the end of the disk")                                   \
    X(refused_read_only, "requests refused: the disk is read-only")                                \
    X(grant_errors, "requests that failed because a grant could not be copied")                    \
    X(storage_errors, "requests that the storage failed")                                          \
    X(segments, "segments of data requests")                                                       \
    X(merges, "requests that went to the storage with the one before")                             \
    X(passes, "passes over the ring that found work")                                              \
    X(copies, "grant copy calls")                                                                  \
    X(grants_mapped, "grants mapped to stay")                                                      \
    X(grants_reused, "pages reached through a grant that was mapped already")                      \
    X(grants_released, "mapped grants given back: idle, or over the limit")                        \
    X(in_place, "read requests whose data went into mapped pages without a copy")                  \
    X(submits, "batches given to the storage")                                                     \
    X(system_calls, "system calls made for all of this")                                           \
    X(notified, "events sent to the guest")                                                        \
    X(spared, "events spared, because the guest was awake")                                        \
    X(full, "passes that left requests in the ring: the limit in flight was reached")              \
    X(memory_full, "passes in which a request waited: the limit of memory was reached")

struct vbd_counters {
#define VBD_COUNTER_FIELD(name, text) uint64_t name;
    VBD_COUNTERS(VBD_COUNTER_FIELD)
#undef VBD_COUNTER_FIELD
};

/* Adds the queue's counters to *sum. Any thread. */
VBD_API void vbd_queue_count(const struct vbd_queue *q, struct vbd_counters *sum);

/* How long requests took, from being taken to being answered: counts by ranges of nanoseconds that
 * end at vbd_latency_end(i), the last at no end. */
enum { VBD_LATENCY_RANGES = 104 };

struct vbd_latency {
    uint64_t reads[VBD_LATENCY_RANGES], writes[VBD_LATENCY_RANGES], others[VBD_LATENCY_RANGES];
};

VBD_API uint64_t vbd_latency_end(unsigned range);
/* Adds to *sum what the queue has seen. Any thread. */
VBD_API void vbd_queue_latency(const struct vbd_queue *q, struct vbd_latency *sum);

#ifdef __cplusplus
}
#endif
#endif
