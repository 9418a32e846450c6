/* queue.h - the inside of a queue, for the files of this room, and how src/vbd makes one.
 *
 * A request's way through it:
 *
 *   intake        ring -> slot: copied once, judged -> or, refused, `answered`
 *   guest_memory  an indirect request's descriptors are fetched, copied once, judged by intake
 *   admission     a slot is charged before a request is taken, its memory before it goes on
 *                 -> the batch; `taken` when others come first; `arrived` without memory
 *   guest_memory  written data is fetched, in batched copies
 *   in_place      a read goes into the guest's pages, where those stay mapped
 *   dispatch      in ring order to the storage; `ordering` holds flushes and barriers back
 *   (storage)     its completion -> `completed` a read, `answered` all others
 *   guest_memory  read data is delivered, in batched copies -> `answered`
 *   respond       responses, one publish and at most one notify a pass -> `free`
 *
 * The figure that counts is instructions a request (bench/engine.c), so what every request passes
 * is inline here and in the other headers, and what is rare is a call.
 */
#ifndef BLKBACK_QUEUE_H
#define BLKBACK_QUEUE_H

#include "base/buddy.h"
#include "blkback/persistent.h"
#include "blkback/slot.h"
#include "blkif/ring.h"
#include "blkif/validate.h"
#include "vbdkit/hypervisor.h"
#include "vbdkit/queue.h"

struct vbd_queue_config {
    const struct vbd_allocator *allocator;
    const struct vbd_hypervisor *hypervisor;
    struct vbd_event_channel *channel;
    unsigned domid;
    void *ring_pages; /* mapped, of the guest */
    uint32_t ring_page_count;
    enum vbd_layout layout;
    struct vbd_disk_limits disk;
    bool in_order;         /* responses in the order of requests */
    uint64_t patience;     /* ns for which the runner may look before it sleeps */
    uint64_t (*now)(void); /* of the runner, or NULL */
    /* Limits. */
    uint32_t in_flight_max;  /* requests taken and not yet answered, at least 1 */
    uint32_t memory_pages;   /* of data under way; made large enough for one request */
    uint32_t persistent_max; /* grants kept mapped; 0: the front does not keep its grants */
    uint32_t in_place; /* bytes a power of two: the unit in which the storage reads into mapped
                        * pages; 0: never */
};

/* One batch of a grant copy. */
enum { VBD_PIECES = 256 };

/* Requests that a pass took. */
struct vbd_tally {
    uint32_t effects[VBD_OP_INDIRECT]; /* by enum vbd_op */
    uint32_t indirect;
    uint32_t further; /* segments; one of each request is not in it: below 0, modulo 2^32, for those
                       * without */
};

struct vbd_queue {
    struct vbd_queue_config config;
    struct vbd_ring ring;
    struct vbd_channel *storage; /* between begin and end */

    struct vbd_slot *slots;
    union vbd_descriptor *indirect; /* slots point into it */
    void *memory;                   /* what was allocated */
    char *pages;                    /* its first whole page; slots' runs are here */
    struct vbd_buddy runs;          /* which pages are free */
    uint32_t slot_count;
    uint32_t in_flight; /* slots charged */

    struct vbd_io **batch, **batch_end; /* what goes to the storage next; room for all slots */
    bool neighbours;                    /* in the batch, perhaps */
    uint64_t batch_reaches;             /* where the last of it ends, on the disk */

    struct vbd_grant_copy pieces[VBD_PIECES];
    uint32_t piece_count;
    struct vbd_persistent persistent;

    struct vbd_slot *free;      /* the ones given back last come first */
    struct vbd_row arrived;     /* in ring order; descriptors or memory are missing */
    struct vbd_row taken;       /* judged, in ring order, not yet in the batch */
    struct vbd_row flushes;     /* held back by `ordering` */
    struct vbd_row completed;   /* reads whose data has to be delivered */
    struct vbd_row answered;    /* status known, response to be written */
    struct vbd_list ring_order; /* all that are under way, when config.in_order */

    uint64_t now;
    uint64_t sequence;
    uint32_t writes_in_flight;
    uint32_t flushes_waiting; /* for writes */
    uint32_t undescribed;     /* indirect requests whose descriptors are missing */
    uint32_t unfetched;       /* taken, but for reads, since data was fetched last */
    uint32_t dispatched;      /* requests given to the storage or held back, not settled */
    struct vbd_slot *barrier; /* under way: nothing else is */
    bool copies_failed;       /* since a room looked last */
    bool released;            /* slots came back in this pass */
    bool stopping, broken;
    struct vbd_tally tally;       /* of this pass, not yet in the counters */
    struct vbd_counters counters; /* written by the queue's thread alone */
    struct vbd_latency latency;
};

/* Makes a queue over a mapped ring. Errors: -EINVAL the ring holds no slot of that layout, -ENOMEM.
 */
int vbd_queue_new(const struct vbd_queue_config *config, struct vbd_queue **ret);
/* Frees it; the ring and the event channel stay the caller's. NULL is fine. */
void vbd_queue_free(struct vbd_queue *q);
/* The unit of in_place, where the storage is another one now. Between runs. */
void vbd_queue_set_in_place(struct vbd_queue *q, uint32_t unit);
/* The disk has another size from now on, in sectors of 512 bytes. Any thread. */
void vbd_queue_resize(struct vbd_queue *q, uint64_t sectors);

/* --- the rooms of a pass, in order; called when there is something for them --- */
void vbd_intake(struct vbd_queue *q);
void vbd_fetch_descriptors(struct vbd_queue *q);
/* intake: the segments of an indirect request are here; it goes on or is refused. */
void vbd_judge_segments(struct vbd_queue *q, struct vbd_slot *slot);
/* intake: what it accepted goes into the counters. */
void vbd_count_taken(struct vbd_queue *q);
void vbd_admit_data(struct vbd_queue *q);
void vbd_fetch_written(struct vbd_queue *q);
void vbd_dispatch(struct vbd_queue *q);
/* Completes a request's operation. */
void vbd_dispatch_done(struct vbd_io *io, int result);
/* The storage failed the slot's operation, for good. */
void vbd_failed(struct vbd_queue *q, struct vbd_slot *slot, int result);
/* Whether the slot goes to the storage with `first`, behind which it is on the disk. */
bool vbd_merge(struct vbd_slot *first, struct vbd_slot *slot);
void vbd_deliver_read(struct vbd_queue *q);
/* Leaves those in `answered` whose turn it is: config.in_order. */
void vbd_put_in_order(struct vbd_queue *q);
void vbd_respond(struct vbd_queue *q);

/* The slot's fate is known: it is answered in this pass or the next. */
static inline void vbd_settle(struct vbd_queue *q, struct vbd_slot *slot, enum vbd_status status)
{
    slot->response.status = (int16_t)status;
    vbd_row_append(&q->answered, slot);
}

/* Counts; one writer, so a relaxed store is enough for readers elsewhere. */
static inline void vbd_bump(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

#endif
