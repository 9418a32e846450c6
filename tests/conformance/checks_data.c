/* checks_data.c - reads and writes that must succeed: every boundary of a request's segments and of
 * the disk, with every byte looked at; and what is echoed in an answer. */
#include "conformance/conformance.h"

#include <inttypes.h>
#include <string.h>

enum { SOMEWHERE = 1024 }; /* a sector well inside the disk */

static enum verdict write_shape(struct conf *c, unsigned segments, unsigned first, unsigned last)
{
    const struct shape s = {.segments = segments, .first = first, .last = last};

    return conf_write(c, &s, SOMEWHERE);
}

static enum verdict read_shape(struct conf *c, unsigned segments, unsigned first, unsigned last)
{
    const struct shape s = {.segments = segments, .first = first, .last = last};

    return conf_read(c, &s, SOMEWHERE);
}

static enum verdict write_1(struct conf *c)
{
    return write_shape(c, 1, 0, 7);
}

static enum verdict read_1(struct conf *c)
{
    return read_shape(c, 1, 0, 7);
}

static enum verdict write_11(struct conf *c)
{
    return write_shape(c, 11, 0, 7);
}

static enum verdict read_11(struct conf *c)
{
    return read_shape(c, 11, 0, 7);
}

/* 0 and 7 are the first and last. */
static enum verdict write_each_sector(struct conf *c)
{
    enum verdict v = PASS;

    for (unsigned i = 0; v == PASS && i < FRONT_PAGE_SECTORS; i++)
        v = write_shape(c, 1, i, i);
    return v;
}

static enum verdict read_each_sector(struct conf *c)
{
    enum verdict v = PASS;

    for (unsigned i = 0; v == PASS && i < FRONT_PAGE_SECTORS; i++)
        v = read_shape(c, 1, i, i);
    return v;
}

static enum verdict write_middles(struct conf *c)
{
    return write_shape(c, 11, 2, 4);
}

static enum verdict read_middles(struct conf *c)
{
    return read_shape(c, 11, 2, 4);
}

static enum verdict odd_sector(struct conf *c)
{
    const struct shape s = {.segments = 3, .first = 1, .last = 7};
    enum verdict v = conf_write(c, &s, SOMEWHERE + 3);

    return v == PASS ? conf_read(c, &s, SOMEWHERE + 5) : v;
}

/* At the first sector, or so that the last one is the disk's. */
static enum verdict at_edge(struct conf *c, unsigned segments, unsigned last, bool end)
{
    const struct shape s = {.segments = segments, .first = 0, .last = last};
    uint64_t sector = end ? c->front.sectors - (uint64_t)segments * (last + 1) : 0;
    enum verdict v = conf_write(c, &s, sector);

    return v == PASS ? conf_read(c, &s, sector) : v;
}

static enum verdict first_sector(struct conf *c)
{
    return at_edge(c, 1, 0, false);
}

static enum verdict last_sector(struct conf *c)
{
    return at_edge(c, 1, 0, true);
}

static enum verdict up_to_the_end(struct conf *c)
{
    return at_edge(c, 11, 7, true);
}

/* Segments of 1 to 8 sectors, each at another place of its page. */
static enum verdict unlike_segments(struct conf *c)
{
    uint64_t seed = ++c->seed, sector = SOMEWHERE;
    struct ask a;

    ask_start(&a, FRONT_WRITE, sector);
    for (unsigned i = 0; i < FRONT_PAGE_SECTORS; i++) {
        for (unsigned k = i; k < FRONT_PAGE_SECTORS; k++)
            pattern(conf_page(c, i) + (size_t)k * FRONT_SECTOR, seed, sector++);
        ask_segment(c, &a, i, i, FRONT_PAGE_SECTORS - 1);
    }
    return conf_do(c, &a) && conf_holds(c, SOMEWHERE, (unsigned)(sector - SOMEWHERE), seed) ? PASS
                                                                                            : FAIL;
}

/* One page in two segments: its halves are read in the other order than they lie. */
static enum verdict page_twice(struct conf *c)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    if (!conf_store(c, SOMEWHERE, 8, seed))
        return FAIL;
    blank(c, 0, 1);
    ask_start(&a, FRONT_READ, SOMEWHERE);
    ask_segment(c, &a, 0, 4, 7);
    ask_segment(c, &a, 0, 0, 3);
    if (!conf_do(c, &a))
        return FAIL;
    for (unsigned i = 0; i < 8; i++)
        if (!is_pattern(conf_page(c, 0) + (size_t)i * FRONT_SECTOR, seed, SOMEWHERE + (i ^ 4)))
            return fail(c, "sector %u of the page is wrong", i);
    return PASS;
}

/* A write needs only to read the front's page. */
static enum verdict write_from_sealed(struct conf *c)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    for (unsigned i = 0; i < FRONT_PAGE_SECTORS; i++)
        pattern(c->sealed + (size_t)i * FRONT_SECTOR, seed, SOMEWHERE + i);
    ask_start(&a, FRONT_WRITE, SOMEWHERE);
    ask_segment(c, &a, 0, 0, 7);
    a.raw.refs[0] = c->sealed_ref;
    return conf_do(c, &a) && conf_holds(c, SOMEWHERE, 8, seed) ? PASS : FAIL;
}

