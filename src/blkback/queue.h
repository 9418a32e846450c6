/* queue.h - the inside of a queue, for the files of this room, and how src/vbd makes one.
 *
 * A request's way through it:
 *
 *   intake        ring -> slot: copied once, judged                      -> `arrived`, or
 * `answered` guest_memory  an indirect request's descriptors are fetched, copied once, and judged
 * by intake admission     a slot is charged before a request is taken, its memory before it goes on
 *                                                                        -> `taken`
 *   guest_memory  written data is fetched, in batched copies
 *   dispatch      in ring order to the storage; `ordering` holds flushes and barriers back
 *   (storage)     its completion puts the slot on `completed`
 *   guest_memory  read data is delivered, in batched copies
 *   respond       responses, one publish and at most one notify a pass
 */
#ifndef BLKBACK_QUEUE_H
#define BLKBACK_QUEUE_H

#include "base/buddy.h"
#include "base/list.h"
#include "blkback/persistent.h"
#include "blkif/ring.h"
#include "blkif/validate.h"
#include "vbdkit/hypervisor.h"
#include "vbdkit/queue.h"

/* A write barrier is three operations of the storage, or one when it has no data. */
enum vbd_barrier { VBD_BARRIER_FLUSH_BEFORE, VBD_BARRIER_WRITE, VBD_BARRIER_FLUSH_AFTER };

enum { VBD_MERGE_MAX = 16 /* requests that go to the storage as one */ };

/* A request under way. Owned by the queue; on exactly one list, or held by the storage. */
struct vbd_slot {
    struct vbd_io io; /* what the storage gets, for this request or for several */
    struct vbd_iovec memory[VBD_MERGE_MAX]; /* io's: this slot's buffer, then those of `merged` */
    struct vbd_list merged;                 /* slots that go with this one */
    bool alone;                             /* never merged: it was, and that failed */
    struct vbd_queue *queue;
    struct vbd_list link;
    struct vbd_list ring_order;         /* for fronts that need answers in the order of requests */
    struct vbd_request request;         /* the private copy */
    struct vbd_segment *indirect;       /* room for an indirect request's segments */
    const struct vbd_segment *segments; /* those of the request, wherever they are */
    uint32_t bytes;                     /* of data, as judged */
    uint32_t page;                      /* its run of the queue's memory, when it has one */
    uint8_t order;                      /* of this run */
    bool has_memory;
    bool judged;              /* all of it, segments too */
    bool fetched;             /* the data of a write is here */
    bool copy_failed;         /* a piece of its data or descriptors could not be copied */
    bool settled;             /* `status` is known */
    enum vbd_barrier barrier; /* the step under way */
    uint32_t writes_before;   /* flush: writes taken earlier and not finished yet */
    uint64_t sequence;        /* position in the order of taking */
    uint64_t taken_at;        /* nanoseconds */
    int16_t status;           /* enum vbd_status, for the response */
};

struct vbd_queue_config {
    const struct vbd_allocator *allocator;
    const struct vbd_hypervisor *hypervisor;
    struct vbd_event_channel *channel;
    unsigned domid;
    void *ring_pages; /* mapped, of the guest */
    uint32_t ring_page_count;
    enum vbd_layout layout;
    struct vbd_disk_limits disk;
    bool in_order; /* responses in the order of requests */
    /* Limits. */
    uint32_t in_flight_max;  /* requests taken and not yet answered, at least 1 */
    uint32_t memory_pages;   /* of data under way; made large enough for one request */
    uint32_t persistent_max; /* grants kept mapped; 0: the front does not keep its grants */
};

/* One batch of a grant copy. */
enum { VBD_PIECES = 256 };

struct vbd_queue {
    struct vbd_queue_config config;
    struct vbd_ring ring;
    struct vbd_channel *storage; /* between begin and end */

    struct vbd_slot *slots;
    struct vbd_segment *indirect; /* slots point into it */
    void *memory;                 /* what was allocated */
    char *pages;                  /* its first whole page; slots' runs are here */
    struct vbd_buddy runs;        /* which pages are free */
    struct vbd_io **batch;        /* room for all slots */
    uint32_t slot_count;
    uint32_t in_flight; /* slots charged */

