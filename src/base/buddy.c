/* buddy.c - see buddy.h. */
#include "base/buddy.h"

#include <errno.h>

#include "base/memory.h"

unsigned vbd_buddy_order(uint32_t pages)
{
    return pages <= 1 ? 0 : 32 - (unsigned)__builtin_clz(pages - 1);
}

static void put(struct vbd_buddy *b, uint32_t page, unsigned order)
{
    b->free_order[page] = (uint8_t)(order + 1);
    vbd_list_append(&b->heads[order], &b->links[page]);
}

static void pull(struct vbd_buddy *b, uint32_t page)
{
    b->free_order[page] = 0;
    vbd_list_remove(&b->links[page]);
}

int vbd_buddy_init(struct vbd_buddy *b, const struct vbd_allocator *allocator, uint32_t pages)
{
    unsigned top = vbd_buddy_order(pages);

    if (pages == 0 || (pages & (pages - 1)) != 0 || top >= VBD_BUDDY_ORDERS)
        return -EINVAL;
    *b = (struct vbd_buddy){.allocator = allocator, .pages = pages};
    b->free_order = vbd_alloc(allocator, pages);
    b->links = vbd_alloc_array(allocator, pages, sizeof *b->links);
    if (b->free_order == NULL || b->links == NULL) {
        vbd_buddy_free(b);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < VBD_BUDDY_ORDERS; i++)
        vbd_list_init(&b->heads[i]);
    put(b, 0, top);
    return 0;
}

void vbd_buddy_free(struct vbd_buddy *b)
{
    if (b->allocator == NULL)
        return;
    vbd_free(b->allocator, b->free_order);
    vbd_free(b->allocator, b->links);
    b->free_order = NULL;
    b->links = NULL;
}

static int64_t take(struct vbd_buddy *b, unsigned order)
{
    unsigned at = order;
    uint32_t page;

    while (at < VBD_BUDDY_ORDERS && vbd_list_empty(&b->heads[at]))
        at++;
    if (at >= VBD_BUDDY_ORDERS)
        return VBD_BUDDY_NONE;
    page = (uint32_t)(b->heads[at].prev - b->links);
    pull(b, page);
    while (at > order) { /* the upper halves stay free */
        at--;
        put(b, page + (1u << at), at);
    }
    return page;
}

/* From small to large: each free run joins its neighbour where that is free and as long. */
static void join_all(struct vbd_buddy *b)
{
    for (unsigned order = 0; (1u << order) < b->pages; order++)
        for (uint32_t page = 0; page < b->pages; page += 2u << order) {
            uint32_t neighbour = page + (1u << order);

            if (b->free_order[page] != order + 1 || b->free_order[neighbour] != order + 1)
                continue;
            pull(b, page);
            pull(b, neighbour);
            put(b, page, order + 1);
        }
}

int64_t vbd_buddy_take(struct vbd_buddy *b, unsigned order)
{
    int64_t page = take(b, order);

    if (page < 0 && (1u << order) <= b->pages - b->taken) {
        join_all(b);
        page = take(b, order);
    }
    if (page >= 0)
        b->taken += 1u << order;
    return page;
}

void vbd_buddy_give(struct vbd_buddy *b, uint32_t page, unsigned order)
{
    b->taken -= 1u << order;
    put(b, page, order);
}
