/* layer.c - see layer.h: opens, closes, and passes operations down and results up. Called through
 * the storage seam. */
#include "layers/layer.h"

#include <errno.h>

#include "base/memory.h"

enum { BATCH = 32 /* operations that go on at once */ };

static struct vbd_layer_channel *channel_of(struct vbd_channel *channel)
{
    return VBD_CONTAINER(channel, struct vbd_layer_channel, channel);
}

static struct vbd_layer *layer_of(struct vbd_storage *storage)
{
    return VBD_CONTAINER(storage, struct vbd_layer, storage);
}

/* --- operations --- */

/* The operation above may be gone, or used again, when this returns. */
static void answer(struct vbd_layer_io *io, int result)
{
    struct vbd_io *above = io->above;

    vbd_list_append(&io->channel->free, &io->link);
    above->done(above, result);
}

static void done(struct vbd_io *below, int result)
{
    struct vbd_layer_io *io = VBD_CONTAINER(below, struct vbd_layer_io, io);

    answer(io, io->channel->layer->hooks->up(io, result));
}

static struct vbd_layer_io *copy(struct vbd_layer_channel *c, struct vbd_io *above)
{
    struct vbd_list *link = vbd_list_pop(&c->free);
    struct vbd_layer_io *io;

    if (link != NULL)
        io = VBD_CONTAINER(link, struct vbd_layer_io, link);
    else
        io = VBD_NEW(c->layer->allocator, struct vbd_layer_io);
    if (io == NULL)
        return NULL;
    vbd_list_init(&io->link);
    io->channel = c;
    io->above = above;
    io->io = *above;
    io->io.done = done;
    return io;
}

static void submit(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    struct vbd_layer_channel *c = channel_of(channel);
    struct vbd_io *batch[BATCH];
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        struct vbd_layer_io *io = copy(c, ios[i]);
        int r = io != NULL ? c->layer->hooks->down(io) : -ENOMEM;

        if (r == 0)
            batch[n++] = &io->io;
        else if (io != NULL)
            answer(io, r);
        else
            ios[i]->done(ios[i], r);
        if (n == BATCH || (n > 0 && i + 1 == count)) {
            c->below->ops->submit(c->below, batch, n);
            n = 0;
        }
    }
}

/* --- opening and closing --- */

static void close_channel(struct vbd_channel *channel)
{
    struct vbd_layer_channel *c = channel_of(channel);
    const struct vbd_allocator *a = c->layer->allocator;
    struct vbd_list *link;

    c->below->ops->close(c->below);
    while ((link = vbd_list_pop(&c->free)) != NULL)
        vbd_free(a, VBD_CONTAINER(link, struct vbd_layer_io, link));
    vbd_free(a, c);
}

static const struct vbd_channel_ops channel_ops = {
    .struct_size = sizeof channel_ops, .submit = submit, .close = close_channel};

static int open_channel(struct vbd_storage *storage, void *loop, struct vbd_channel **ret)
{
    struct vbd_layer *l = layer_of(storage);
    struct vbd_layer_channel *c = VBD_NEW(l->allocator, struct vbd_layer_channel);
    int r = c != NULL ? l->below->ops->open_channel(l->below, loop, &c->below) : -ENOMEM;

    if (r < 0) {
        vbd_free(l->allocator, c);
        return r;
    }
    c->channel.ops = &channel_ops;
    c->layer = l;
    c->number = __atomic_fetch_add(&l->channels, 1, __ATOMIC_RELAXED);
    vbd_list_init(&c->free);
    *ret = &c->channel;
    return 0;
}

static void close_layer(struct vbd_storage *storage)
{
    struct vbd_layer *l = layer_of(storage);

    l->below->ops->close(l->below);
    vbd_free(l->allocator, l);
}

static int refresh(struct vbd_storage *storage)
{
    struct vbd_layer *l = layer_of(storage);
    int r = l->below->ops->refresh != NULL ? l->below->ops->refresh(l->below) : 0;

    if (r == 0)
        l->storage.info.bytes = l->below->info.bytes;
    return r;
}

static const struct vbd_storage_ops storage_ops = {.struct_size = sizeof storage_ops,
                                                   .open_channel = open_channel,
                                                   .close = close_layer,
                                                   .refresh = refresh};

void vbd_layer_init(struct vbd_layer *layer, const struct vbd_allocator *allocator,
                    struct vbd_storage *below, const struct vbd_layer_hooks *hooks)
{
    layer->storage.ops = &storage_ops;
    layer->storage.info = below->info;
    layer->below = below;
    layer->allocator = allocator;
    layer->hooks = hooks;
}
