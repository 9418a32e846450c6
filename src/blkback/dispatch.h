/* dispatch.h - what goes to the storage next: a read or write joins the batch as soon as it has its
 * memory, unless it has to wait for others. */
#ifndef BLKBACK_DISPATCH_H
#define BLKBACK_DISPATCH_H

#include "base/inline.h"
#include "blkback/queue.h"

_Static_assert((int)VBD_IO_READ == (int)VBD_OP_READ && (int)VBD_IO_WRITE == (int)VBD_OP_WRITE,
               "the same numbers");

/* As a read or write. What only others change (io's memory, memory_count, secure and done), they
 * put back. */
VBD_INLINE void vbd_prepare(struct vbd_slot *slot, uint32_t effect, uint64_t sector, uint64_t bytes)
{
    struct vbd_io *io = &slot->io;

    io->op = (enum vbd_io_op)effect;
    io->offset = sector * VBD_SECTOR; /* judged where there is data: no overflow */
    io->length = bytes;
    slot->memory[0] = (struct vbd_iovec){slot->buffer, bytes};
}

/* An operation that is at this place. */
VBD_INLINE void vbd_put_in_batch(struct vbd_queue *q, struct vbd_slot *slot, uint64_t offset,
                                 uint64_t length)
{
    if (offset == q->batch_reaches)
        q->neighbours = true;
    q->batch_reaches = offset + length;
    *q->batch_end++ = &slot->io;
}

/* As a request says. */
VBD_INLINE void vbd_prepare_request(struct vbd_slot *slot)
{
    vbd_prepare(slot, slot->request.effect, slot->request.sector, slot->bytes);
}

/* Nothing stands before a read or write that has been judged now. */
VBD_INLINE bool vbd_way_free(const struct vbd_queue *q)
{
    return ((uintptr_t)q->arrived.first | (uintptr_t)q->taken.first | (uintptr_t)q->barrier) == 0;
}

/* A request that has its memory; what is not a read or write, and all behind it, is put into the
 * batch by a pass. */
VBD_INLINE void vbd_take_on(struct vbd_queue *q, struct vbd_slot *slot)
{
    if (vbd_slot_plain(slot) && q->taken.first == NULL && q->barrier == NULL) {
        vbd_prepare_request(slot);
        vbd_put_in_batch(q, slot, slot->io.offset, slot->io.length);
    } else {
        vbd_row_append(&q->taken, slot);
    }
}

#endif
