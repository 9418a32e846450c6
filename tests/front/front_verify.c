/* front_verify.c - "verify": random writes and reads against a model. Each sector's content follows
 * from seed, sector and generation (how often it was written), so data that is old, misplaced or
 * missing is found and told for what it is. Of a page that is read, the sectors outside the segment
 * must stay as they were. Called by testfront.c; must have no two requests in flight that overlap.
 */
#include "front/front.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORDS = FRONT_SECTOR / 8, /* of a sector */
    UNTOUCHED = 0xa5,         /* the bytes of a page before it is read into */
    PLACES_TRIED = 16         /* for a request that overlaps none in flight */
};

struct verify {
    struct front *f;
    const struct front_load *load;
    uint64_t random;
    uint64_t first, count; /* the region, in sectors */
    uint32_t *generation;  /* of each of its sectors */
    uint64_t rounds, reads, writes, flushes, sectors_written, sectors_compared;
};

/* --- numbers --- */

static uint64_t mix(uint64_t n)
{
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ^ n >> 31;
}

static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(*state);
}

static unsigned pick(struct verify *v, unsigned limit)
{
    return (unsigned)(next_random(&v->random) % limit);
}

/* --- the model --- */

/* A sector says who it is in its first three words; the rest follows from them. */
static uint64_t mark(const struct verify *v)
{
    return mix(v->load->seed + UINT64_C(0x76626466726f6e74));
}

static void content(const struct verify *v, uint64_t sector, uint32_t generation,
                    uint64_t words[WORDS])
{
    uint64_t state = mix(mix(mark(v) + sector) + generation);

    words[0] = mark(v);
    words[1] = sector;
    words[2] = generation;
    for (int i = 3; i < WORDS; i++)
        words[i] = next_random(&state);
}

static bool is_untouched(const uint8_t *sector)
{
    for (int i = 0; i < FRONT_SECTOR; i++)
        if (sector[i] != UNTOUCHED)
            return false;
    return true;
}

static int tell_difference(const struct verify *v, const struct front_request *r, uint64_t sector,
                           const uint8_t *seen)
{
    const char *where = is_untouched(seen) ? "was not delivered" : "holds data of no known sector";
    uint64_t expected[WORDS], words[WORDS];
    unsigned at = 0;
    uint32_t generation = v->generation[sector - v->first];

    memcpy(words, seen, sizeof words);
    if (words[0] == mark(v) && (words[1] != sector || words[2] != generation))
        return front_fail(v->f,
                          "request %" PRIu64 ": sector %" PRIu64 " must have generation %" PRIu32
                          ", but holds what sector %" PRIu64 " had in generation %" PRIu64,
                          r->serial, sector, generation, words[1], words[2]);
    content(v, sector, generation, expected);
    while (at < FRONT_SECTOR && seen[at] == ((const uint8_t *)expected)[at])
        at++;
    return front_fail(v->f,
                      "request %" PRIu64 ": sector %" PRIu64 " of generation %" PRIu32
                      " %s; it differs from byte %u on",
                      r->serial, sector, generation, where, at);
}

static void fill_page(struct verify *v, uint8_t *page, struct front_segment s, uint64_t sector)
{
    for (unsigned i = s.first; i <= s.last; i++, sector++) {
        uint64_t words[WORDS];

        content(v, sector, ++v->generation[sector - v->first], words);
        memcpy(page + (size_t)i * FRONT_SECTOR, words, sizeof words);
        v->sectors_written++;
    }
}

static int compare_sector(struct verify *v, const struct front_request *r, const uint8_t *seen,
                          uint64_t sector)
{
    uint64_t words[WORDS];

    content(v, sector, v->generation[sector - v->first], words);
    v->sectors_compared++;
    return memcmp(seen, words, sizeof words) == 0 ? 0 : tell_difference(v, r, sector, seen);
}

static int compare_page(struct verify *v, const struct front_request *r, unsigned segment,
                        uint64_t sector)
{
    const uint8_t *page = r->pages + (size_t)segment * FRONT_PAGE;
    struct front_segment s = r->segments[segment];

    for (unsigned i = 0; i < FRONT_PAGE_SECTORS; i++) {
        const uint8_t *seen = page + (size_t)i * FRONT_SECTOR;

        if (i >= s.first && i <= s.last) {
            if (compare_sector(v, r, seen, sector++) < 0)
                return -1;
        } else if (!is_untouched(seen)) {
            return front_fail(v->f,
                              "request %" PRIu64 ", segment %u: sectors %u to %u of the page were "
                              "asked for, but sector %u was written to",
                              r->serial, segment, s.first, s.last, i);
        }
    }
    return 0;
}

