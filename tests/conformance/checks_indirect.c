/* checks_indirect.c - BLKIF_OP_INDIRECT, good and bad: counts, pages of descriptors, contents. */
#include "conformance/conformance.h"

enum { SOMEWHERE = 4096, BAD_GRANT = 0x7FFFFFF0 };

/* Both ways, in that many segments. */
static enum verdict transfer(struct conf *c, unsigned segments, unsigned first, unsigned last)
{
    const struct shape s = {.indirect = true, .segments = segments, .first = first, .last = last};
    enum verdict v;

    if (conf_offer(c)->indirect < segments)
        return skip(c, "%u segments", segments);
    v = conf_write(c, &s, SOMEWHERE);
    return v == PASS ? conf_read(c, &s, SOMEWHERE) : v;
}

static enum verdict segments_1(struct conf *c)
{
    return transfer(c, 1, 0, 7);
}

static enum verdict segments_11(struct conf *c)
{
    return transfer(c, 11, 0, 7);
}

static enum verdict segments_12(struct conf *c)
{
    return transfer(c, 12, 0, 7);
}

static enum verdict one_sector_each(struct conf *c)
{
    return transfer(c, 32, 7, 7);
}

static enum verdict middles(struct conf *c)
{
    return transfer(c, 29, 1, 6);
}

/* As many as are offered, but no more than the pool has pages. */
static enum verdict segments_most(struct conf *c)
{
    uint64_t most = conf_offer(c)->indirect;

    return transfer(c, most < POOL_DATA ? (unsigned)most : POOL_DATA, 0, 7);
}

static enum verdict two_tables(struct conf *c)
{
    return transfer(c, TABLE_ENTRIES + 1, 3, 4);
}

static enum verdict up_to_the_end(struct conf *c)
{
    const struct shape s = {.indirect = true, .segments = 12, .first = 0, .last = 7};
    enum verdict v = conf_write(c, &s, c->front.sectors - 96);

    return v == PASS ? conf_read(c, &s, c->front.sectors - 96) : v;
}

/* The descriptors need only to be read. */
static enum verdict sealed_table(struct conf *c)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    if (!conf_store(c, SOMEWHERE, 8, seed))
        return FAIL;
    ask_start(&a, FRONT_READ, SOMEWHERE);
    ask_indirect(c, &a, FRONT_READ, 0, 1, 0, 7);
    for (unsigned i = 0; i < 8; i++)
        c->sealed[i] = conf_page(c, POOL_TABLES)[i];
    a.raw.refs[0] = c->sealed_ref;
    if (!conf_do(c, &a))
        return FAIL;
    return is_pattern(c->pool, seed, SOMEWHERE) ? PASS : fail(c, "wrong data");
}

/* A full ring of them. */
static enum verdict all_slots(struct conf *c)
{
    unsigned count = c->front.queues[0].ring.size;
    uint64_t seed = ++c->seed;
    struct ask asks[ASKS_MAX];

    if (!conf_store(c, SOMEWHERE, 96, seed))
        return FAIL;
    for (unsigned i = 0; i < count; i++) {
        ask_start(&asks[i], FRONT_READ, SOMEWHERE);
        ask_indirect(c, &asks[i], FRONT_READ, 0, 12, 0, 7); /* all the same: one table does */
    }
    if (!conf_ask(c, asks, count))
        return FAIL;
    for (unsigned i = 0; i < count; i++)
        if (asks[i].status != FRONT_OKAY)
            return fail(c, "request %u got %s", i, status_text(asks[i].status));
    return is_pattern(conf_page(c, 11), seed, SOMEWHERE + 88) ? PASS : fail(c, "wrong data");
}

/* blkif.h: "copied from request", which has two. Linux' blkback answers with the inner one, and
 * Linux' blkfront gives the disk up ("response has wrong operation") for anything else; so that is
 * what a backend must do. */
static enum verdict echo(struct conf *c)
{
    for (unsigned op = FRONT_READ; op <= FRONT_WRITE; op++) {
        struct ask a;

        ask_start(&a, op, SOMEWHERE);
        ask_indirect(c, &a, op, 0, 12, 0, 7);
        if (!conf_do(c, &a))
            return FAIL;
        if (a.answer.op != op)
            return fail(c, "an indirect operation %u was answered as %u", op, a.answer.op);
    }
    return PASS;
}

/* --- bad ones --- */

static enum verdict refused(struct conf *c, unsigned op, unsigned count, uint64_t sector)
{
    struct ask a;

    ask_start(&a, op, sector);
    ask_indirect(c, &a, op, 0, count, 0, 7);
    return conf_refused(c, &a, SOMEWHERE);
}

static enum verdict refused_both(struct conf *c, unsigned count, uint64_t sector)
{
    enum verdict v = refused(c, FRONT_READ, count, sector);

    return v == PASS ? refused(c, FRONT_WRITE, count, sector) : v;
}

static enum verdict one_too_many(struct conf *c)
{
    return refused_both(c, (unsigned)conf_offer(c)->indirect + 1, SOMEWHERE);
}

