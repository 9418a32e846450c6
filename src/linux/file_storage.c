/* file_storage.c - storage on a regular file or a block device: through io_uring, but for files
 * that are in memory, where the kernel would give each operation to a thread of its own and a call
 * that copies is done sooner. Called through the storage seam; a channel lives on its queue's
 * thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/list.h"
#include "linux/file.h"

struct channel {
    struct vbd_channel channel;
    struct vbd_file *file;
    struct vbd_loop *loop;
};

/* --- I/O --- */

/* What a struct vbd_io carries while it is here. */
struct held {
    struct vbd_loop_entry entry;
    struct channel *channel;
    struct vbd_iovec *at; /* what is left after a short transfer, in the operation's own array */
    uint64_t left, offset;
    uint32_t count; /* of `at` */
    uint32_t again; /* times the kernel said EAGAIN */
};

_Static_assert(sizeof(struct vbd_iovec) == sizeof(struct iovec), "the same layout");
_Static_assert(offsetof(struct vbd_iovec, len) == offsetof(struct iovec, iov_len), "layout");

enum {
    AGAIN_MAX = 1000,
    /* Operations of this size go to the kernel one by one: what is submitted together it joins
     * where it can, and neighbours would all complete at the end of the last. */
    ALONE_BYTES = 1 << 16,
    PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
};

_Static_assert(sizeof(struct held) <= sizeof((struct vbd_io *)0)->held, "held fits");

static struct held *held_of(struct vbd_io *io)
{
    return (struct held *)(void *)io->held;
}

static void prepare_data(struct io_uring_sqe *sqe, enum vbd_io_op op, const struct held *h)
{
    const struct iovec *vector = (const struct iovec *)(const void *)h->at;
    int fd = h->channel->file->fd;

    if (op == VBD_IO_READ && h->count == 1)
        io_uring_prep_read(sqe, fd, h->at->base, (unsigned)h->at->len, h->offset);
    else if (op == VBD_IO_READ)
        io_uring_prep_readv(sqe, fd, vector, h->count, h->offset);
    else if (h->count == 1)
        io_uring_prep_write(sqe, fd, h->at->base, (unsigned)h->at->len, h->offset);
    else
        io_uring_prep_writev(sqe, fd, vector, h->count, h->offset);
}

static void queue(struct vbd_io *io)
{
    struct held *h = held_of(io);
    struct io_uring_sqe *sqe = vbd_loop_sqe(h->channel->loop, &h->entry);
    int fd = h->channel->file->fd;

    if (sqe == NULL) {
        io->done(io, -EIO);
        return;
    }
    switch (io->op) {
    case VBD_IO_READ:
    case VBD_IO_WRITE:
        prepare_data(sqe, io->op, h);
        break;
    case VBD_IO_FLUSH:
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
        break;
    case VBD_IO_DISCARD:
        io_uring_prep_fallocate(sqe, fd, PUNCH, (off_t)h->offset, (off_t)h->left);
        break;
    case VBD_IO_BARRIER: /* a front's; see submit() */
    case VBD_IO_ZERO:
        return;
    }
    io_uring_sqe_set_data(sqe, &h->entry);
}

/* Moves on behind what was transferred. */
static void advance(struct held *h, size_t done)
{
    h->left -= done;
    h->offset += done;
    while (done > 0) {
        size_t step = done < h->at->len ? done : h->at->len;

        h->at->base = (char *)h->at->base + step;
        h->at->len -= step;
        done -= step;
        if (h->at->len == 0 && h->count > 1) {
            h->at++;
            h->count--;
        }
    }
}

/* Whether it must be issued again; otherwise it is done. A short transfer goes on behind what was
 * transferred; none at all means the file has shrunk. */
static bool goes_on(struct vbd_io *io, int result)
{
    struct held *h = held_of(io);
    bool moves = io->op == VBD_IO_READ || io->op == VBD_IO_WRITE;

    if ((result == -EAGAIN || result == -EINTR) && ++h->again < AGAIN_MAX)
        return true;
    if (result >= 0 && moves) {
        if (result == 0 || (uint64_t)result > h->left) {
            result = -EIO;
        } else {
            advance(h, (size_t)result);
            if (h->left > 0)
                return true;
        }
    }
    io->done(io, result < 0 ? result : 0);
    return false;
}

static void completed(struct vbd_loop_entry *entry, int result, uint32_t flags)
{
    struct vbd_io *io = VBD_CONTAINER(entry, struct vbd_io, held);

    (void)flags;
    if (goes_on(io, result))
        queue(io);
}

/* --- at once --- */

static ssize_t do_now(struct vbd_io *io)
{
    const struct held *h = held_of(io);
    const struct iovec *vector = (const struct iovec *)(const void *)h->at;
    int fd = h->channel->file->fd;

    switch (io->op) {
    case VBD_IO_READ:
        return preadv(fd, vector, (int)h->count, (off_t)h->offset);
    case VBD_IO_WRITE:
        return pwritev(fd, vector, (int)h->count, (off_t)h->offset);
    case VBD_IO_FLUSH:
        return fdatasync(fd);
    case VBD_IO_DISCARD: /* see issue() */
    case VBD_IO_BARRIER: /* a front's; see submit() */
    case VBD_IO_ZERO:
        break;
    }
    errno = EOPNOTSUPP;
    return -1;
}

static void run_now(struct vbd_io *io)
{
    ssize_t result;

    do {
        held_of(io)->channel->loop->calls++;
        result = do_now(io);
    } while (goes_on(io, result < 0 ? -errno : (int)result));
}

/* --- the channel --- */

static void issue(struct channel *c, struct vbd_io *io)
{
    bool alone = io->length >= ALONE_BYTES; /* asked now: once done, it is the caller's again */

    /* A discard may take seconds, and a thread of the kernel can wait for it. */
    if (c->file->in_memory && io->op != VBD_IO_DISCARD) {
        run_now(io);
        return;
    }
    queue(io);
    if (alone)
        (void)vbd_loop_submit(c->loop);
}

static void submit(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    struct channel *c = VBD_CONTAINER(channel, struct channel, channel);

    for (size_t i = 0; i < count; i++) {
        struct held *h = held_of(ios[i]);

        *h = (struct held){.entry = {completed},
                           .channel = c,
                           .at = ios[i]->memory,
                           .count = ios[i]->memory_count,
                           .left = ios[i]->length,
                           .offset = ios[i]->offset};
        if (ios[i]->secure || ios[i]->op > VBD_IO_DISCARD)
            ios[i]->done(ios[i], -EOPNOTSUPP);
        else
            issue(c, ios[i]);
    }
}

static void close_channel(struct vbd_channel *channel)
{
    free(VBD_CONTAINER(channel, struct channel, channel));
}

static const struct vbd_channel_ops channel_ops = {
    .struct_size = sizeof channel_ops, .submit = submit, .close = close_channel};

int vbd_file_open_channel(struct vbd_storage *storage, void *loop, struct vbd_channel **ret)
{
    struct channel *c = calloc(1, sizeof *c);

    if (c == NULL)
        return -ENOMEM;
    c->channel.ops = &channel_ops;
    c->file = VBD_CONTAINER(storage, struct vbd_file, storage);
    c->loop = loop;
    *ret = &c->channel;
    return 0;
}
