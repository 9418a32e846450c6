/* gnttab.c - libxengnttab, the side that maps what others share. Called by unmodified Xen programs.
 *
 * The broker checks a grant and hands out the descriptor of the share that the page lies in; every
 * page of a share is granted to the same domain with the same rights, so the descriptor opens
 * nothing else. Errors: as Linux' gntdev answers, in errno.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hyperless/lib/faults.h"
#include "hyperless/lib/handle.h"

/* What one call mapped. */
struct area {
    struct vbd_list link;
    char *start;
    uint32_t count;
    uint32_t pins[];
};

HL_EXPORT xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    xengnttab_handle *h = calloc(1, sizeof *h);
    struct hl_request request = {.op = HL_OPEN_GNTTAB};
    struct hl_reply reply;
    int epoch;

    (void)logger, (void)open_flags;
    if (h == NULL)
        return NULL;
    if (hl_connect(&h->connection) < 0) {
        free(h);
        return NULL;
    }
    if (hl_ask(&h->connection, &request, &reply, &epoch) == 0)
        h->views = hl_views_new(&h->connection, reply.number, epoch);
    if (h->views == NULL) {
        hl_close(&h->connection);
        free(h);
        return NULL;
    }
    (void)pthread_mutex_init(&h->lock, NULL);
    vbd_list_init(&h->areas);
    return h;
}

static void release(struct area *area)
{
    (void)munmap(area->start, (size_t)area->count * HL_PAGE);
    free(area);
}

HL_EXPORT int xengnttab_close(xengnttab_handle *h)
{
    struct vbd_list *link;

    if (h == NULL)
        return 0;
    while ((link = vbd_list_pop(&h->areas)) != NULL)
        release(VBD_CONTAINER(link, struct area, link));
    hl_views_free(h->views);
    hl_close(&h->connection); /* the broker drops what this handle pinned */
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
    return 0;
}

HL_EXPORT int xengnttab_fd(xengnttab_handle *h)
{
    return h->connection.fd;
}

HL_EXPORT int xengnttab_set_max_grants(xengnttab_handle *h, uint32_t count)
{
    (void)h, (void)count; /* the limit is the broker's */
    return 0;
}

/* --- mapping --- */

static void unpin(xengnttab_handle *h, const uint32_t *pins, uint32_t count)
{
    for (uint32_t begin = 0; begin < count; begin += HL_BATCH) {
        struct hl_request request = {.op = HL_UNMAP};
        struct hl_reply reply;

        request.count = count - begin < HL_BATCH ? count - begin : HL_BATCH;
        for (uint32_t i = 0; i < request.count; i++)
            request.grants[i].ref = pins[begin + i];
        (void)hl_call(&h->connection, &request, request.count, &reply, NULL, NULL);
    }
}

static int place(struct area *area, uint32_t at, const struct hl_reply *reply, uint32_t count,
                 const int *fds, int prot)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct hl_page *page = &reply->pages[i];

        area->pins[at + i] = page->pin;
        if (mmap(area->start + (size_t)(at + i) * HL_PAGE, HL_PAGE, prot, MAP_SHARED | MAP_FIXED,
                 fds[page->descriptor], (off_t)page->page * HL_PAGE) == MAP_FAILED)
            return -1;
    }
    return 0;
}

/* Maps up to HL_BATCH grants into the area from page `at` on. *pinned counts the pins to undo. */
static int map_batch(xengnttab_handle *h, struct area *area, uint32_t at, const uint32_t *domids,
                     const uint32_t *refs, uint32_t count, int prot, uint32_t *pinned)
{
    struct hl_request request = {
        .op = HL_MAP, .count = count, .flags = prot & PROT_WRITE ? HL_WRITABLE : 0};
    struct hl_reply reply;
    int fds[HL_BATCH];
    uint32_t fd_count = 0;
    int r;

    for (uint32_t i = 0; i < count; i++)
        request.grants[i] = (struct hl_grant){domids[i], refs[i]};
    reply.count = 0;
    if (hl_call(&h->connection, &request, count, &reply, fds, &fd_count) < 0) {
        if (errno == EMFILE && reply.error == 0 && reply.count == count) {
            for (uint32_t i = 0; i < count; i++)
                area->pins[at + i] = reply.pages[i].pin;
            *pinned = at + count; /* to be undone */
        }
        return -1;
    }
    r = place(area, at, &reply, count, fds, prot);
    *pinned = at + count;
    for (uint32_t i = 0; i < fd_count; i++)
        (void)close(fds[i]);
    return r;
}

static int map_all(xengnttab_handle *h, struct area *area, const uint32_t *domids,
                   const uint32_t *refs, int prot)
{
    uint32_t pinned = 0;

    for (uint32_t at = 0; at < area->count; at += HL_BATCH) {
        uint32_t n = area->count - at < HL_BATCH ? area->count - at : HL_BATCH;

        if (map_batch(h, area, at, domids + at, refs + at, n, prot, &pinned) < 0) {
            int error = errno;

            unpin(h, area->pins, pinned);
            errno = error;
            return -1;
        }
    }
    return 0;
}

static struct area *new_area(uint32_t count)
{
    struct area *area = calloc(1, sizeof *area + count * sizeof area->pins[0]);

