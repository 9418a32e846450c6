/* content.c - what sectors and pages must hold: patterns, and the three ways in which most checks
 * use them: a write, a read, a refusal. Called by the checks. */
#include "conformance/conformance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    BLANK = 0xC5,
    BESIDE = 8, /* sectors looked at on both sides of a range */
    PLAIN_SECTORS = FRONT_SEGMENTS * FRONT_PAGE_SECTORS
};

/* --- patterns --- */

/* xorshift64* of Vigna, begun at what is unlike for every sector and seed. */
static uint64_t next_word(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Dull;
}

static uint64_t begin_words(uint64_t seed, uint64_t sector)
{
    return ((seed + 1) * 0x9E3779B97F4A7C15ull ^ (sector + 1) * 0xD1B54A32D192ED03ull) | 1;
}

void pattern(uint8_t *at, uint64_t seed, uint64_t sector)
{
    uint64_t state = begin_words(seed, sector);

    for (size_t i = 0; i < FRONT_SECTOR; i += 8) {
        uint64_t word = next_word(&state);

        memcpy(at + i, &word, 8);
    }
}

bool is_pattern(const uint8_t *at, uint64_t seed, uint64_t sector)
{
    uint8_t wanted[FRONT_SECTOR];

    pattern(wanted, seed, sector);
    return memcmp(at, wanted, sizeof wanted) == 0;
}

void blank(struct conf *c, unsigned page, unsigned count)
{
    memset(conf_page(c, page), BLANK, (size_t)count * FRONT_PAGE);
}

bool is_blank(const uint8_t *at, size_t len)
{
    return at[0] == BLANK && memcmp(at, at + 1, len - 1) == 0;
}

/* --- the disk, by plain requests --- */

static bool plain_request(struct conf *c, unsigned op, uint64_t sector, unsigned sectors)
{
    struct ask a;

    ask_start(&a, op, sector);
    ask_pages(c, &a, POOL_SCRATCH, sectors);
    return conf_do(c, &a);
}

static unsigned step(unsigned left)
{
    return left < PLAIN_SECTORS ? left : PLAIN_SECTORS;
}

bool conf_store(struct conf *c, uint64_t sector, unsigned sectors, uint64_t seed)
{
    uint8_t *at = conf_page(c, POOL_SCRATCH);

    for (unsigned done = 0; done < sectors; done += step(sectors - done)) {
        for (unsigned i = 0; i < step(sectors - done); i++)
            pattern(at + (size_t)i * FRONT_SECTOR, seed, sector + done + i);
        if (!plain_request(c, FRONT_WRITE, sector + done, step(sectors - done)))
            return false;
    }
    return true;
}

bool conf_holds(struct conf *c, uint64_t sector, unsigned sectors, uint64_t seed)
{
    const uint8_t *at = conf_page(c, POOL_SCRATCH);

    for (unsigned done = 0; done < sectors; done += step(sectors - done)) {
        blank(c, POOL_SCRATCH, FRONT_SEGMENTS);
        if (!plain_request(c, FRONT_READ, sector + done, step(sectors - done)))
            return false;
        for (unsigned i = 0; i < step(sectors - done); i++) {
            if (!is_pattern(at + (size_t)i * FRONT_SECTOR, seed, sector + done + i)) {
                (void)fail(c, "sector %" PRIu64 " does not hold what it must", sector + done + i);
                return false;
            }
        }
    }
    return true;
}

/* --- a request in a shape --- */

static unsigned sectors_of(const struct shape *s)
{
    return s->segments * (s->last - s->first + 1);
}

/* As many pages as segments have; those of a large indirect request are used again. */
static unsigned pages_of(const struct shape *s)
{
    return s->segments < POOL_DATA ? s->segments : POOL_DATA;
}

static void build(struct conf *c, struct ask *a, const struct shape *s, unsigned op,
                  uint64_t sector)
{
    ask_start(a, op, sector);
    if (s->indirect)
        ask_indirect(c, a, op, 0, s->segments, s->first, s->last);
    else
        for (unsigned i = 0; i < s->segments; i++)
            ask_segment(c, a, i, s->first, s->last);
}

