/* pool.h - pages that the back may use, all of them shared when the queue is made: those used last
 * are used next, so that a back which keeps them mapped, and the processor's cache, have them.
 *
 * Pages of one request are a chain. Called by the queue and by split and complete.
 */
#ifndef BLKFRONT_POOL_H
#define BLKFRONT_POOL_H

#include "vbdkit/guest.h"

enum { VBD_NO_PAGE = UINT32_MAX };

struct vbd_pool {
    char *memory;
    uint32_t *grants; /* of each page */
    uint32_t *next;   /* in its chain, or among the free ones */
    uint32_t free;    /* the first of them */
    uint32_t free_count, count;
};

/* Errors: -ENOMEM, those of share. */
int vbd_pool_open(struct vbd_pool *p, const struct vbd_allocator *a, const struct vbd_guest *guest,
                  unsigned domid, uint32_t pages);
void vbd_pool_close(struct vbd_pool *p, const struct vbd_allocator *a,
                    const struct vbd_guest *guest);
/* Takes a page and hangs it behind *tail, or makes it the chain's first; there is one free. */
uint32_t vbd_pool_take(struct vbd_pool *p, uint32_t *chain, uint32_t *tail);
/* Gives a whole chain back; VBD_NO_PAGE is none. */
void vbd_pool_give(struct vbd_pool *p, uint32_t chain);

static inline char *vbd_pool_page(const struct vbd_pool *p, uint32_t page)
{
    return p->memory + (size_t)page * VBD_GUEST_PAGE;
}

#endif
