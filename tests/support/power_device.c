/* power_device.c - see power.h: the device that completes when told, and the storages that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/power.h"

/* --- the device --- */

struct device_channel {
    struct vbd_channel channel;
    struct power_device *device;
};

static void hold(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    struct power_device *d = VBD_CONTAINER(channel, struct device_channel, channel)->device;

    for (size_t i = 0; i < count; i++) {
        assert_true(d->count < HELD);
        d->held[d->count++] = ios[i];
    }
}

static void free_channel(struct vbd_channel *channel)
{
    free(VBD_CONTAINER(channel, struct device_channel, channel));
}

static const struct vbd_channel_ops channel_ops = {
    .struct_size = sizeof channel_ops, .submit = hold, .close = free_channel};

static int open_channel(struct vbd_storage *storage, void *loop, struct vbd_channel **ret)
{
    struct device_channel *c = calloc(1, sizeof *c);

    (void)loop;
    assert_non_null(c);
    c->channel.ops = &channel_ops;
    c->device = VBD_CONTAINER(storage, struct power_device, storage);
    *ret = &c->channel;
    return 0;
}

static void close_device(struct vbd_storage *storage)
{
    assert_int_equal(VBD_CONTAINER(storage, struct power_device, storage)->count, 0);
}

static const struct vbd_storage_ops storage_ops = {
    .struct_size = sizeof storage_ops, .open_channel = open_channel, .close = close_device};

void power_device_init(struct power_device *d)
{
    memset(d, 0, sizeof *d);
    d->storage.ops = &storage_ops;
    d->storage.info = (struct vbd_storage_info){.bytes = sizeof d->bytes, .discard = true};
}

void power_device_complete(struct power_device *d, unsigned index)
{
    struct vbd_io *io = d->held[index];

    d->held[index] = d->held[--d->count];
    if (io->op != VBD_IO_FLUSH) {
        assert_true(io->offset + io->length <= sizeof d->bytes);
        move_data(d->bytes, io);
    }
    io->done(io, 0);
}

/* --- storages that lie --- */

struct faulty {
    struct vbd_storage storage;
    struct vbd_storage *below;
    enum power_fault fault;
    unsigned flushes;
};

struct faulty_channel {
    struct vbd_channel channel, *below;
    struct faulty *faulty;
};

/* What goes on in an operation's place. */
struct stand_in {
    struct vbd_io io, *above; /* NULL: was answered already */
    enum power_fault fault;
    struct vbd_iovec memory;
    char data[POWER_SECTORS * 512];
};

static void stand_in_done(struct vbd_io *io, int result)
{
    struct stand_in *s = VBD_CONTAINER(io, struct stand_in, io);
    struct vbd_io *above = s->above;

    if (s->fault == POWER_HIDDEN_ERRORS && io->op == VBD_IO_FLUSH)
        result = 0;
    free(s);
    if (above != NULL)
        above->done(above, result);
}

static struct stand_in *stand_in_for(struct vbd_io *above, enum power_fault fault)
{
    struct stand_in *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->io = *above;
    s->io.done = stand_in_done;
    s->above = above;
    s->fault = fault;
    return s;
}

/* The write has data of its own, and its submitter is told that it is done. */
static void answer_early(struct stand_in *s)
{
    struct vbd_io *above = s->above;
    size_t at = 0;

    for (uint32_t i = 0; i < s->io.memory_count; i++) {
        memcpy(s->data + at, s->io.memory[i].base, s->io.memory[i].len);
        at += s->io.memory[i].len;
    }
    s->memory = (struct vbd_iovec){s->data, at};
    s->io.memory = &s->memory;
    s->io.memory_count = 1;
    s->above = NULL;
    above->done(above, 0);
}

static bool skips(struct faulty *f, const struct vbd_io *io)
{
    if (io->op != VBD_IO_FLUSH)
        return false;
    f->flushes++;
    return f->fault == POWER_NO_FLUSH || (f->fault == POWER_EVERY_OTHER && f->flushes % 2 == 1) ||
           (f->fault == POWER_EVERY_OTHER_ODD && f->flushes % 2 == 0);
}

static void pass_on(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    struct faulty_channel *c = VBD_CONTAINER(channel, struct faulty_channel, channel);
    enum power_fault fault = c->faulty->fault;

    for (size_t i = 0; i < count; i++) {
        struct stand_in *s;
        struct vbd_io *io;

        if (skips(c->faulty, ios[i])) {
            ios[i]->done(ios[i], 0);
            continue;
        }
        s = stand_in_for(ios[i], fault);
        io = &s->io;
        if (fault == POWER_EARLY_WRITES && io->op == VBD_IO_WRITE)
            answer_early(s);
        c->below->ops->submit(c->below, &io, 1);
    }
}

static void close_faulty_channel(struct vbd_channel *channel)
{
    struct faulty_channel *c = VBD_CONTAINER(channel, struct faulty_channel, channel);

    c->below->ops->close(c->below);
    free(c);
}

static const struct vbd_channel_ops faulty_channel_ops = {
    .struct_size = sizeof faulty_channel_ops, .submit = pass_on, .close = close_faulty_channel};

static int open_faulty_channel(struct vbd_storage *storage, void *loop, struct vbd_channel **ret)
{
    struct faulty_channel *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->channel.ops = &faulty_channel_ops;
    c->faulty = VBD_CONTAINER(storage, struct faulty, storage);
    *ret = &c->channel;
    return c->faulty->below->ops->open_channel(c->faulty->below, loop, &c->below);
}

static void close_faulty(struct vbd_storage *storage)
{
    struct faulty *f = VBD_CONTAINER(storage, struct faulty, storage);

    f->below->ops->close(f->below);
    free(f);
}

static const struct vbd_storage_ops faulty_ops = {
    .struct_size = sizeof faulty_ops, .open_channel = open_faulty_channel, .close = close_faulty};

struct vbd_storage *power_faulty(struct vbd_storage *below, enum power_fault fault)
{
    struct faulty *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->storage.ops = &faulty_ops;
    f->storage.info = below->info;
    f->below = below;
    f->fault = fault;
    return &f->storage;
}
