/* persistent.c - see persistent.h. */
#include "blkback/persistent.h"

#include <errno.h>

#include "base/memory.h"
#include "blkback/queue.h"

static const uint64_t idle_ns = 60000000000u;
/* At the limit a page goes only for another when it was idle for so long: pages that come in turn,
 * more than the limit, would each be mapped and unmapped every time. */
static const uint64_t spare_ns = 1000000000u;
/* After a grant could not be mapped; nor can others be, as a rule. */
static const uint64_t pause_ns = 1000000000u;

enum { MAP_CALLS = 2, UNMAP_CALLS = 3 /* system calls that libxengnttab makes for a page */ };

struct vbd_persistent_page {
    struct vbd_list link;
    struct vbd_persistent_page *next; /* of the same hash */
    void *address;
    uint64_t used_at;
    uint32_t grant;
    uint32_t holders; /* while there are some it is in neither list */
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

/* All disks' together; false when there are too many. */
static bool count_kept(const struct vbd_hypervisor *h, int by)
{
    return h->kept == NULL ||
           __atomic_add_fetch(h->kept, (uint32_t)by, __ATOMIC_RELAXED) <= h->kept_max;
}

static void drop(struct vbd_persistent *p, struct vbd_persistent_page *page)
{
    struct vbd_persistent_page **at = bucket(p, page->grant);

    while (*at != page)
        at = &(*at)->next;
    *at = page->next;
    p->hypervisor->unmap(p->mappings, page->address, 1);
    vbd_list_remove(&page->link);
    vbd_list_append(&p->unused, &page->link);
    p->count--;
    (void)count_kept(p->hypervisor, -1);
    vbd_bump(&p->counters->system_calls, UNMAP_CALLS);
    vbd_bump(&p->counters->grants_released, 1);
}

static struct vbd_persistent_page *oldest(const struct vbd_persistent *p)
{
    return vbd_list_empty(&p->used) ? NULL
                                    : VBD_CONTAINER(p->used.next, struct vbd_persistent_page, link);
}

/* At the first page: a disk that never has one costs nothing. */
static bool open_mappings(struct vbd_persistent *p)
{
    const struct vbd_hypervisor *h = p->hypervisor;

    if (h->open_mappings == NULL)
        p->mappings = h->ctx;
    else if (p->mappings == NULL)
        return h->open_mappings(h->ctx, &p->mappings) == 0;
    return true;
}

static void close_mappings(struct vbd_persistent *p)
{
    if (p->mappings != NULL && p->hypervisor->open_mappings != NULL)
        p->hypervisor->close_mappings(p->mappings);
    p->mappings = NULL;
}

void vbd_persistent_unmap(struct vbd_persistent *p)
{
    struct vbd_persistent_page *page;

    while ((page = oldest(p)) != NULL)
        drop(p, page);
    if (p->count == 0)
        close_mappings(p);
}

/* Nothing reads into the pages of a run that broke off any more. */
static void let_go_of_all(struct vbd_persistent *p)
{
    for (uint32_t i = 0; p->pages != NULL && i < p->limit; i++)
        if (p->pages[i].holders > 0) {
            p->pages[i].holders = 0;
            vbd_list_append(&p->used, &p->pages[i].link);
        }
}

void vbd_persistent_free(struct vbd_persistent *p)
{
    if (p->allocator == NULL)
        return;
    let_go_of_all(p);
    vbd_persistent_unmap(p);
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

static bool map_grant(struct vbd_persistent *p, uint32_t grant, void **ret)
{
    const struct vbd_hypervisor *h = p->hypervisor;
    bool mapped = false;

    if (count_kept(h, 1) && open_mappings(p)) {
        vbd_bump(&p->counters->system_calls, MAP_CALLS);
        mapped = h->map(p->mappings, p->domid, &grant, 1, true, ret) == 0;
    }
    if (!mapped)
        (void)count_kept(h, -1);
    return mapped;
}

/* A page for another grant, or NULL. */
static struct vbd_persistent_page *room(struct vbd_persistent *p, uint64_t now)
{
    struct vbd_persistent_page *page;

    if (vbd_list_empty(&p->unused)) {
        page = oldest(p);
        if (page == NULL || now < page->used_at + spare_ns)
            return NULL;
        drop(p, page);
    }
    return VBD_CONTAINER(vbd_list_pop(&p->unused), struct vbd_persistent_page, link);
}

static struct vbd_persistent_page *map(struct vbd_persistent *p, uint32_t grant, uint64_t now)
{
    struct vbd_persistent_page *page = now < p->pause_until ? NULL : room(p, now);

    if (page == NULL)
        return NULL;
    if (!map_grant(p, grant, &page->address)) {
        p->pause_until = now + pause_ns;
        vbd_list_append(&p->unused, &page->link);
        return NULL;
    }
    page->grant = grant;
    page->holders = 0;
    page->next = *bucket(p, grant);
    *bucket(p, grant) = page;
    vbd_list_append(&p->used, &page->link);
    p->count++;
    vbd_bump(&p->counters->grants_mapped, 1);
    return page;
}

static struct vbd_persistent_page *use(struct vbd_persistent *p, uint32_t grant, uint64_t now)
{
    struct vbd_persistent_page *page;

    if (p->limit == 0)
        return NULL;
    page = find(p, grant);
    if (page == NULL)
        page = map(p, grant, now);
    else
        vbd_bump(&p->counters->grants_reused, 1);
    if (page != NULL)
        page->used_at = now;
    return page;
}

char *vbd_persistent_page(struct vbd_persistent *p, uint32_t grant, uint64_t now)
{
    struct vbd_persistent_page *page = use(p, grant, now);

    if (page == NULL)
        return NULL;
    if (page->holders == 0) {
        vbd_list_remove(&page->link);
        vbd_list_append(&p->used, &page->link);
    }
    return page->address;
}

char *vbd_persistent_hold(struct vbd_persistent *p, uint32_t grant, uint64_t now)
{
    struct vbd_persistent_page *page = use(p, grant, now);

    if (page == NULL)
        return NULL;
    if (page->holders++ == 0)
        vbd_list_remove(&page->link);
    return page->address;
}

void vbd_persistent_let_go(struct vbd_persistent *p, uint32_t grant)
{
    struct vbd_persistent_page *page = find(p, grant);

    if (--page->holders == 0)
        vbd_list_append(&p->used, &page->link);
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
