/* guest_memory.c - data between granted pages and slots' buffers: through pages that stay mapped
 * where the front keeps its grants, in batched grant copies otherwise. Called by a pass. Data is
 * copied before it is written: what the guest changes meanwhile changes nothing here. */
#include <string.h>

#include "blkback/queue.h"

/* --- pieces of a batch --- */

static void copy_pieces(struct vbd_queue *q, enum vbd_copy_direction direction)
{
    const struct vbd_hypervisor *h = q->config.hypervisor;
    bool done;

    if (q->piece_count == 0)
        return;
    vbd_bump(&q->counters.copies, 1);
    vbd_bump(&q->counters.system_calls, 1);
    done = h->copy(h->ctx, q->config.domid, direction, q->pieces, q->piece_count) == 0;
    for (uint32_t i = 0; i < q->piece_count; i++)
        if (!done || q->pieces[i].status != 0)
            q->owners[i]->copy_failed = true;
    q->piece_count = 0;
}

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
                       struct vbd_slot *owner, struct vbd_grant_copy piece)
{
    if (q->config.persistent_max > 0 && copy_through_mapping(q, direction, &piece))
        return;
    q->owners[q->piece_count] = owner;
    q->pieces[q->piece_count++] = piece;
    if (q->piece_count == VBD_PIECES)
        copy_pieces(q, direction);
}

/* A slot's data, packed tightly in its buffer. */
static void copy_data(struct vbd_queue *q, enum vbd_copy_direction direction, struct vbd_slot *slot)
{
    char *at = vbd_slot_buffer(slot);

    for (uint32_t i = 0; i < slot->request.segment_count; i++) {
        const struct vbd_segment *s = &slot->segments[i];
        uint16_t len = (uint16_t)((s->last - s->first + 1) * VBD_SECTOR);

        copy_piece(q, direction, slot,
                   (struct vbd_grant_copy){.local = at,
                                           .grant = s->grant,
                                           .offset = (uint16_t)(s->first * VBD_SECTOR),
                                           .len = len});
        at += len;
    }
}

static void grant_error(struct vbd_queue *q, struct vbd_slot *slot)
{
    vbd_bump(&q->counters.grant_errors, 1);
    vbd_list_remove(&slot->link);
    vbd_settle(slot, VBD_STATUS_ERROR);
}

/* --- descriptors of indirect requests --- */

static bool needs_descriptors(const struct vbd_slot *slot)
{
    return !slot->judged && !slot->copy_failed;
}

static void copy_descriptors(struct vbd_queue *q, struct vbd_slot *slot)
{
    size_t left = slot->request.segment_count * sizeof *slot->indirect;
    char *at = (char *)slot->indirect;

    for (uint32_t page = 0; left > 0; page++) {
        size_t len = left < VBD_RING_PAGE ? left : VBD_RING_PAGE;

        copy_piece(q, VBD_COPY_FROM_GUEST, slot,
                   (struct vbd_grant_copy){.local = at,
                                           .grant = slot->request.indirect_grants[page],
                                           .len = (uint16_t)len});
        at += len;
        left -= len;
    }
}

void vbd_fetch_descriptors(struct vbd_queue *q)
{
    for (struct vbd_list *at = q->arrived.next; at != &q->arrived; at = at->next) {
        struct vbd_slot *slot = VBD_CONTAINER(at, struct vbd_slot, link);

        if (needs_descriptors(slot))
            copy_descriptors(q, slot);
    }
    copy_pieces(q, VBD_COPY_FROM_GUEST);
    VBD_LIST_EACH(at, after, &q->arrived)
    {
        struct vbd_slot *slot = VBD_CONTAINER(at, struct vbd_slot, link);

        if (slot->copy_failed)
            grant_error(q, slot);
        else if (!slot->judged)
            vbd_judge_segments(q, slot);
    }
}

/* --- data --- */

static bool must_fetch(const struct vbd_slot *slot)
{
    return vbd_slot_writes(slot) && !slot->fetched && slot->bytes > 0;
}

void vbd_fetch_written(struct vbd_queue *q)
{
    for (struct vbd_list *at = q->taken.next; at != &q->taken; at = at->next) {
        struct vbd_slot *slot = VBD_CONTAINER(at, struct vbd_slot, link);

        if (must_fetch(slot))
            copy_data(q, VBD_COPY_FROM_GUEST, slot);
    }
    copy_pieces(q, VBD_COPY_FROM_GUEST);
    VBD_LIST_EACH(at, after, &q->taken)
    {
        struct vbd_slot *slot = VBD_CONTAINER(at, struct vbd_slot, link);

        slot->fetched = true;
        if (slot->copy_failed) {
            vbd_order_write_finished(q, slot);
            grant_error(q, slot);
        }
    }
}

void vbd_deliver_read(struct vbd_queue *q)
{
    struct vbd_list *at;

    for (at = q->completed.next; at != &q->completed; at = at->next)
        copy_data(q, VBD_COPY_TO_GUEST, VBD_CONTAINER(at, struct vbd_slot, link));
    copy_pieces(q, VBD_COPY_TO_GUEST);
    while ((at = vbd_list_pop(&q->completed)) != NULL) {
        struct vbd_slot *slot = VBD_CONTAINER(at, struct vbd_slot, link);

        if (slot->copy_failed) {
            grant_error(q, slot);
        } else {
            vbd_bump(&q->counters.read_bytes, slot->bytes);
            vbd_settle(slot, VBD_STATUS_OKAY);
        }
    }
}