/* --- requests --- */

/* Brings a request's pages to what it needs, and puts it into the ring. */
static void ask(struct verify *v, struct front_request *r)
{
    uint64_t sector = r->sector;

    for (unsigned i = 0; i < r->count; i++) {
        uint8_t *page = r->pages + (size_t)i * FRONT_PAGE;
        struct front_segment s = r->segments[i];

        if (r->op == FRONT_WRITE)
            fill_page(v, page, s, sector);
        else
            memset(page, UNTOUCHED, FRONT_PAGE);
        sector += (uint64_t)(s.last - s.first + 1);
    }
    v->reads += r->op == FRONT_READ;
    v->writes += r->op == FRONT_WRITE;
    v->flushes += r->op == FRONT_FLUSH;
    front_request_put(v->f, r);
}

/* Takes one answer, or with `wait` false maybe none: *ret_taken says. */
static int take(struct verify *v, bool wait, bool *ret_taken)
{
    struct front_request *r;
    uint64_t sector;

    if (front_answer(v->f, wait, &r) < 0)
        return -1;
    *ret_taken = r != NULL;
    if (r == NULL)
        return 0;
    sector = r->sector;
    for (unsigned i = 0; r->op == FRONT_READ && i < r->count; i++) {
        if (compare_page(v, r, i, sector) < 0)
            return -1;
        sector += (uint64_t)(r->segments[i].last - r->segments[i].first + 1);
    }
    front_request_release(r);
    return 0;
}

static int take_all(struct verify *v)
{
    bool taken;

    while (v->f->in_flight > 0)
        if (take(v, true, &taken) < 0)
            return -1;
    return v->f->stopped != 0 ? front_fail(v->f, "ended by signal %d", v->f->stopped) : 0;
}

/* Writes or reads the whole region, in order. */
static int pass(struct verify *v, enum front_op op)
{
    uint64_t done = 0;
    bool taken;

    while (done < v->count && v->f->stopped == 0) {
        struct front_request *r = front_request_get(v->f);

        if (r == NULL) {
            if (front_push(v->f) < 0 || take(v, true, &taken) < 0)
                return -1;
            continue;
        }
        done += front_request_plain(r, op, v->first + done, v->count - done);
        ask(v, r);
    }
    return front_push(v->f) < 0 ? -1 : take_all(v);
}

/* --- the random load --- */

static struct front_segment random_segment(struct verify *v)
{
    unsigned first, last;

    if (pick(v, 3) == 0)
        return (struct front_segment){0, FRONT_PAGE_SECTORS - 1};
    first = pick(v, FRONT_PAGE_SECTORS);
    last = first + pick(v, FRONT_PAGE_SECTORS - first);
    return (struct front_segment){(uint8_t)first, (uint8_t)last};
}

static bool overlaps(const struct verify *v, uint64_t sector, uint64_t sectors)
{
    for (unsigned i = 0; i < v->f->depth; i++) {
        const struct front_request *r = &v->f->requests[i];

        if (r->in_flight && sector < r->sector + front_request_sectors(r) &&
            r->sector < sector + sectors)
            return true;
    }
    return false;
}

static bool find_place(struct verify *v, struct front_request *r)
{
    unsigned sectors = front_request_sectors(r);

    for (int i = 0; i < PLACES_TRIED; i++) {
        r->sector = v->first + next_random(&v->random) % (v->count - sectors + 1);
        if (!overlaps(v, r->sector, sectors))
            return true;
    }
    return false;
}

/* Chooses what a request does; false when there is no place for it now. */
static bool choose(struct verify *v, struct front_request *r)
{
    unsigned wanted = 1 + pick(v, FRONT_SEGMENTS);
    uint64_t room = v->count;

    r->sector = 0;
    r->count = 0;
    if (v->f->flush && pick(v, 32) == 0) {
        r->op = FRONT_FLUSH;
        return true;
    }
    r->op = pick(v, 2) == 0 ? FRONT_WRITE : FRONT_READ;
    while (r->count < wanted && room > 0) {
        struct front_segment s = random_segment(v);

        if (s.last - s.first >= (int)(room < FRONT_PAGE_SECTORS ? room : FRONT_PAGE_SECTORS))
            s.last = s.first;
        room -= (uint64_t)(s.last - s.first + 1);
        r->segments[r->count++] = s;
    }
    return find_place(v, r);
}

