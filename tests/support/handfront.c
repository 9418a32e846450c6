/* handfront.c - see handfront.h. Offsets are blkif.h's, for both ABIs. */
#include "support/handfront.h"

#include <string.h>

static const struct {
    size_t slot, id, sector, segments, response_status; /* segments: what follows the sector */
} offsets[] = {
    [HAND_X86_64] = {.slot = 112, .id = 8, .sector = 16, .segments = 24, .response_status = 10},
    [HAND_X86_32] = {.slot = 108, .id = 4, .sector = 12, .segments = 20, .response_status = 10},
};

static uint32_t *word(struct handfront *f, unsigned i)
{
    return (uint32_t *)(void *)sim_page(f->sim, f->ring_page) + i;
}

uint32_t *handfront_req_prod(struct handfront *f)
{
    return word(f, 0);
}

uint32_t *handfront_req_event(struct handfront *f)
{
    return word(f, 1);
}

uint32_t *handfront_rsp_prod(struct handfront *f)
{
    return word(f, 2);
}

uint32_t *handfront_rsp_event(struct handfront *f)
{
    return word(f, 3);
}

void handfront_init(struct handfront *f, struct sim *sim, enum handfront_layout layout,
                    unsigned ring_page, unsigned ring_pages, uint32_t port)
{
    *f = (struct handfront){.sim = sim,
                            .layout = layout,
                            .ring_page = ring_page,
                            .ring_pages = ring_pages,
                            .port = port,
                            .size = 1};
    while (f->size * 2 * offsets[layout].slot + 64 <= (size_t)ring_pages * SIM_PAGE)
        f->size *= 2;
    memset(sim_page(sim, ring_page), 0, (size_t)ring_pages * SIM_PAGE);
    *handfront_req_event(f) = 1;
    *handfront_rsp_event(f) = 1;
}

static char *slot(struct handfront *f, uint32_t index)
{
    return sim_page(f->sim, f->ring_page) + 64 + (index % f->size) * offsets[f->layout].slot;
}

/* The next slot, emptied, with what all requests have. */
static char *begin_slot(struct handfront *f, uint8_t op, uint8_t second, uint64_t id,
                        uint64_t sector)
{
    char *at = slot(f, f->req_prod++);

    memset(at, 0, offsets[f->layout].slot);
    at[0] = (char)op;
    at[1] = (char)second;
    memcpy(at + offsets[f->layout].id, &id, 8);
    memcpy(at + offsets[f->layout].sector, &sector, 8);
    return at;
}

void handfront_put(struct handfront *f, const struct hand_request *r)
{
    char *at = begin_slot(f, r->op, r->count, r->id, r->sector);

    for (int i = 0; i < 11; i++) {
        char *segment = at + offsets[f->layout].segments + (size_t)i * 8;

        memcpy(segment, &r->segments[i].grant, 4);
        segment[4] = (char)r->segments[i].first;
        segment[5] = (char)r->segments[i].last;
    }
}

void handfront_put_indirect(struct handfront *f, const struct hand_indirect *r)
{
    char *at = begin_slot(f, 6, r->inner, r->id, r->sector);

    memcpy(at + 2, &r->count, 2);
    memcpy(at + offsets[f->layout].segments + 4, r->grants, sizeof r->grants);
}

void handfront_put_discard(struct handfront *f, const struct hand_discard *r)
{
    char *at = begin_slot(f, 5, r->flag, r->id, r->sector);

    memcpy(at + offsets[f->layout].segments, &r->sectors, 8);
}

bool handfront_push(struct handfront *f)
{
    uint32_t old = *handfront_req_prod(f);

    __atomic_store_n(handfront_req_prod(f), f->req_prod, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return f->req_prod - __atomic_load_n(handfront_req_event(f), __ATOMIC_ACQUIRE) <
           f->req_prod - old;
}

bool handfront_take(struct handfront *f, struct hand_response *ret)
{
    const char *at = slot(f, f->rsp_cons);

    if (__atomic_load_n(handfront_rsp_prod(f), __ATOMIC_ACQUIRE) == f->rsp_cons) {
        __atomic_store_n(handfront_rsp_event(f), f->rsp_cons + 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (__atomic_load_n(handfront_rsp_prod(f), __ATOMIC_ACQUIRE) == f->rsp_cons)
            return false;
    }
    memcpy(&ret->id, at, 8);
    ret->op = (uint8_t)at[8];
    memcpy(&ret->status, at + offsets[f->layout].response_status, 2);
    f->rsp_cons++;
    return true;
}
