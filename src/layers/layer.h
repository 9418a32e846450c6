/* layer.h - what all layers are made of: a storage and its channels that pass operations on, with
 * two places where a layer steps in.
 *
 * An operation's `held` is for the storage that has it, so a layer gives the one below a copy.
 */
#ifndef LAYERS_LAYER_H
#define LAYERS_LAYER_H

#include "base/list.h"
#include "vbdkit/layers.h"

struct vbd_layer;

struct vbd_layer_channel {
    struct vbd_channel channel;
    struct vbd_layer *layer;
    struct vbd_channel *below;
    struct vbd_list free; /* copies for the next operations */
    uint32_t number;      /* of the layer's channels, from 0 */
};

/* The copy of an operation under way. */
struct vbd_layer_io {
    struct vbd_io io; /* what the storage below gets */
    struct vbd_io *above;
    struct vbd_layer_channel *channel;
    struct vbd_list link;
    uint64_t mark; /* for the layer's own use */
};

struct vbd_layer_hooks {
    /* Before it goes on: 0, or the -errno to answer it with instead. */
    int (*down)(struct vbd_layer_io *io);
    /* After it came back with `result`: what to answer it with. */
    int (*up)(struct vbd_layer_io *io, int result);
};

/* The first member of a layer. */
struct vbd_layer {
    struct vbd_storage storage;
    struct vbd_storage *below;
    const struct vbd_allocator *allocator;
    const struct vbd_layer_hooks *hooks;
    uint32_t channels; /* opened so far; atomic */
};

/* Fills in a layer whose memory is zeroed; closing the storage frees it. */
void vbd_layer_init(struct vbd_layer *layer, const struct vbd_allocator *allocator,
                    struct vbd_storage *below, const struct vbd_layer_hooks *hooks);

#endif
