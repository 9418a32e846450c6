/* dispatch.c - taken requests become I/O, in ring order, one batch a pass. Called by a pass; the
 * completion comes back here. */
#include "blkback/queue.h"

static enum vbd_io_op io_op(uint8_t operation)
{
    if (operation == VBD_OP_READ)
        return VBD_IO_READ;
    return operation == VBD_OP_WRITE ? VBD_IO_WRITE : VBD_IO_FLUSH;
}

/* On the channel's thread: between passes, or from inside submit. */
static void done(struct vbd_io *io, int result)
{
    struct vbd_slot *slot = VBD_CONTAINER(io, struct vbd_slot, io);
    struct vbd_queue *q = slot->queue;

    if (io->op == VBD_IO_WRITE)
        vbd_order_write_finished(q, slot);
    if (result < 0) {
        vbd_bump(&q->counters.storage_errors, 1);
        vbd_settle(slot, VBD_STATUS_ERROR);
    } else if (io->op == VBD_IO_READ) {
        vbd_list_append(&q->completed, &slot->link);
    } else {
        if (io->op == VBD_IO_WRITE)
            vbd_bump(&q->counters.written_bytes, slot->bytes);
        vbd_settle(slot, VBD_STATUS_OKAY);
    }
}

static void prepare(struct vbd_slot *slot)
{
    slot->io.op = io_op(slot->request.operation);
    slot->io.offset = slot->request.sector * VBD_SECTOR; /* judged: no overflow */
    slot->io.memory.len = slot->bytes;
    slot->io.done = done;
}

static void dispatch_batch(struct vbd_queue *q)
{
    struct vbd_list *at;
    uint32_t n = 0;

    while ((at = vbd_list_pop(&q->taken)) != NULL) {
        struct vbd_slot *slot = VBD_CONTAINER(at, struct vbd_slot, link);

        if (vbd_order_holds(slot)) {
            vbd_list_append(&q->flushes, at);
            continue;
        }
        prepare(slot);
        q->batch[n++] = &slot->io;
    }
    if (n == 0)
        return;
    vbd_bump(&q->counters.submits, 1);
    q->storage->ops->submit(q->storage, q->batch, n);
}

/* Again where a storage that completes at once made a flush ready. */
void vbd_dispatch(struct vbd_queue *q)
{
    while (!vbd_list_empty(&q->taken))
        dispatch_batch(q);
}
