/* power_check.c - see power.h: the disks that a power cut may leave, and whether each keeps every
 * promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/power_promise.h"

/* Which operation each sector may hold after a cut, oldest first; operation -1 is the disk as it
 * was in the beginning. */
struct candidates {
    int of[POWER_OPERATIONS + 1];
    unsigned count;
};

struct checker {
    const struct power_history *h;
    struct power_report *report;
    uint64_t random, tick;
    struct power_promise *promises;
    unsigned promise_count;
    struct power_set lost[POWER_SECTORS]; /* of all promises that hold at this tick */
    unsigned touching[POWER_SECTORS][POWER_OPERATIONS], touching_count[POWER_SECTORS];
    struct candidates candidates[POWER_SECTORS];
    bool arrived[POWER_OPERATIONS]; /* for one image */
};

/* --- which disks there can be --- */

static void prepare(struct checker *c)
{
    for (unsigned i = 0; i < c->h->operation_count; i++) {
        const struct power_operation *o = &c->h->operations[i];

        for (unsigned s = o->sector; s < o->sector + o->count; s++)
            c->touching[s][c->touching_count[s]++] = i;
    }
}

/* When the last flush that had completed was submitted: what had completed then is there. */
static uint64_t last_flush(const struct checker *c)
{
    uint64_t last = 0;

    for (unsigned i = 0; i < c->h->operation_count; i++) {
        const struct power_operation *o = &c->h->operations[i];

        if (o->op == VBD_IO_FLUSH && o->completed <= c->tick && o->result == 0 &&
            o->submitted > last)
            last = o->submitted;
    }
    return last;
}

/* What is surely there hides all that had completed before it was submitted. */
static void find_candidates(struct checker *c, unsigned sector, uint64_t flushed)
{
    struct candidates *found = &c->candidates[sector];
    uint64_t hidden = 0;

    for (unsigned i = 0; i < c->touching_count[sector]; i++) {
        const struct power_operation *o = &c->h->operations[c->touching[sector][i]];

        if (o->result == 0 && o->completed < flushed && o->submitted > hidden)
            hidden = o->submitted;
    }
    found->count = 0;
    if (hidden == 0)
        found->of[found->count++] = -1;
    for (unsigned i = 0; i < c->touching_count[sector]; i++) {
        const struct power_operation *o = &c->h->operations[c->touching[sector][i]];

        if (o->submitted <= c->tick && o->completed >= hidden)
            found->of[found->count++] = (int)c->touching[sector][i];
    }
}

/* --- one disk --- */

/* A promise that holds by now and is broken by this. */
static const struct power_promise *find_broken(const struct checker *c, unsigned sector,
                                               unsigned seen)
{
    const struct power_promise *p = c->promises;

    while (p->holds > c->tick || !power_set_has(&p->lost[sector], seen))
        p++;
    return p;
}

static void lose(struct checker *c, const struct power_promise *p, unsigned sector, unsigned seen)
{
    const struct power_request *by;

    if (c->report->losses++ > 0)
        return;
    if (p == NULL)
        p = find_broken(c, sector, seen);
    by = &c->h->requests[p->request];
    (void)snprintf(
        c->report->first, sizeof c->report->first,
        "cut at tick %llu: sector %u holds request %u's data, against %s %u, sent at %llu "
        "and answered at %llu",
        (unsigned long long)c->tick, sector, seen, by->kind == POWER_FLUSH ? "flush" : "barrier",
        p->request, (unsigned long long)by->sent, (unsigned long long)by->answered);
}

static bool meets(const struct power_set *a, const struct power_set *b)
{
    for (unsigned i = 0; i < POWER_WORDS; i++)
        if ((a->words[i] & b->words[i]) != 0)
            return true;
    return false;
}

static bool breaks(struct checker *c, const struct power_promise *p, const struct power_set *lost,
                   const uint16_t *image)
{
    for (unsigned s = 0; s < POWER_SECTORS; s++) {
        if (power_set_has(&lost[s], image[s])) {
            lose(c, p, s, image[s]);
            return true;
        }
    }
    return false;
}

/* `chosen`: for each sector one of its candidates. */
static void judge(struct checker *c, const unsigned *chosen)
{
    uint16_t image[POWER_SECTORS];
    struct power_set present = {{0}};

    for (unsigned s = 0; s < POWER_SECTORS; s++) {
        int o = c->candidates[s].of[chosen[s]];

        image[s] = o < 0 ? 0 : c->h->operations[o].content[s];
        power_set_add(&present, image[s]);
    }
    c->report->images++;
    if (breaks(c, NULL, c->lost, image))
        return;
    for (unsigned i = 0; i < c->promise_count; i++) {
        const struct power_promise *p = &c->promises[i];

        if (p->conditional && p->holds > c->tick && meets(&present, &p->evidence) &&
            breaks(c, p, p->lost, image))
            return;
    }
}

