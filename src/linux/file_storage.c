/* file_storage.c - storage on a regular file or a block device through io_uring. Called through the
 * storage seam; a channel lives on its queue's thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "linux/error.h"
#include "linux/loop.h"
#include "vbdkit/vbd_linux.h"

struct file {
    struct vbd_storage storage;
    int fd;
};

struct channel {
    struct vbd_channel channel;
    struct file *file;
    struct vbd_loop *loop;
};

/* --- I/O --- */

/* What a struct vbd_io carries while it is here. */
struct held {
    struct vbd_loop_entry entry;
    struct channel *channel;
    char *at; /* what is left after a short transfer */
    size_t left;
    uint64_t offset;
    unsigned again; /* times the kernel said EAGAIN */
};

enum { AGAIN_MAX = 1000 };

_Static_assert(sizeof(struct held) <= sizeof((struct vbd_io *)0)->held, "held fits");

static struct held *held_of(struct vbd_io *io)
{
    return (struct held *)(void *)io->held;
}

static void issue(struct vbd_io *io)
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
        io_uring_prep_read(sqe, fd, h->at, (unsigned)h->left, h->offset);
        break;
    case VBD_IO_WRITE:
        io_uring_prep_write(sqe, fd, h->at, (unsigned)h->left, h->offset);
        break;
    case VBD_IO_FLUSH:
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
        break;
    }
    io_uring_sqe_set_data(sqe, &h->entry);
}

/* A short transfer goes on behind what was done; none at all means the file has shrunk. */
static void completed(struct vbd_loop_entry *entry, int result, uint32_t flags)
{
    struct vbd_io *io = VBD_CONTAINER(entry, struct vbd_io, held);
    struct held *h = held_of(io);
    bool again = (result == -EAGAIN || result == -EINTR) && ++h->again < AGAIN_MAX;

    (void)flags;
    if (io->op == VBD_IO_FLUSH || (result < 0 && !again)) {
        io->done(io, result < 0 ? result : 0);
        return;
    }
    if (result == 0 || (size_t)(result > 0 ? result : 0) > h->left) {
        io->done(io, -EIO);
        return;
    }
    if (result > 0) {
        h->at += result;
        h->left -= (size_t)result;
        h->offset += (uint64_t)result;
    }
    if (h->left == 0)
        io->done(io, 0);
    else
        issue(io);
}

static void submit(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    struct channel *c = VBD_CONTAINER(channel, struct channel, channel);

    for (size_t i = 0; i < count; i++) {
        struct held *h = held_of(ios[i]);

        h->entry.completed = completed;
        h->channel = c;
        h->at = ios[i]->memory.base;
        h->left = ios[i]->memory.len;
        h->offset = ios[i]->offset;
        h->again = 0;
        issue(ios[i]);
    }
}

static void close_channel(struct vbd_channel *channel)
{
    free(VBD_CONTAINER(channel, struct channel, channel));
}

static const struct vbd_channel_ops channel_ops = {
    .struct_size = sizeof channel_ops, .submit = submit, .close = close_channel};

static int open_channel(struct vbd_storage *storage, void *loop, struct vbd_channel **ret)
{
    struct channel *c = calloc(1, sizeof *c);

    if (c == NULL)
        return -ENOMEM;
    c->channel.ops = &channel_ops;
    c->file = VBD_CONTAINER(storage, struct file, storage);
    c->loop = loop;
    *ret = &c->channel;
    return 0;
}

static void close_file(struct vbd_storage *storage)
{
    struct file *f = VBD_CONTAINER(storage, struct file, storage);

    (void)close(f->fd);
    free(f);
}

static const struct vbd_storage_ops storage_ops = {
    .struct_size = sizeof storage_ops, .open_channel = open_channel, .close = close_file};

/* --- opening --- */

static int examine_device(int fd, const char *path, struct vbd_storage_info *info,
                          struct vbd_error *why)
{
    unsigned physical = 512;
    int locked = 0;

