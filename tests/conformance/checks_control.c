/* checks_control.c - flushes, barriers and discards. */
#include "conformance/conformance.h"

#include <inttypes.h>

enum { SOMEWHERE = 8192, SECURE = 1 };

/* "Requests of this type may still be returned at any time with the BLKIF_RSP_EOPNOTSUPP". */
static bool is_done_or_unsupported(int status)
{
    return status == FRONT_OKAY || status == FRONT_UNSUPPORTED;
}

static enum verdict ask_control(struct conf *c, struct ask *a)
{
    if (!conf_ask(c, a, 1))
        return FAIL;
    return is_done_or_unsupported(a->status) ? PASS : fail(c, "it got %s", status_text(a->status));
}

/* --- flush --- */

static enum verdict flush(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_FLUSH, 0);
    return ask_control(c, &a);
}

/* The sector of a request that has no data means nothing. */
static enum verdict flush_any_sector(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_FLUSH, UINT64_MAX);
    return ask_control(c, &a);
}

/* Writes with a flush after every third, in one ring. */
static enum verdict flush_among_writes(struct conf *c)
{
    struct ask asks[32];
    uint64_t seed = ++c->seed;
    unsigned written = 0;

    for (unsigned i = 0; i < 32; i++) {
        ask_start(&asks[i], i % 4 == 3 ? FRONT_FLUSH : FRONT_WRITE, 0);
        if (i % 4 == 3)
            continue;
        asks[i].raw.sector = SOMEWHERE + written;
        pattern(conf_page(c, i), seed, SOMEWHERE + written++);
        ask_segment(c, &asks[i], i, 0, 0);
    }
    if (!conf_ask(c, asks, 32))
        return FAIL;
    for (unsigned i = 0; i < 32; i++)
        if (asks[i].status != FRONT_OKAY)
            return fail(c, "request %u got %s", i, status_text(asks[i].status));
    return conf_holds(c, SOMEWHERE, written, seed) ? PASS : FAIL;
}

/* blkif.h gives a flush no data, and does not say what segments would mean. Refusing it, flushing
 * without them, and Linux' way, which writes them first, are accepted; not a part of them, nor
 * anything beside. */
static enum verdict flush_with_segments(struct conf *c)
{
    uint64_t old = ++c->seed, new = ++c->seed;
    struct ask a;

    if (!conf_store(c, SOMEWHERE, 32, old))
        return FAIL;
    for (unsigned i = 0; i < FRONT_PAGE_SECTORS; i++)
        pattern(c->pool + (size_t)i * FRONT_SECTOR, new, SOMEWHERE + 8 + i);
    ask_start(&a, FRONT_FLUSH, SOMEWHERE + 8);
    ask_pages(c, &a, 0, 8);
    if (!conf_ask(c, &a, 1) || !conf_holds(c, SOMEWHERE, 8, old) ||
        !conf_holds(c, SOMEWHERE + 16, 16, old))
        return FAIL;
    return conf_holds(c, SOMEWHERE + 8, 8, old) ||
                   (a.status == FRONT_OKAY && conf_holds(c, SOMEWHERE + 8, 8, new))
               ? PASS
               : FAIL;
}

/* --- barrier --- */

static enum verdict barrier_empty(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_BARRIER, 0);
    return ask_control(c, &a);
}

static enum verdict barrier_with_data(struct conf *c)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    for (unsigned i = 0; i < 88; i++)
        pattern(c->pool + (size_t)i * FRONT_SECTOR, seed, SOMEWHERE + i);
    ask_start(&a, FRONT_BARRIER, SOMEWHERE);
    ask_pages(c, &a, 0, 88);
    if (ask_control(c, &a) != PASS)
        return FAIL;
    if (a.status == FRONT_UNSUPPORTED)
        return PASS;
    return conf_holds(c, SOMEWHERE, 88, seed) ? PASS : FAIL;
}

/* After a request that is not the last has won. */
static enum verdict whose(struct conf *c, uint64_t seed)
{
    for (unsigned i = 0; i < 8; i++)
        if (is_pattern(conf_page(c, POOL_SCRATCH), seed + i, SOMEWHERE))
            return fail(c, "of 9 requests in order, barriers between writes, %u was done last",
                        i + 1);
    return FAIL;
}

/* A write, a barrier and a write to one place, all in the ring at once: they happen in that order,
 * so the last one's data stays, and a barrier's own is over the first's. */
static enum verdict barrier_orders(struct conf *c)
{
    for (unsigned round = 0; round < 3; round++) {
        uint64_t seed = c->seed + 1;
        struct ask asks[9];

        c->seed += 9;
        for (unsigned i = 0; i < 9; i++) {
            ask_start(&asks[i], i % 2 == 1 ? FRONT_BARRIER : FRONT_WRITE, SOMEWHERE);
            pattern(conf_page(c, i), seed + i, SOMEWHERE);
            ask_segment(c, &asks[i], i, 0, 0);
        }
        if (!conf_ask(c, asks, 9))
            return FAIL;
        for (unsigned i = 0; i < 9; i++)
            if (asks[i].status != FRONT_OKAY)
                return asks[i].status == FRONT_UNSUPPORTED
                           ? PASS
                           : fail(c, "request %u got %s", i, status_text(asks[i].status));
        if (!conf_holds(c, SOMEWHERE, 1, seed + 8))
            return whose(c, seed);
    }
    return PASS;
}

