/* layers.h - storage over storage: a layer is a storage that passes everything on to the storage
 * below, and does one thing on the way. For tests of whatever stands above or below, and for
 * finding out what reaches a disk.
 *
 * Ownership: a layer owns the storage below from the call that made it on, and closes it when it is
 * closed itself (layer->ops->close). Where the call fails, the storage below stays the caller's.
 * Layers may be stacked. A layer's info is that of the storage below.
 *
 * Threads: a layer is made and closed on the control thread, like any storage. A channel belongs to
 * its queue's thread. The allocator is used on the threads of the channels.
 *
 * Memory: a layer has a small struct of its own for each operation under way, which it keeps for
 * the next one until the channel is closed. Where there is none to be had, the operation is
 * answered with -ENOMEM and does not reach the storage below.
 */
#ifndef VBDKIT_LAYERS_H
#define VBDKIT_LAYERS_H

#include "vbdkit/storage.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- log: the stream of changes, as the storage below sees it --- */

enum vbd_logged_event {
    VBD_LOGGED_SUBMITTED, /* recorded before the storage below gets the operation */
    VBD_LOGGED_COMPLETED  /* recorded before the one above hears of it */
};

/* One entry. Writes, flushes and discards have two each; reads have none. */
struct vbd_logged {
    size_t struct_size;
    enum vbd_logged_event event;
    uint64_t number;    /* its place in the one order of all channels' entries, from 0 */
    uint64_t submitted; /* the number of the operation's first entry: joins the two */
    uint32_t channel;   /* which of the layer's, from 0, in the order of their opening */
    enum vbd_io_op op;
    bool secure;                    /* of a discard */
    uint64_t offset, length;        /* bytes; 0 of a flush */
    const struct vbd_iovec *memory; /* a submitted write: its data; valid during the call only */
    uint32_t memory_count;
    int result; /* completed: 0 or -errno */
};

/* Where entries go; the caller's, and valid until the layer is closed.
 *
 * The channels of several queues share one order: each entry gets its number and is recorded
 * between `lock` and `unlock`, so a number that is larger was recorded later. Both are NULL when
 * all channels are used on one thread. `record` must not block for long and must not call into the
 * storage.
 *
 * What the order says: an operation was with the storage below at most between its two entries. So
 * when a write's second entry is before a flush's first, the flush covers the write. */
struct vbd_log_sink {
    size_t struct_size;
    void *ctx; /* handed back as first argument */
    void (*lock)(void *ctx);
    void (*unlock)(void *ctx);
    void (*record)(void *ctx, const struct vbd_logged *entry);
};

/* Makes a log over `below`. Errors: -EINVAL no `record`, or one of lock and unlock only; -ENOMEM.
 */
VBD_API int vbd_log_layer_new(const struct vbd_allocator *allocator, struct vbd_storage *below,
                              const struct vbd_log_sink *sink, struct vbd_storage **ret);

/* --- error: operations that fail --- */

/* Which operations fail. They are counted from 1 over all channels; a kind that is not meant is
 * not counted. With several threads, which one gets which number is chance. */
struct vbd_error_rule {
    size_t struct_size;
    uint32_t kinds;       /* which are meant: bits 1 << enum vbd_io_op */
    uint64_t nth;         /* this one fails; 0: none for its number */
    uint32_t per_million; /* and this part of them, picked by their number and `seed` */
    uint64_t seed;
    int error; /* what they are answered with: -errno */
    bool done; /* fails after the storage below has done it; else it never gets there */
};

/* Makes a layer over `below` that fails operations by a rule, which is copied. Errors: -EINVAL an
 * `error` that is not negative, or more than a million in a million; -ENOMEM. */
VBD_API int vbd_error_layer_new(const struct vbd_allocator *allocator, struct vbd_storage *below,
                                const struct vbd_error_rule *rule, struct vbd_storage **ret);

#ifdef __cplusplus
}
#endif
#endif
