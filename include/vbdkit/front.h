/* front.h - libvbd's frontend: a vbd of this domain as a disk.
 *
 * A front finds its backend through xenstore, agrees with it on what both can, and is a channel
 * (storage.h) from there on: operations go in, completions come out, many at once and in any order.
 * Operations may be submitted at any time; while there is no backend they wait. When the backend
 * goes away and comes back, or the domain is resumed elsewhere, whatever was not done is sent
 * again, in the order in which it was submitted.
 *
 * A backend is not trusted: what it writes into shared memory is copied once and checked, the ring
 * and every response are held against what was asked, and a lie ends in an error.
 *
 * Threads: everything of a front belongs to one thread, the one that drives its session with
 * xenstore; callbacks come on it.
 * Sources: public/io/blkif.h, public/io/xenbus.h, docs/man/xen-vbd-interface.7.
 */
#ifndef VBDKIT_FRONT_H
#define VBDKIT_FRONT_H

#include "vbdkit/front_disk.h"
#include "vbdkit/guest.h"
#include "vbdkit/storage.h"
#include "vbdkit/xsc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The seams; kept by reference, they outlive every front made with them. */
struct vbd_front_platform {
    const struct vbd_allocator *allocator;
    struct vbd_log log;
    const struct vbd_guest *guest;
};

/* What a front asks for, as far as the backend offers it. X(field, name, default, least, most,
 * text). */
#define VBD_FRONT_OPTIONS(X)                                                                       \
    X(queues, "queues", 1, 1, 16, "rings")                                                         \
    X(ring_order, "ring-order", 2, 0, 4, "size of a ring, log2 of its pages")                      \
    X(indirect, "indirect-segments", 256, 0, 4096, "segments of a request; 0: direct ones alone")  \
    X(persistent, "persistent", 1, 0, 1, "tell the backend that it may keep pages mapped")         \
    X(pool, "pool", 256, 16, 65536, "pages of 4 KiB for data under way, for each queue")           \
    X(trusted, "trusted", 0, 0, 1, "do not clear pages before the backend reads into them")

struct vbd_front_options {
#define VBD_FRONT_OPTION_FIELD(field, name, usual, least, most, text) uint32_t field;
    VBD_FRONT_OPTIONS(VBD_FRONT_OPTION_FIELD)
#undef VBD_FRONT_OPTION_FIELD
};

/* The defaults. */
VBD_API void vbd_front_options_init(struct vbd_front_options *ret);
/* Reads "name=value,name=value" over what *o holds; a bare name means 1. -EINVAL, with a sentence
 * and *o as it was: a name that is none, a value out of range. */
VBD_API int vbd_front_options_parse(const char *text, struct vbd_front_options *o,
                                    struct vbd_error *why);

/* The disk, and what was agreed on. */
struct vbd_front_info {
    struct vbd_front_disk disk;
    uint32_t physical_sector; /* bytes */
    bool cdrom, removable;
    uint32_t discard_granularity, discard_alignment; /* bytes */
    bool persistent;                                 /* agreed */
    uint32_t ring_pages;                             /* of each queue */
    uint32_t queues;
    unsigned backend_domid;
};

struct vbd_front;

enum vbd_front_event {
    VBD_FRONT_CONNECTED, /* also again, after _AWAY */
    VBD_FRONT_RESIZED,   /* vbd_front_info has the new size */
    VBD_FRONT_AWAY,      /* there is no backend; operations wait for the next one */
    VBD_FRONT_FAILED,    /* it lied, or can't be used: all operations are done with an error, later
                            ones are done with it at once; vbd_front_why says what happened */
    VBD_FRONT_CLOSED     /* after vbd_front_disconnect: call vbd_front_free */
};

struct vbd_front_config {
    uint32_t vdev;
    /* Of the domain in xenstore, with a slash at its end, kept by reference; NULL: our own. */
    const char *home;
    const struct vbd_front_options *options; /* NULL: the defaults */
    /* Called from inside the session, vbd_front_process or vbd_front_poll; may submit operations
     * and call vbd_front_disconnect. */
    void (*event)(void *ctx, struct vbd_front *front, enum vbd_front_event event);
    void *ctx;
};

/* Begins to connect this domain's vbd `vdev`: device/vbd/VDEV, relative to the domain. Errors:
 * -EINVAL an option is out of its range, or the guest's struct is of another version (struct_size),
 * -ENOMEM, -ENOTCONN. Everything that goes wrong later is told by an event. */
VBD_API int vbd_front_connect(const struct vbd_front_platform *platform, struct xsc *x,
                              const struct vbd_front_config *config, struct vbd_front **ret);
/* Closes by the book: operations under way are done first, then the backend is told. The event is
 * VBD_FRONT_CLOSED, also where that fails. */
