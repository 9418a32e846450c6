/* ordering.c - what a flush promises: every write taken before it is on stable storage when it is
 * answered. So a flush is held back until those writes have finished; later requests pass it.
 * Called by intake, dispatch and guest_memory. */
#include "blkback/queue.h"

void vbd_order_taken(struct vbd_queue *q, struct vbd_slot *slot)
{
    slot->sequence = q->sequence++;
    if (slot->request.operation == VBD_OP_FLUSH)
        slot->writes_before = q->writes_in_flight;
    else if (slot->request.operation == VBD_OP_WRITE)
        q->writes_in_flight++;
}

bool vbd_order_holds(const struct vbd_slot *slot)
{
    return slot->request.operation == VBD_OP_FLUSH && slot->writes_before > 0;
}

/* A flush that waited is ready when its last write has finished: it goes back to be dispatched. */
static void tell(struct vbd_queue *q, struct vbd_list *flushes, const struct vbd_slot *write)
{
    VBD_LIST_EACH(at, after, flushes)
    {
        struct vbd_slot *flush = VBD_CONTAINER(at, struct vbd_slot, link);

        if (flush->request.operation != VBD_OP_FLUSH || flush->sequence < write->sequence)
            continue;
        flush->writes_before--;
        if (flushes == &q->flushes && flush->writes_before == 0) {
            vbd_list_remove(at);
            vbd_list_append(&q->taken, at);
        }
    }
}

void vbd_order_write_finished(struct vbd_queue *q, const struct vbd_slot *write)
{
    q->writes_in_flight--;
    tell(q, &q->taken, write); /* first: the other adds to this list */
    tell(q, &q->flushes, write);
}
