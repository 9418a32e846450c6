/* log.c - a layer that records the stream of changes: every write, flush and discard, when it was
 * submitted and when it completed, in one order for all channels. Made by whoever stacks storages;
 * called through the storage seam. */
#include <errno.h>

#include "base/memory.h"
#include "layers/layer.h"

struct log {
    struct vbd_layer layer;
    struct vbd_log_sink sink;
    uint64_t entries; /* under the sink's lock */
};

static struct log *log_of(const struct vbd_layer_io *io)
{
    return VBD_CONTAINER(io->channel->layer, struct log, layer);
}

/* Gives the entry its number and records it. */
static uint64_t record(struct log *log, const struct vbd_layer_io *io, struct vbd_logged *entry)
{
    const struct vbd_log_sink *sink = &log->sink;

    entry->struct_size = sizeof *entry;
    entry->channel = io->channel->number;
    entry->op = io->io.op;
    if (io->io.op != VBD_IO_FLUSH) {
        entry->offset = io->above->offset;
        entry->length = io->above->length;
        entry->secure = io->above->secure;
    }
    if (sink->lock != NULL)
        sink->lock(sink->ctx);
    entry->number = log->entries++;
    if (entry->event == VBD_LOGGED_SUBMITTED)
        entry->submitted = entry->number;
    sink->record(sink->ctx, entry);
    if (sink->unlock != NULL)
        sink->unlock(sink->ctx);
    return entry->number;
}

static int down(struct vbd_layer_io *io)
{
    struct vbd_logged entry = {.event = VBD_LOGGED_SUBMITTED};

    if (io->io.op == VBD_IO_WRITE) {
        entry.memory = io->io.memory;
        entry.memory_count = io->io.memory_count;
    }
    if (io->io.op != VBD_IO_READ)
        io->mark = record(log_of(io), io, &entry);
    return 0;
}

static int up(struct vbd_layer_io *io, int result)
{
    struct vbd_logged entry = {
        .event = VBD_LOGGED_COMPLETED, .submitted = io->mark, .result = result};

    if (io->io.op != VBD_IO_READ)
        (void)record(log_of(io), io, &entry);
    return result;
}

static const struct vbd_layer_hooks hooks = {.down = down, .up = up};

int vbd_log_layer_new(const struct vbd_allocator *allocator, struct vbd_storage *below,
                      const struct vbd_log_sink *sink, struct vbd_storage **ret)
{
    struct log *log;

    if (sink->record == NULL || (sink->lock == NULL) != (sink->unlock == NULL))
        return -EINVAL;
    log = VBD_NEW(allocator, struct log);
    if (log == NULL)
        return -ENOMEM;
    vbd_layer_init(&log->layer, allocator, below, &hooks);
    log->sink = *sink;
    *ret = &log->layer.storage;
    return 0;
}
