/* storage.h - the seam to storage: submit a batch, get completions.
 *
 * A storage is opened once per disk; each queue opens a channel of its own on it and uses that from
 * one thread. The Linux file and block device storage is in vbd_linux.h.
 */
#ifndef VBDKIT_STORAGE_H
#define VBDKIT_STORAGE_H

#include "vbdkit/common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum vbd_io_op {
    VBD_IO_READ,
    VBD_IO_WRITE,
    VBD_IO_FLUSH,   /* completes when everything written before is on stable storage */
    VBD_IO_DISCARD, /* gives the range's blocks back; it reads as zeroes or as anything */
    /* Of a front's channel (front.h) alone; a backend never submits them. */
    VBD_IO_BARRIER, /* a write; everything before it is on stable storage first, then this */
    VBD_IO_ZERO     /* makes the range zeroes; no memory */
};

/* A run of memory; the same layout as POSIX' struct iovec. */
struct vbd_iovec {
    void *base;
    size_t len;
};

/* One operation. The submitter owns it and its memory, and leaves both alone until `done`. */
struct vbd_io {
    enum vbd_io_op op;
    bool secure;     /* discard: what was there must not be readable on the medium either */
    uint64_t offset; /* bytes, a multiple of 512 */
    uint64_t length; /* bytes; of a read or write the sum of its memory's */
    struct vbd_iovec *memory; /* of a read or write; the storage may change the array */
    uint32_t memory_count;
    /* Called once, on the channel's thread: 0, or -errno. Short transfers do not happen here.
     * -EOPNOTSUPP: the storage can't do it after all. */
    void (*done)(struct vbd_io *io, int result);
    /* For the storage's own use, while it holds the operation. */
    void *held[6];
};

struct vbd_storage_info {
    uint64_t bytes;            /* a multiple of 512 */
    uint32_t logical_sector;   /* bytes; what offsets and lengths must be a multiple of */
    uint32_t physical_sector;  /* bytes; writes of this size and alignment are cheapest */
    uint32_t memory_alignment; /* bytes; what each `base` must be a multiple of */
    bool read_only;
    bool direct; /* the page cache is bypassed; for people */
    /* A read may go into pages that a guest can read and change meanwhile: what is there is only
     * ever written, by the kernel or a device. A layer that looks at the data, or changes it, says
     * false, and gets memory that nobody else sees. */
    bool in_place;
    bool discard, secure_discard;
    uint32_t discard_granularity; /* bytes; smaller ranges give nothing back */
    uint32_t discard_alignment;   /* bytes from the beginning to the first whole granule */
};

struct vbd_channel;
struct vbd_storage;

struct vbd_channel_ops {
    size_t struct_size;
    /* Takes `count` operations, in order. Their completions come later, or from inside the call. */
    void (*submit)(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count);
    /* Closes a channel that has no operation under way. */
    void (*close)(struct vbd_channel *channel);
};

struct vbd_channel {
    const struct vbd_channel_ops *ops;
};

struct vbd_storage_ops {
    size_t struct_size;
    /* Opens a channel on the calling thread. `loop` is the runner's, see runner.h. -errno. */
    int (*open_channel)(struct vbd_storage *storage, void *loop, struct vbd_channel **ret);
    /* Closes a storage without channels. */
    void (*close)(struct vbd_storage *storage);
    /* Looks at the size again and updates info.bytes. Control thread, with channels open. NULL: the
     * size never changes. -errno. */
    int (*refresh)(struct vbd_storage *storage);
};

struct vbd_storage {
    const struct vbd_storage_ops *ops;
    struct vbd_storage_info info;
};

#ifdef __cplusplus
}
#endif
#endif
