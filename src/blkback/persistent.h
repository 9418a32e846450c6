/* persistent.h - grants that stay mapped ("feature-persistent" in blkif.h): a front that keeps its
 * grants sends the same pages again and again, so mapping one pays many times.
 *
 * Used by guest_memory, which copies through these pages at once and keeps no pointer to one: any
 * may be unmapped between two copies. The least recently used one goes when the limit is reached,
 * and all that were idle for a while go on their own.
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
    uint32_t limit, count;
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
/* Unmaps all. */
void vbd_persistent_free(struct vbd_persistent *p);
/* The page of a grant, mapped now or earlier; NULL when it can't be mapped for writing. */
char *vbd_persistent_page(struct vbd_persistent *p, uint32_t grant, uint64_t now);
/* Unmaps what was idle for a minute. */
void vbd_persistent_expire(struct vbd_persistent *p, uint64_t now);
/* When there will be something to unmap; 0: never. */
uint64_t vbd_persistent_deadline(const struct vbd_persistent *p);

#endif
