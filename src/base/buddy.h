/* buddy.h - runs of pages out of one region, each a power of two long: what a queue's buffers are
 * taken from. Runs that were given back stay as they are, for the next of their length; they join
 * their neighbours when a longer one is wanted, so an empty region is always whole.
 *
 * Used by blkback's admission. Deals in page numbers; the region itself is the caller's.
 */
#ifndef BASE_BUDDY_H
#define BASE_BUDDY_H

#include <stdint.h>

#include "base/list.h"
#include "vbdkit/common.h"

enum { VBD_BUDDY_ORDERS = 24, VBD_BUDDY_NONE = -1 };

struct vbd_buddy {
    const struct vbd_allocator *allocator;
    uint32_t pages, taken;
    uint8_t *free_order;    /* by page: 1 + the order of the free run that begins there, or 0 */
    struct vbd_list *links; /* by page: of free runs */
    struct vbd_list heads[VBD_BUDDY_ORDERS];
};

/* The least order whose run holds this many pages, of which there is at least one. */
unsigned vbd_buddy_order(uint32_t pages);
/* A region of `pages` pages, a power of two; all free. Errors: -EINVAL, -ENOMEM. */
int vbd_buddy_init(struct vbd_buddy *b, const struct vbd_allocator *allocator, uint32_t pages);
void vbd_buddy_free(struct vbd_buddy *b);
/* The first page of a run of 2^order pages, or VBD_BUDDY_NONE. The run given back last comes first.
 */
int64_t vbd_buddy_take(struct vbd_buddy *b, unsigned order);
void vbd_buddy_give(struct vbd_buddy *b, uint32_t page, unsigned order);

#endif
