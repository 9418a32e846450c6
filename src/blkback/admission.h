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

/* How many of the waiting requests get a slot: the first ones of q->free. */
uint32_t vbd_admitted(struct vbd_queue *q, uint32_t waiting);

/* The slot is taken into use. */
VBD_INLINE void vbd_admit(struct vbd_slot *slot, uint64_t now)
{
    slot->undescribed = slot->fetched = slot->copy_failed = slot->alone = false;
    slot->barrier = VBD_BARRIER_FLUSH_BEFORE;
    slot->taken_at = now;
}

/* A request that has been judged goes on at once, or waits behind others for memory. */
void vbd_admit_judged(struct vbd_queue *q, struct vbd_slot *slot);

/* Whether the slot has the memory that a request needs. */
VBD_INLINE bool vbd_has_memory(const struct vbd_slot *slot, uint64_t bytes)
{
    return (uint32_t)bytes - slot->bytes_least < slot->bytes_range;
}

/* The same for a direct read or write. Takes and returns what vbd_way_free says. */
VBD_INLINE bool vbd_admit_direct(struct vbd_queue *q, struct vbd_slot *slot, bool way_free,
                                 uint32_t operation, uint64_t sector, uint64_t bytes)
{
    if (!way_free || !vbd_has_memory(slot, bytes)) {
        vbd_admit_judged(q, slot);
        return vbd_way_free(q);
    }
    if (operation == VBD_OP_WRITE)
        vbd_order_write_taken(q, slot);
    vbd_prepare(slot, operation, sector, bytes);
    vbd_put_in_batch(q, slot, sector * VBD_SECTOR, bytes);
    return true;
}

#endif
