/* respond.c - the answers of a pass: all responses, one publish, at most one event. Called by a
 * pass; the only room that writes to the ring. */
#include "base/histogram.h"
#include "blkback/queue.h"

static void measure(struct vbd_queue *q, const struct vbd_slot *slot)
{
    uint64_t ns = q->now - slot->taken_at;
    uint64_t *ranges = slot->request.effect == VBD_OP_READ    ? q->latency.reads
                       : slot->request.effect == VBD_OP_WRITE ? q->latency.writes
                                                              : q->latency.others;

    vbd_bump(&ranges[vbd_histogram_range(ns)], 1);
}

/* An indirect request is answered with what it did: Linux' blkfront takes anything else for a fault
 * of the backend, and stops for good. */
static void answer(struct vbd_queue *q, struct vbd_slot *slot)
{
    struct vbd_response response = {
        .id = slot->request.id, .operation = slot->request.effect, .status = slot->status};

    vbd_list_remove(&slot->link);
    vbd_ring_answer(&q->ring, &response);
    measure(q, slot);
    vbd_release(q, slot);
}

/* The next slot to answer, or NULL. */
static struct vbd_slot *next(const struct vbd_queue *q)
{
    struct vbd_slot *first;

    if (vbd_list_empty(&q->answered))
        return NULL;
    if (!q->config.in_order)
        return VBD_CONTAINER(q->answered.next, struct vbd_slot, link);
    first = VBD_CONTAINER(q->ring_order.next, struct vbd_slot, ring_order);
    return first->settled ? first : NULL;
}

void vbd_respond(struct vbd_queue *q)
{
    const struct vbd_hypervisor *h = q->config.hypervisor;
    struct vbd_slot *slot = next(q);

    if (slot == NULL)
        return;
    for (; slot != NULL; slot = next(q))
        answer(q, slot);
    if (vbd_ring_publish(&q->ring)) {
        vbd_bump(&q->counters.notified, 1);
        vbd_bump(&q->counters.system_calls, 1);
        (void)h->notify(h->ctx, q->config.channel);
    } else {
        vbd_bump(&q->counters.spared, 1);
    }
}
