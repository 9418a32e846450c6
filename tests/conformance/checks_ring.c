/* checks_ring.c - the ring itself: layouts, sizes, both ways to tell them, several queues, grants
 * that stay, every slot in flight, many times around, and events only when asked for. */
#include "conformance/conformance.h"

#include <inttypes.h>

enum { SOMEWHERE = 2048 };

/* --- loads --- */

/* The place of the data of request i: sector i of the pool, so that 512 fit into 64 pages. */
static uint8_t *place(struct conf *c, unsigned i)
{
    return c->pool + (size_t)i * FRONT_SECTOR;
}

static void build(struct conf *c, struct ask *a, unsigned op, unsigned i, uint64_t sector)
{
    ask_start(a, op, sector);
    ask_segment(c, a, i / FRONT_PAGE_SECTORS, i % FRONT_PAGE_SECTORS, i % FRONT_PAGE_SECTORS);
}

static bool all_okay(struct conf *c, const struct ask *asks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (asks[i].status != FRONT_OKAY) {
            (void)fail(c, "request %u of %u got %s", i, count, status_text(asks[i].status));
            return false;
        }
    }
    return true;
}

/* `count` requests of a sector each at once on a queue, written and read. */
static bool round_trip(struct conf *c, unsigned queue, unsigned count, uint64_t sector)
{
    uint64_t seed = ++c->seed;
    struct ask asks[ASKS_MAX];

    for (unsigned op = FRONT_WRITE + 1; op-- > FRONT_READ;) {
        for (unsigned i = 0; i < count; i++) {
            if (op == FRONT_WRITE)
                pattern(place(c, i), seed, sector + i);
            build(c, &asks[i], op, i, sector + i);
        }
        if (op == FRONT_READ)
            blank(c, 0, ASKS_MAX / FRONT_PAGE_SECTORS);
        if (!conf_put(c, queue, asks, count) || !conf_take(c, queue, asks, count, count) ||
            !all_okay(c, asks, count))
            return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!is_pattern(place(c, i), seed, sector + i)) {
            (void)fail(c, "request %u of %u read wrong data", i, count);
            return false;
        }
    }
    return true;
}

/* Nothing more than was asked: the backend's index is where the front's is. */
static bool is_quiet(struct conf *c, unsigned queue)
{
    if (front_ring_answers(&c->front.queues[queue].ring) == 0)
        return true;
    (void)fail(c, "there are more answers than requests");
    return false;
}

static enum verdict all_slots(struct conf *c)
{
    for (unsigned q = 0; q < c->front.queue_count; q++)
        for (unsigned i = 0; i < 4; i++)
            if (!round_trip(c, q, c->front.queues[q].ring.size, SOMEWHERE) || !is_quiet(c, q))
                return FAIL;
    return PASS;
}

/* Batches of all sizes, so that they begin and end at every slot. */
static enum verdict around(struct conf *c, unsigned rounds)
{
    uint32_t size = c->front.queues[0].ring.size;
    unsigned most = size < 48 ? size : 48;

    for (unsigned i = 0; c->front.queues[0].ring.req_prod < rounds * size; i++)
        if (!round_trip(c, 0, i % most + 1, SOMEWHERE + i))
            return FAIL;
    return is_quiet(c, 0) ? PASS : FAIL;
}

static enum verdict wrap_around(struct conf *c)
{
    return around(c, c->front.queues[0].ring.req_prod / c->front.queues[0].ring.size + 100);
}

static enum verdict sizes(struct conf *c)
{
    enum verdict v = all_slots(c);

    return v == PASS ? around(c, c->front.ring_pages == 1 ? 24 : 12) : v;
}

/* --- layouts --- */

static enum verdict shapes(struct conf *c, bool indirect, unsigned segments)
{
    const struct shape s = {.indirect = indirect, .segments = segments, .first = 0, .last = 7};
    enum verdict v = conf_write(c, &s, SOMEWHERE);

    return v == PASS ? conf_read(c, &s, SOMEWHERE) : v;
}

static enum verdict layout(struct conf *c)
{
    enum verdict v = shapes(c, false, 11);

    return v == PASS ? all_slots(c) : v;
}

static enum verdict layout_indirect(struct conf *c)
{
    return conf_offer(c)->indirect < 20 ? skip(c, "20 segments") : shapes(c, true, 20);
}

