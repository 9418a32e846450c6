/* file_open.c - opens an image, and finds out what it is. Called by vbd_file_open's users; its
 * channels are in file_storage.c. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/list.h"
#include "base/text.h"
#include "linux/error.h"
#include "linux/file.h"

static void close_file(struct vbd_storage *storage)
{
    struct vbd_file *f = VBD_CONTAINER(storage, struct vbd_file, storage);

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
    struct vbd_file *f = VBD_CONTAINER(storage, struct vbd_file, storage);
    uint32_t unit = f->storage.info.logical_sector;
    struct stat st;
    uint64_t bytes = 0;
    int r = fstat(f->fd, &st) < 0 ? -errno : size_of(f->fd, &st, &bytes);

    if (r == 0)
        f->storage.info.bytes = bytes - bytes % unit;
    return r;
}

static const struct vbd_storage_ops storage_ops = {.struct_size = sizeof storage_ops,
                                                   .open_channel = vbd_file_open_channel,
                                                   .close = close_file,
                                                   .refresh = refresh};

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

/* Of a device this would tell where its node is. What was swapped out must be read all the same:
 * the price of an image that does not fit. */
static bool is_file_in_memory(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* The file system's block is what a hole is made of. */
static void examine_file(struct vbd_file *f, const struct stat *st)
{
    struct vbd_storage_info *info = &f->storage.info;

    f->in_memory = is_file_in_memory(f->fd);
    info->bytes = (uint64_t)st->st_size;
    info->physical_sector = 512;
    info->logical_sector = 512;
    info->discard = true;
    info->discard_granularity = (uint32_t)st->st_blksize;
}

static int examine(struct vbd_file *f, const char *path, struct vbd_error *why)
{
    struct vbd_storage_info *info = &f->storage.info;
    struct stat st;
    int r = 0;

    if (fstat(f->fd, &st) < 0)
        return vbd_fail(why, -errno, "params: cannot examine \"%s\": %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return vbd_fail(why, -EISDIR, "params: \"%s\" is a directory", path);
    if (S_ISBLK(st.st_mode))
        r = examine_device(f->fd, &st, path, info, why);
    else if (S_ISREG(st.st_mode))
        examine_file(f, &st);
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
    struct vbd_file opened = {
        .storage = {.ops = &storage_ops,
                    .info = {.read_only = read_only, .memory_alignment = 512, .in_place = true}}};
    struct vbd_file *f;
    int r;

    opened.fd = open_path(path, read_only, &opened.storage.info.direct, why);
    if (opened.fd < 0)
        return opened.fd;
    r = examine(&opened, path, why);
    f = r == 0 ? calloc(1, sizeof *f) : NULL;
    if (f == NULL) {
        (void)close(opened.fd);
        return r < 0 ? r : vbd_fail(why, -ENOMEM, "params: no memory to open \"%s\"", path);
    }
    *f = opened;
    *ret = &f->storage;
    return 0;
}
