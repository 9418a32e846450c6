/* pool.c - see pool.h. */
#include "blkfront/pool.h"

#include <errno.h>

#include "base/memory.h"

int vbd_pool_open(struct vbd_pool *p, const struct vbd_allocator *a, const struct vbd_guest *guest,
                  unsigned domid, uint32_t pages)
{
    void *memory;
    int r;

    *p = (struct vbd_pool){.grants = vbd_alloc_array(a, pages, sizeof *p->grants),
                           .next = vbd_alloc_array(a, pages, sizeof *p->next)};
    r = p->grants == NULL || p->next == NULL
            ? -ENOMEM
            : guest->share(guest->ctx, domid, pages, p->grants, &memory);
    if (r < 0) {
        vbd_free(a, p->grants);
        vbd_free(a, p->next);
        *p = (struct vbd_pool){0};
        return r;
    }
    p->memory = memory;
    p->count = p->free_count = pages;
    for (uint32_t i = 0; i < pages; i++)
        p->next[i] = i + 1 < pages ? i + 1 : VBD_NO_PAGE;
    return 0;
}

void vbd_pool_close(struct vbd_pool *p, const struct vbd_allocator *a,
                    const struct vbd_guest *guest)
{
    if (p->memory != NULL)
        guest->unshare(guest->ctx, p->memory, p->count, p->grants);
    vbd_free(a, p->grants);
    vbd_free(a, p->next);
    *p = (struct vbd_pool){0};
}

uint32_t vbd_pool_take(struct vbd_pool *p, uint32_t *chain, uint32_t *tail)
{
    uint32_t page = p->free;

    p->free = p->next[page];
    p->free_count--;
    p->next[page] = VBD_NO_PAGE;
    if (*chain == VBD_NO_PAGE)
        *chain = page;
    else
        p->next[*tail] = page;
    *tail = page;
    return page;
}

void vbd_pool_give(struct vbd_pool *p, uint32_t chain)
{
    while (chain != VBD_NO_PAGE) {
        uint32_t next = p->next[chain];

        p->next[chain] = p->free;
        p->free = chain;
        p->free_count++;
        chain = next;
    }
}
