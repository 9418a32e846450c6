/* dispatch.c - taken requests become I/O, in ring order, one batch a pass. Called by a pass; the
 * completion comes back here. */
#include <errno.h>

#include "blkback/queue.h"

static void finish(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    q->dispatched--;
    if (vbd_slot_modifies(slot))
        vbd_order_write_finished(q, slot);
    if (result < 0) {
        vbd_bump(&q->counters.storage_errors, 1);
        vbd_settle(slot, result == -EOPNOTSUPP ? VBD_STATUS_NOT_SUPPORTED : VBD_STATUS_ERROR);
        return;
    }
    if (slot->request.effect == VBD_OP_READ) {
        vbd_list_append(&q->completed, &slot->link);
        return;
    }
    if (slot->request.effect == VBD_OP_DISCARD)
        vbd_bump(&q->counters.discarded_bytes, slot->io.length);
    else
        vbd_bump(&q->counters.written_bytes, slot->bytes);
    vbd_settle(slot, VBD_STATUS_OKAY);
}

/* --- completions --- */

/* The next step of a barrier; false when it was the last. */
static bool goes_on(struct vbd_slot *slot, int result)
{
    if (result < 0 || slot->bytes == 0 || slot->barrier == VBD_BARRIER_FLUSH_AFTER)
        return false;
    slot->barrier = (enum vbd_barrier)(slot->barrier + 1);
    return true;
}

static void barrier_done(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    if (goes_on(slot, result)) {
        q->dispatched--;
        vbd_list_prepend(&q->taken, &slot->link);
        return;
    }
    q->barrier = NULL;
    finish(q, slot, result);
}

/* Which of them failed is not known: each is tried again by itself, in the old order. */
static void take_apart(struct vbd_queue *q, struct vbd_slot *slot)
{
    struct vbd_list *at;

    while (!vbd_list_empty(&slot->merged)) {
        at = slot->merged.prev;
        vbd_list_remove(at);
        VBD_CONTAINER(at, struct vbd_slot, link)->alone = true;
        vbd_list_prepend(&q->taken, at);
        q->dispatched--;
    }
    slot->alone = true;
    vbd_list_prepend(&q->taken, &slot->link);
    q->dispatched--;
}

/* On the channel's thread: between passes, or from inside submit. */
static void done(struct vbd_io *io, int result)
{
    struct vbd_slot *slot = VBD_CONTAINER(io, struct vbd_slot, io);
    struct vbd_queue *q = slot->queue;
    struct vbd_list *at;

    if (slot == q->barrier) {
        barrier_done(q, slot, result);
        return;
    }
    if (result < 0 && !vbd_list_empty(&slot->merged)) {
        take_apart(q, slot);
        return;
    }
    finish(q, slot, result);
    while ((at = vbd_list_pop(&slot->merged)) != NULL)
        finish(q, VBD_CONTAINER(at, struct vbd_slot, link), result);
}

/* --- submitting --- */

static enum vbd_io_op io_op(const struct vbd_slot *slot)
{
    switch (slot->request.effect) {
    case VBD_OP_READ:
        return VBD_IO_READ;
    case VBD_OP_WRITE:
        return VBD_IO_WRITE;
    case VBD_OP_WRITE_BARRIER:
        return slot->barrier == VBD_BARRIER_WRITE ? VBD_IO_WRITE : VBD_IO_FLUSH;
    case VBD_OP_DISCARD:
        return VBD_IO_DISCARD;
    default:
        return VBD_IO_FLUSH;
    }
}

static void prepare(struct vbd_slot *slot)
{
    struct vbd_io *io = &slot->io;
    bool discards = slot->request.effect == VBD_OP_DISCARD;

    io->op = io_op(slot);
    io->offset = slot->request.sector * VBD_SECTOR; /* judged where there is data: no overflow */
    io->length = discards ? slot->request.discard.sectors * VBD_SECTOR : slot->bytes;
    io->secure = discards && slot->request.discard.secure;
    slot->memory[0] = (struct vbd_iovec){vbd_slot_buffer(slot), slot->bytes};
    io->memory = slot->memory;
    io->memory_count = 1;
    io->done = done;
}

/* Puts the slot into the batch of n; returns how many it holds then. */
static uint32_t add(struct vbd_queue *q, uint32_t n, struct vbd_slot *slot)
{
    if (n > 0 && vbd_merge(VBD_CONTAINER(q->batch[n - 1], struct vbd_slot, io), slot)) {
        vbd_bump(&q->counters.merges, 1);
        return n;
    }
    if (slot->request.effect == VBD_OP_WRITE_BARRIER)
        q->barrier = slot;
    prepare(slot);
    q->batch[n] = &slot->io;
    return n + 1;
}

/* Whether anything went on. */
static bool dispatch_batch(struct vbd_queue *q)
{
    uint32_t n = 0, before = q->dispatched;

    while (!vbd_list_empty(&q->taken)) {
        struct vbd_slot *slot = VBD_CONTAINER(q->taken.next, struct vbd_slot, link);

        if (vbd_order_stops(q, slot))
            break;
        vbd_list_remove(&slot->link);
        q->dispatched++;
        if (vbd_order_holds(slot))
            vbd_list_append(&q->flushes, &slot->link);
        else
            n = add(q, n, slot);
    }
    if (n > 0) {
        vbd_bump(&q->counters.submits, 1);
        q->storage->ops->submit(q->storage, q->batch, n);
        return true;
    }
    return q->dispatched != before;
}

/* Again where a storage that completes at once made more ready. */
void vbd_dispatch(struct vbd_queue *q)
{
    while (!vbd_list_empty(&q->taken) && dispatch_batch(q))
        ;
}
