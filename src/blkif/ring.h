/* ring.h - the indexes of a shared ring and their barriers. The only file that reads or writes
 * them.
 *
 * The shared page begins with four 32-bit words: req_prod, req_event, rsp_prod, rsp_event
 * (public/io/ring.h); slots begin at byte 64. Indexes run free and wrap at 2^32; a slot is the
 * index modulo the size, a power of two. Everything read here was written by the other side and may
 * be anything: a producer that is further ahead than the ring is long is reported, never followed.
 *
 * Used by blkback's intake and respond. The words for the steps of "notify or sleep", which
 * tests/models/ring.pml has as well and shows to lose no wake-up:
 *   publish   the new producer index becomes visible after the slots it covers; then the other
 *             side's event index says whether to notify
 *   announce  the event index says "wake me at the next one"
 *   re-check  after announcing, the producer is read again, so that no wake-up is lost
 * In publish and in announce a fence keeps the store before the load that follows.
 */
#ifndef BLKIF_RING_H
#define BLKIF_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "blkif/layout.h"

enum {
    VBD_RING_PAGE = 4096,
    VBD_RING_HEADER = 64 /* bytes before the first slot */
};

struct vbd_ring_header {
    uint32_t req_prod, req_event;
    uint32_t rsp_prod, rsp_event;
    uint8_t reserved[48];
};

_Static_assert(sizeof(struct vbd_ring_header) == VBD_RING_HEADER, "slots begin at byte 64");

/* The back's view of a ring. Private to one thread but for what `header` points to. */
struct vbd_ring {
    struct vbd_ring_header *header; /* shared with the guest */
    uint32_t size;                  /* slots, a power of two */
    uint32_t slot_bytes;
    uint32_t req_cons;      /* next request to take */
    uint32_t rsp_prod;      /* next response to write */
    uint32_t rsp_published; /* responses the front can see; what it holds itself is not believed */
    enum vbd_layout layout;
};

static inline uint32_t vbd_shared_load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* How many slots of a layout fit into `pages` pages: the largest power of two. */
static inline uint32_t vbd_ring_size(enum vbd_layout layout, uint32_t pages)
{
    uint32_t fit = (pages * VBD_RING_PAGE - VBD_RING_HEADER) / vbd_layout_slot_bytes(layout);

    return fit == 0 ? 0 : 1u << (31 - __builtin_clz(fit));
}

/* Takes up a ring that the front has set up. Requests that were answered by an earlier daemon are
 * behind rsp_prod, so it begins there: a fresh ring has zero. */
static inline void vbd_ring_attach(struct vbd_ring *r, void *pages, uint32_t page_count,
                                   enum vbd_layout layout)
{
    r->header = pages;
    r->layout = layout;
    r->size = vbd_ring_size(layout, page_count);
    r->slot_bytes = vbd_layout_slot_bytes(layout);
    r->rsp_prod = vbd_shared_load(&r->header->rsp_prod);
    r->req_cons = r->rsp_published = r->rsp_prod;
}

/* Requests waiting to be taken. More than the ring has room for, or a producer that ran back: the
 * front broke the ring, and the caller must close it; *broken says so. */
static inline uint32_t vbd_ring_waiting(const struct vbd_ring *r, bool *broken)
{
    uint32_t prod = vbd_shared_load(&r->header->req_prod);
    uint32_t waiting = prod - r->req_cons;

    *broken = waiting > r->size || prod - r->rsp_prod > r->size;
    return *broken ? 0 : waiting;
}

/* Goes through slots: in a function a compiler keeps it in registers, and knows the layout. */
struct vbd_ring_cursor {
    char *at, *begin, *end; /* of the slots */
    enum vbd_layout layout;
};

/* Begins at the slot of an index. */
VBD_INLINE struct vbd_ring_cursor vbd_ring_cursor(const struct vbd_ring *r, uint32_t index,
                                                  enum vbd_layout layout)
{
    char *begin = (char *)r->header + VBD_RING_HEADER;
    size_t bytes = vbd_layout_slot_bytes(layout);

    return (struct vbd_ring_cursor){.at = begin + (index & (r->size - 1)) * bytes,
                                    .begin = begin,
                                    .end = begin + r->size * bytes,
                                    .layout = layout};
}

VBD_INLINE void *vbd_ring_next(struct vbd_ring_cursor *c)
{
    char *slot = c->at;

    c->at = slot + vbd_layout_slot_bytes(c->layout);
    if (c->at == c->end)
        c->at = c->begin;
    return slot;
}

/* Copies the next request out, once. The caller has seen that one is waiting. */
VBD_INLINE struct vbd_head vbd_ring_take(struct vbd_ring_cursor *c, struct vbd_request *ret)
{
    return vbd_layout_copy_request(c->layout, vbd_ring_next(c), ret);
}

/* Writes a response; the front sees it after vbd_ring_publish. */
VBD_INLINE void vbd_ring_answer(struct vbd_ring_cursor *c, const struct vbd_response *response)
{
    vbd_layout_copy_response(c->layout, response, vbd_ring_next(c));
}

/* Publishes the responses written so far; true when the front asked to be notified of one of them.
 */
static inline bool vbd_ring_publish(struct vbd_ring *r)
{
    uint32_t old = r->rsp_published, now = r->rsp_published = r->rsp_prod;

    __atomic_store_n(&r->header->rsp_prod, now, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* rsp_prod before rsp_event */
    return now - vbd_shared_load(&r->header->rsp_event) < now - old;
}

/* Announces that the next request shall notify, then re-checks: true when some came meanwhile, and
 * the caller must not sleep. */
static inline bool vbd_ring_announce_and_recheck(struct vbd_ring *r)
{
    __atomic_store_n(&r->header->req_event, r->req_cons + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* req_event before req_prod */
    return vbd_shared_load(&r->header->req_prod) != r->req_cons;
}

#endif
