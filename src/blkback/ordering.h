/* ordering.h - what flushes and barriers promise.
 *
 * A flush: every write taken before it is on stable storage when it is answered. So it is held back
 * until those writes have finished; later requests pass it.
 *
 * A barrier: everything taken before it is on stable storage before it is, and it is before
 * anything taken after it begins. So it stops all behind it, waits for all before it, and goes to
 * the storage as a flush, a write and a flush.
 *
 * Called by admission, dispatch and guest_memory.
 */
#ifndef BLKBACK_ORDERING_H
#define BLKBACK_ORDERING_H

#include "blkback/queue.h"

/* A flush, or what changes the disk. */
void vbd_order_taken(struct vbd_queue *q, struct vbd_slot *slot);
/* The same for a write. */
static inline void vbd_order_write_taken(struct vbd_queue *q, struct vbd_slot *write)
{
    write->sequence = q->sequence++;
    q->writes_in_flight++;
    q->unfetched++;
}

/* Flushes that waited for this write, and for no other, are to be dispatched now. */
void vbd_order_tell(struct vbd_queue *q, const struct vbd_slot *write);

/* Whether a taken request must wait for others, and so everything behind it. */
static inline bool vbd_order_stops(const struct vbd_queue *q, const struct vbd_slot *slot)
{
    if (q->barrier != NULL)
        return slot != q->barrier;
    return slot->request.effect == VBD_OP_WRITE_BARRIER && q->dispatched > 0;
}

/* Whether a flush must wait, while others pass it. */
static inline bool vbd_order_holds(const struct vbd_slot *slot)
{
    return slot->request.effect == VBD_OP_FLUSH && slot->writes_before > 0;
}

static inline void vbd_order_write_finished(struct vbd_queue *q, const struct vbd_slot *write)
{
    q->writes_in_flight--;
    if (q->flushes_waiting > 0)
        vbd_order_tell(q, write);
}

#endif
