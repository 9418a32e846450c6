/* intake.c - from the ring into slots: each request is copied once and the copy is judged. Called
 * by a pass; the only room that reads requests. */
#include "blkback/queue.h"

static void count_kind(struct vbd_queue *q, const struct vbd_slot *slot)
{
    struct vbd_counters *c = &q->counters;

    switch (slot->request.operation) {
    case VBD_OP_READ:
        vbd_bump(&c->reads, 1);
        break;
    case VBD_OP_WRITE:
        vbd_bump(&c->writes, 1);
        break;
    default:
        vbd_bump(&c->flushes, 1);
        break;
    }
    vbd_bump(&c->segments, slot->request.segment_count);
}

static void judge(struct vbd_queue *q, struct vbd_slot *slot)
{
    enum vbd_verdict verdict = vbd_validate(&slot->request, &q->config.disk, &slot->bytes);

    if (verdict != VBD_REQUEST_OK) {
        vbd_bump(&q->counters.refused, 1);
        vbd_settle(slot,
                   verdict == VBD_REQUEST_UNKNOWN_OP ? VBD_STATUS_NOT_SUPPORTED : VBD_STATUS_ERROR);
        return;
    }
    count_kind(q, slot);
    vbd_order_taken(q, slot);
    vbd_list_append(&q->taken, &slot->link);
}

void vbd_intake(struct vbd_queue *q)
{
    uint32_t waiting = q->stopping || q->broken ? 0 : vbd_ring_waiting(&q->ring, &q->broken);

    if (waiting > 0)
        vbd_bump(&q->counters.passes, 1);
    for (; waiting > 0; waiting--) {
        struct vbd_slot *slot = vbd_admit(q);

        if (slot == NULL) {
            vbd_bump(&q->counters.full, 1);
            return;
        }
        vbd_ring_take(&q->ring, &slot->request);
        judge(q, slot);
    }
}