static enum verdict segments_65535(struct conf *c)
{
    return refused_both(c, UINT16_MAX, SOMEWHERE);
}

/* As with direct requests, blkif.h leaves open what none means: OKAY is allowed. */
static enum verdict segments_0(struct conf *c)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    if (!conf_store(c, SOMEWHERE, 8, seed))
        return FAIL;
    ask_start(&a, FRONT_WRITE, SOMEWHERE);
    ask_indirect(c, &a, FRONT_WRITE, 0, 0, 0, 0);
    return conf_ask(c, &a, 1) && conf_holds(c, SOMEWHERE, 8, seed) ? PASS : FAIL;
}

/* blkif.h: indirect_op is "BLKIF_OP_{READ/WRITE}". */
static enum verdict inner_operations(struct conf *c)
{
    static const uint8_t some[] = {FRONT_BARRIER, FRONT_FLUSH, FRONT_DISCARD, FRONT_INDIRECT, 255};
    enum verdict v = PASS;

    for (size_t i = 0; v == PASS && i < sizeof some; i++)
        v = refused(c, some[i], 2, SOMEWHERE);
    return v;
}

static enum verdict past_end(struct conf *c)
{
    enum verdict v = refused_both(c, 12, c->front.sectors - 95);

    return v == PASS ? refused_both(c, 12, UINT64_MAX - 3) : v;
}

/* The last of twelve descriptors is wrong. */
static enum verdict descriptor(struct conf *c, uint32_t ref, unsigned first, unsigned last)
{
    for (unsigned op = FRONT_READ; op <= FRONT_WRITE; op++) {
        struct ask a;

        ask_start(&a, op, SOMEWHERE);
        ask_indirect(c, &a, op, 0, 12, 0, 7);
        set_descriptor(c, 11, ref, first, last);
        if (conf_refused(c, &a, SOMEWHERE) != PASS)
            return FAIL;
    }
    return PASS;
}

static enum verdict last_is_8(struct conf *c)
{
    enum verdict v = descriptor(c, c->refs[11], 0, 8);

    return v == PASS ? descriptor(c, c->refs[11], 255, 255) : v;
}

static enum verdict first_after_last(struct conf *c)
{
    return descriptor(c, c->refs[11], 5, 4);
}

/* A read may have moved the segments before the bad one: its pages are the front's, and it was
 * told that they hold nothing. blkif.h does not say, so only the write is looked at. */
static enum verdict bad_grant(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_WRITE, SOMEWHERE);
    ask_indirect(c, &a, FRONT_WRITE, 0, 12, 0, 7);
    set_descriptor(c, 11, BAD_GRANT, 0, 7);
    return conf_refused(c, &a, SOMEWHERE);
}

static enum verdict bad_table(struct conf *c)
{
    for (unsigned op = FRONT_READ; op <= FRONT_WRITE; op++) {
        struct ask a;

        ask_start(&a, op, SOMEWHERE);
        ask_indirect(c, &a, op, 0, 12, 0, 7);
        a.raw.refs[0] = BAD_GRANT;
        if (conf_refused(c, &a, SOMEWHERE) != PASS)
            return FAIL;
    }
    return PASS;
}

static const struct check list[] = {
    {"indirect-1-segment", NEED_INDIRECT, &plain, segments_1},
    {"indirect-11-segments", NEED_INDIRECT, &plain, segments_11},
    {"indirect-12-segments", NEED_INDIRECT, &plain, segments_12},
    {"indirect-most-segments", NEED_INDIRECT, &plain, segments_most},
    {"indirect-two-descriptor-pages", NEED_INDIRECT, &plain, two_tables},
    {"indirect-one-sector-each", NEED_INDIRECT, &plain, one_sector_each},
    {"indirect-middles-of-pages", NEED_INDIRECT, &plain, middles},
    {"indirect-up-to-the-end", NEED_INDIRECT, &plain, up_to_the_end},
    {"indirect-read-only-descriptors", NEED_INDIRECT, &plain, sealed_table},
    {"indirect-all-slots", NEED_INDIRECT, &plain, all_slots},
    {"indirect-answer-operation", NEED_INDIRECT, &plain, echo},
    {"indirect-bad-0-segments", NEED_INDIRECT, &plain, segments_0},
    {"indirect-bad-one-too-many", NEED_INDIRECT, &plain, one_too_many},
    {"indirect-bad-65535-segments", NEED_INDIRECT, &plain, segments_65535},
    {"indirect-bad-inner-operations", NEED_INDIRECT, &plain, inner_operations},
    {"indirect-bad-past-end", NEED_INDIRECT, &plain, past_end},
    {"indirect-bad-last-8", NEED_INDIRECT, &plain, last_is_8},
    {"indirect-bad-first-after-last", NEED_INDIRECT, &plain, first_after_last},
    {"indirect-bad-grant", NEED_INDIRECT, &plain, bad_grant},
    {"indirect-bad-descriptor-page", NEED_INDIRECT, &plain, bad_table},
};
TABLE(checks_indirect, list);