/* --- the combinations that are tried --- */

/* Each write arrived as a whole or not at all. */
static void choose_by_operation(struct checker *c, unsigned *chosen)
{
    unsigned percent = 10 + (unsigned)(power_random(&c->random) % 81);

    for (unsigned i = 0; i < c->h->operation_count; i++)
        c->arrived[i] = power_random(&c->random) % 100 < percent;
    for (unsigned s = 0; s < POWER_SECTORS; s++) {
        const struct candidates *found = &c->candidates[s];

        chosen[s] = found->count - 1;
        while (chosen[s] > 0 && !c->arrived[found->of[chosen[s]]])
            chosen[s]--;
    }
}

/* Each sector for itself: mostly as it would be, or mostly old, or anything. */
static void choose_by_sector(struct checker *c, unsigned *chosen)
{
    unsigned lean = (unsigned)(power_random(&c->random) % 3);

    for (unsigned s = 0; s < POWER_SECTORS; s++) {
        unsigned count = c->candidates[s].count;
        uint64_t n = power_random(&c->random);

        chosen[s] = (unsigned)(n / 8 % count);
        if (lean > 0 && n % 8 > 0)
            chosen[s] = lean == 1 ? count - 1 : 0;
    }
}

/* Each sector's n-th candidate from its end or its beginning; the first and the last of them are
 * the disk with everything and the disk with nothing new. */
static void choose_nth(const struct checker *c, unsigned n, bool from_end, unsigned *chosen)
{
    for (unsigned s = 0; s < POWER_SECTORS; s++) {
        unsigned last = c->candidates[s].count - 1, at = n < last ? n : last;

        chosen[s] = from_end ? last - at : at;
    }
}

static void cut(struct checker *c, unsigned images)
{
    uint64_t flushed = last_flush(c);
    unsigned chosen[POWER_SECTORS], most = 0;

    for (unsigned s = 0; s < POWER_SECTORS; s++) {
        find_candidates(c, s, flushed);
        if (c->candidates[s].count > most)
            most = c->candidates[s].count;
    }
    c->report->cuts++;
    c->report->uncertain += most > 1;
    for (unsigned n = 0; n < most; n++) {
        choose_nth(c, n, false, chosen);
        judge(c, chosen);
        choose_nth(c, n, true, chosen);
        judge(c, chosen);
    }
    for (unsigned i = 0; i < images && most > 1; i++) {
        if (i % 2 == 0)
            choose_by_operation(c, chosen);
        else
            choose_by_sector(c, chosen);
        judge(c, chosen);
    }
}

/* The disk as the device really left it is one of those that are thought possible. */
static void expect_real_disk(const struct checker *c)
{
    for (unsigned s = 0; s < POWER_SECTORS; s++) {
        const struct candidates *found = &c->candidates[s];
        bool possible = false;

        for (unsigned i = 0; i < found->count; i++) {
            int o = found->of[i], by = o < 0 ? -1 : c->h->operations[o].content[s];
            bool zero = o < 0 || c->h->requests[by].kind == POWER_DISCARD;

            possible = possible || (zero ? -1 : by) == c->h->end[s];
        }
        assert_true(possible);
    }
}

/* From this tick on some promises hold, whatever the disk. */
static void hold_promises(struct checker *c)
{
    for (unsigned i = 0; i < c->promise_count; i++) {
        if (c->promises[i].holds != c->tick)
            continue;
        for (unsigned s = 0; s < POWER_SECTORS; s++)
            for (unsigned w = 0; w < POWER_WORDS; w++)
                c->lost[s].words[w] |= c->promises[i].lost[s].words[w];
    }
}

void power_check(const struct power_history *h, uint64_t seed, unsigned images,
                 struct power_report *report)
{
    struct checker *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->h = h;
    c->report = report;
    c->random = seed;
    c->promises = power_promises(h, &c->promise_count);
    prepare(c);
    for (c->tick = 0; c->tick <= h->clock; c->tick++) {
        hold_promises(c);
        cut(c, images);
    }
    expect_real_disk(c);
    free(c->promises);
    free(c);
}
