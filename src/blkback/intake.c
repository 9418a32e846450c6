/* intake.c - from the ring into slots: each request is copied once and the copy is judged. Called
 * by a pass; the only room that reads requests. */
#include "blkback/admission.h"

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
    vbd_give_run(q, slot);
    vbd_settle(q, slot,
               verdict == VBD_REQUEST_UNKNOWN_OP ? VBD_STATUS_NOT_SUPPORTED : VBD_STATUS_ERROR);
}

/* --- judging --- */

VBD_INLINE void accept(struct vbd_queue *q, struct vbd_slot *slot)
{
    q->tally.effects[slot->request.effect]++; /* judged: one that is known */
    q->tally.segments += slot->request.segment_count;
    vbd_admit_judged(q, slot);
}

/* Whether it was accepted. */
VBD_INLINE bool judge_segments(struct vbd_queue *q, struct vbd_slot *slot)
{
    enum vbd_verdict verdict =
        vbd_validate_segments(&slot->request, slot->segments, &q->config.disk, &slot->bytes);

    if (verdict != VBD_REQUEST_OK) {
        refuse(q, slot, verdict);
        return false;
    }
    accept(q, slot);
    return true;
}

void vbd_judge_segments(struct vbd_queue *q, struct vbd_slot *slot)
{
    slot->undescribed = false;
    if (judge_segments(q, slot))
        q->tally.indirect++;
}

static void await_descriptors(struct vbd_queue *q, struct vbd_slot *slot)
{
    slot->segments = slot->indirect; /* fetched and judged next */
    slot->undescribed = true;
    q->undescribed++;
    vbd_row_append(&q->arrived, slot);
}

/* Not a direct read or write, and judged but for segments. */
static void judge_other(struct vbd_queue *q, struct vbd_slot *slot)
{
    slot->bytes = 0;
    if (slot->request.operation == VBD_OP_INDIRECT)
        await_descriptors(q, slot);
    else if (slot->request.operation == VBD_OP_WRITE_BARRIER)
        (void)judge_segments(q, slot);
    else
        accept(q, slot);
}

VBD_INLINE void judge(struct vbd_queue *q, struct vbd_slot *slot)
{
    enum vbd_verdict verdict = vbd_validate(&slot->request, &q->config.disk);

    slot->segments = slot->request.segments;
    if (verdict != VBD_REQUEST_OK)
        refuse(q, slot, verdict);
    else if (slot->request.operation <= VBD_OP_WRITE)
        (void)judge_segments(q, slot);
    else
        judge_other(q, slot);
}

/* --- taking --- */

static void take(struct vbd_queue *q, uint32_t waiting)
{
    struct vbd_ring ring = q->ring; /* a compiler keeps these in registers, and not the queue's */
    struct vbd_slot *slot;

    for (; waiting > 0 && (slot = vbd_admit(q)) != NULL; waiting--) {
        vbd_ring_take(&ring, &slot->request);
        judge(q, slot);
    }
    q->in_flight += ring.req_cons - q->ring.req_cons;
    q->ring.req_cons = ring.req_cons;
    if (waiting > 0)
        vbd_bump(&q->counters.full, 1);
}

void vbd_intake(struct vbd_queue *q)
{
    uint32_t waiting = q->stopping || q->broken ? 0 : vbd_ring_waiting(&q->ring, &q->broken);

    if (waiting == 0)
        return;
    vbd_bump(&q->counters.passes, 1);
    take(q, waiting);
}

static void count(uint64_t *counter, uint32_t by)
{
    if (by > 0)
        vbd_bump(counter, by);
}

void vbd_count_taken(struct vbd_queue *q)
{
    struct vbd_counters *c = &q->counters;
    const struct vbd_tally *t = &q->tally;

    count(&c->reads, t->effects[VBD_OP_READ]);
    count(&c->writes, t->effects[VBD_OP_WRITE]);
    count(&c->barriers, t->effects[VBD_OP_WRITE_BARRIER]);
    count(&c->flushes, t->effects[VBD_OP_FLUSH]);
    count(&c->discards, t->effects[VBD_OP_DISCARD]);
    count(&c->indirect, t->indirect);
    count(&c->segments, t->segments);
    q->tally = (struct vbd_tally){0};
}
