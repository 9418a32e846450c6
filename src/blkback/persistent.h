/* persistent.h - grants that stay mapped ("feature-persistent" in blkif.h): a front that keeps its
 * grants sends the same pages again and again, so mapping one pays many times.
 *
 * Used by guest_memory, which copies through a page at once and keeps no pointer to it, and by
 * in_place, which holds a page while the storage reads into it: any other may be unmapped
 * meanwhile. When the limit is reached, the least recently used one goes if it was idle for 1 s,
 * and all that were idle for a minute go on their own.
 */
#ifndef BLKBACK_PERSISTENT_H
#define BLKBACK_PERSISTENT_H

#include "base/list.h"
#include "vbdkit/hypervisor.h"
#include "vbdkit/queue.h"

struct vbd_persistent_page;

struct vbd_persistent {
    const struct vbd_allocator *allocator;
    const struct vbd_hypervisor *hypervisor;
    struct vbd_counters *counters;
    unsigned domid;
    void *mappings; /* the hypervisor's, for these pages alone; NULL before the first */
    uint32_t limit, count;
    uint64_t pause_until;              /* nothing is mapped before: it failed */
    struct vbd_persistent_page *pages; /* `limit` */
    struct vbd_persistent_page **hash;
    uint32_t hash_mask;
    struct vbd_list used; /* the least recently used first */
    struct vbd_list unused;
};

/* At most `limit` grants; 0 makes one that never has a page. -ENOMEM. */
int vbd_persistent_init(struct vbd_persistent *p, const struct vbd_allocator *allocator,
                        const struct vbd_hypervisor *hypervisor, unsigned domid, uint32_t limit,
                        struct vbd_counters *counters);
/* Unmaps all but what is held. The queue's thread, or after it is over. */
void vbd_persistent_unmap(struct vbd_persistent *p);
/* The same with those that are held, and frees it: the storage is closed. */
void vbd_persistent_free(struct vbd_persistent *p);
/* The page of a grant, mapped now or earlier, until the next call; NULL when it can't be mapped for
 * writing, or there are too many. */
char *vbd_persistent_page(struct vbd_persistent *p, uint32_t grant, uint64_t now);
/* The same, and it stays mapped until vbd_persistent_let_go was called as often. */
char *vbd_persistent_hold(struct vbd_persistent *p, uint32_t grant, uint64_t now);
void vbd_persistent_let_go(struct vbd_persistent *p, uint32_t grant);
/* Unmaps what was idle for a minute. */
void vbd_persistent_expire(struct vbd_persistent *p, uint64_t now);
/* When there will be something to unmap; 0: never. */
uint64_t vbd_persistent_deadline(const struct vbd_persistent *p);

#endif
