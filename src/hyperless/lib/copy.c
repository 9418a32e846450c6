/* copy.c - grant copy: each segment checked, then a memcpy between pages in view. Called by
 * unmodified Xen programs, from any thread; threads that copy hold up each other only while a page
 * is brought into view. Statuses and errors are those of Xen and of Linux' gntdev.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <xen/xen.h>
#include <xengnttab.h>

#include "hyperless/lib/faults.h"
#include "hyperless/lib/handle.h"
#include "hyperless/lib/views.h"

typedef xengnttab_grant_copy_segment_t segment_t;

static bool crosses_page(uint16_t offset, uint16_t len)
{
    return (uint32_t)offset + len > HL_PAGE;
}

/* What Linux refuses before the hypervisor sees it: no side foreign, or a page exceeded. */
static int check(const segment_t *s)
{
    if ((s->flags & (GNTCOPY_source_gref | GNTCOPY_dest_gref)) == 0 ||
        (s->flags & GNTCOPY_source_gref && crosses_page(s->source.foreign.offset, s->len)) ||
        (s->flags & GNTCOPY_dest_gref && crosses_page(s->dest.foreign.offset, s->len))) {
        errno = EINVAL;
        return -1;
    }
    return 0;
}

/* One side of a segment. */
struct side {
    bool foreign, to_write;
    uint32_t domid, ref;
    uint16_t offset;
    void *virt;
    char *at; /* out */
};

static struct side side_of(const struct hl_views *v, const union xengnttab_copy_ptr *p,
                           bool foreign, bool to_write)
{
    if (!foreign)
        return (struct side){.virt = p->virt};
    return (struct side){.foreign = true,
                         .to_write = to_write,
                         .domid = p->foreign.domid == DOMID_SELF ? v->own_domid : p->foreign.domid,
                         .ref = p->foreign.ref,
                         .offset = p->foreign.offset};
}

/* Brings a side into view, which lets go of the lock: whatever was found before may be gone. */
static int view(struct hl_views *v, const struct side *s, bool *failed, bool *released)
{
    int status;

    *released = true;
    (void)pthread_rwlock_unlock(&v->lock);
    (void)pthread_rwlock_wrlock(&v->lock);
    status = hl_views_add(v, s->domid, s->ref, failed);
    (void)pthread_rwlock_unlock(&v->lock);
    (void)pthread_rwlock_rdlock(&v->lock);
    return status;
}

/* Finds where a side's bytes are. A GNTST_* status, or -1 with *failed. */
static int resolve(struct hl_views *v, struct side *s, bool *failed, bool *released)
{
    struct hl_spot spot;

    if (!s->foreign) {
        s->at = s->virt;
        return GNTST_okay;
    }
    for (;;) {
        int status;

        spot = hl_views_find(v, s->domid, s->ref);
        if (spot.page != NULL)
            break;
        status = view(v, s, failed, released);
        if (*failed || status != GNTST_okay)
            return status;
    }
    if (s->to_write && !spot.writable)
        return GNTST_general_error; /* as Xen answers a write to a read-only grant */
    s->at = spot.page + s->offset;
    return GNTST_okay;
}

static int copy_one(struct hl_views *v, segment_t *s)
{
    struct side source = side_of(v, &s->source, s->flags & GNTCOPY_source_gref, false);
    struct side dest = side_of(v, &s->dest, s->flags & GNTCOPY_dest_gref, true);
    bool failed = false, released;
    int status;

    do {
        released = false;
        status = resolve(v, &source, &failed, &released);
        if (status == GNTST_okay && !failed)
            status = resolve(v, &dest, &failed, &released);
    } while (released && status == GNTST_okay && !failed);
    if (failed)
        return -1;
    s->status = (int16_t)status;
    if (status == GNTST_okay)
        memmove(dest.at, source.at, s->len);
    return 0;
}

/* Looks at the epoch once a call: a copy that overlaps an unshare may come before it. */
static int begin(struct hl_views *v)
{
    int r = 0;

    (void)pthread_rwlock_rdlock(&v->lock);
    if (!hl_views_stale(v))
        return 0;
    (void)pthread_rwlock_unlock(&v->lock);
    (void)pthread_rwlock_wrlock(&v->lock);
    if (hl_views_stale(v))
        r = hl_views_refresh(v);
    (void)pthread_rwlock_unlock(&v->lock);
    (void)pthread_rwlock_rdlock(&v->lock);
    return r;
}

HL_EXPORT int xengnttab_grant_copy(xengnttab_handle *h, uint32_t count, segment_t *segs)
{
    int r = 0;

    for (uint32_t i = 0; i < count; i++)
        if (check(&segs[i]) < 0)
            return -1;
    if (count > 0)
        r = begin(h->views);
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        if (hl_fault(HL_FAULT_COPY) == HL_FAULT_REFUSE)
            segs[i].status = GNTST_general_error;
        else
            r = copy_one(h->views, &segs[i]);
    }
    if (count > 0)
        (void)pthread_rwlock_unlock(&h->views->lock);
    return r;
}
