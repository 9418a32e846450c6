/* ordering.c - flushes and the writes before them: see ordering.h. */
#include "blkback/ordering.h"

void vbd_order_taken(struct vbd_queue *q, struct vbd_slot *slot)
{
    if (slot->request.effect != VBD_OP_FLUSH) {
        vbd_order_write_taken(q, slot);
        return;
    }
    slot->sequence = q->sequence++;
    q->unfetched++;
    slot->writes_before = q->writes_in_flight;
    if (slot->writes_before > 0)
        q->flushes_waiting++;
}

/* One write less to wait for; true when it was the last. */
static bool waits_no_more(struct vbd_queue *q, struct vbd_slot *flush, const struct vbd_slot *write)
{
    if (flush->request.effect != VBD_OP_FLUSH || flush->sequence < write->sequence ||
        --flush->writes_before > 0)
        return false;
    q->flushes_waiting--;
    return true;
}

/* A flush that waited goes back to be dispatched, before all that was taken after it. */
void vbd_order_tell(struct vbd_queue *q, const struct vbd_slot *write)
{
    struct vbd_slot **at = &q->flushes.first, *slot;

    for (slot = q->taken.first; slot != NULL; slot = slot->next)
        (void)waits_no_more(q, slot, write); /* first: the other adds to this row */
    while ((slot = *at) != NULL) {
        if (!waits_no_more(q, slot, write)) {
            at = &slot->next;
            continue;
        }
        vbd_row_cut(&q->flushes, at);
        vbd_row_prepend(&q->taken, slot);
        q->dispatched--; /* and is counted again */
    }
}
