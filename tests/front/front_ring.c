/* front_ring.c - the shared ring, byte by byte: offsets and barriers as blkif.h and ring.h of Xen
 * have them for a 64-bit guest. Called by front_io.c; knows no request's meaning, and must not use
 * this project's own ring. */
#include "front/front.h"

#include <string.h>

/* Header: four words, and slots from byte 64 on. */
enum { REQ_PROD = 0, REQ_EVENT = 4, RSP_PROD = 8, RSP_EVENT = 12, SLOTS = 64 };

/* A slot: request and response share it. */
enum {
    SLOT_SIZE = 112,
    REQUEST_OPERATION = 0, /* one byte */
    REQUEST_COUNT = 1,     /* one byte: segments */
    REQUEST_HANDLE = 2,    /* two bytes */
    REQUEST_ID = 8,
    REQUEST_SECTOR = 16,
    REQUEST_SEGMENTS = 24, /* each 8 bytes: reference, first, last */
    SEGMENT_SIZE = 8,
    SEGMENT_FIRST = 4,
    SEGMENT_LAST = 5,
    RESPONSE_ID = 0,
    RESPONSE_OPERATION = 8, /* one byte */
    RESPONSE_STATUS = 10    /* two bytes */
};

static uint32_t *word(const struct front_ring *ring, unsigned offset)
{
    return (uint32_t *)(void *)(ring->page + offset);
}

static uint8_t *slot(const struct front_ring *ring, uint32_t index)
{
    return ring->page + SLOTS + (size_t)(index % ring->size) * SLOT_SIZE;
}

void front_ring_init(struct front_ring *ring, void *pages, unsigned count)
{
    *ring = (struct front_ring){.page = pages, .size = 1};
    while ((size_t)ring->size * 2 * SLOT_SIZE + SLOTS <= (size_t)count * FRONT_PAGE)
        ring->size *= 2;
    memset(pages, 0, (size_t)count * FRONT_PAGE);
    *word(ring, REQ_EVENT) = 1;
    *word(ring, RSP_EVENT) = 1;
}

unsigned front_ring_free_slots(const struct front_ring *ring)
{
    return ring->size - (ring->req_prod - ring->rsp_cons);
}

void front_ring_put(struct front_ring *ring, uint64_t id, const struct front_request *r,
                    const uint32_t *refs)
{
    uint8_t *at = slot(ring, ring->req_prod++);

    memset(at, 0, SLOT_SIZE);
    at[REQUEST_OPERATION] = (uint8_t)r->op;
    at[REQUEST_COUNT] = (uint8_t)r->count;
    memcpy(at + REQUEST_ID, &id, sizeof id);
    memcpy(at + REQUEST_SECTOR, &r->sector, sizeof r->sector);
    for (unsigned i = 0; i < r->count; i++) {
        uint8_t *segment = at + REQUEST_SEGMENTS + i * SEGMENT_SIZE;

        memcpy(segment, &refs[i], sizeof refs[i]);
        segment[SEGMENT_FIRST] = r->segments[i].first;
        segment[SEGMENT_LAST] = r->segments[i].last;
    }
}

/* Slots before the index, the index before the look at what the backend asked for: it asks first
 * and looks for requests then, so one of both sees the other. */
bool front_ring_push(struct front_ring *ring)
{
    uint32_t old = *word(ring, REQ_PROD);

    __atomic_store_n(word(ring, REQ_PROD), ring->req_prod, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return ring->req_prod - __atomic_load_n(word(ring, REQ_EVENT), __ATOMIC_ACQUIRE) <
           ring->req_prod - old;
}

uint32_t front_ring_answers(struct front_ring *ring)
{
    uint32_t there = __atomic_load_n(word(ring, RSP_PROD), __ATOMIC_ACQUIRE) - ring->rsp_cons;

    if (there != 0)
        return there;
    __atomic_store_n(word(ring, RSP_EVENT), ring->rsp_cons + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(word(ring, RSP_PROD), __ATOMIC_ACQUIRE) - ring->rsp_cons;
}

void front_ring_take(struct front_ring *ring, struct front_response *ret)
{
    const uint8_t *at = slot(ring, ring->rsp_cons++);

    memcpy(&ret->id, at + RESPONSE_ID, sizeof ret->id);
    ret->op = at[RESPONSE_OPERATION];
    memcpy(&ret->status, at + RESPONSE_STATUS, sizeof ret->status);
}
