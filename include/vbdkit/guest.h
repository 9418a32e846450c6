/* guest.h - the seam to the hypervisor on the guest's side: pages shared with another domain, and
 * event channels offered to it.
 *
 * Whoever ports a front fills in this struct; on Linux front_linux.h does. Errors are -errno.
 * Threads: all calls come on the front's one thread.
 * Sources: public/grant_table.h, public/event_channel.h.
 */
#ifndef VBDKIT_GUEST_H
#define VBDKIT_GUEST_H

#include "vbdkit/common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { VBD_GUEST_PAGE = 4096 };

struct vbd_event_channel;

struct vbd_guest {
    size_t struct_size; /* sizeof(struct vbd_guest): that of this version */
    void *ctx;          /* first argument of every call; must outlive its users */

    /* Makes `count` zeroed pages, one behind the other, that domain domid may map or copy, to read
     * and to write; their grant references go to ret_grants. Errors: -ENOMEM, -ENOSPC no grants. */
    int (*share)(void *ctx, unsigned domid, size_t count, uint32_t *ret_grants, void **ret);
    /* Takes back what share returned, also while the other side has it mapped: such pages are used
     * for nothing else until it lets go. Never fails. */
    void (*unshare)(void *ctx, void *pages, size_t count, const uint32_t *grants);

    /* Makes an event channel that domain domid may bind to. Errors: -ENOMEM, -ENOSPC no port. */
    int (*offer)(void *ctx, unsigned domid, uint32_t *ret_port, struct vbd_event_channel **ret);
    /* Closes and frees it. */
    void (*withdraw)(void *ctx, struct vbd_event_channel *channel);
    /* Sends an event to the other side. */
    void (*notify)(void *ctx, struct vbd_event_channel *channel);
    /* Takes a waiting event and lets the next one in; true when there was one. */
    bool (*take_event)(void *ctx, struct vbd_event_channel *channel);
};

#ifdef __cplusplus
}
#endif
#endif