/* The length lies at another offset in each layout: what is beside must stay. */
static enum verdict layout_discard(struct conf *c)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    if (!conf_store(c, SOMEWHERE, 48, seed))
        return FAIL;
    ask_start(&a, FRONT_DISCARD, SOMEWHERE + 16);
    a.raw.discard = 16;
    if (!conf_ask(c, &a, 1))
        return FAIL;
    if (a.status == FRONT_ERROR)
        return fail(c, "it got ERROR");
    return conf_holds(c, SOMEWHERE, 16, seed) && conf_holds(c, SOMEWHERE + 32, 16, seed) ? PASS
                                                                                         : FAIL;
}

/* --- queues --- */

/* All slots of all queues are in flight before an answer is taken. */
static enum verdict queues(struct conf *c)
{
    static struct ask asks[FRONT_QUEUES_MAX][ASKS_MAX];
    uint64_t seed = ++c->seed;
    unsigned size = c->front.queues[0].ring.size;

    if (!conf_store(c, SOMEWHERE, size, seed))
        return FAIL;
    for (unsigned q = 0; q < c->front.queue_count; q++) {
        for (unsigned i = 0; i < size; i++)
            build(c, &asks[q][i], FRONT_READ, q * size + i, SOMEWHERE + i);
        if (!conf_put(c, q, asks[q], size))
            return FAIL;
    }
    for (unsigned q = 0; q < c->front.queue_count; q++) {
        if (!conf_take(c, q, asks[q], size, size) || !all_okay(c, asks[q], size))
            return FAIL;
        for (unsigned i = 0; i < size; i++)
            if (!is_pattern(place(c, q * size + i), seed, SOMEWHERE + i))
                return fail(c, "queue %u: request %u read wrong data", q, i);
    }
    return all_slots(c);
}

/* --- grants that stay --- */

/* The same grants, twenty rings' worth and more of them. */
static enum verdict persistent_again(struct conf *c)
{
    return around(c, 20 + c->front.queues[0].ring.req_prod / c->front.queues[0].ring.size);
}

/* More grants than a ring's requests can name at once, in turns and again: more than a backend has
 * to keep. */
static enum verdict persistent_many(struct conf *c)
{
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned page = 0; page + FRONT_SEGMENTS <= POOL_DATA; page += FRONT_SEGMENTS) {
            uint64_t seed = ++c->seed;
            struct ask a;

            for (unsigned i = 0; i < FRONT_SEGMENTS * FRONT_PAGE_SECTORS; i++)
                pattern(conf_page(c, page) + (size_t)i * FRONT_SECTOR, seed, SOMEWHERE + i);
            ask_start(&a, FRONT_WRITE, SOMEWHERE);
            ask_pages(c, &a, page, FRONT_SEGMENTS * FRONT_PAGE_SECTORS);
            if (!conf_do(c, &a) ||
                !conf_holds(c, SOMEWHERE, FRONT_SEGMENTS * FRONT_PAGE_SECTORS, seed))
                return FAIL;
        }
    }
    return PASS;
}

static enum verdict persistent_indirect(struct conf *c)
{
    for (unsigned i = 0; i < 4; i++) {
        enum verdict v = layout_indirect(c);

        if (v != PASS)
            return v;
    }
    return PASS;
}

/* --- events --- */

static bool await_event(struct conf *c)
{
    int64_t deadline = front_now() + c->timeout_ms;

    for (uint64_t before = c->front.wakeups; c->front.wakeups == before;) {
        if (front_now() >= deadline || front_wait(&c->front, -1, deadline, NULL) < 0) {
            (void)fail(c, "no event came for the answer that asked for one");
            return false;
        }
    }
    return true;
}

/* A read whose answer is looked for without asking for an event before answer `at`. */
static bool silent_read(struct conf *c, uint32_t at)
{
    struct front_ring *ring = &c->front.queues[0].ring;
    int64_t deadline = front_now() + c->timeout_ms;
    struct ask a;

    (void)front_ring_answers_at(ring, at);
    build(c, &a, FRONT_READ, 0, SOMEWHERE);
    if (!conf_put(c, 0, &a, 1))
        return false;
    while (front_ring_answers_at(ring, at) == 0) {
        if (front_now() >= deadline) {
            (void)fail(c, "no answer");
            return false;
        }
    }
    return conf_take(c, 0, &a, 1, 1);
}

