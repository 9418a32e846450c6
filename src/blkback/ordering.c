/* ordering.c - what flushes and barriers promise.
 *
 * A flush: every write taken before it is on stable storage when it is answered. So it is held back
 * until those writes have finished; later requests pass it.
 *
 * A barrier: everything taken before it is on stable storage before it is, and it is before
 * anything taken after it begins. So it stops all behind it, waits for all before it, and goes to
 * the storage as a flush, a write and a flush.
 *
 * Called by admission, dispatch and guest_memory. */
#include "blkback/queue.h"

void vbd_order_taken(struct vbd_queue *q, struct vbd_slot *slot)
{
    slot->sequence = q->sequence++;
    if (slot->request.effect == VBD_OP_FLUSH)
        slot->writes_before = q->writes_in_flight;
    else if (vbd_slot_modifies(slot))
        q->writes_in_flight++;
}

bool vbd_order_stops(const struct vbd_queue *q, const struct vbd_slot *slot)
{
    if (q->barrier != NULL)
        return slot != q->barrier;
    return slot->request.effect == VBD_OP_WRITE_BARRIER && q->dispatched > 0;
}

bool vbd_order_holds(const struct vbd_slot *slot)
{
    return slot->request.effect == VBD_OP_FLUSH && slot->writes_before > 0;
}

/* A flush that waited is ready when its last write has finished: it goes back to be dispatched,
 * before all that was taken after it. */
static void tell(struct vbd_queue *q, struct vbd_list *flushes, const struct vbd_slot *write)
{
    VBD_LIST_EACH(at, after, flushes)
    {
        struct vbd_slot *flush = VBD_CONTAINER(at, struct vbd_slot, link);

        if (flush->request.effect != VBD_OP_FLUSH || flush->sequence < write->sequence)
            continue;
        flush->writes_before--;
        if (flushes == &q->flushes && flush->writes_before == 0) {
            vbd_list_remove(at);
            vbd_list_prepend(&q->taken, at);
            q->dispatched--; /* and is counted again */
        }
    }
}

void vbd_order_write_finished(struct vbd_queue *q, const struct vbd_slot *write)
{
    q->writes_in_flight--;
    tell(q, &q->taken, write); /* first: the other adds to this list */
    tell(q, &q->flushes, write);
}
