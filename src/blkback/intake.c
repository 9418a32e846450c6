/* intake.c - from the ring into slots: each request is copied once and the copy is judged. Called
 * by a pass; the only room that reads requests. */
#include "blkback/queue.h"

static uint64_t *refusal(struct vbd_counters *c, enum vbd_verdict verdict)
{
    switch (verdict) {
    case VBD_REQUEST_SEGMENT_COUNT:
        return &c->refused_count;
    case VBD_REQUEST_SEGMENT_RANGE:
        return &c->refused_range;
    case VBD_REQUEST_MISALIGNED:
        return &c->refused_alignment;
    case VBD_REQUEST_PAST_END:
        return &c->refused_end;
    case VBD_REQUEST_READ_ONLY:
        return &c->refused_read_only;
    case VBD_REQUEST_UNKNOWN_OP:
    case VBD_REQUEST_OK:
        break;
    }
    return &c->refused_operation;
}

static void refuse(struct vbd_queue *q, struct vbd_slot *slot, enum vbd_verdict verdict)
{
    vbd_bump(refusal(&q->counters, verdict), 1);
    vbd_list_remove(&slot->link);
    vbd_settle(slot,
               verdict == VBD_REQUEST_UNKNOWN_OP ? VBD_STATUS_NOT_SUPPORTED : VBD_STATUS_ERROR);
}

static void count_kind(struct vbd_queue *q, const struct vbd_slot *slot)
{
    struct vbd_counters *c = &q->counters;

    switch (slot->request.effect) {
    case VBD_OP_READ:
        vbd_bump(&c->reads, 1);
        break;
    case VBD_OP_WRITE:
        vbd_bump(&c->writes, 1);
        break;
    case VBD_OP_WRITE_BARRIER:
        vbd_bump(&c->barriers, 1);
        break;
    case VBD_OP_DISCARD:
        vbd_bump(&c->discards, 1);
        break;
    default:
        vbd_bump(&c->flushes, 1);
        break;
    }
    if (slot->request.operation == VBD_OP_INDIRECT)
        vbd_bump(&c->indirect, 1);
    vbd_bump(&c->segments, slot->request.segment_count);
}

static void accept(struct vbd_queue *q, struct vbd_slot *slot)
{
    slot->judged = true;
    count_kind(q, slot);
}

void vbd_judge_segments(struct vbd_queue *q, struct vbd_slot *slot)
{
    enum vbd_verdict verdict =
        vbd_validate_segments(&slot->request, slot->segments, &q->config.disk, &slot->bytes);

    if (verdict != VBD_REQUEST_OK)
        refuse(q, slot, verdict);
    else
        accept(q, slot);
}

static bool has_data(const struct vbd_slot *slot)
{
    return slot->request.effect != VBD_OP_FLUSH && slot->request.effect != VBD_OP_DISCARD;
}

static void judge(struct vbd_queue *q, struct vbd_slot *slot)
{
    enum vbd_verdict verdict = vbd_validate(&slot->request, &q->config.disk);

    if (verdict != VBD_REQUEST_OK) {
        refuse(q, slot, verdict);
        return;
    }
    vbd_list_append(&q->arrived, &slot->link);
    slot->segments = slot->request.segments;
    if (slot->request.operation == VBD_OP_INDIRECT)
        slot->segments = slot->indirect; /* fetched and judged next */
    else if (has_data(slot))
        vbd_judge_segments(q, slot);
    else
        accept(q, slot);
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