    if (area == NULL)
        return NULL;
    area->count = count;
    area->start = mmap(NULL, (size_t)count * HL_PAGE, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area->start == MAP_FAILED) {
        free(area);
        return NULL;
    }
    return area;
}

static struct area *map_area(xengnttab_handle *h, uint32_t count, const uint32_t *domids,
                             const uint32_t *refs, int prot)
{
    struct area *area;

    if (count == 0 || hl_fault(HL_FAULT_MAP) == HL_FAULT_REFUSE) {
        errno = EINVAL;
        return NULL;
    }
    area = new_area(count);
    if (area == NULL)
        return NULL;
    if (map_all(h, area, domids, refs, prot) < 0) {
        int error = errno;

        release(area);
        errno = error;
        return NULL;
    }
    (void)pthread_mutex_lock(&h->lock);
    vbd_list_append(&h->areas, &area->link);
    (void)pthread_mutex_unlock(&h->lock);
    return area;
}

HL_EXPORT void *xengnttab_map_grant_refs(xengnttab_handle *h, uint32_t count, uint32_t *domids,
                                         uint32_t *refs, int prot)
{
    struct area *area = map_area(h, count, domids, refs, prot);

    return area != NULL ? area->start : NULL;
}

HL_EXPORT void *xengnttab_map_domain_grant_refs(xengnttab_handle *h, uint32_t count, uint32_t domid,
                                                uint32_t *refs, int prot)
{
    uint32_t *domids = calloc(count > 0 ? count : 1, sizeof *domids);
    void *start;
    int error;

    if (domids == NULL)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        domids[i] = domid;
    start = xengnttab_map_grant_refs(h, count, domids, refs, prot);
    error = errno;
    free(domids);
    errno = error;
    return start;
}

HL_EXPORT void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot)
{
    return xengnttab_map_grant_refs(h, 1, &domid, &ref, prot);
}

/* --- unmapping --- */

static struct area *take_area(xengnttab_handle *h, const void *start, uint32_t count)
{
    struct area *found = NULL;

    (void)pthread_mutex_lock(&h->lock);
    VBD_LIST_EACH(at, after, &h->areas)
    {
        struct area *area = VBD_CONTAINER(at, struct area, link);

        if (area->start == start && area->count == count) {
            vbd_list_remove(at);
            found = area;
            break;
        }
    }
    (void)pthread_mutex_unlock(&h->lock);
    return found;
}

HL_EXPORT int xengnttab_unmap(xengnttab_handle *h, void *start_address, uint32_t count)
{
    struct area *area = start_address == NULL ? NULL : take_area(h, start_address, count);

    if (area == NULL) {
        errno = EINVAL;
        return -1;
    }
    (void)munmap(area->start, (size_t)count * HL_PAGE);
    unpin(h, area->pins, count);
    free(area);
    return 0;
}

static int notify_on_unmap(xengnttab_handle *h, uint32_t pin, uint32_t offset, evtchn_port_t port)
{
    struct hl_request request = {
        .op = HL_NOTIFY_ON_UNMAP, .number = pin, .notify_offset = offset, .notify_port = port};
    struct hl_reply reply;

    if (offset != UINT32_MAX)
        request.flags |= HL_NOTIFY_BYTE;
    if (port != UINT32_MAX)
        request.flags |= HL_NOTIFY_EVENT;
    return request.flags == 0 ? 0 : hl_ask(&h->connection, &request, &reply, NULL);
}

HL_EXPORT void *xengnttab_map_grant_ref_notify(xengnttab_handle *h, uint32_t domid, uint32_t ref,
                                               int prot, uint32_t notify_offset,
                                               evtchn_port_t notify_port)
{
    struct area *area = map_area(h, 1, &domid, &ref, prot);
    int error;

    if (area == NULL)
        return NULL;
    if (notify_on_unmap(h, area->pins[0], notify_offset, notify_port) == 0)
        return area->start;
    error = errno;
    (void)xengnttab_unmap(h, area->start, 1);
    errno = error;
    return NULL;
}

/* --- dma-bufs: there is no device memory here --- */

static int no_dmabuf(void)
{
    errno = EOPNOTSUPP;
    return -1;
}

HL_EXPORT int xengnttab_dmabuf_exp_from_refs(xengnttab_handle *h, uint32_t domid, uint32_t flags,
                                             uint32_t count, const uint32_t *refs, uint32_t *fd)
{
    (void)h, (void)domid, (void)flags, (void)count, (void)refs, (void)fd;
    return no_dmabuf();
}

HL_EXPORT int xengnttab_dmabuf_exp_wait_released(xengnttab_handle *h, uint32_t fd,
                                                 uint32_t wait_to_ms)
{
    (void)h, (void)fd, (void)wait_to_ms;
    return no_dmabuf();
}

HL_EXPORT int xengnttab_dmabuf_imp_to_refs(xengnttab_handle *h, uint32_t domid, uint32_t fd,
                                           uint32_t count, uint32_t *refs)
{
    (void)h, (void)domid, (void)fd, (void)count, (void)refs;
    return no_dmabuf();
}

HL_EXPORT int xengnttab_dmabuf_imp_release(xengnttab_handle *h, uint32_t fd)
{
    (void)h, (void)fd;
    return no_dmabuf();
}
