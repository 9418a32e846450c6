/* gntshr.c - libxengnttab, the side that shares pages. Called by unmodified Xen programs.
 *
 * A share is one memory file that holds its pages and nothing else. The broker makes it, keeps its
 * size sealed, and hands its descriptor to those it is shared with. A read-only share is sealed
 * against further writable mappings once this side has its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hyperless/lib/faults.h"
#include "hyperless/lib/handle.h"

struct share {
    struct vbd_list link;
    void *start;
    uint32_t count;
    uint32_t number; /* the broker's */
};

HL_EXPORT xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags)
{
    xengntshr_handle *h = calloc(1, sizeof *h);

    (void)logger, (void)open_flags;
    if (h == NULL)
        return NULL;
    if (hl_open(&h->connection, HL_OPEN_GNTSHR, NULL) < 0) {
        free(h);
        return NULL;
    }
    (void)pthread_mutex_init(&h->lock, NULL);
    vbd_list_init(&h->areas);
    return h;
}

HL_EXPORT int xengntshr_close(xengntshr_handle *h)
{
    struct vbd_list *link;

    if (h == NULL)
        return 0;
    hl_close(&h->connection); /* the broker ends what this handle shared */
    while ((link = vbd_list_pop(&h->areas)) != NULL) {
        struct share *share = VBD_CONTAINER(link, struct share, link);

        (void)munmap(share->start, (size_t)share->count * HL_PAGE);
        free(share);
    }
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
    return 0;
}

HL_EXPORT int xengntshr_fd(xengntshr_handle *h)
{
    return h->connection.fd;
}

static int map_own(struct share *share, int fd, int writable)
{
    share->start =
        mmap(NULL, (size_t)share->count * HL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (share->start == MAP_FAILED)
        return -1;
    if (writable || fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0)
        return 0;
    (void)munmap(share->start, (size_t)share->count * HL_PAGE);
    return -1;
}

static void end_share(xengntshr_handle *h, uint32_t number)
{
    struct hl_request request = {.op = HL_UNSHARE, .number = number};
    struct hl_reply reply;

    (void)hl_ask(&h->connection, &request, &reply, NULL);
}

static struct share *new_share(xengntshr_handle *h, struct hl_request *request, uint32_t *refs)
{
    struct share *share = calloc(1, sizeof *share);
    struct hl_reply reply = {.error = -1};
    int fd, error;

    if (share == NULL)
        return NULL;
    share->count = request->count;
    if (hl_ask(&h->connection, request, &reply, &fd) == 0) {
        share->number = reply.number;
        if (map_own(share, fd, request->flags & HL_WRITABLE) == 0) {
            (void)close(fd);
            memcpy(refs, reply.refs, share->count * sizeof *refs);
            return share;
        }
        error = errno;
        (void)close(fd);
        end_share(h, share->number);
        errno = error;
    }
    error = errno;
    if (error == EMFILE && reply.error == 0)
        end_share(h, reply.number); /* made, but there was no room here for its descriptor */
    free(share);
    errno = error;
    return NULL;
}

static void *share(xengntshr_handle *h, struct hl_request *request, int writable, uint32_t *refs)
{
    struct share *share;

    if (request->count == 0 || request->count > HL_SHARE_MAX) {
        errno = EINVAL;
        return NULL;
    }
    if (hl_fault(HL_FAULT_SHARE) == HL_FAULT_REFUSE) {
        errno = ENOSPC;
        return NULL;
    }
    request->op = HL_SHARE;
    request->flags |= writable ? HL_WRITABLE : 0;
    share = new_share(h, request, refs);
    if (share == NULL)
        return NULL;
    (void)pthread_mutex_lock(&h->lock);
    vbd_list_append(&h->areas, &share->link);
    (void)pthread_mutex_unlock(&h->lock);
    return share->start;
}

HL_EXPORT void *xengntshr_share_pages(xengntshr_handle *h, uint32_t domid, int count,
                                      uint32_t *refs, int writable)
{
    struct hl_request request = {.domid = domid, .count = count > 0 ? (uint32_t)count : 0};

    return share(h, &request, writable, refs);
}

HL_EXPORT void *xengntshr_share_page_notify(xengntshr_handle *h, uint32_t domid, uint32_t *ref,
                                            int writable, uint32_t notify_offset,
                                            evtchn_port_t notify_port)
{
    struct hl_request request = {
        .domid = domid, .count = 1, .notify_offset = notify_offset, .notify_port = notify_port};

    if (notify_offset != UINT32_MAX)
        request.flags |= HL_NOTIFY_BYTE;
    if (notify_port != UINT32_MAX)
        request.flags |= HL_NOTIFY_EVENT;
    return share(h, &request, writable, ref);
}

HL_EXPORT int xengntshr_unshare(xengntshr_handle *h, void *start_address, uint32_t count)
{
    struct share *found = NULL;

    (void)pthread_mutex_lock(&h->lock);
    VBD_LIST_EACH(at, after, &h->areas)
    {
        struct share *s = VBD_CONTAINER(at, struct share, link);

        if (s->start == start_address && s->count == count)
            found = s;
    }
    if (found != NULL)
        vbd_list_remove(&found->link);
    (void)pthread_mutex_unlock(&h->lock);
    if (found == NULL) {
        errno = EINVAL;
        return -1;
    }
    end_share(h, found->number);
    (void)munmap(found->start, (size_t)count * HL_PAGE);
    free(found);
    return 0;
}
