/* admission.h - limits, charged before anything is taken: a slot for a request, then memory for its
 * data; the slot is given back when it has been answered, and keeps its memory for the next request
 * of that length until another asks for it. */
#ifndef BLKBACK_ADMISSION_H
#define BLKBACK_ADMISSION_H

#include "blkback/dispatch.h"
#include "blkback/ordering.h"

/* What the slot keeps is free for others. A request that never gets so far as to need memory does
 * so: its answer may have to wait for requests that do. */
void vbd_give_run(struct vbd_queue *q, struct vbd_slot *slot);
/* Another length than the slot's memory is for; no data gives it back. False: there is no memory.
 */
bool vbd_charge_run(struct vbd_queue *q, struct vbd_slot *slot);

VBD_INLINE bool vbd_charge_memory(struct vbd_queue *q, struct vbd_slot *slot)
{
    return slot->bytes - slot->bytes_least < slot->bytes_range || vbd_charge_run(q, slot);
}

/* A slot for the next request, or NULL. */
VBD_INLINE struct vbd_slot *vbd_admit(struct vbd_queue *q)
{
    struct vbd_slot *slot = q->free;

    if (slot == NULL)
        return NULL;
    q->free = slot->next;
    slot->status = VBD_STATUS_OKAY;
    slot->undescribed = slot->fetched = slot->copy_failed = slot->alone = false;
    slot->barrier = VBD_BARRIER_FLUSH_BEFORE;
    slot->taken_at = q->now;
    if (q->config.in_order)
        vbd_list_append(&q->ring_order, &slot->ring_order);
    return slot;
}

/* A request that has been judged goes on at once, or waits behind others for memory. */
VBD_INLINE void vbd_admit_judged(struct vbd_queue *q, struct vbd_slot *slot)
{
    if (q->arrived.first != NULL || !vbd_charge_memory(q, slot)) {
        vbd_row_append(&q->arrived, slot);
        return;
    }
    if (slot->request.effect != VBD_OP_READ) {
        vbd_order_taken(q, slot);
        q->unfetched++;
    }
    vbd_take_on(q, slot);
}

#endif