    if (ioctl(fd, BLKGETSIZE64, &info->bytes) < 0 || ioctl(fd, BLKPBSZGET, &physical) < 0 ||
        ioctl(fd, BLKROGET, &locked) < 0)
        return vbd_fail(why, -errno, "params: cannot ask \"%s\" for its size: %s", path,
                        strerror(errno));
    if (locked && !info->read_only)
        return vbd_fail(why, -EROFS, "params: \"%s\" is a read-only device; use mode=r", path);
    info->physical_sector = physical;
    return 0;
}

static int examine(int fd, const char *path, struct vbd_storage_info *info, struct vbd_error *why)
{
    struct stat st;
    int r = 0;

    if (fstat(fd, &st) < 0)
        return vbd_fail(why, -errno, "params: cannot examine \"%s\": %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return vbd_fail(why, -EISDIR, "params: \"%s\" is a directory", path);
    info->physical_sector = 512;
    if (S_ISBLK(st.st_mode))
        r = examine_device(fd, path, info, why);
    else if (S_ISREG(st.st_mode))
        info->bytes = (uint64_t)st.st_size;
    else
        return vbd_fail(why, -ENOTBLK, "params: \"%s\" is neither a file nor a block device", path);
    if (r == 0 && info->bytes == 0)
        r = vbd_fail(why, -EINVAL, "params: \"%s\" is empty", path);
    if (r == 0 && info->bytes % 512 != 0)
        r = vbd_fail(why, -EINVAL,
                     "params: the size of \"%s\", %llu bytes, is not a multiple of 512", path,
                     (unsigned long long)info->bytes);
    return r;
}

/* Guests send requests of 512 bytes: whether the storage takes those past the cache is found by
 * trying one. */
static bool takes_sectors_directly(int fd)
{
    void *page = NULL;
    bool good;

    if (posix_memalign(&page, 4096, 4096) != 0)
        return false;
    good = pread(fd, page, 512, 512) >= 0 && pread(fd, (char *)page + 512, 512, 0) == 512;
    free(page);
    return good;
}

static int open_path(const char *path, bool read_only, bool *ret_direct, struct vbd_error *why)
{
    /* O_NONBLOCK: a FIFO must not hold up the daemon; files and disks ignore it. */
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = open(path, flags | O_DIRECT);

    *ret_direct = fd >= 0;
    if (fd >= 0 && !takes_sectors_directly(fd)) {
        (void)close(fd);
        fd = -1;
        errno = EINVAL;
    }
    if (fd < 0 && errno == EINVAL) {
        *ret_direct = false;
        fd = open(path, flags);
    }
    if (fd >= 0) {
        /* io_uring answers EAGAIN for a non-blocking file where it would wait for another. */
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
        return fd;
    }
    if (errno == EISDIR)
        return vbd_fail(why, -EISDIR, "params: \"%s\" is a directory", path);
    return vbd_fail(why, -errno, "params: cannot open \"%s\"%s: %s", path,
                    read_only ? "" : " for writing", strerror(errno));
}

int vbd_file_open(const char *path, bool read_only, struct vbd_storage **ret, struct vbd_error *why)
{
    struct vbd_storage_info info = {.read_only = read_only, .memory_alignment = 512};
    struct file *f;
    int fd, r;

    fd = open_path(path, read_only, &info.direct, why);
    if (fd < 0)
        return fd;
    r = examine(fd, path, &info, why);
    f = r == 0 ? calloc(1, sizeof *f) : NULL;
    if (f == NULL) {
        (void)close(fd);
        return r < 0 ? r : vbd_fail(why, -ENOMEM, "params: no memory to open \"%s\"", path);
    }
    f->storage.ops = &storage_ops;
    f->storage.info = info;
    f->fd = fd;
    *ret = &f->storage;
    return 0;
}
