/* guest_memory.c - data between granted pages and slots' buffers: through pages that stay mapped
 * where the front keeps its grants, in batched grant copies otherwise. Called by a pass. Data is
 * copied before it is written: what the guest changes meanwhile changes nothing here. */
#include <string.h>

#include "blkback/admission.h"

#define SAME_PLACE(field)                                                                          \
    (offsetof(struct vbd_grant_copy, field) - offsetof(struct vbd_grant_copy, grant) ==            \
     offsetof(struct vbd_extent, field))

_Static_assert(SAME_PLACE(offset) && SAME_PLACE(len), "an extent is copied into a piece");

/* --- pieces of a batch --- */

/* Whether the memory is the slot's: of its data, or of its descriptors. */
static bool owns(const struct vbd_slot *slot, const char *at)
{
    uintptr_t into_data = (uintptr_t)at - (uintptr_t)slot->buffer;
    uintptr_t into_indirect = (uintptr_t)at - (uintptr_t)slot->indirect;

    return (slot->has_run && into_data < (uintptr_t)VBD_RING_PAGE << slot->order) ||
           (slot->undescribed &&
            into_indirect < slot->queue->config.disk.segments_indirect * sizeof *slot->indirect);
}

/* Whose it is, its place tells: nothing has to be noted of the many that do not fail. */
static void piece_failed(struct vbd_queue *q, const struct vbd_grant_copy *piece)
{
    struct vbd_slot *slot = q->slots;

    while (!owns(slot, piece->local))
        slot++;
    slot->copy_failed = true;
    q->copies_failed = true;
}

