/* queue.h - the inside of a queue, for the files of this room, and how src/vbd makes one.
 *
 * A request's way through it:
 *
 *   intake        ring -> slot: copied once, judged                      -> `taken`, or `answered`
 *   admission     a slot is charged before the request is taken
 *   guest_memory  written data is fetched, one batched copy a pass
 *   dispatch      in ring order to the storage; `ordering` holds a flush back
 *   (storage)     its completion puts the slot on `completed`
 *   guest_memory  read data is delivered, one batched copy a pass
 *   respond       responses, one publish and at most one notify a pass
 */
#ifndef BLKBACK_QUEUE_H
#define BLKBACK_QUEUE_H

#include "base/list.h"
#include "blkif/ring.h"
#include "blkif/validate.h"
#include "vbdkit/hypervisor.h"
#include "vbdkit/queue.h"

/* A request under way. Owned by the queue; on exactly one list, or held by the storage. */
struct vbd_slot {
    struct vbd_io io; /* what the storage gets; io.memory is this slot's buffer */
    struct vbd_queue *queue;
    struct vbd_list link;
    struct vbd_request request; /* the private copy */
    uint32_t bytes;             /* of data, as judged */
    uint32_t writes_before;     /* flush: writes taken earlier and not finished yet */
    uint64_t sequence;          /* position in the order of taking */
    int16_t status;             /* enum vbd_status, for the response */
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
    uint32_t in_flight_max; /* limit: requests taken and not yet answered, at least 1 */
};

struct vbd_queue {
    struct vbd_queue_config config;
    struct vbd_ring ring;
    struct vbd_channel *storage; /* between begin and end */

    struct vbd_slot *slots;
    void *buffers;                 /* what was allocated; slots point into it */
    struct vbd_grant_copy *pieces; /* room for one batch of all slots */
    struct vbd_io **batch;         /* likewise for the storage */
    uint32_t slot_count;
    uint32_t in_flight; /* slots charged */

    struct vbd_list free;      /* last in, first out: the warmest buffer next */
    struct vbd_list taken;     /* judged, in ring order, not yet submitted */
    struct vbd_list flushes;   /* held back by `ordering` */
    struct vbd_list completed; /* reads whose data has to be delivered */
    struct vbd_list answered;  /* status known, response to be written */

    uint64_t sequence;
    uint32_t writes_in_flight;
    bool stopping, broken;
    struct vbd_counters counters; /* written by the queue's thread alone */
};

/* Makes a queue over a mapped ring. Errors: -EINVAL the ring holds no slot of that layout, -ENOMEM.
 */
int vbd_queue_new(const struct vbd_queue_config *config, struct vbd_queue **ret);
/* Frees it; the ring and the event channel stay the caller's. NULL is fine. */
void vbd_queue_free(struct vbd_queue *q);

/* --- the rooms of a pass, in order --- */
void vbd_intake(struct vbd_queue *q);
struct vbd_slot *vbd_admit(struct vbd_queue *q);
void vbd_release(struct vbd_queue *q, struct vbd_slot *slot);
void vbd_fetch_written(struct vbd_queue *q);
void vbd_dispatch(struct vbd_queue *q);
void vbd_order_taken(struct vbd_queue *q, struct vbd_slot *slot);
bool vbd_order_holds(const struct vbd_slot *slot);
void vbd_order_write_finished(struct vbd_queue *q, const struct vbd_slot *write);
void vbd_deliver_read(struct vbd_queue *q);
void vbd_respond(struct vbd_queue *q);

/* The slot's fate is known: it goes to `answered`. */
void vbd_settle(struct vbd_slot *slot, enum vbd_status status);
/* Counts; one writer, so a relaxed store is enough for readers elsewhere. */
static inline void vbd_bump(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

#endif
