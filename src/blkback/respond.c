/* respond.c - the answers of a pass: all responses, one publish, at most one event. Called by a
 * pass; the only room that writes to the ring. */
#include "base/histogram.h"
#include "base/inline.h"
#include "blkback/queue.h"

/* Answers of requests that were taken in the same pass and do the same. */
static void measure(struct vbd_queue *q, uint64_t taken_at, uint8_t effect, uint32_t count)
{
    uint64_t *ranges = effect == VBD_OP_READ    ? q->latency.reads
                       : effect == VBD_OP_WRITE ? q->latency.writes
                                                : q->latency.others;

    vbd_bump(&ranges[vbd_histogram_range(q->now - taken_at)], count);
}

/* The first of those that are left, and all behind it that did the same and were taken in the same
 * pass. Returns what is left then. */
VBD_INLINE const struct vbd_slot *answer_alike(struct vbd_queue *q, struct vbd_ring_cursor *cursor,
                                               const struct vbd_slot *slot)
{
    const uint64_t taken_at = slot->taken_at;
    const uint8_t effect = slot->response.operation;
    uint32_t count = 0;

    do {
        vbd_ring_answer(cursor, &slot->response);
        count++;
        slot = slot->next;
    } while (slot != NULL && slot->taken_at == taken_at && slot->response.operation == effect);
    measure(q, taken_at, effect, count);
    q->in_flight -= count;
    q->ring.rsp_prod += count;
    return slot;
}

VBD_INLINE void answer_all(struct vbd_queue *q, enum vbd_layout layout)
{
    struct vbd_ring_cursor cursor = vbd_ring_cursor(&q->ring, q->ring.rsp_prod, layout);

    for (const struct vbd_slot *slot = q->answered.first; slot != NULL;)
        slot = answer_alike(q, &cursor, slot);
}

/* Their slots are free again. */
static void release_all(struct vbd_queue *q)
{
    *q->answered.end = q->free;
    q->free = q->answered.first;
    vbd_row_init(&q->answered);
    q->released = true;
}

void vbd_put_in_order(struct vbd_queue *q)
{
    struct vbd_slot *slot;

    while ((slot = vbd_row_pop(&q->answered)) != NULL)
        slot->settled = true;
    while (!vbd_list_empty(&q->ring_order)) {
        slot = VBD_CONTAINER(q->ring_order.next, struct vbd_slot, ring_order);
        if (!slot->settled)
            return;
        slot->settled = false;
        vbd_list_remove(&slot->ring_order);
        vbd_row_append(&q->answered, slot);
    }
}

void vbd_respond(struct vbd_queue *q)
{
    const struct vbd_hypervisor *h = q->config.hypervisor;

    if (q->ring.layout == VBD_LAYOUT_X86_64)
        answer_all(q, VBD_LAYOUT_X86_64);
    else
        answer_all(q, VBD_LAYOUT_X86_32);
    release_all(q);
    if (vbd_ring_publish(&q->ring)) {
        vbd_bump(&q->counters.notified, 1);
        vbd_bump(&q->counters.system_calls, 1);
        (void)h->notify(h->ctx, q->config.channel);
    } else {
        vbd_bump(&q->counters.spared, 1);
    }
}