static enum verdict barrier_bad(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_BARRIER, c->front.sectors - 4);
    ask_pages(c, &a, 0, 8);
    return conf_refused(c, &a, c->front.sectors - 8);
}

/* --- discard --- */

static void start_discard(struct ask *a, uint64_t sector, uint64_t sectors, unsigned flag)
{
    ask_start(a, FRONT_DISCARD, sector);
    a->raw.second = (uint8_t)flag;
    a->raw.discard = sectors;
}

/* What was discarded may hold anything afterwards; what is beside it must stay, and the range can
 * be written again. */
static enum verdict discard(struct conf *c, uint64_t sector, unsigned sectors, unsigned flag)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    if (!conf_store(c, sector - 8, sectors + 16, seed))
        return FAIL;
    start_discard(&a, sector, sectors, flag);
    if (ask_control(c, &a) != PASS || !conf_holds(c, sector - 8, 8, seed) ||
        !conf_holds(c, sector + sectors, 8, seed))
        return FAIL;
    seed = ++c->seed;
    return conf_store(c, sector, sectors, seed) && conf_holds(c, sector, sectors, seed) ? PASS
                                                                                        : FAIL;
}

static enum verdict discard_page(struct conf *c)
{
    return discard(c, SOMEWHERE, 8, 0);
}

static enum verdict discard_sector(struct conf *c)
{
    return discard(c, SOMEWHERE + 3, 1, 0);
}

static enum verdict discard_odd(struct conf *c)
{
    return discard(c, SOMEWHERE + 5, 117, 0);
}

static enum verdict discard_megabyte(struct conf *c)
{
    return discard(c, SOMEWHERE, 2048, 0);
}

static enum verdict discard_secure(struct conf *c)
{
    return discard(c, SOMEWHERE, 8, SECURE);
}

/* "ignored if discard-secure=0" */
static enum verdict discard_secure_flag(struct conf *c)
{
    if (conf_offer(c)->secure)
        return skip(c, "discard-secure=0");
    return discard(c, SOMEWHERE, 8, SECURE);
}

static enum verdict discard_all(struct conf *c)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    start_discard(&a, 0, c->front.sectors, 0);
    if (ask_control(c, &a) != PASS || !conf_store(c, 0, 88, seed))
        return FAIL;
    return conf_holds(c, 0, 88, seed) ? PASS : FAIL;
}

/* Of nothing: blkif.h does not say whether that is an error. */
static enum verdict discard_0(struct conf *c)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    if (!conf_store(c, SOMEWHERE, 16, seed))
        return FAIL;
    start_discard(&a, SOMEWHERE + 8, 0, 0);
    return conf_ask(c, &a, 1) && conf_holds(c, SOMEWHERE, 16, seed) ? PASS : FAIL;
}

static enum verdict refused(struct conf *c, uint64_t sector, uint64_t sectors, uint64_t watched)
{
    struct ask a;

    start_discard(&a, sector, sectors, 0);
    return conf_refused(c, &a, watched);
}

static enum verdict discard_past_end(struct conf *c)
{
    enum verdict v = refused(c, c->front.sectors - 7, 8, c->front.sectors - 8);

    if (v == PASS)
        v = refused(c, c->front.sectors, 1, c->front.sectors - 8);
    return v == PASS ? refused(c, 0, c->front.sectors + 1, SOMEWHERE) : v;
}

static enum verdict discard_overflow(struct conf *c)
{
    enum verdict v = refused(c, SOMEWHERE, UINT64_MAX, SOMEWHERE);

    if (v == PASS)
        v = refused(c, UINT64_MAX - 3, 8, 0);
    return v == PASS ? refused(c, SOMEWHERE, (1ull << 55) + 8, SOMEWHERE) : v;
}

static const struct check list[] = {
    {"flush", NEED_FLUSH, &plain, flush},
    {"flush-any-sector", NEED_FLUSH, &plain, flush_any_sector},
    {"flush-among-writes", NEED_FLUSH, &plain, flush_among_writes},
    {"flush-with-segments", NEED_FLUSH, &plain, flush_with_segments},
    {"barrier-empty", NEED_BARRIER, &plain, barrier_empty},
    {"barrier-with-data", NEED_BARRIER, &plain, barrier_with_data},
    {"barrier-orders-writes", NEED_BARRIER, &plain, barrier_orders},
    {"barrier-bad-past-end", NEED_BARRIER, &plain, barrier_bad},
    {"discard-page", NEED_DISCARD, &plain, discard_page},
    {"discard-one-sector", NEED_DISCARD, &plain, discard_sector},
    {"discard-odd-range", NEED_DISCARD, &plain, discard_odd},
    {"discard-megabyte", NEED_DISCARD, &plain, discard_megabyte},
    {"discard-whole-disk", NEED_DISCARD, &plain, discard_all},
    {"discard-0-sectors", NEED_DISCARD, &plain, discard_0},
    {"discard-secure", NEED_SECURE, &plain, discard_secure},
    {"discard-secure-flag-ignored", NEED_DISCARD, &plain, discard_secure_flag},
    {"discard-bad-past-end", NEED_DISCARD, &plain, discard_past_end},
    {"discard-bad-overflows", NEED_DISCARD, &plain, discard_overflow},
};
TABLE(checks_control, list);
