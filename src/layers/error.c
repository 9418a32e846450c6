/* error.c - a layer that fails operations by a rule: the n-th of a kind, or a part of them, before
 * or after the storage below has done them. Made by whoever stacks storages; called through the
 * storage seam. */
#include <errno.h>

#include "base/memory.h"
#include "layers/layer.h"

enum { MILLION = 1000000 };

struct error {
    struct vbd_layer layer;
    struct vbd_error_rule rule;
    uint64_t counted; /* operations of the kinds that are meant; atomic */
};

/* Spreads a number over all 64 bits (the last steps of splitmix64). */
static uint64_t spread(uint64_t n)
{
    n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
    return n ^ (n >> 31);
}

static bool picks(struct error *error, enum vbd_io_op op)
{
    const struct vbd_error_rule *rule = &error->rule;
    uint64_t n;

    if ((rule->kinds & (UINT32_C(1) << op)) == 0)
        return false;
    n = __atomic_add_fetch(&error->counted, 1, __ATOMIC_RELAXED);
    return n == rule->nth ||
           spread(rule->seed + n * UINT64_C(0x9e3779b97f4a7c15)) % MILLION < rule->per_million;
}

/* `mark`: it fails on its way back. */
static int down(struct vbd_layer_io *io)
{
    struct error *error = VBD_CONTAINER(io->channel->layer, struct error, layer);
    bool fails = picks(error, io->io.op);

    io->mark = fails && error->rule.done;
    return fails && !error->rule.done ? error->rule.error : 0;
}

static int up(struct vbd_layer_io *io, int result)
{
    const struct error *error = VBD_CONTAINER(io->channel->layer, struct error, layer);

    return io->mark != 0 ? error->rule.error : result;
}

static const struct vbd_layer_hooks hooks = {.down = down, .up = up};

int vbd_error_layer_new(const struct vbd_allocator *allocator, struct vbd_storage *below,
                        const struct vbd_error_rule *rule, struct vbd_storage **ret)
{
    struct error *error;

    if (rule->error >= 0 || rule->per_million > MILLION)
        return -EINVAL;
    error = VBD_NEW(allocator, struct error);
    if (error == NULL)
        return -ENOMEM;
    vbd_layer_init(&error->layer, allocator, below, &hooks);
    error->rule = *rule;
    *ret = &error->layer.storage;
    return 0;
}
