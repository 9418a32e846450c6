/* merge.c - neighbours go to the storage as one operation: requests of a pass that go on, on the
 * disk, where the one before ends. Called by dispatch, which has looked at that, and takes them
 * apart again. */
#include <string.h>

#include "blkback/queue.h"

enum { MERGED_BYTES_MAX = 1 << 17 };

static bool may_merge(const struct vbd_slot *slot)
{
    return !slot->alone && vbd_slot_plain(slot);
}

bool vbd_merge(struct vbd_slot *first, struct vbd_slot *slot)
{
    struct vbd_io *io = &first->io;

    if (!may_merge(first) || !may_merge(slot) || first->request.effect != slot->request.effect ||
        io->memory_count + slot->io.memory_count > VBD_MERGE_MAX ||
        io->length + slot->bytes > MERGED_BYTES_MAX)
        return false;
    memcpy(&first->memory[io->memory_count], slot->memory,
           slot->io.memory_count * sizeof slot->memory[0]);
    io->memory_count += slot->io.memory_count;
    io->length += slot->bytes;
    vbd_row_append(&first->merged, slot);
    return true;
}
