/* admission.c - memory for requests, when the slot's own does not do: see admission.h. Requests
 * that wait for memory wait in ring order, so a large one is not passed for ever. Called by intake
 * and a pass. */
#include "blkback/admission.h"

static void keep_order(struct vbd_queue *q, uint32_t count)
{
    for (struct vbd_slot *slot = q->free; count > 0; slot = slot->next, count--)
        vbd_list_append(&q->ring_order, &slot->ring_order);
}

uint32_t vbd_admitted(struct vbd_queue *q, uint32_t waiting)
{
    uint32_t count = q->slot_count - q->in_flight;

    if (waiting > count)
        vbd_bump(&q->counters.full, 1);
    else
        count = waiting;
    if (q->config.in_order)
        keep_order(q, count);
    return count;
}

void vbd_give_run(struct vbd_queue *q, struct vbd_slot *slot)
{
    if (slot->has_run)
        vbd_buddy_give(&q->runs, slot->page, slot->order);
    slot->has_run = false;
    slot->bytes_range = 0;
}

static void use_run(struct vbd_queue *q, struct vbd_slot *slot, uint32_t page, unsigned order)
{
    uint32_t most = (uint32_t)VBD_RING_PAGE << order;

    slot->page = page;
    slot->order = (uint8_t)order;
    slot->has_run = true;
    slot->buffer = q->pages + (uint64_t)page * VBD_RING_PAGE;
    slot->bytes_range = order == 0 ? most : most / 2;
    slot->bytes_least = most - slot->bytes_range + 1;
}

/* Another length than the slot's memory is for; no data gives it back. False: there is no memory.
 */
static bool charge_run(struct vbd_queue *q, struct vbd_slot *slot)
{
    unsigned order;
    int64_t page;

    vbd_give_run(q, slot);
    if (slot->bytes == 0)
        return true;
    order = vbd_buddy_order((slot->bytes + VBD_RING_PAGE - 1) / (uint32_t)VBD_RING_PAGE);
    page = vbd_buddy_take(&q->runs, order);
    if (page < 0)
        return false;
    use_run(q, slot, (uint32_t)page, order);
    return true;
}

void vbd_admit_judged(struct vbd_queue *q, struct vbd_slot *slot)
{
    if (q->arrived.first != NULL || !(vbd_has_memory(slot, slot->bytes) || charge_run(q, slot))) {
        vbd_row_append(&q->arrived, slot);
        return;
    }
    if (slot->request.effect != VBD_OP_READ)
        vbd_order_taken(q, slot);
    vbd_take_on(q, slot);
}

/* What slots keep for later is given back: those that are free, and those that wait for memory. */
static void collect(struct vbd_queue *q)
{
    for (struct vbd_slot *slot = q->free; slot != NULL; slot = slot->next)
        vbd_give_run(q, slot);
    for (struct vbd_slot *slot = q->arrived.first; slot != NULL; slot = slot->next)
        vbd_give_run(q, slot);
}

void vbd_admit_data(struct vbd_queue *q)
{
    struct vbd_row waiting = {NULL, &waiting.first};
    struct vbd_slot *slot;

    collect(q);
    vbd_row_append_all(&waiting, &q->arrived);
    while ((slot = vbd_row_pop(&waiting)) != NULL)
        vbd_admit_judged(q, slot);
    if (q->arrived.first != NULL)
        vbd_bump(&q->counters.memory_full, 1);
}
