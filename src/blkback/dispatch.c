/* dispatch.c - taken requests become I/O, in ring order, one batch a pass. Called by a pass; the
 * completion comes back here. */
#include <errno.h>

#include "blkback/in_place.h"
#include "blkback/ordering.h"

/* --- completions --- */

void vbd_failed(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    vbd_bump(&q->counters.storage_errors, 1);
    vbd_settle(q, slot, result == -EOPNOTSUPP ? VBD_STATUS_NOT_SUPPORTED : VBD_STATUS_ERROR);
}

static void finish_other(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    slot->io.secure = false;
    if (vbd_slot_modifies(slot))
        vbd_order_write_finished(q, slot);
    if (result < 0) {
        vbd_failed(q, slot, result);
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

/* On the channel's thread: between passes, or from inside submit. */
void vbd_dispatch_done(struct vbd_io *io, int result)
{
    struct vbd_slot *slot = VBD_CONTAINER(io, struct vbd_slot, io);

    finish(slot->queue, slot, result);
}

/* The next step of a barrier; false when it was the last. */
static bool goes_on(struct vbd_slot *slot, int result)
{
    if (result < 0 || slot->bytes == 0 || slot->barrier == VBD_BARRIER_FLUSH_AFTER)
        return false;
    slot->barrier++;
    return true;
}

static void barrier_done(struct vbd_io *io, int result)
{
    struct vbd_slot *slot = VBD_CONTAINER(io, struct vbd_slot, io);
    struct vbd_queue *q = slot->queue;

    io->done = vbd_dispatch_done;
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
        if (at->in_place)
            vbd_leave_place(q, at);
        at->alone = true;
        q->dispatched--;
    }
    vbd_row_prepend_all(&q->taken, &again);
}

static void finish_merged(struct vbd_queue *q, struct vbd_slot *slot, int result)
{
    if (slot->in_place)
        vbd_finish_in_place(q, slot, result);
    else
        finish(q, slot, result);
}

static void merged_done(struct vbd_io *io, int result)
{
    struct vbd_slot *slot = VBD_CONTAINER(io, struct vbd_slot, io), *next;
    struct vbd_queue *q = slot->queue;

    io->done = vbd_dispatch_done;
    io->memory_count = 1;
    if (result < 0) {
        take_apart(q, slot);
        return;
    }
    finish_merged(q, slot, result);
    while ((next = vbd_row_pop(&slot->merged)) != NULL)
        finish_merged(q, next, result);
}

/* --- the batch --- */

static enum vbd_io_op io_op(const struct vbd_slot *slot)
{
    switch (slot->request.effect) {
    case VBD_OP_WRITE_BARRIER:
        return slot->barrier == VBD_BARRIER_WRITE ? VBD_IO_WRITE : VBD_IO_FLUSH;
    case VBD_OP_DISCARD:
        return VBD_IO_DISCARD;
    default:
        return VBD_IO_FLUSH;
    }
}

/* Flushes, barriers and discards. */
static void prepare_other(struct vbd_queue *q, struct vbd_slot *slot)
{
    struct vbd_io *io = &slot->io;

    io->op = io_op(slot);
    if (slot->request.effect == VBD_OP_DISCARD) {
        io->length = slot->request.discard.sectors * VBD_SECTOR;
        io->secure = slot->request.discard.secure;
    }
    if (slot->request.effect == VBD_OP_WRITE_BARRIER) {
        io->done = barrier_done;
        q->barrier = slot;
    }
}

static void add_taken(struct vbd_queue *q)
{
    struct vbd_slot *slot;

    while ((slot = q->taken.first) != NULL && !vbd_order_stops(q, slot)) {
        vbd_row_cut(&q->taken, &q->taken.first);
        q->dispatched++;
        if (vbd_order_holds(slot)) {
            vbd_row_append(&q->flushes, slot);
            continue;
        }
        vbd_prepare_request(slot);
        if (!vbd_slot_plain(slot))
            prepare_other(q, slot);
        vbd_put_in_batch(q, slot, slot->io.offset, slot->io.length);
    }
}

static bool merges(struct vbd_queue *q, struct vbd_io *first, struct vbd_io *io)
{
    if (first->offset + first->length != io->offset ||
        !vbd_merge(VBD_CONTAINER(first, struct vbd_slot, io),
                   VBD_CONTAINER(io, struct vbd_slot, io)))
        return false;
    first->done = merged_done;
    vbd_bump(&q->counters.merges, 1);
    return true;
}

static void merge_neighbours(struct vbd_queue *q)
{
    struct vbd_io **kept = q->batch;

    for (struct vbd_io **at = q->batch; at != q->batch_end; at++)
        if (kept == q->batch || !merges(q, kept[-1], *at))
            *kept++ = *at;
    q->batch_end = kept;
}

/* --- submitting --- */

static void submit(struct vbd_queue *q)
{
    size_t count = (size_t)(q->batch_end - q->batch);

    q->batch_end = q->batch;
    q->batch_reaches = UINT64_MAX; /* no offset */
    q->neighbours = false;
    vbd_bump(&q->counters.submits, 1);
    q->storage->ops->submit(q->storage, q->batch, count);
}

/* Whether anything went on. */
static bool dispatch_batch(struct vbd_queue *q)
{
    uint32_t before = q->dispatched;

    q->dispatched += (uint32_t)(q->batch_end - q->batch);
    if (q->taken.first != NULL)
        add_taken(q);
    if (q->neighbours)
        merge_neighbours(q);
    if (q->batch_end != q->batch) {
        submit(q);
        return true;
    }
    return q->dispatched != before;
}

/* Again where a storage that completes at once made more ready. */
void vbd_dispatch(struct vbd_queue *q)
{
    while ((q->batch_end != q->batch || q->taken.first != NULL) && dispatch_batch(q))
        ;
}
