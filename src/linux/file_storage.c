/* file_storage.c - storage on a regular file or a block device through io_uring. Called through the
 * storage seam; a channel lives on its queue's thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/list.h"
#include "base/text.h"
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
    ALONE_BYTES = 1 << 16
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
    case VBD_IO_WRITE:
        prepare_data(sqe, io->op, h);
        break;
    case VBD_IO_FLUSH:
        io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
        break;
    case VBD_IO_DISCARD:
        io_uring_prep_fallocate(sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                (off_t)h->offset, (off_t)h->left);
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

/* A short transfer goes on behind what was done; none at all means the file has shrunk. */
static void completed(struct vbd_loop_entry *entry, int result, uint32_t flags)
{
    struct vbd_io *io = VBD_CONTAINER(entry, struct vbd_io, held);
    struct held *h = held_of(io);
    bool again = (result == -EAGAIN || result == -EINTR) && ++h->again < AGAIN_MAX;
    bool moves = io->op == VBD_IO_READ || io->op == VBD_IO_WRITE;

    (void)flags;
    if (again) {
        issue(io);
        return;
    }
    if (!moves || result < 0) {
        io->done(io, result < 0 ? result : 0);
        return;
    }
    if (result == 0 || (uint64_t)result > h->left) {
        io->done(io, -EIO);
        return;
    }
    advance(h, (size_t)result);
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

        *h = (struct held){.entry = {completed},
                           .channel = c,
                           .at = ios[i]->memory,
                           .count = ios[i]->memory_count,
                           .left = ios[i]->length,
                           .offset = ios[i]->offset};
        if (ios[i]->secure || ios[i]->op > VBD_IO_DISCARD)
            ios[i]->done(ios[i], -EOPNOTSUPP);
        else
            issue(ios[i]);
        if (ios[i]->length >= ALONE_BYTES)
            (void)vbd_loop_submit(c->loop);
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

static int size_of(int fd, const struct stat *st, uint64_t *ret)
{
    if (S_ISBLK(st->st_mode))
        return ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
    *ret = (uint64_t)st->st_size;
    return 0;
}

/* What is over after the last whole sector is not the guest's. */
static int refresh(struct vbd_storage *storage)
{
    struct file *f = VBD_CONTAINER(storage, struct file, storage);
    uint32_t unit = f->storage.info.logical_sector;
    struct stat st;
    uint64_t bytes = 0;
    int r = fstat(f->fd, &st) < 0 ? -errno : size_of(f->fd, &st, &bytes);

    if (r == 0)
        f->storage.info.bytes = bytes - bytes % unit;
    return r;
}

static const struct vbd_storage_ops storage_ops = {.struct_size = sizeof storage_ops,
                                                   .open_channel = open_channel,
                                                   .close = close_file,
                                                   .refresh = refresh};

/* --- opening --- */

/* The number in a file below the device's directory in sysfs; false when it is not there. */
static bool read_limit(const struct stat *st, const char *file, uint64_t *ret)
{
    char path[128], line[32];
    FILE *f;
    bool good;

    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s", major(st->st_rdev),
                   minor(st->st_rdev), file);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    good = fgets(line, sizeof line, f) != NULL &&
           vbd_parse_u64(line, strcspn(line, "\n"), UINT64_MAX, ret);
    (void)fclose(f);
    return good;
}

/* Of the queue, which for a partition is that of the whole disk; 0 when it is not there. */
static uint64_t queue_limit(const struct stat *st, const char *name)
{
    char own[64], disk[64];
    uint64_t n = 0;

    (void)snprintf(own, sizeof own, "queue/%s", name);
    (void)snprintf(disk, sizeof disk, "../queue/%s", name);
    return read_limit(st, own, &n) || read_limit(st, disk, &n) ? n : 0;
}

/* A discard is done as a hole, which the kernel makes of a device by a command to write zeroes that
 * may give blocks back: a device without that command can't, even where it discards. */
static void examine_discard(const struct stat *st, struct vbd_storage_info *info)
{
    uint64_t alignment = 0;

    info->discard_granularity = (uint32_t)queue_limit(st, "discard_granularity");
    if (read_limit(st, "discard_alignment", &alignment))
        info->discard_alignment = (uint32_t)alignment;
    info->discard = info->discard_granularity > 0 && queue_limit(st, "discard_max_bytes") > 0 &&
                    queue_limit(st, "write_zeroes_max_bytes") > 0;
}

static int examine_device(int fd, const struct stat *st, const char *path,
                          struct vbd_storage_info *info, struct vbd_error *why)
{
    unsigned physical = 512;
    int locked = 0, logical = 512;

    if (size_of(fd, st, &info->bytes) < 0 || ioctl(fd, BLKPBSZGET, &physical) < 0 ||
        ioctl(fd, BLKSSZGET, &logical) < 0 || ioctl(fd, BLKROGET, &locked) < 0)
        return vbd_fail(why, -errno, "params: cannot ask \"%s\" for its size: %s", path,
                        strerror(errno));
    if (locked && !info->read_only)
        return vbd_fail(why, -EROFS, "params: \"%s\" is a read-only device; use mode=r", path);
    info->physical_sector = physical;
    info->logical_sector = (uint32_t)logical;
    examine_discard(st, info);
    return 0;
}

/* The file system's block is what a hole is made of. */
static void examine_file(const struct stat *st, struct vbd_storage_info *info)
{
    info->bytes = (uint64_t)st->st_size;
    info->physical_sector = 512;
    info->logical_sector = 512;
    info->discard = true;
    info->discard_granularity = (uint32_t)st->st_blksize;
}

static int examine(int fd, const char *path, struct vbd_storage_info *info, struct vbd_error *why)
{
    struct stat st;
    int r = 0;

    if (fstat(fd, &st) < 0)
        return vbd_fail(why, -errno, "params: cannot examine \"%s\": %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return vbd_fail(why, -EISDIR, "params: \"%s\" is a directory", path);
    if (S_ISBLK(st.st_mode))
        r = examine_device(fd, &st, path, info, why);
    else if (S_ISREG(st.st_mode))
        examine_file(&st, info);
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

/* Guests send requests of one logical sector: whether the storage takes those past the cache is
 * found by trying one. */
static bool takes_sectors_directly(int fd)
{
    void *pages = NULL;
    int unit = 512;
    bool good;

    if (ioctl(fd, BLKSSZGET, &unit) < 0 || unit > 4096)
        unit = 512;
    if (posix_memalign(&pages, 4096, 8192) != 0)
        return false;
    good = pread(fd, pages, (size_t)unit, unit) >= 0 &&
           pread(fd, (char *)pages + unit, (size_t)unit, 0) == unit;
    free(pages);
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