    struct vbd_grant_copy pieces[VBD_PIECES];
    struct vbd_slot *owners[VBD_PIECES]; /* of the pieces */
    uint32_t piece_count;
    struct vbd_persistent persistent;

    struct vbd_list free;       /* last in, first out: the warmest slot next */
    struct vbd_list arrived;    /* in ring order; descriptors or memory are missing */
    struct vbd_list taken;      /* judged, in ring order, not yet submitted */
    struct vbd_list flushes;    /* held back by `ordering` */
    struct vbd_list completed;  /* reads whose data has to be delivered */
    struct vbd_list answered;   /* status known, response to be written */
    struct vbd_list ring_order; /* all that are under way, when config.in_order */

    uint64_t now;
    uint64_t sequence;
    uint32_t writes_in_flight;
    uint32_t dispatched;      /* requests given to the storage or held back, not settled */
    struct vbd_slot *barrier; /* under way: nothing else is */
    bool released;            /* memory came back in this pass */
    bool stopping, broken;
    struct vbd_counters counters; /* written by the queue's thread alone */
    struct vbd_latency latency;
};

/* Makes a queue over a mapped ring. Errors: -EINVAL the ring holds no slot of that layout, -ENOMEM.
 */
int vbd_queue_new(const struct vbd_queue_config *config, struct vbd_queue **ret);
/* Frees it; the ring and the event channel stay the caller's. NULL is fine. */
void vbd_queue_free(struct vbd_queue *q);
/* The disk has another size from now on, in sectors of 512 bytes. Any thread. */
void vbd_queue_resize(struct vbd_queue *q, uint64_t sectors);

/* --- the rooms of a pass, in order --- */
void vbd_intake(struct vbd_queue *q);
void vbd_fetch_descriptors(struct vbd_queue *q);
/* intake: the segments of an indirect request are here; settles it when they are wrong. */
void vbd_judge_segments(struct vbd_queue *q, struct vbd_slot *slot);
struct vbd_slot *vbd_admit(struct vbd_queue *q);
void vbd_admit_data(struct vbd_queue *q);
void vbd_release(struct vbd_queue *q, struct vbd_slot *slot);
void vbd_fetch_written(struct vbd_queue *q);
void vbd_dispatch(struct vbd_queue *q);
/* Whether the slot goes to the storage with `first`, which is on its way there. */
bool vbd_merge(struct vbd_slot *first, struct vbd_slot *slot);
void vbd_order_taken(struct vbd_queue *q, struct vbd_slot *slot);
/* Whether a taken request must wait for others, and so everything behind it. */
bool vbd_order_stops(const struct vbd_queue *q, const struct vbd_slot *slot);
/* Whether a flush must wait, while others pass it. */
bool vbd_order_holds(const struct vbd_slot *slot);
void vbd_order_write_finished(struct vbd_queue *q, const struct vbd_slot *write);
void vbd_deliver_read(struct vbd_queue *q);
void vbd_respond(struct vbd_queue *q);

/* The slot's fate is known: it goes to `answered`. */
void vbd_settle(struct vbd_slot *slot, enum vbd_status status);

/* Whether a request changes the disk. */
static inline bool vbd_slot_modifies(const struct vbd_slot *slot)
{
    return slot->request.effect == VBD_OP_WRITE || slot->request.effect == VBD_OP_WRITE_BARRIER ||
           slot->request.effect == VBD_OP_DISCARD;
}

/* Whether data comes from the guest. */
static inline bool vbd_slot_writes(const struct vbd_slot *slot)
{
    return slot->request.effect == VBD_OP_WRITE || slot->request.effect == VBD_OP_WRITE_BARRIER;
}

/* Where a slot's data is: one piece, packed tightly. */
static inline char *vbd_slot_buffer(const struct vbd_slot *slot)
{
    return slot->queue->pages + (uint64_t)slot->page * VBD_RING_PAGE;
}

/* Counts; one writer, so a relaxed store is enough for readers elsewhere. */
static inline void vbd_bump(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

#endif