/* --- answers --- */

static enum verdict ids(struct conf *c)
{
    static const uint64_t some[] = {0,          1,          0x7FFFFFFF,         0xFFFFFFFF,
                                    1ull << 32, 1ull << 63, 0x0123456789ABCDEF, UINT64_MAX};

    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        struct ask a;

        ask_start(&a, FRONT_READ, SOMEWHERE);
        ask_pages(c, &a, 0, 1);
        a.raw.id = some[i];
        a.own_id = true;
        if (!conf_do(c, &a))
            return FAIL;
    }
    return PASS;
}

/* The id is a "private guest value": the backend has no reason to want it unique. */
static enum verdict id_of_all(struct conf *c)
{
    struct ask asks[16];

    for (unsigned i = 0; i < 16; i++) {
        ask_start(&asks[i], FRONT_READ, SOMEWHERE);
        ask_pages(c, &asks[i], i, 8);
        asks[i].raw.id = 42;
        asks[i].own_id = true;
    }
    return conf_ask(c, asks, 16) ? PASS : FAIL;
}

static enum verdict operations_echoed(struct conf *c)
{
    static const uint8_t some[] = {FRONT_READ,    FRONT_WRITE, FRONT_BARRIER, FRONT_FLUSH, 4,
                                   FRONT_DISCARD, 7,           0x80,          0xFF};

    for (size_t i = 0; i < sizeof some; i++) {
        struct ask a;

        ask_start(&a, some[i], SOMEWHERE);
        if (some[i] <= FRONT_BARRIER)
            ask_pages(c, &a, 0, 8);
        a.raw.discard = 8;
        if (!conf_ask(c, &a, 1))
            return FAIL;
        if (a.answer.op != some[i])
            return fail(c, "operation %u was answered as %u", some[i], a.answer.op);
    }
    return PASS;
}

static bool is_zero_or_of_front(const struct ask *asks, unsigned count, const uint8_t padding[5])
{
    static const uint8_t zero[5];

    for (unsigned i = 0; i < count; i++) {
        uint8_t id[8];

        memcpy(id, &asks[i].raw.id, 8);
        if (padding[0] == id[1] && memcmp(padding + 1, id + 4, 4) == 0)
            return true;
    }
    return memcmp(padding, zero, 5) == 0;
}

/* blkif.h does not say what the padding holds. It must be zero or what the front itself wrote there
 * (bytes of the id of the request that the slot had), since anything else is the backend's memory
 * (XSA-216). */
static enum verdict padding(struct conf *c)
{
    struct ask asks[32];

    for (unsigned i = 0; i < 32; i++) {
        ask_start(&asks[i], i % 2 == 0 ? FRONT_READ : 0x80, SOMEWHERE);
        ask_pages(c, &asks[i], i, 8);
        asks[i].raw.id = 0x0102030405060708 + i * 0x1001001001ull;
        asks[i].own_id = true;
    }
    if (!conf_ask(c, asks, 32))
        return FAIL;
    for (unsigned i = 0; i < 32; i++) {
        const uint8_t *p = asks[i].answer.padding;

        if (!is_zero_or_of_front(asks, 32, p))
            return fail(c, "%02x and %02x%02x%02x%02x are neither zero nor the front's", p[0], p[1],
                        p[2], p[3], p[4]);
    }
    return PASS;
}

static const struct check list[] = {
    {"write-1-segment", NEED_NOTHING, &plain, write_1},
    {"read-1-segment", NEED_NOTHING, &plain, read_1},
    {"write-11-segments", NEED_NOTHING, &plain, write_11},
    {"read-11-segments", NEED_NOTHING, &plain, read_11},
    {"write-each-sector-of-page", NEED_NOTHING, &plain, write_each_sector},
    {"read-each-sector-of-page", NEED_NOTHING, &plain, read_each_sector},
    {"write-middles-of-pages", NEED_NOTHING, &plain, write_middles},
    {"read-middles-of-pages", NEED_NOTHING, &plain, read_middles},
    {"odd-sectors", NEED_NOTHING, &plain, odd_sector},
    {"unlike-segments", NEED_NOTHING, &plain, unlike_segments},
    {"page-in-two-segments", NEED_NOTHING, &plain, page_twice},
    {"write-from-read-only-grant", NEED_NOTHING, &plain, write_from_sealed},
    {"disk-first-sector", NEED_NOTHING, &plain, first_sector},
    {"disk-last-sector", NEED_NOTHING, &plain, last_sector},
    {"disk-up-to-the-end", NEED_NOTHING, &plain, up_to_the_end},
    {"answer-id-extremes", NEED_NOTHING, &plain, ids},
    {"answer-id-the-same-for-all", NEED_NOTHING, &plain, id_of_all},
    {"answer-operation", NEED_NOTHING, &plain, operations_echoed},
    {"answer-padding", NEED_NOTHING, &plain, padding},
};
TABLE(checks_data, list);
