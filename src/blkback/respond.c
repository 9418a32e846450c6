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

/* An indirect request is answered with what it did: Linux' blkfront takes anything else for a fault
 * of the backend, and stops for good. */
VBD_INLINE void answer(struct vbd_ring *ring, const struct vbd_slot *slot)
{
    struct vbd_response response = {
        .id = slot->request.id, .operation = slot->request.effect, .status = slot->status};

    vbd_ring_answer(ring, &response);
}

VBD_INLINE void answer_all(struct vbd_queue *q, enum vbd_layout layout)
{
    struct vbd_ring ring = vbd_ring_in(&q->ring, layout);
    uint64_t taken_at = q->answered.first->taken_at;
    uint8_t effect = q->answered.first->request.effect;
    uint32_t measured = ring.rsp_prod;

    for (const struct vbd_slot *slot = q->answered.first; slot != NULL; slot = slot->next) {
        if (slot->taken_at != taken_at || slot->request.effect != effect) {
            measure(q, taken_at, effect, ring.rsp_prod - measured);
            measured = ring.rsp_prod;
            taken_at = slot->taken_at;
            effect = slot->request.effect;
        }
        answer(&ring, slot);
    }
    measure(q, taken_at, effect, ring.rsp_prod - measured);
    q->in_flight -= ring.rsp_prod - q->ring.rsp_prod;
    q->ring.rsp_prod = ring.rsp_prod;
}

/* Their slots are free again. */
static void release_all(struct vbd_queue *q)
{
    *q->answered.end = q->free;
    q->free = q->answered.first;
    vbd_row_init(&q->answered);
    q->released = true;
}

/* Leaves those to be answered whose turn it is. */
static void put_in_order(struct vbd_queue *q)
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

    if (q->config.in_order)
        put_in_order(q);
    if (q->answered.first == NULL)
        return;
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