/* Puts up to `most` requests into the ring and publishes them at once; returns how many, or -1. */
static int ask_some(struct verify *v, unsigned most)
{
    unsigned asked = 0;

    while (asked < most) {
        struct front_request *r = front_request_get(v->f);

        if (r == NULL)
            break;
        if (!choose(v, r)) {
            front_request_release(r);
            break;
        }
        ask(v, r);
        asked++;
    }
    return front_push(v->f) < 0 ? -1 : (int)asked;
}

/* Now deep, now shallow: a backend that has something to do all the time is never asked to sleep.
 */
static unsigned pick_depth(struct verify *v)
{
    return pick(v, 4) == 0 ? 1 + pick(v, v->f->depth < 4 ? v->f->depth : 4) : v->f->depth;
}

/* Takes what is there, waiting while `depth` or more are in flight, and once if told to. */
static int take_some(struct verify *v, bool wait, unsigned depth)
{
    bool taken = true;

    while (taken && v->f->in_flight > 0) {
        if (take(v, wait || v->f->in_flight >= depth, &taken) < 0)
            return -1;
        wait = false;
    }
    return 0;
}

static bool has_time(const struct verify *v, int64_t end, uint64_t done)
{
    if (v->f->stopped != 0)
        return false;
    return v->load->seconds > 0 ? front_now() < end : done < v->load->requests;
}

static int random_load(struct verify *v)
{
    int64_t end = front_now() + (int64_t)v->load->seconds * 1000;
    unsigned depth = v->f->depth;
    uint64_t done = 0;

    while (has_time(v, end, done)) {
        int asked = ask_some(v, 1 + pick(v, 8));

        if (asked < 0 || take_some(v, asked == 0, depth) < 0)
            return -1;
        done += (unsigned)asked;
        if (pick(v, 64) == 0)
            depth = pick_depth(v);
    }
    return take_all(v);
}

/* --- the whole --- */

static int run_round(struct verify *v)
{
    if (v->rounds > 0 && (front_disconnect(v->f) < 0 || front_connect(v->f) < 0))
        return -1;
    if (v->rounds == 0 && pass(v, FRONT_WRITE) < 0)
        return -1;
    v->rounds++;
    return random_load(v) < 0 ? -1 : pass(v, FRONT_READ);
}

static void print_summary(const struct verify *v, int64_t ms)
{
    (void)printf("%s: all matched: seed=%" PRIu64 " rounds=%" PRIu64 " writes=%" PRIu64
                 " reads=%" PRIu64 " flushes=%" PRIu64 " sectors-written=%" PRIu64
                 " sectors-compared=%" PRIu64 " region-sectors=%" PRIu64
                 " in-flight-most=%u notifies=%" PRIu64 " events=%" PRIu64 " seconds=%.1f\n",
                 v->f->name, v->load->seed, v->rounds, v->writes, v->reads, v->flushes,
                 v->sectors_written, v->sectors_compared, v->count, v->f->in_flight_most,
                 v->f->notifies, v->f->wakeups, (double)ms / 1000);
}

static int choose_region(struct verify *v)
{
    uint64_t bytes = v->f->sectors * FRONT_SECTOR;
    uint64_t length = v->load->length;

    if (length == 0 && v->load->offset < bytes)
        length = bytes - v->load->offset;
    if (front_check_range(v->f, v->load->offset, length) < 0)
        return -1;
    if (length == 0)
        return front_fail(v->f, "there is nothing to work on");
    v->first = v->load->offset / FRONT_SECTOR;
    v->count = length / FRONT_SECTOR;
    return 0;
}

int front_verify(struct front *f, const struct front_load *load)
{
    struct verify v = {.f = f, .load = load, .random = load->seed};
    int64_t begin = front_now();
    int r = 0;

    if (choose_region(&v) < 0)
        return -1;
    v.generation = calloc(v.count, sizeof v.generation[0]);
    if (v.generation == NULL)
        return front_fail(f, "no memory for a model of %" PRIu64 " sectors", v.count);
    while (r == 0 && v.rounds < load->rounds)
        r = run_round(&v);
    if (r == 0)
        print_summary(&v, front_now() - begin);
    free(v.generation);
    return r;
}
