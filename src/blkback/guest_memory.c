/* guest_memory.c - data between granted pages and slots' buffers, one batched grant copy a pass and
 * direction. Called by a pass. Data is copied before it is written: what the guest changes
 * meanwhile changes nothing here. */
#include "blkback/queue.h"

/* Appends the pieces of a slot's data, packed tightly in its buffer. */
static uint32_t add_pieces(struct vbd_queue *q, uint32_t n, const struct vbd_slot *slot)
{
    char *at = slot->io.memory.base;

    for (int i = 0; i < slot->request.segment_count; i++) {
        const struct vbd_segment *s = &slot->request.segments[i];
        uint16_t len = (uint16_t)((s->last - s->first + 1) * VBD_SECTOR);

        q->pieces[n++] = (struct vbd_grant_copy){.local = at,
                                                 .grant = s->grant,
                                                 .offset = (uint16_t)(s->first * VBD_SECTOR),
                                                 .len = len};
        at += len;
    }
    return n;
}

static bool copy(struct vbd_queue *q, enum vbd_copy_direction direction, uint32_t n)
{
    const struct vbd_hypervisor *h = q->config.hypervisor;

    vbd_bump(&q->counters.copies, 1);
    return h->copy(h->ctx, q->config.domid, direction, q->pieces, n) == 0;
}

/* Whether all pieces of a slot were copied; *at moves on behind them. */
static bool copied(const struct vbd_queue *q, const struct vbd_slot *slot, uint32_t *at)
{
    bool good = true;

    for (int i = 0; i < slot->request.segment_count; i++)
        good = q->pieces[(*at)++].status == 0 && good;
    return good;
}

static void grant_error(struct vbd_queue *q, struct vbd_slot *slot)
{
    vbd_bump(&q->counters.grant_errors, 1);
    vbd_list_remove(&slot->link);
    if (slot->request.operation == VBD_OP_WRITE)
        vbd_order_write_finished(q, slot);
    vbd_settle(slot, VBD_STATUS_ERROR);
}

static bool is_write(struct vbd_list *at)
{
    return VBD_CONTAINER(at, struct vbd_slot, link)->request.operation == VBD_OP_WRITE;
}

void vbd_fetch_written(struct vbd_queue *q)
{
    uint32_t n = 0, checked = 0;
    bool done;

    for (struct vbd_list *at = q->taken.next; at != &q->taken; at = at->next)
        if (is_write(at))
            n = add_pieces(q, n, VBD_CONTAINER(at, struct vbd_slot, link));
    if (n == 0)
        return;
    done = copy(q, VBD_COPY_FROM_GUEST, n);
    VBD_LIST_EACH(at, after, &q->taken)
    {
        struct vbd_slot *slot = VBD_CONTAINER(at, struct vbd_slot, link);

        if (is_write(at) && !(copied(q, slot, &checked) && done))
            grant_error(q, slot);
    }
}

void vbd_deliver_read(struct vbd_queue *q)
{
    uint32_t n = 0, checked = 0;
    struct vbd_list *at;
    bool done;

    for (at = q->completed.next; at != &q->completed; at = at->next)
        n = add_pieces(q, n, VBD_CONTAINER(at, struct vbd_slot, link));
    if (n == 0)
        return;
    done = copy(q, VBD_COPY_TO_GUEST, n);
    while ((at = vbd_list_pop(&q->completed)) != NULL) {
        struct vbd_slot *slot = VBD_CONTAINER(at, struct vbd_slot, link);

        if (copied(q, slot, &checked) && done) {
            vbd_bump(&q->counters.read_bytes, slot->bytes);
            vbd_settle(slot, VBD_STATUS_OKAY);
        } else {
            grant_error(q, slot);
        }
    }
}