/* Twenty answers of which only the last asks for an event: rsp_event is what the front sets it to.
 * One event before may be left over from an earlier answer, which the front saw first. */
static enum verdict event_suppression(struct conf *c)
{
    struct front_ring *ring = &c->front.queues[0].ring;
    uint32_t at = ring->rsp_cons + 20;
    int events = conf_events(c), early = 0;

    for (unsigned i = 0; events >= 0 && i < 19; i++) {
        if (!silent_read(c, at))
            return FAIL;
        events = conf_events(c);
        early += events > 0;
    }
    if (events < 0 || !silent_read(c, at) || !await_event(c))
        return FAIL;
    return early <= 1 ? PASS : fail(c, "%d of 19 answers came with an event not asked for", early);
}

static enum verdict event_when_asked(struct conf *c)
{
    for (unsigned i = 0; i < 20; i++) {
        if (conf_events(c) < 0 || !silent_read(c, c->front.queues[0].ring.rsp_cons + 1) ||
            !await_event(c))
            return FAIL;
    }
    return PASS;
}

static const struct setup native = {.layout = FRONT_NATIVE}, x86_32 = {.layout = FRONT_X86_32},
                          order_1 = {.order = 1}, order_2 = {.order = 2}, order_3 = {.order = 3},
                          order_4 = {.order = 4}, pages_2 = {.order = 1, .scheme = FRONT_BY_PAGES},
                          pages_4 = {.order = 2, .scheme = FRONT_BY_PAGES},
                          pages_8 = {.order = 3, .scheme = FRONT_BY_PAGES},
                          pages_16 = {.order = 4, .scheme = FRONT_BY_PAGES},
                          queues_2 = {.queues = 2}, queues_4 = {.queues = 4},
                          queues_wide = {.queues = 2, .order = 2},
                          x86_32_wide = {.layout = FRONT_X86_32, .order = 4},
                          persistent = {.persistent = true},
                          persistent_wide = {.persistent = true, .queues = 2, .order = 1};

static const struct check list[] = {
    {"ring-all-slots", NEED_NOTHING, &plain, all_slots},
    {"ring-wrap-around", NEED_NOTHING, &plain, wrap_around},
    {"event-suppression", NEED_NOTHING, &plain, event_suppression},
    {"event-when-asked", NEED_NOTHING, &plain, event_when_asked},
    {"layout-native", NEED_NOTHING, &native, layout},
    {"layout-x86_64", NEED_NOTHING, &plain, layout},
    {"layout-x86_64-indirect", NEED_INDIRECT, &plain, layout_indirect},
    {"layout-x86_64-discard", NEED_DISCARD, &plain, layout_discard},
    {"layout-x86_32", NEED_NOTHING, &x86_32, layout},
    {"layout-x86_32-indirect", NEED_INDIRECT, &x86_32, layout_indirect},
    {"layout-x86_32-discard", NEED_DISCARD, &x86_32, layout_discard},
    {"layout-x86_32-order-4", NEED_NOTHING, &x86_32_wide, sizes},
    {"ring-order-0", NEED_NOTHING, &plain, sizes},
    {"ring-order-1", NEED_NOTHING, &order_1, sizes},
    {"ring-order-2", NEED_NOTHING, &order_2, sizes},
    {"ring-order-3", NEED_NOTHING, &order_3, sizes},
    {"ring-order-4", NEED_NOTHING, &order_4, sizes},
    {"ring-pages-2", NEED_NOTHING, &pages_2, sizes},
    {"ring-pages-4", NEED_NOTHING, &pages_4, sizes},
    {"ring-pages-8", NEED_NOTHING, &pages_8, sizes},
    {"ring-pages-16", NEED_NOTHING, &pages_16, sizes},
    {"queues-2", NEED_NOTHING, &queues_2, queues},
    {"queues-4", NEED_NOTHING, &queues_4, queues},
    {"queues-2-order-2", NEED_NOTHING, &queues_wide, queues},
    {"persistent-same-grants", NEED_NOTHING, &persistent, persistent_again},
    {"persistent-many-grants", NEED_NOTHING, &persistent, persistent_many},
    {"persistent-indirect", NEED_INDIRECT, &persistent, persistent_indirect},
    {"persistent-queues-2-order-1", NEED_NOTHING, &persistent_wide, queues},
};
TABLE(checks_ring, list);
