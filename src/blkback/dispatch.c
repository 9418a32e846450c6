/* dispatch.c - taken requests become I/O, in ring order, one batch a pass. Called by a pass; the
 * completion comes back here. */
#include <errno.h>

#include "blkback/ordering.h"

/* --- completions --- */

static void failed(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    vbd_bump(&q->counters.storage_errors, 1);
    vbd_settle(q, slot, result == -EOPNOTSUPP ? VBD_STATUS_NOT_SUPPORTED : VBD_STATUS_ERROR);
}

static void finish_other(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    if (vbd_slot_modifies(slot))
        vbd_order_write_finished(q, slot);
    if (result < 0) {
        failed(q, slot, result);
        return;
    }
    if (slot->request.effect == VBD_OP_DISCARD)
        vbd_bump(&q->counters.discarded_bytes, slot->io.length);
    else
        vbd_bump(&q->counters.written_bytes, slot->bytes);
    vbd_settle(q, slot, VBD_STATUS_OKAY);
}

static inline void finish(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    q->dispatched--;
    if (slot->request.effect == VBD_OP_READ && result >= 0)
        vbd_row_append(&q->completed, slot);
    else
        finish_other(q, slot, result);
}

/* The next step of a barrier; false when it was the last. */
static bool goes_on(struct vbd_slot *slot, int result)
{
    if (result < 0 || slot->bytes == 0 || slot->barrier == VBD_BARRIER_FLUSH_AFTER)
        return false;
    slot->barrier++;
    return true;
}

static void barrier_done(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    if (goes_on(slot, result)) {
        q->dispatched--;
        vbd_row_prepend(&q->taken, slot);
        return;
    }
    q->barrier = NULL;
    finish(q, slot, result);
}

/* Which of them failed is not known: each is tried again by itself, in the old order. */
static void take_apart(struct vbd_queue *q, struct vbd_slot *slot)
{
    struct vbd_row again;

    vbd_row_init(&again);
    vbd_row_append(&again, slot);
    vbd_row_append_all(&again, &slot->merged);
    for (struct vbd_slot *at = again.first; at != NULL; at = at->next) {
        at->alone = true;
        q->dispatched--;
    }
    vbd_row_prepend_all(&q->taken, &again);
}

static void merged_done(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    struct vbd_slot *next;

    if (result < 0) {
        take_apart(q, slot);
        return;
    }
    finish(q, slot, result);
    while ((next = vbd_row_pop(&slot->merged)) != NULL)
        finish(q, next, result);
}

static void compound_done(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    slot->compound = false;
    if (slot == q->barrier)
        barrier_done(q, slot, result);
    else
        merged_done(q, slot, result);
}

/* On the channel's thread: between passes, or from inside submit. */
static void done(struct vbd_io *io, int result)
{
    struct vbd_slot *slot = VBD_CONTAINER(io, struct vbd_slot, io);

    if (slot->compound)
        compound_done(slot->queue, slot, result);
    else
        finish(slot->queue, slot, result);
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

static inline void prepare(struct vbd_slot *slot)
{
    struct vbd_io *io = &slot->io;

    io->op = slot->request.effect == VBD_OP_READ ? VBD_IO_READ : VBD_IO_WRITE;
    io->secure = false;
    io->offset = slot->request.sector * VBD_SECTOR; /* judged where there is data: no overflow */
    io->length = slot->bytes;
    slot->memory[0] = (struct vbd_iovec){slot->buffer, slot->bytes};
    io->memory = slot->memory;
    io->memory_count = 1;
    io->done = done;
}

/* Flushes, barriers and discards. */
static void prepare_other(struct vbd_queue *q, struct vbd_slot *slot)
{
    prepare(slot);
    slot->io.op = io_op(slot);
    if (slot->request.effect == VBD_OP_DISCARD) {
        slot->io.length = slot->request.discard.sectors * VBD_SECTOR;
        slot->io.secure = slot->request.discard.secure;
    }
    if (slot->request.effect == VBD_OP_WRITE_BARRIER) {
        q->barrier = slot;
        slot->compound = true;
    }
}

static bool merges(struct vbd_queue *q, struct vbd_slot *first, struct vbd_slot *slot)
{
    if (!vbd_merge(first, slot))
        return false;
    vbd_bump(&q->counters.merges, 1);
    return true;
}

/* Puts the slot into the batch of n, unless it goes with the last one there; returns how many it
 * holds then. */
static inline uint32_t add(struct vbd_queue *q, uint32_t n, struct vbd_slot *slot)
{
    if (n > 0) {
        struct vbd_io *last = q->batch[n - 1];

        if (last->offset + last->length == slot->request.sector * VBD_SECTOR &&
            merges(q, VBD_CONTAINER(last, struct vbd_slot, io), slot))
            return n;
    }
    if (vbd_slot_plain(slot))
        prepare(slot);
    else
        prepare_other(q, slot);
    q->batch[n] = &slot->io;
    return n + 1;
}

/* Whether anything went on. */
static bool dispatch_batch(struct vbd_queue *q)
{
    uint32_t n = 0, before = q->dispatched;
    struct vbd_slot *slot;

    while ((slot = q->taken.first) != NULL && !vbd_order_stops(q, slot)) {
        vbd_row_cut(&q->taken, &q->taken.first);
        q->dispatched++;
        if (vbd_order_holds(slot))
            vbd_row_append(&q->flushes, slot);
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
    while (q->taken.first != NULL && dispatch_batch(q))
        ;
}
