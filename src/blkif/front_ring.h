/* front_ring.h - the front's view of a shared ring: its indexes and their barriers. ring.h has the
 * back's, what the page holds, and the words for the steps.
 *
 * The back is not trusted: what is read here may be anything. A producer that runs back, or is
 * further ahead than requests were made, is reported, never followed.
 *
 * Used by blkfront alone.
 */
#ifndef BLKIF_FRONT_RING_H
#define BLKIF_FRONT_RING_H

#include <string.h>

#include "blkif/ring.h"

/* Private to one thread but for what `header` points to. */
struct vbd_front_ring {
    struct vbd_ring_header *header; /* shared with the back */
    uint32_t size;                  /* slots, a power of two */
    uint32_t slot_bytes;
    uint32_t req_prod;      /* next request to write */
    uint32_t req_published; /* requests the back can see */
    uint32_t rsp_cons;      /* next response to take */
};

/* Makes an empty ring in pages that are zero and not yet shared. */
static inline void vbd_front_ring_init(struct vbd_front_ring *r, void *pages, uint32_t page_count)
{
    *r = (struct vbd_front_ring){.header = pages,
                                 .size = vbd_ring_size(VBD_LAYOUT_NATIVE, page_count),
                                 .slot_bytes = vbd_layout_slot_bytes(VBD_LAYOUT_NATIVE)};
    r->header->req_event = 1;
    r->header->rsp_event = 1;
}

static inline uint32_t vbd_front_ring_free(const struct vbd_front_ring *r)
{
    return r->size - (r->req_prod - r->rsp_cons);
}

static inline void *vbd_front_ring_slot(const struct vbd_front_ring *r, uint32_t index)
{
    return (char *)r->header + VBD_RING_HEADER + (uint64_t)(index & (r->size - 1)) * r->slot_bytes;
}

/* Writes a request; the caller has seen that a slot is free. The back sees it after
 * vbd_front_ring_publish. */
static inline void vbd_front_ring_put(struct vbd_front_ring *r, const struct vbd_request *request)
{
    vbd_layout_put_request(request, vbd_front_ring_slot(r, r->req_prod));
    r->req_prod++;
}

/* Publishes the requests written so far; true when the back asked to be notified of one of them. */
static inline bool vbd_front_ring_publish(struct vbd_front_ring *r)
{
    uint32_t old = r->req_published, now = r->req_published = r->req_prod;

    if (old == now)
        return false;
    __atomic_store_n(&r->header->req_prod, now, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* req_prod before req_event */
    return now - vbd_shared_load(&r->header->req_event) < now - old;
}

/* Responses waiting to be taken. More than there are requests unanswered: the back lies, and
 * *broken says so. */
static inline uint32_t vbd_front_ring_waiting(const struct vbd_front_ring *r, bool *broken)
{
    uint32_t waiting = vbd_shared_load(&r->header->rsp_prod) - r->rsp_cons;

    *broken = waiting > r->req_published - r->rsp_cons;
    return *broken ? 0 : waiting;
}

/* Copies the next response out, once. The caller has seen that one is waiting. */
static inline void vbd_front_ring_take(struct vbd_front_ring *r, struct vbd_response *ret)
{
    vbd_layout_copy_out_response(vbd_front_ring_slot(r, r->rsp_cons), ret);
    r->rsp_cons++;
}

/* Announces that the next response shall notify, then re-checks: true when some came meanwhile, and
 * the caller must not sleep. */
static inline bool vbd_front_ring_announce_and_recheck(struct vbd_front_ring *r)
{
    __atomic_store_n(&r->header->rsp_event, r->rsp_cons + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* rsp_event before rsp_prod */
    return vbd_shared_load(&r->header->rsp_prod) != r->rsp_cons;
}

#endif