VBD_API void vbd_front_disconnect(struct vbd_front *front);
/* Gives everything back, at any time; operations not done are done with -ECANCELED, and the backend
 * is left to see for itself. NULL is fine. */
VBD_API void vbd_front_free(struct vbd_front *front);
/* The domain is going to be saved: gives rings, grants and event channels back at once, and does
 * nothing until vbd_front_resume. Operations wait. The event is VBD_FRONT_AWAY, if it was
 * connected.
 */
VBD_API void vbd_front_suspend(struct vbd_front *front);
/* The domain was resumed elsewhere: grants, event channels and the backend are not those of before.
 * To be called after xsc_resume. */
VBD_API void vbd_front_resume(struct vbd_front *front);

/* Valid while connected. */
VBD_API const struct vbd_front_info *vbd_front_info(const struct vbd_front *front);
/* Why the front failed or waits, one sentence. Valid until the next event. */
VBD_API const char *vbd_front_why(const struct vbd_front *front);
/* What operations are done with since VBD_FRONT_FAILED, -errno; 0 before. */
VBD_API int vbd_front_error(const struct vbd_front *front);
/* Where operations go. Valid until vbd_front_free. An operation whose offset and length are no
 * logical sectors within the disk is done with -EINVAL; a write to a read-only disk with -EROFS;
 * what the backend can't do with -EOPNOTSUPP; what it refused with -EIO; what was under way when it
 * lied with -EPROTO. VBD_IO_ZERO and VBD_IO_BARRIER are made of other operations where the backend
 * has none. A flush covers every write that was done before it was submitted; a barrier all that
 * was submitted before it, to whichever queue. A barrier that the backend has is as strong as that
 * one: Linux' makes what was before it stable, and not its own data. What is sent again to another
 * backend may be done twice: writes that overlap and are under way at once end in any order. */
VBD_API struct vbd_channel *vbd_front_channel(struct vbd_front *front);
/* To be called when events may have come, see vbd_guest, and after operations were submitted: it
 * sends them. True when there is more to do at once. From a callback of an operation it does
 * nothing. */
VBD_API bool vbd_front_process(struct vbd_front *front);

/* The same, but no event has to be there, and the backend is asked for none: for whoever looks
 * again and again with vbd_front_waits, and calls vbd_front_process before waiting for an event. */
VBD_API bool vbd_front_poll(struct vbd_front *front);

/* True when responses have come that vbd_front_process would take: for looking, before waiting for
 * an event. */
VBD_API bool vbd_front_waits(const struct vbd_front *front);

/* How many requests the backend has and has not answered. */
VBD_API uint32_t vbd_front_under_way(const struct vbd_front *front);

/* Memory that the backend reaches directly: operations on it are not copied, as long as the
 * connection lasts for which it was made; after that they work, with copies. The backend may change
 * it as long as an operation on it is under way, and read it until it is freed. Zeroed, page
 * aligned. Errors: -ENOTCONN not connected, -ENOMEM, -ENOSPC no grants. */
VBD_API int vbd_front_buffer_new(struct vbd_front *front, size_t bytes, void **ret);
/* Frees it; no operation uses it. */
VBD_API void vbd_front_buffer_free(struct vbd_front *front, void *buffer);

/* Of all queues, since the front was made. */
VBD_API void vbd_front_count(const struct vbd_front *front, struct vbd_front_counters *ret);

/* --- which vbds there are --- */

/* A vbd of this domain. Strings belong to the list. */
struct vbd_front_device {
    uint32_t vdev;
    unsigned backend_domid;
    const char *backend; /* its directory */
    const char *params;  /* the image; "" where it can't be read */
};

struct vbd_front_list {
    size_t count;
    const struct vbd_front_device *devices; /* by vdev */
};

/* Lists the vbds of `home` (as in vbd_front_config) that have a backend. `done` is called once,
 * with 0 and the list, valid during the call, or with -errno. Returns 0, or -errno when `done` will
 * not be called: -ENOMEM, -ENOTCONN, -EINVAL a home too long. */
VBD_API int
vbd_front_enumerate(const struct vbd_allocator *allocator, struct xsc *x, const char *home,
                    void (*done)(void *ctx, int error, const struct vbd_front_list *list),
                    void *ctx);
/* Which vbd a person means, tried in this order: a device number ("51712") or name ("xvda",
 * "/dev/xvda1", "sda", "hda", "d1p2") of a vbd that there is; the params of its image, or the end
 * of them, when one vbd alone has those. Errors, with a sentence that lists the candidates: -ENODEV
 * none, -ENOTUNIQ more than one; *ret is left alone then. */
VBD_API int vbd_front_choose(const struct vbd_front_list *list, const char *name, uint32_t *ret,
                             struct vbd_error *why);

#ifdef __cplusplus
}
#endif

#endif
