/* front_ring.c - the shared ring, byte by byte: offsets and barriers as blkif.h and ring.h of Xen
 * have them for 64-bit and 32-bit guests. Called by front_io.c; knows no request's meaning, and
 * must not use this project's own ring. */
#include "front/front.h"

#include <string.h>

/* Header: four words, and slots from byte 64 on. */
enum { REQ_PROD = 0, REQ_EVENT = 4, RSP_PROD = 8, RSP_EVENT = 12, SLOTS = 64 };

/* A slot: request and response share it. The first four bytes and the response are the same
 * everywhere; what follows depends on how a 64-bit number is aligned. */
enum {
    SECOND = 1, /* one byte: segments, an indirect request's operation, a discard's flag */
    THIRD = 2,  /* two bytes: handle, an indirect request's segments */
    SEGMENT_SIZE = 8,
    SEGMENT_FIRST = 4,
    SEGMENT_LAST = 5,
    RESPONSE_ID = 0,
    RESPONSE_OPERATION = 8, /* one byte */
    RESPONSE_PADDING = 9,   /* one byte */
    RESPONSE_STATUS = 10,   /* two bytes */
    RESPONSE_TAIL = 12      /* four bytes of padding in a 64-bit layout */
};

struct offsets {
    unsigned size, id, sector;
    unsigned segments; /* each 8 bytes: reference, first, last */
    unsigned discard;  /* eight bytes: sectors of a discard */
    unsigned grants;   /* references of an indirect request's descriptors */
};

static const struct offsets offsets_64 = {112, 8, 16, 24, 24, 28};
static const struct offsets offsets_32 = {108, 4, 12, 20, 20, 24};

static const struct offsets *offsets_of(const struct front_ring *ring)
{
    return ring->layout == FRONT_X86_32 ? &offsets_32 : &offsets_64;
}

static uint32_t *word(const struct front_ring *ring, unsigned offset)
{
    return (uint32_t *)(void *)(ring->page + offset);
}

static uint8_t *slot(const struct front_ring *ring, uint32_t index)
{
    return ring->page + SLOTS + (size_t)(index % ring->size) * offsets_of(ring)->size;
}

void front_ring_init(struct front_ring *ring, void *pages, unsigned count, enum front_layout layout)
{
    *ring = (struct front_ring){.page = pages, .layout = layout, .size = 1};
    while ((size_t)ring->size * 2 * offsets_of(ring)->size + SLOTS <= (size_t)count * FRONT_PAGE)
        ring->size *= 2;
    memset(pages, 0, (size_t)count * FRONT_PAGE);
    *word(ring, REQ_EVENT) = 1;
    *word(ring, RSP_EVENT) = 1;
}

unsigned front_ring_free_slots(const struct front_ring *ring)
{
    return ring->size - (ring->req_prod - ring->rsp_cons);
}

static void put_segments(uint8_t *at, const struct front_raw *raw)
{
    for (unsigned i = 0; i < raw->second && i < FRONT_SEGMENTS; i++) {
        uint8_t *segment = at + i * SEGMENT_SIZE;

        memcpy(segment, &raw->refs[i], sizeof raw->refs[i]);
        segment[SEGMENT_FIRST] = raw->segments[i].first;
        segment[SEGMENT_LAST] = raw->segments[i].last;
    }
}

void front_ring_put_raw(struct front_ring *ring, const struct front_raw *raw)
{
    const struct offsets *o = offsets_of(ring);
    uint8_t *at = slot(ring, ring->req_prod++);

    memset(at, 0, o->size);
    at[0] = raw->op;
    at[SECOND] = raw->second;
    memcpy(at + THIRD, &raw->third, sizeof raw->third);
    memcpy(at + o->id, &raw->id, sizeof raw->id);
    memcpy(at + o->sector, &raw->sector, sizeof raw->sector);
    if (raw->op == FRONT_DISCARD)
        memcpy(at + o->discard, &raw->discard, sizeof raw->discard);
    else if (raw->op == FRONT_INDIRECT)
        memcpy(at + o->grants, raw->refs, FRONT_INDIRECT_PAGES * sizeof raw->refs[0]);
    else
        put_segments(at + o->segments, raw);
}

void front_ring_put(struct front_ring *ring, uint64_t id, const struct front_request *r,
                    const uint32_t *refs)
{
    struct front_raw raw = {
        .op = (uint8_t)r->op, .second = (uint8_t)r->count, .id = id, .sector = r->sector};

    for (unsigned i = 0; i < r->count; i++) {
        raw.refs[i] = refs[i];
        raw.segments[i] = r->segments[i];
    }
    front_ring_put_raw(ring, &raw);
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

uint32_t front_ring_answers_at(struct front_ring *ring, uint32_t at)
{
    uint32_t there = __atomic_load_n(word(ring, RSP_PROD), __ATOMIC_ACQUIRE) - ring->rsp_cons;

    if (there != 0)
        return there;
    __atomic_store_n(word(ring, RSP_EVENT), at, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(word(ring, RSP_PROD), __ATOMIC_ACQUIRE) - ring->rsp_cons;
}

uint32_t front_ring_answers(struct front_ring *ring)
{
    return front_ring_answers_at(ring, ring->rsp_cons + 1);
}

void front_ring_take(struct front_ring *ring, struct front_response *ret)
{
    const uint8_t *at = slot(ring, ring->rsp_cons++);

    memcpy(&ret->id, at + RESPONSE_ID, sizeof ret->id);
    ret->op = at[RESPONSE_OPERATION];
    memcpy(&ret->status, at + RESPONSE_STATUS, sizeof ret->status);
    memset(ret->padding, 0, sizeof ret->padding);
    ret->padding[0] = at[RESPONSE_PADDING];
    if (ring->layout != FRONT_X86_32)
        memcpy(ret->padding + 1, at + RESPONSE_TAIL, 4);
}
