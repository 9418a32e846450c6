/* persistent.c - see persistent.h. */
#include "blkback/persistent.h"

#include <errno.h>

#include "base/memory.h"
#include "blkback/queue.h"

static const uint64_t idle_ns = 60000000000u;

enum { MAP_CALLS = 2, UNMAP_CALLS = 3 /* system calls that libxengnttab makes for a page */ };

struct vbd_persistent_page {
    struct vbd_list link;
    struct vbd_persistent_page *next; /* of the same hash */
    void *address;
    uint64_t used_at;
    uint32_t grant;
};

static struct vbd_persistent_page **bucket(struct vbd_persistent *p, uint32_t grant)
{
    return &p->hash[grant * 2654435761u >> 7 & p->hash_mask];
}

static uint32_t hash_size(uint32_t limit)
{
    uint32_t size = 16;

    while (size < limit)
        size *= 2;
    return size;
}

int vbd_persistent_init(struct vbd_persistent *p, const struct vbd_allocator *allocator,
                        const struct vbd_hypervisor *hypervisor, unsigned domid, uint32_t limit,
                        struct vbd_counters *counters)
{
    *p = (struct vbd_persistent){.allocator = allocator,
                                 .hypervisor = hypervisor,
                                 .counters = counters,
                                 .domid = domid,
                                 .limit = limit,
                                 .hash_mask = hash_size(limit) - 1};
    vbd_list_init(&p->used);
    vbd_list_init(&p->unused);
    if (limit == 0)
        return 0;
    p->pages = vbd_alloc_array(allocator, limit, sizeof *p->pages);
    p->hash = vbd_alloc_array(allocator, p->hash_mask + 1u, sizeof(struct vbd_persistent_page *));
    if (p->pages == NULL || p->hash == NULL) {
        vbd_persistent_free(p);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < limit; i++)
        vbd_list_append(&p->unused, &p->pages[i].link);
    return 0;
}

static void drop(struct vbd_persistent *p, struct vbd_persistent_page *page)
{
    struct vbd_persistent_page **at = bucket(p, page->grant);

    while (*at != page)
        at = &(*at)->next;
    *at = page->next;
    p->hypervisor->unmap(p->hypervisor->ctx, page->address, 1);
    vbd_list_remove(&page->link);
    vbd_list_append(&p->unused, &page->link);
    p->count--;
    vbd_bump(&p->counters->system_calls, UNMAP_CALLS);
    vbd_bump(&p->counters->grants_released, 1);
}

static struct vbd_persistent_page *oldest(const struct vbd_persistent *p)
{
    return vbd_list_empty(&p->used) ? NULL
                                    : VBD_CONTAINER(p->used.next, struct vbd_persistent_page, link);
}

void vbd_persistent_free(struct vbd_persistent *p)
{
    struct vbd_persistent_page *page;

    if (p->allocator == NULL)
        return;
    while ((page = oldest(p)) != NULL)
        drop(p, page);
    vbd_free(p->allocator, p->pages);
    vbd_free(p->allocator, p->hash);
    p->pages = NULL;
    p->hash = NULL;
    p->limit = 0;
}

static struct vbd_persistent_page *find(struct vbd_persistent *p, uint32_t grant)
{
    struct vbd_persistent_page *page = *bucket(p, grant);

    while (page != NULL && page->grant != grant)
        page = page->next;
    return page;
}

static struct vbd_persistent_page *map(struct vbd_persistent *p, uint32_t grant)
{
    const struct vbd_hypervisor *h = p->hypervisor;
    struct vbd_persistent_page *page;
    void *address;

    vbd_bump(&p->counters->system_calls, MAP_CALLS);
    if (h->map(h->ctx, p->domid, &grant, 1, true, &address) < 0)
        return NULL;
    if (vbd_list_empty(&p->unused))
        drop(p, oldest(p));
    page = VBD_CONTAINER(vbd_list_pop(&p->unused), struct vbd_persistent_page, link);
    page->address = address;
    page->grant = grant;
    page->next = *bucket(p, grant);
    *bucket(p, grant) = page;
    vbd_list_append(&p->used, &page->link);
    p->count++;
    vbd_bump(&p->counters->grants_mapped, 1);
    return page;
}

char *vbd_persistent_page(struct vbd_persistent *p, uint32_t grant, uint64_t now)
{
    struct vbd_persistent_page *page;

    if (p->limit == 0)
        return NULL;
    page = find(p, grant);
    if (page == NULL) {
        page = map(p, grant);
    } else {
        vbd_list_remove(&page->link);
        vbd_list_append(&p->used, &page->link);
        vbd_bump(&p->counters->grants_reused, 1);
    }
    if (page == NULL)
        return NULL;
    page->used_at = now;
    return page->address;
}

void vbd_persistent_expire(struct vbd_persistent *p, uint64_t now)
{
    struct vbd_persistent_page *page = oldest(p);

    while (page != NULL && now >= page->used_at + idle_ns) {
        drop(p, page);
        page = oldest(p);
    }
}

uint64_t vbd_persistent_deadline(const struct vbd_persistent *p)
{
    const struct vbd_persistent_page *page = oldest(p);

    return page == NULL ? 0 : page->used_at + idle_ns;
}
