/* admission.c - limits, charged before anything is taken: a slot for a request, then memory for its
 * data; both are given back when it has been answered. Requests that wait for memory wait in ring
 * order, so a large one is not passed for ever. Called by intake, a pass and respond. */
#include "blkback/queue.h"

struct vbd_slot *vbd_admit(struct vbd_queue *q)
{
    struct vbd_list *link = q->free.prev; /* the last one given back */
    struct vbd_slot *slot;

    if (link == &q->free)
        return NULL;
    vbd_list_remove(link);
    q->in_flight++;
    slot = VBD_CONTAINER(link, struct vbd_slot, link);
    slot->judged = slot->fetched = slot->copy_failed = slot->settled = slot->alone = false;
    slot->barrier = VBD_BARRIER_FLUSH_BEFORE;
    slot->bytes = 0;
    slot->taken_at = q->now;
    if (q->config.in_order)
        vbd_list_append(&q->ring_order, &slot->ring_order);
    return slot;
}

static bool charge_memory(struct vbd_queue *q, struct vbd_slot *slot)
{
    int64_t page;

    if (slot->bytes == 0)
        return true;
    slot->order =
        (uint8_t)vbd_buddy_order((slot->bytes + VBD_RING_PAGE - 1) / (uint32_t)VBD_RING_PAGE);
    page = vbd_buddy_take(&q->runs, slot->order);
    if (page < 0)
        return false;
    slot->page = (uint32_t)page;
    slot->has_memory = true;
    return true;
}

void vbd_admit_data(struct vbd_queue *q)
{
    while (!vbd_list_empty(&q->arrived)) {
        struct vbd_slot *slot = VBD_CONTAINER(q->arrived.next, struct vbd_slot, link);

        if (!charge_memory(q, slot)) {
            vbd_bump(&q->counters.memory_full, 1);
            return;
        }
        vbd_list_remove(&slot->link);
        vbd_order_taken(q, slot);
        vbd_list_append(&q->taken, &slot->link);
    }
}

void vbd_release(struct vbd_queue *q, struct vbd_slot *slot)
{
    if (slot->has_memory)
        vbd_buddy_give(&q->runs, slot->page, slot->order);
    slot->has_memory = false;
    vbd_list_remove(&slot->ring_order);
    vbd_list_append(&q->free, &slot->link);
    q->in_flight--;
    q->released = true;
}
