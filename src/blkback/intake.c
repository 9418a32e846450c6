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

VBD_INLINE void tally(struct vbd_queue *q, uint32_t effect, uint32_t segment_count)
{
    q->tally.effects[effect]++; /* judged: one that is known */
    q->tally.further += segment_count - 1;
}

/* Whether it was accepted. */
static bool judge_segments(struct vbd_queue *q, struct vbd_slot *slot)
{
    uint64_t bytes = 0;
    enum vbd_verdict verdict = vbd_validate_segments(
        slot->request.sector, slot->parts, slot->request.segment_count, &q->config.disk, &bytes);

    slot->bytes = (uint32_t)bytes;
    if (verdict != VBD_REQUEST_OK) {
        refuse(q, slot, verdict);
        return false;
    }
    tally(q, slot->request.effect, slot->request.segment_count);
    vbd_admit_judged(q, slot);
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
    slot->parts = slot->indirect; /* fetched and judged next */
    slot->undescribed = true;
    q->undescribed++;
    vbd_row_append(&q->arrived, slot);
}

/* The response, unless something fails. */
VBD_INLINE void expect_success(struct vbd_slot *slot, uint64_t id, uint32_t effect)
{
    slot->response.id = id;
    vbd_set_answer(&slot->response, (uint8_t)effect, VBD_STATUS_OKAY);
}

/* Not a direct read or write. An indirect request is answered with what it did: Linux' blkfront
 * takes anything else for a fault of the backend, and stops for good. A barrier without data has no
 * place, whatever its sector says. */
static void judge_other(struct vbd_queue *q, struct vbd_slot *slot)
{
    enum vbd_verdict verdict;

    vbd_layout_decode_other(&slot->request);
    expect_success(slot, slot->request.id, slot->request.effect);
    verdict = vbd_validate_other(&slot->request, &q->config.disk);
    slot->bytes = 0;
    if (verdict != VBD_REQUEST_OK) {
        refuse(q, slot, verdict);
    } else if (slot->request.operation == VBD_OP_INDIRECT) {
        await_descriptors(q, slot);
    } else if (slot->request.segment_count > 0) {
        (void)judge_segments(q, slot);
    } else {
        tally(q, slot->request.effect, slot->request.segment_count);
        vbd_admit_judged(q, slot);
    }
}

/* A direct read or write. What is passed on from here as a number need not be loaded again. Takes
 * and returns what vbd_way_free says. */
VBD_INLINE bool judge_direct(struct vbd_queue *q, struct vbd_slot *slot,
                             const struct vbd_head *head, uint32_t count, bool way_free)
{
    const uint32_t operation = head->operation;
    const uint64_t sector = head->sector;
    enum vbd_verdict verdict = vbd_validate_direct(operation, count, &q->config.disk);
    uint64_t bytes;

    expect_success(slot, head->id, operation);
    if (verdict == VBD_REQUEST_OK)
        verdict =
            vbd_validate_segments(sector, slot->request.parts, count, &q->config.disk, &bytes);
    if (verdict != VBD_REQUEST_OK) {
        refuse(q, slot, verdict);
        return way_free;
    }
    slot->bytes = (uint32_t)bytes;
    tally(q, operation, count);
    return vbd_admit_direct(q, slot, way_free, operation, sector, bytes);
}

/* Not a read or write of one segment. Returns what vbd_way_free says. */
static bool judge_large(struct vbd_queue *q, struct vbd_slot *slot)
{
    const struct vbd_request *r = &slot->request;
    const struct vbd_head head = {.id = r->id, .sector = r->sector, .operation = r->operation};

    if (head.operation <= VBD_OP_WRITE)
        return judge_direct(q, slot, &head, r->segment_count, vbd_way_free(q));
    judge_other(q, slot);
    return vbd_way_free(q);
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
    uint32_t sum = 0;

    for (unsigned op = 0; op < VBD_OP_INDIRECT; op++)
        sum += t->effects[op];
    count(&c->reads, t->effects[VBD_OP_READ]);
    count(&c->writes, t->effects[VBD_OP_WRITE]);
    count(&c->barriers, t->effects[VBD_OP_WRITE_BARRIER]);
    count(&c->flushes, t->effects[VBD_OP_FLUSH]);
    count(&c->discards, t->effects[VBD_OP_DISCARD]);
    count(&c->indirect, t->indirect);
    count(&c->segments, t->further + sum);
    q->tally = (struct vbd_tally){0};
}

/* --- taking --- */

/* What is in no structure, and a layout that is known, make the loop short. */
VBD_INLINE void take(struct vbd_queue *q, uint32_t count, enum vbd_layout layout)
{
    struct vbd_ring_cursor cursor = vbd_ring_cursor(&q->ring, q->ring.req_cons, layout);
    struct vbd_slot *slot, *next = q->free;
    uint64_t now = q->now;
    bool way_free = vbd_way_free(q);
    struct vbd_head head;

    q->ring.req_cons += count;
    q->in_flight += count;
    for (; count > 0; count--) {
        slot = next;
        next = slot->next;
        vbd_admit(slot, now);
        slot->parts = slot->request.parts;
        head = vbd_ring_take(&cursor, &slot->request);
        way_free = head.single ? judge_direct(q, slot, &head, 1, way_free) : judge_large(q, slot);
    }
    q->free = next;
}

void vbd_intake(struct vbd_queue *q)
{
    uint32_t waiting = q->stopping || q->broken ? 0 : vbd_ring_waiting(&q->ring, &q->broken);
    uint32_t count;

    if (waiting == 0)
        return;
    vbd_bump(&q->counters.passes, 1);
    count = vbd_admitted(q, waiting);
    if (q->ring.layout == VBD_LAYOUT_X86_64)
        take(q, count, VBD_LAYOUT_X86_64);
    else
        take(q, count, VBD_LAYOUT_X86_32);
    vbd_count_taken(q);
}
