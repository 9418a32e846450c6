/* hypervisor.h - the seam to the hypervisor: grants of another domain's memory, and event channels.
 *
 * Whoever ports libvbd fills in this struct; on Linux vbd_linux.h does. Errors are -errno.
 * Sources: public/grant_table.h, public/event_channel.h.
 */
#ifndef VBDKIT_HYPERVISOR_H
#define VBDKIT_HYPERVISOR_H

#include "vbdkit/common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum vbd_copy_direction { VBD_COPY_FROM_GUEST, VBD_COPY_TO_GUEST };

/* One piece of a copy: within one granted page. */
struct vbd_grant_copy {
    void *local;     /* this side, any alignment, len bytes */
    uint32_t grant;  /* grant reference of the guest */
    uint16_t offset; /* bytes into the granted page */
    uint16_t len;    /* bytes; offset + len is at most 4096 */
    int16_t status;  /* out, where a piece failed: 0, or why it did (GNTST_*, negative) */
};

/* A bound event channel; what it is, the platform knows. */
struct vbd_event_channel;

struct vbd_hypervisor {
    size_t struct_size; /* sizeof(struct vbd_hypervisor): that of this version */
    void *ctx;          /* first argument of every call; must outlive its users */

    /* Maps `count` pages that domain domid granted, one behind the other. Any thread. `ctx` is also
     * what open_mappings returned. Errors: -EINVAL or -EIO for a grant that is not ours to map,
     * -ENOMEM. */
    int (*map)(void *ctx, unsigned domid, const uint32_t *grants, size_t count, bool writable,
               void **ret);
    /* Takes back what map returned, with the same ctx and count. Any thread. Never fails. */
    void (*unmap)(void *ctx, void *address, size_t count);
    /* Copies `count` pieces in one call. The queue's thread. Returns how many failed; where some
     * did, each piece has its status, otherwise none. -errno: the call failed as a whole. */
    int (*copy)(void *ctx, unsigned domid, enum vbd_copy_direction direction,
                struct vbd_grant_copy *pieces, size_t count);

    /* Binds to the port that domain domid offers. Control thread. Errors: -EINVAL no such port or
     * taken, -ENOMEM. */
    int (*bind)(void *ctx, unsigned domid, uint32_t remote_port, struct vbd_event_channel **ret);
    /* Unbinds and frees. Control thread, after the queue's thread has let go of it. */
    void (*unbind)(void *ctx, struct vbd_event_channel *channel);
    /* Sends an event to the other side. The queue's thread. */
    int (*notify)(void *ctx, struct vbd_event_channel *channel);
    /* What a runner waits on: on Linux a descriptor that polls readable while an event waits. */
    int (*wait_handle)(void *ctx, struct vbd_event_channel *channel);
    /* Takes a waiting event and lets the next one in; true when there was one. The queue's thread.
     */
    bool (*take_event)(void *ctx, struct vbd_event_channel *channel);

    /* The pages that all queues keep mapped: their number, which only the queues change, and how
     * many there may be, so that there is room for other mappings. NULL: no limit but theirs. */
    uint32_t *kept;
    uint32_t kept_max;
    /* Mapped pages are as good as any memory for a storage to read into, which they are without
     * Xen. Otherwise what is read is copied into them. */
    bool in_place;
    /* Room for one queue's own mappings, so that it waits for nothing others map or unmap: *ret is
     * the first argument of map and unmap then. The queue's thread. NULL: `ctx` serves all.
     * Errors: -ENOMEM, -EMFILE or whatever the platform says. */
    int (*open_mappings)(void *ctx, void **ret);
    /* Frees it, when all was unmapped. The queue's thread, or after it is over. Never fails. */
    void (*close_mappings)(void *mappings);
};

#ifdef __cplusplus
}
#endif
#endif
