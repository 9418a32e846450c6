/* in_place.c - see in_place.h. */
#include "blkback/in_place.h"

#include <errno.h>

enum { VECTORS_MAX = 1024 /* in one operation: Linux' limit */ };

_Static_assert(sizeof(struct vbd_iovec) <= VBD_SECTOR, "a vector fits where its data would be");

/* A segment that is no whole number of the storage's units goes by copy, and all with it. */
static bool aligned(const struct vbd_queue *q, const struct vbd_slot *slot)
{
    uint32_t all = 0;

    for (uint32_t i = 0; i < slot->request.segment_count; i++)
        all |= slot->parts[i].extent.offset | slot->parts[i].extent.len;
    return (all & (q->config.in_place - 1)) == 0;
}

static void let_go(struct vbd_queue *q, const struct vbd_slot *slot, uint32_t segments)
{
    for (uint32_t i = 0; i < segments; i++)
        vbd_persistent_let_go(&q->persistent, slot->parts[i].extent.grant);
}

/* The vector of a large request lies in its buffer, which nothing else uses meanwhile. */
static struct vbd_iovec *vector_of(struct vbd_slot *slot)
{
    return slot->request.segment_count <= VBD_MERGE_MAX ? slot->memory
                                                        : (struct vbd_iovec *)(void *)slot->buffer;
}

/* False: not all its pages are mapped, and none is held. */
static bool hold(struct vbd_queue *q, const struct vbd_slot *slot, struct vbd_iovec *vector)
{
    for (uint32_t i = 0; i < slot->request.segment_count; i++) {
        const struct vbd_extent *extent = &slot->parts[i].extent;
        char *page = vbd_persistent_hold(&q->persistent, extent->grant, q->now);

        if (page == NULL) {
            let_go(q, slot, i);
            return false;
        }
        vector[i] = (struct vbd_iovec){page + extent->offset, extent->len};
    }
    return true;
}

static void done(struct vbd_io *io, int result)
{
    struct vbd_slot *slot = VBD_CONTAINER(io, struct vbd_slot, io);

    vbd_finish_in_place(slot->queue, slot, result);
}

static void place(struct vbd_queue *q, struct vbd_slot *slot)
{
    struct vbd_iovec *vector = vector_of(slot);

    if (slot->request.effect != VBD_OP_READ || slot->alone ||
        slot->request.segment_count > VECTORS_MAX || !aligned(q, slot))
        return;
    if (!hold(q, slot, vector)) {
        vbd_prepare_request(slot); /* as it was */
        return;
    }
    slot->in_place = true;
    slot->io.memory = vector;
    slot->io.memory_count = slot->request.segment_count;
    slot->io.done = done;
}

void vbd_read_in_place(struct vbd_queue *q)
{
    for (struct vbd_io **io = q->batch; io != q->batch_end; io++)
        place(q, VBD_CONTAINER(*io, struct vbd_slot, io));
}

void vbd_leave_place(struct vbd_queue *q, struct vbd_slot *slot)
{
    let_go(q, slot, slot->request.segment_count);
    slot->in_place = false;
    slot->io.memory = slot->memory;
    slot->io.memory_count = 1;
    slot->io.done = vbd_dispatch_done;
}

/* What the page may be to blame for. */
static bool is_of_the_page(int result)
{
    return result == -EFAULT || result == -EINVAL;
}

void vbd_finish_in_place(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    vbd_leave_place(q, slot);
    q->dispatched--;
    if (is_of_the_page(result)) {
        slot->alone = true;
        vbd_row_prepend(&q->taken, slot);
        return;
    }
    if (result < 0) {
        vbd_failed(q, slot, result);
        return;
    }
    vbd_bump(&q->counters.in_place, 1);
    vbd_bump(&q->counters.read_bytes, slot->bytes);
    vbd_settle(q, slot, VBD_STATUS_OKAY);
}