/* Sectors on both sides that exist. */
static void widen(const struct conf *c, uint64_t sector, unsigned sectors, uint64_t *ret_from,
                  uint64_t *ret_to)
{
    uint64_t end = sector + sectors + BESIDE;

    *ret_from = sector > BESIDE ? sector - BESIDE : 0;
    *ret_to = end < c->front.sectors ? end : c->front.sectors;
}

/* The sector of the disk that page and place belong to, or UINT64_MAX where no segment is. */
static uint64_t sector_at(const struct shape *s, uint64_t sector, unsigned page, unsigned place)
{
    if (page >= s->segments || place < s->first || place > s->last)
        return UINT64_MAX;
    return sector + (uint64_t)page * (s->last - s->first + 1) + (place - s->first);
}

static void fill_pages(struct conf *c, const struct shape *s, uint64_t sector, uint64_t seed)
{
    blank(c, 0, pages_of(s));
    for (unsigned i = 0; i < pages_of(s) * FRONT_PAGE_SECTORS; i++) {
        uint64_t n = sector_at(s, sector, i / FRONT_PAGE_SECTORS, i % FRONT_PAGE_SECTORS);

        if (n != UINT64_MAX)
            pattern(c->pool + (size_t)i * FRONT_SECTOR, seed, n);
    }
}

static bool check_pages(struct conf *c, const struct shape *s, uint64_t sector, uint64_t seed)
{
    for (unsigned i = 0; i < pages_of(s) * FRONT_PAGE_SECTORS; i++) {
        const uint8_t *at = c->pool + (size_t)i * FRONT_SECTOR;
        uint64_t n = sector_at(s, sector, i / FRONT_PAGE_SECTORS, i % FRONT_PAGE_SECTORS);

        if (n == UINT64_MAX ? !is_blank(at, FRONT_SECTOR) : !is_pattern(at, seed, n)) {
            (void)fail(c, "sector %u of page %u is %s", i % FRONT_PAGE_SECTORS,
                       i / FRONT_PAGE_SECTORS,
                       n == UINT64_MAX ? "of no segment, and written" : "not what was asked for");
            return false;
        }
    }
    return true;
}

enum verdict conf_write(struct conf *c, const struct shape *s, uint64_t sector)
{
    uint64_t old = ++c->seed, new = ++c->seed, from, to;
    unsigned sectors = sectors_of(s);
    struct ask a;

    widen(c, sector, sectors, &from, &to);
    if (!conf_store(c, from, (unsigned)(to - from), old))
        return FAIL;
    fill_pages(c, s, sector, new);
    build(c, &a, s, FRONT_WRITE, sector);
    if (!conf_do(c, &a) || !check_pages(c, s, sector, new) ||
        !conf_holds(c, sector, sectors, new) ||
        !conf_holds(c, from, (unsigned)(sector - from), old) ||
        !conf_holds(c, sector + sectors, (unsigned)(to - sector - sectors), old))
        return FAIL;
    return PASS;
}

enum verdict conf_read(struct conf *c, const struct shape *s, uint64_t sector)
{
    uint64_t seed = ++c->seed;
    struct ask a;

    if (!conf_store(c, sector, sectors_of(s), seed))
        return FAIL;
    blank(c, 0, pages_of(s));
    build(c, &a, s, FRONT_READ, sector);
    return conf_do(c, &a) && check_pages(c, s, sector, seed) ? PASS : FAIL;
}

/* --- refusals --- */

/* The pages hold something else than the disk, so that data moved in either direction shows. */
enum verdict conf_refused(struct conf *c, struct ask *a, uint64_t watched)
{
    bool writable = (c->front.info & 4) == 0;
    uint64_t seed = ++c->seed, from, to;

    widen(c, watched, BESIDE, &from, &to);
    if (writable && !conf_store(c, from, (unsigned)(to - from), seed))
        return FAIL;
    blank(c, 0, POOL_DATA);
    if (!conf_ask(c, a, 1))
        return FAIL;
    if (!is_refusal(a->status))
        return fail(c, "it got %s", status_text(a->status));
    if (!is_blank(c->pool, (size_t)POOL_DATA * FRONT_PAGE))
        return fail(c, "data was moved into the pages of a refused request");
    if (writable && !conf_holds(c, from, (unsigned)(to - from), seed))
        return FAIL;
    return PASS;
}
