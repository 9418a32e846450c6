/* respond.c - the answers of a pass: all responses, one publish, at most one event. Called by a
 * pass; the only room that writes to the ring. */
#include "blkback/queue.h"

static void answer(struct vbd_queue *q, struct vbd_slot *slot)
{
    struct vbd_response response = {
        .id = slot->request.id, .operation = slot->request.operation, .status = slot->status};

    vbd_ring_answer(&q->ring, &response);
    vbd_release(q, slot);
}

void vbd_respond(struct vbd_queue *q)
{
    const struct vbd_hypervisor *h = q->config.hypervisor;
    struct vbd_list *at;

    if (vbd_list_empty(&q->answered))
        return;
    while ((at = vbd_list_pop(&q->answered)) != NULL)
        answer(q, VBD_CONTAINER(at, struct vbd_slot, link));
    if (vbd_ring_publish(&q->ring)) {
        vbd_bump(&q->counters.notified, 1);
        (void)h->notify(h->ctx, q->config.channel);
    } else {
        vbd_bump(&q->counters.spared, 1);
    }
}
