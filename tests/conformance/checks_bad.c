/* checks_bad.c - direct requests that no front may send: each must be refused, with nothing moved,
 * and the backend must go on. */
#include "conformance/conformance.h"

enum { WATCHED = 2048, BAD_GRANT = 0x7FFFFFF0 };

/* Where a wrong sum of sector and length would begin again at byte 0 of the disk. */
#define WRAPPED_BYTES (1ull << 55)

static enum verdict segment(struct conf *c, unsigned op, unsigned first, unsigned last)
{
    struct ask a;

    ask_start(&a, op, WATCHED);
    ask_segment(c, &a, 0, first, last);
    return conf_refused(c, &a, WATCHED);
}

static enum verdict both(struct conf *c, unsigned first, unsigned last)
{
    enum verdict v = segment(c, FRONT_READ, first, last);

    return v == PASS ? segment(c, FRONT_WRITE, first, last) : v;
}

static enum verdict first_after_last(struct conf *c)
{
    enum verdict v = both(c, 4, 3);

    return v == PASS ? both(c, 7, 0) : v;
}

static enum verdict last_is_8(struct conf *c)
{
    return both(c, 0, 8);
}

static enum verdict last_is_255(struct conf *c)
{
    return both(c, 0, 255);
}

static enum verdict first_is_8(struct conf *c)
{
    enum verdict v = both(c, 8, 8);

    return v == PASS ? both(c, 255, 255) : v;
}

static enum verdict many_segments(struct conf *c, unsigned count)
{
    for (unsigned op = FRONT_READ; op <= FRONT_WRITE; op++) {
        struct ask a;

        ask_start(&a, op, WATCHED);
        for (unsigned i = 0; i < count; i++)
            ask_segment(c, &a, i, 0, 7);
        if (conf_refused(c, &a, WATCHED) != PASS)
            return FAIL;
    }
    return PASS;
}

static enum verdict segments_12(struct conf *c)
{
    return many_segments(c, 12);
}

static enum verdict segments_255(struct conf *c)
{
    return many_segments(c, 255);
}

/* blkif.h does not forbid a request without segments, so OKAY is allowed too: nothing was asked
 * for. What it may not do is to move anything, or to end the service. */
static enum verdict segments_0(struct conf *c)
{
    uint64_t seed = ++c->seed;

    if (!conf_store(c, WATCHED, 8, seed))
        return FAIL;
    blank(c, 0, FRONT_SEGMENTS);
    for (unsigned op = FRONT_READ; op <= FRONT_WRITE; op++) {
        struct ask a;

        ask_start(&a, op, WATCHED);
        for (unsigned i = 0; i < FRONT_SEGMENTS; i++)
            a.raw.refs[i] = c->refs[i];
        if (!conf_ask(c, &a, 1))
            return FAIL;
    }
    if (!is_blank(c->pool, (size_t)FRONT_SEGMENTS * FRONT_PAGE))
        return fail(c, "data was moved into pages");
    return conf_holds(c, WATCHED, 8, seed) ? PASS : FAIL;
}

/* --- places --- */

static enum verdict place(struct conf *c, uint64_t sector, unsigned sectors, uint64_t watched)
{
    for (unsigned op = FRONT_READ; op <= FRONT_WRITE; op++) {
        struct ask a;

        ask_start(&a, op, sector);
        ask_pages(c, &a, 0, sectors);
        if (conf_refused(c, &a, watched) != PASS)
            return FAIL;
    }
    return PASS;
}

static enum verdict one_past_end(struct conf *c)
{
    return place(c, c->front.sectors - 7, 8, c->front.sectors - 8);
}

static enum verdict at_end(struct conf *c)
{
    return place(c, c->front.sectors, 1, c->front.sectors - 8);
}

static enum verdict far_past_end(struct conf *c)
{
    return place(c, c->front.sectors + (1ull << 40), 8, c->front.sectors - 8);
}

static enum verdict sum_overflows(struct conf *c)
{
    enum verdict v = place(c, UINT64_MAX - 3, 8, 0);

    return v == PASS ? place(c, UINT64_MAX, 1, 0) : v;
}

static enum verdict bytes_overflow(struct conf *c)
{
    enum verdict v = place(c, WRAPPED_BYTES, 8, 0);

    return v == PASS ? place(c, WRAPPED_BYTES + WATCHED, 8, WATCHED) : v;
}

/* --- operations --- */

static enum verdict operation(struct conf *c, unsigned op)
{
    struct ask a;

    ask_start(&a, op, WATCHED);
    ask_pages(c, &a, 0, 8);
    return conf_refused(c, &a, WATCHED);
}

static enum verdict unknown_operations(struct conf *c)
{
    enum verdict v = operation(c, 7);

    return v == PASS ? operation(c, 255) : v;
}

static enum verdict reserved_operation(struct conf *c)
{
    return operation(c, 4);
}

