/* no_medium.c - what an empty CD-ROM drive is made of: a storage of no sectors, so that every
 * request for data is past its end. Used by back_open and back_medium; one for all, and never
 * closed. */
#include <errno.h>

#include "vbd/back.h"

static void fail_all(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    (void)channel;
    for (size_t i = 0; i < count; i++)
        ios[i]->done(ios[i], ios[i]->op == VBD_IO_FLUSH ? 0 : -EIO);
}

static void close_channel(struct vbd_channel *channel)
{
    (void)channel;
}

static const struct vbd_channel_ops channel_ops = {
    .struct_size = sizeof channel_ops, .submit = fail_all, .close = close_channel};
static struct vbd_channel channel = {&channel_ops};

static int open_channel(struct vbd_storage *storage, void *loop, struct vbd_channel **ret)
{
    (void)storage;
    (void)loop;
    *ret = &channel;
    return 0;
}

static void close_storage(struct vbd_storage *storage)
{
    (void)storage;
}

static const struct vbd_storage_ops storage_ops = {
    .struct_size = sizeof storage_ops, .open_channel = open_channel, .close = close_storage};

struct vbd_storage vbd_no_medium = {
    .ops = &storage_ops,
    .info = {.logical_sector = 512, .physical_sector = 512, .read_only = true}};
