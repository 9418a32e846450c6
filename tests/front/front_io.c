/* front_io.c - requests in flight: each has its own pages of one shared pool, and an id of which
 * the low half is its index and the high half a number that never comes again. So a double answer,
 * an answer to nothing and one with a wrong operation are found and told. Called by front_copy.c
 * and front_verify.c. */
#include "front/front.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_BITS = 16 };

/* --- the pool --- */

static int share_pool(struct front *f)
{
    int pages = (int)(f->depth * FRONT_SEGMENTS);

    f->pool = xengntshr_share_pages(f->grants, f->backend_id, pages, f->pool_refs, 1);
    if (f->pool != NULL)
        return 0;
    return front_fail(f,
                      "cannot share %d pages for %u requests: %s (gntalloc bounds pages by "
                      "/sys/module/xen_gntalloc/parameters/limit)",
                      pages, f->depth, strerror(errno));
}

int front_io_start(struct front *f)
{
    f->depth =
        f->options.depth < f->queues[0].ring.size ? f->options.depth : f->queues[0].ring.size;
    f->in_flight = 0;
    f->requests = calloc(f->depth, sizeof f->requests[0]);
    f->pool_refs = calloc((size_t)f->depth * FRONT_SEGMENTS, sizeof f->pool_refs[0]);
    if (f->requests == NULL || f->pool_refs == NULL)
        return front_fail(f, "no memory for %u requests", f->depth);
    if (share_pool(f) < 0)
        return -1;
    for (unsigned i = 0; i < f->depth; i++)
        f->requests[i].pages = f->pool + (size_t)i * FRONT_SEGMENTS * FRONT_PAGE;
    return 0;
}

void front_io_end(struct front *f)
{
    if (f->pool != NULL)
        (void)xengntshr_unshare(f->grants, f->pool, f->depth * FRONT_SEGMENTS);
    free(f->pool_refs);
    free(f->requests);
    f->pool = NULL;
    f->pool_refs = NULL;
    f->requests = NULL;
    f->in_flight = 0;
}

/* --- asking --- */

static unsigned index_of(const struct front *f, const struct front_request *r)
{
    return (unsigned)(r - f->requests);
}

struct front_request *front_request_get(struct front *f)
{
    for (unsigned i = 0; i < f->depth; i++) {
        if (!f->requests[i].taken) {
            f->requests[i].taken = true;
            return &f->requests[i];
        }
    }
    return NULL;
}

void front_request_release(struct front_request *r)
{
    r->taken = false;
}

void front_request_put(struct front *f, struct front_request *r)
{
    unsigned i = index_of(f, r);

    r->serial = ++f->serial;
    r->asked = front_now();
    r->in_flight = true;
    if (++f->in_flight > f->in_flight_most)
        f->in_flight_most = f->in_flight;
    front_ring_put(&f->queues[0].ring, r->serial << INDEX_BITS | i, r,
                   f->pool_refs + (size_t)i * FRONT_SEGMENTS);
}

int front_push(struct front *f)
{
    if (!front_ring_push(&f->queues[0].ring))
        return 0;
    f->notifies++;
    if (xenevtchn_notify(f->events, (evtchn_port_t)f->queues[0].port) < 0)
        return front_fail(f, "cannot notify the backend: %s", strerror(errno));
    return 0;
}

unsigned front_request_sectors(const struct front_request *r)
{
    unsigned sectors = 0;

    for (unsigned i = 0; i < r->count; i++)
        sectors += (unsigned)(r->segments[i].last - r->segments[i].first + 1);
    return sectors;
}

unsigned front_request_plain(struct front_request *r, enum front_op op, uint64_t sector,
                             uint64_t sectors)
{
    const unsigned most = FRONT_SEGMENTS * FRONT_PAGE_SECTORS;
    unsigned left = sectors < most ? (unsigned)sectors : most;
    unsigned all = left;

    r->op = op;
    r->sector = sector;
    for (r->count = 0; left > 0; r->count++) {
        unsigned here = left < FRONT_PAGE_SECTORS ? left : FRONT_PAGE_SECTORS;

        r->segments[r->count] = (struct front_segment){0, (uint8_t)(here - 1)};
        left -= here;
    }
    return all;
}

/* --- answers --- */