/* What is not offered may be refused, or done all the same: blkif.h only says that a front has no
 * reason to ask. It must be answered. */
static enum verdict unoffered_operations(struct conf *c)
{
    const struct offer *o = conf_offer(c);
    const bool offered[] = {true, true, o->barrier, o->flush, true, o->discard, o->indirect != 0};
    unsigned tried = 0;

    for (unsigned op = 0; op <= FRONT_INDIRECT; op++) {
        struct ask a;

        if (offered[op])
            continue;
        tried++;
        ask_start(&a, op, WATCHED);
        a.raw.discard = 8;
        if (op == FRONT_INDIRECT)
            ask_indirect(c, &a, FRONT_READ, 0, 1, 0, 7);
        if (!conf_ask(c, &a, 1) || !conf_store(c, WATCHED, 8, ++c->seed))
            return FAIL;
    }
    return tried > 0 ? PASS : skip(c, "nothing is left out");
}

/* --- grants --- */

static enum verdict bad_grant(struct conf *c)
{
    for (unsigned op = FRONT_READ; op <= FRONT_WRITE; op++) {
        struct ask a;

        ask_start(&a, op, WATCHED);
        ask_pages(c, &a, 0, 8);
        a.raw.refs[0] = BAD_GRANT;
        if (conf_refused(c, &a, WATCHED) != PASS)
            return FAIL;
    }
    return PASS;
}

/* The write's first page is good: the disk must not get it alone. */
static enum verdict bad_grant_among_good(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_WRITE, WATCHED);
    ask_pages(c, &a, 0, 32);
    a.raw.refs[2] = BAD_GRANT;
    return conf_refused(c, &a, WATCHED);
}

static enum verdict read_into_read_only(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_READ, WATCHED);
    ask_pages(c, &a, 0, 8);
    a.raw.refs[0] = c->sealed_ref;
    return conf_refused(c, &a, WATCHED);
}

/* --- among good ones --- */

static enum verdict bad_segment_among_good(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_WRITE, WATCHED);
    ask_pages(c, &a, 0, 80);
    ask_segment(c, &a, 10, 5, 2);
    return conf_refused(c, &a, WATCHED);
}

/* A full ring of good and bad in turn: each gets its own answer. */
static enum verdict bad_among_good(struct conf *c)
{
    unsigned count = c->front.queues[0].ring.size;
    uint64_t seed = ++c->seed;
    struct ask asks[ASKS_MAX];

    if (!conf_store(c, WATCHED, 8, seed))
        return FAIL;
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < count; i++) {
            ask_start(&asks[i], i % 4 == 3 ? 9 : FRONT_READ, WATCHED);
            ask_segment(c, &asks[i], i, i % 4 == 1 ? 3 : 0, i % 4 == 2 ? 8 : 2);
        }
        if (!conf_ask(c, asks, count))
            return FAIL;
        for (unsigned i = 0; i < count; i++)
            if (is_refusal(asks[i].status) != (i % 4 != 0))
                return fail(c, "request %u of the ring got %s", i, status_text(asks[i].status));
    }
    return conf_holds(c, WATCHED, 8, seed) ? PASS : FAIL;
}

static const struct check list[] = {
    {"bad-0-segments", NEED_NOTHING, &plain, segments_0},
    {"bad-12-segments", NEED_NOTHING, &plain, segments_12},
    {"bad-255-segments", NEED_NOTHING, &plain, segments_255},
    {"bad-first-after-last", NEED_NOTHING, &plain, first_after_last},
    {"bad-last-8", NEED_NOTHING, &plain, last_is_8},
    {"bad-last-255", NEED_NOTHING, &plain, last_is_255},
    {"bad-first-8", NEED_NOTHING, &plain, first_is_8},
    {"bad-one-past-end", NEED_NOTHING, &plain, one_past_end},
    {"bad-at-end", NEED_NOTHING, &plain, at_end},
    {"bad-far-past-end", NEED_NOTHING, &plain, far_past_end},
    {"bad-sector-sum-overflows", NEED_NOTHING, &plain, sum_overflows},
    {"bad-byte-offset-overflows", NEED_NOTHING, &plain, bytes_overflow},
    {"bad-unknown-operations", NEED_NOTHING, &plain, unknown_operations},
    {"bad-reserved-operation", NEED_NOTHING, &plain, reserved_operation},
    {"unoffered-operations", NEED_NOTHING, &plain, unoffered_operations},
    {"bad-grant", NEED_NOTHING, &plain, bad_grant},
    {"bad-grant-among-good", NEED_NOTHING, &plain, bad_grant_among_good},
    {"bad-read-into-read-only-grant", NEED_NOTHING, &plain, read_into_read_only},
    {"bad-segment-among-good", NEED_NOTHING, &plain, bad_segment_among_good},
    {"bad-requests-among-good", NEED_NOTHING, &plain, bad_among_good},
};
TABLE(checks_bad, list);