static void copy_pieces(struct vbd_queue *q, enum vbd_copy_direction direction)
{
    const struct vbd_hypervisor *h = q->config.hypervisor;
    const uint32_t count = q->piece_count;
    int failed;

    if (count == 0)
        return;
    q->piece_count = 0;
    vbd_bump(&q->counters.copies, 1);
    vbd_bump(&q->counters.system_calls, 1);
    failed = h->copy(h->ctx, q->config.domid, direction, q->pieces, count);
    if (failed == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        if (failed < 0 || q->pieces[i].status != 0)
            piece_failed(q, &q->pieces[i]);
}

/* Where the next piece goes; kept in a register, and not in the queue. */
VBD_INLINE struct vbd_grant_copy *next_piece(struct vbd_queue *q)
{
    return q->pieces + q->piece_count;
}

VBD_INLINE void set_next_piece(struct vbd_queue *q, const struct vbd_grant_copy *piece)
{
    q->piece_count = (uint32_t)(piece - q->pieces);
}

/* A piece was put there. Returns where the next one goes. */
VBD_INLINE struct vbd_grant_copy *go_on(struct vbd_queue *q, enum vbd_copy_direction direction,
                                        struct vbd_grant_copy *piece)
{
    if (++piece == q->pieces + VBD_PIECES) {
        q->piece_count = VBD_PIECES;
        copy_pieces(q, direction);
        piece = q->pieces;
    }
    return piece;
}

/* --- through mappings --- */

static bool copy_through_mapping(struct vbd_queue *q, enum vbd_copy_direction direction,
                                 const struct vbd_grant_copy *piece)
{
    char *page = vbd_persistent_page(&q->persistent, piece->grant, q->now);

    if (page == NULL)
        return false;
    if (direction == VBD_COPY_FROM_GUEST)
        memcpy(piece->local, page + piece->offset, piece->len);
    else
        memcpy(page + piece->offset, piece->local, piece->len);
    return true;
}

static void copy_piece(struct vbd_queue *q, enum vbd_copy_direction direction,
                       struct vbd_grant_copy piece)
{
    struct vbd_grant_copy *at = next_piece(q);

    if (q->config.persistent_max > 0 && copy_through_mapping(q, direction, &piece))
        return;
    *at = piece;
    set_next_piece(q, go_on(q, direction, at));
}

/* --- a slot's data, packed tightly in its buffer --- */

/* The segment's piece. */
VBD_INLINE void describe(const struct vbd_extent *extent, char *local, struct vbd_grant_copy *ret)
{
    ret->local = local;
    memcpy((char *)ret + offsetof(struct vbd_grant_copy, grant), extent, sizeof *extent);
}

static void copy_data_mapped(struct vbd_queue *q, enum vbd_copy_direction direction,
                             struct vbd_slot *slot)
{
    char *local = slot->buffer;

    for (uint32_t i = 0; i < slot->request.segment_count; i++) {
        struct vbd_grant_copy piece;

        describe(&slot->parts[i].extent, local, &piece);
        copy_piece(q, direction, piece);
        local += slot->parts[i].extent.len;
    }
}

/* Returns where the next piece goes. */
VBD_INLINE struct vbd_grant_copy *add_data(struct vbd_queue *q, enum vbd_copy_direction direction,
                                           const struct vbd_slot *slot, struct vbd_grant_copy *at)
{
    const union vbd_descriptor *part = slot->parts, *end = part + slot->request.segment_count;
    char *local = slot->buffer;

    for (;;) { /* there is at least one */
        describe(&part->extent, local, at);
        at = go_on(q, direction, at);
        if (part + 1 == end)
            return at;
        local += part++->extent.len;
    }
}

static void grant_error(struct vbd_queue *q, struct vbd_slot *slot)
{
    vbd_bump(&q->counters.grant_errors, 1);
    vbd_give_run(q, slot);
    vbd_settle(q, slot, VBD_STATUS_ERROR);
}

/* Whether any copy failed since this was asked last. */
static bool copies_failed(struct vbd_queue *q)
{
    bool failed = q->copies_failed;

    q->copies_failed = false;
    return failed;
}

/* --- descriptors of indirect requests --- */

static void copy_descriptors(struct vbd_queue *q, struct vbd_slot *slot)
{
    size_t left = slot->request.segment_count * sizeof *slot->indirect;
    char *at = (char *)slot->indirect;

    for (uint32_t page = 0; left > 0; page++) {
        size_t len = left < VBD_RING_PAGE ? left : VBD_RING_PAGE;

        copy_piece(q, VBD_COPY_FROM_GUEST,
                   (struct vbd_grant_copy){.local = at,
                                           .grant = slot->request.indirect_grants[page],
                                           .len = (uint16_t)len});
        at += len;
        left -= len;
    }
}

/* In ring order: each goes on, or waits for memory again. */
static void judge_described(struct vbd_queue *q)
{
    struct vbd_row arrived;
    struct vbd_slot *slot;

    vbd_row_init(&arrived);
    vbd_row_append_all(&arrived, &q->arrived);
    while ((slot = vbd_row_pop(&arrived)) != NULL)
        if (slot->copy_failed)
            grant_error(q, slot);
        else if (slot->undescribed)
            vbd_judge_segments(q, slot);
        else
            vbd_admit_judged(q, slot);
}

void vbd_fetch_descriptors(struct vbd_queue *q)
{
    for (struct vbd_slot *slot = q->arrived.first; slot != NULL; slot = slot->next)
        if (slot->undescribed)
            copy_descriptors(q, slot);
    copy_pieces(q, VBD_COPY_FROM_GUEST);
    q->undescribed = 0;
    (void)copies_failed(q);
    judge_described(q);
    vbd_count_taken(q);
}

/* --- data --- */

static bool must_fetch(const struct vbd_slot *slot)
{
    return vbd_slot_writes(slot) && !slot->fetched && slot->bytes > 0;
}

static void fetch(struct vbd_queue *q, struct vbd_slot *slot)
{
    if (!must_fetch(slot))
        return;
    slot->fetched = true;
    if (q->config.persistent_max > 0) {
        copy_data_mapped(q, VBD_COPY_FROM_GUEST, slot);
        return;
    }
    set_next_piece(q, add_data(q, VBD_COPY_FROM_GUEST, slot, next_piece(q)));
}

static void drop(struct vbd_queue *q, struct vbd_slot *slot)
{
    vbd_order_write_finished(q, slot);
    grant_error(q, slot);
}

static void drop_unfetched(struct vbd_queue *q)
{
    struct vbd_slot **at = &q->taken.first, *slot;
    struct vbd_io **kept = q->batch;

    for (struct vbd_io **io = q->batch; io != q->batch_end; io++) {
        slot = VBD_CONTAINER(*io, struct vbd_slot, io);
        if (slot->copy_failed)
            drop(q, slot);
        else
            *kept++ = *io;
    }
    q->batch_end = kept;
    while ((slot = *at) != NULL)
        if (slot->copy_failed) {
            vbd_row_cut(&q->taken, at);
            drop(q, slot);
        } else {
            at = &slot->next;
        }
}

void vbd_fetch_written(struct vbd_queue *q)
{
    for (struct vbd_io **io = q->batch; io != q->batch_end; io++)
        fetch(q, VBD_CONTAINER(*io, struct vbd_slot, io));
    for (struct vbd_slot *slot = q->taken.first; slot != NULL; slot = slot->next)
        fetch(q, slot);
    copy_pieces(q, VBD_COPY_FROM_GUEST);
    q->unfetched = 0;
    if (copies_failed(q))
        drop_unfetched(q);
}

/* Returns how many bytes did not reach the guest. */
static uint64_t fail_undelivered(struct vbd_queue *q)
{
    uint64_t bytes = 0;

    for (struct vbd_slot *slot = q->completed.first; slot != NULL; slot = slot->next)
        if (slot->copy_failed) {
            vbd_bump(&q->counters.grant_errors, 1);
            slot->response.status = VBD_STATUS_ERROR;
            bytes += slot->bytes;
        }
    return bytes;
}

static uint64_t deliver_mapped(struct vbd_queue *q)
{
    uint64_t bytes = 0;

    for (struct vbd_slot *slot = q->completed.first; slot != NULL; slot = slot->next) {
        copy_data_mapped(q, VBD_COPY_TO_GUEST, slot);
        bytes += slot->bytes;
    }
    return bytes;
}

/* Returns how many bytes there are. */
static uint64_t deliver(struct vbd_queue *q)
{
    uint64_t bytes = 0;
    struct vbd_grant_copy *at = next_piece(q);

    if (q->config.persistent_max > 0)
        return deliver_mapped(q);
    for (struct vbd_slot *slot = q->completed.first; slot != NULL; slot = slot->next) {
        at = add_data(q, VBD_COPY_TO_GUEST, slot, at);
        bytes += slot->bytes;
    }
    set_next_piece(q, at);
    return bytes;
}

void vbd_deliver_read(struct vbd_queue *q)
{
    uint64_t bytes = deliver(q);

    copy_pieces(q, VBD_COPY_TO_GUEST);
    if (copies_failed(q))
        bytes -= fail_undelivered(q);
    vbd_bump(&q->counters.read_bytes, bytes);
    vbd_row_append_all(&q->answered, &q->completed);
}