static const char *op_name(unsigned op)
{
    return op == FRONT_READ    ? "read"
           : op == FRONT_WRITE ? "write"
           : op == FRONT_FLUSH ? "flush"
                               : "?";
}

static const char *status_name(int status)
{
    return status == FRONT_ERROR         ? "an error"
           : status == FRONT_UNSUPPORTED ? "not supported"
                                         : "a status that blkif.h does not have";
}

/* "request 7, a read of 3 sectors in 2 segments at sector 88", into a buffer that is static. */
static const char *describe(const struct front_request *r)
{
    static char text[128];

    (void)snprintf(text, sizeof text,
                   "request %" PRIu64 ", a %s of %u sectors in %u segments at sector %" PRIu64,
                   r->serial, op_name(r->op), front_request_sectors(r), r->count, r->sector);
    return text;
}

/* The request that an answer's id names, or NULL with a sentence. */
static struct front_request *find_asked(struct front *f, const struct front_response *a)
{
    uint64_t i = a->id & ((1u << INDEX_BITS) - 1);
    uint64_t serial = a->id >> INDEX_BITS;
    struct front_request *r = i < f->depth ? &f->requests[i] : NULL;

    if (r == NULL || serial == 0 || serial > f->serial)
        (void)front_fail(f,
                         "an answer (%s, status %d) has the id %#" PRIx64 ", which was never asked",
                         op_name(a->op), a->status, a->id);
    else if (!r->in_flight || r->serial != serial)
        (void)front_fail(f, "request %" PRIu64 " was answered twice: the second is a %s, status %d",
                         serial, op_name(a->op), a->status);
    else
        return r;
    return NULL;
}

static int take_answer(struct front *f, struct front_request **ret)
{
    struct front_response a;
    struct front_request *r;

    front_ring_take(&f->queues[0].ring, &a);
    r = find_asked(f, &a);
    if (r == NULL)
        return -1;
    r->in_flight = false;
    f->in_flight--;
    r->status = a.status;
    if (a.op != r->op)
        return front_fail(f, "%s, was answered as operation %u (%s), status %d", describe(r), a.op,
                          op_name(a.op), a.status);
    if (a.status != FRONT_OKAY)
        return front_fail(f, "%s: the backend answered %d, %s", describe(r), a.status,
                          status_name(a.status));
    *ret = r;
    return 0;
}

static const struct front_request *oldest(const struct front *f)
{
    const struct front_request *found = NULL;

    for (unsigned i = 0; i < f->depth; i++) {
        const struct front_request *r = &f->requests[i];

        if (r->in_flight && (found == NULL || r->serial < found->serial))
            found = r;
    }
    return found;
}

/* One turn of waiting for answers. A signal does not end it: what was asked is answered first. */
static int wait_for_answers(struct front *f)
{
    const struct front_request *r = oldest(f);
    int64_t deadline;

    if (r == NULL)
        return front_fail(f, "nothing is in flight to wait for");
    deadline = r->asked + f->options.timeout_ms;
    if (front_now() >= deadline)
        return front_fail(f, "%s, got no answer in %d s; %u are in flight and the backend is %s",
                          describe(r), f->options.timeout_ms / 1000, f->in_flight,
                          front_state_name(front_state_of(f, f->backend)));
    return front_wait(f, -1, deadline, NULL);
}

int front_answer(struct front *f, bool wait, struct front_request **ret)
{
    uint32_t answers;

    *ret = NULL;
    while ((answers = front_ring_answers(&f->queues[0].ring)) == 0) {
        if (!wait)
            return 0;
        if (wait_for_answers(f) < 0)
            return -1;
    }
    if (answers > f->in_flight)
        return front_fail(f,
                          "the backend says that %u answers are there, but %u requests are asked",
                          answers, f->in_flight);
    return take_answer(f, ret);
}

int front_drain(struct front *f)
{
    while (f->in_flight > 0) {
        struct front_request *r;

        if (front_answer(f, true, &r) < 0)
            return -1;
        front_request_release(r);
    }
    return 0;
}

int front_flush(struct front *f)
{
    struct front_request *r = front_request_get(f);

    if (r == NULL)
        return front_fail(f, "no request is free for a flush");
    r->op = FRONT_FLUSH;
    r->count = 0;
    r->sector = 0;
    front_request_put(f, r);
    return front_push(f) < 0 ? -1 : front_drain(f);
}
