/* checks_disks.c - the two other disks: one that is read-only, one whose sectors are 4096 bytes. */
#include "conformance/conformance.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WATCHED = 64, INFO_READ_ONLY = 4 };

/* --- read-only --- */

static enum verdict ro_keys(struct conf *c)
{
    return (c->front.info & INFO_READ_ONLY) != 0 ? PASS
                                                 : fail(c, "\"info\" is %" PRIu64, c->front.info);
}

static bool read_page(struct conf *c, unsigned page)
{
    struct ask a;

    ask_start(&a, FRONT_READ, WATCHED);
    ask_pages(c, &a, page, 8);
    return conf_do(c, &a);
}

static enum verdict ro_read(struct conf *c)
{
    blank(c, 0, 1);
    memset(conf_page(c, 1), 0, FRONT_PAGE);
    if (!read_page(c, 0) || !read_page(c, 1))
        return FAIL;
    return memcmp(conf_page(c, 0), conf_page(c, 1), FRONT_PAGE) == 0 ? PASS
                                                                     : fail(c, "two reads differ");
}

/* Refused, and the disk is as before. */
static enum verdict ro_refused(struct conf *c, struct ask *a)
{
    if (!read_page(c, POOL_SCRATCH) || conf_refused(c, a, WATCHED) != PASS || !read_page(c, 0))
        return FAIL;
    return memcmp(conf_page(c, 0), conf_page(c, POOL_SCRATCH), FRONT_PAGE) == 0
               ? PASS
               : fail(c, "the disk was changed");
}

static enum verdict ro_write(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_WRITE, WATCHED);
    ask_pages(c, &a, 0, 8);
    return ro_refused(c, &a);
}

static enum verdict ro_barrier(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_BARRIER, WATCHED);
    ask_pages(c, &a, 0, 8);
    return ro_refused(c, &a);
}

static enum verdict ro_indirect(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_WRITE, WATCHED);
    ask_indirect(c, &a, FRONT_WRITE, 0, 1, 0, 7);
    return ro_refused(c, &a);
}

/* Offered or not: it must not be done. */
static enum verdict ro_discard(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_DISCARD, WATCHED);
    a.raw.discard = 8;
    return ro_refused(c, &a);
}

/* There is nothing to flush, but a front need not know: OKAY and a refusal are allowed. */
static enum verdict ro_flush(struct conf *c)
{
    struct ask a;

    ask_start(&a, FRONT_FLUSH, 0);
    return conf_ask(c, &a, 1) && read_page(c, 0) ? PASS : FAIL;
}

/* --- large sectors: the front does not write feature-large-sector-size, so all quantities are in
 * units of 512 bytes --- */

static enum verdict large_keys(struct conf *c)
{
    return c->front.sector_size == 4096
               ? PASS
               : fail(c, "\"sector-size\" is %" PRIu64, c->front.sector_size);
}

static enum verdict large_aligned(struct conf *c)
{
    const struct shape s = {.segments = 11, .first = 0, .last = 7};
    enum verdict v = conf_write(c, &s, WATCHED);

    return v == PASS ? conf_read(c, &s, WATCHED) : v;
}

/* A whole sector in two halves of two pages. blkif.h does not say whether every segment must hold
 * whole sectors, or only the request; so it may be refused, and must be right where it is not. */
static enum verdict large_in_halves(struct conf *c)
{
    uint64_t old = ++c->seed, new = ++c->seed;
    struct ask a;

    if (!conf_store(c, WATCHED, 24, old))
        return FAIL;
    ask_start(&a, FRONT_WRITE, WATCHED + 8);
    for (unsigned i = 0; i < 8; i++)
        pattern(conf_page(c, i / 4) + (size_t)(4 + i % 4) * FRONT_SECTOR, new, WATCHED + 8 + i);
    ask_segment(c, &a, 0, 4, 7);
    ask_segment(c, &a, 1, 4, 7);
    if (!conf_ask(c, &a, 1) || !conf_holds(c, WATCHED, 8, old) ||
        !conf_holds(c, WATCHED + 8, 8, a.status == FRONT_OKAY ? new : old) ||
        !conf_holds(c, WATCHED + 16, 8, old))
        return FAIL;
    return PASS;
}

/* A backend may refuse what is no whole sector, or do it right by reading and writing back: the
 * specification only has the logical sector as "the logical block size of the underlying storage".
 */
static enum verdict unaligned(struct conf *c, uint64_t sector, unsigned sectors)
{
    for (unsigned op = FRONT_READ; op <= FRONT_WRITE; op++) {
        uint64_t old = ++c->seed, new = op == FRONT_WRITE ? ++c->seed : old;
        struct ask a;

        if (!conf_store(c, WATCHED, 24, old))
            return FAIL;
        ask_start(&a, op, sector);
        ask_pages(c, &a, 0, sectors);
        for (unsigned i = 0; i < sectors; i++)
            pattern(c->pool + (size_t)i * FRONT_SECTOR, new, sector + i);
        if (op == FRONT_READ)
            blank(c, 0, 2);
        if (!conf_ask(c, &a, 1))
            return FAIL;
        if (a.status == FRONT_OKAY && op == FRONT_READ && !is_pattern(c->pool, old, sector))
            return fail(c, "it was read, but wrong");
        if (a.status == FRONT_OKAY && op == FRONT_WRITE)
            return skip(c, "unaligned writes are done");
        if (a.status != FRONT_OKAY && !conf_holds(c, WATCHED, 24, old))
            return FAIL;
    }
    return PASS;
}

static enum verdict large_unaligned_start(struct conf *c)
{
    return unaligned(c, WATCHED + 4, 8);
}

static enum verdict large_unaligned_length(struct conf *c)
{
    return unaligned(c, WATCHED + 8, 3);
}

static const struct setup read_only = {.disk = DISK_READ_ONLY}, large = {.disk = DISK_LARGE};

static const struct check list[] = {
    {"read-only-info", NEED_NOTHING, &read_only, ro_keys},
    {"read-only-read", NEED_NOTHING, &read_only, ro_read},
    {"read-only-write", NEED_NOTHING, &read_only, ro_write},
    {"read-only-barrier", NEED_NOTHING, &read_only, ro_barrier},
    {"read-only-indirect-write", NEED_INDIRECT, &read_only, ro_indirect},
    {"read-only-discard", NEED_NOTHING, &read_only, ro_discard},
    {"read-only-flush", NEED_NOTHING, &read_only, ro_flush},
    {"large-sectors-key", NEED_NOTHING, &large, large_keys},
    {"large-sectors-aligned", NEED_NOTHING, &large, large_aligned},
    {"large-sectors-in-halves", NEED_NOTHING, &large, large_in_halves},
    {"large-sectors-unaligned-start", NEED_NOTHING, &large, large_unaligned_start},
    {"large-sectors-unaligned-length", NEED_NOTHING, &large, large_unaligned_length},
};
TABLE(checks_disks, list);
