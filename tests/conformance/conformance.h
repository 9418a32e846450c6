/* conformance.h - a suite of checks for any blkback, on the front of tests/front.
 *
 * What a check expects is what xen/io/blkif.h says. Where that leaves something open, all that it
 * allows is accepted, and a comment at the check says so. A check that fails leaves its reason in
 * `why`; the connection is made anew before the next one.
 *
 * Data: every sector of the disk that a check uses has contents that follow from a seed and the
 * sector's number, so any sector found anywhere tells what it should be. The pages shared with the
 * backend are one pool, shared once; the last ones are kept for looking at the disk.
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include "front/front.h"

enum {
    POOL_DATA = 528,                /* pages for the requests under test */
    POOL_TABLES = POOL_DATA,        /* descriptors of an indirect request */
    POOL_SCRATCH = POOL_TABLES + 9, /* for conf_store and conf_holds */
    POOL_PAGES = POOL_SCRATCH + FRONT_SEGMENTS,
    TABLE_ENTRIES = 512, /* descriptors in a page */
    ASKS_MAX = 512       /* slots of the largest ring */
};

enum { RSP_WAITING = 1 }; /* no answer yet: no status that blkif.h has */

/* The disks that the suite is given; the first is there always. */
enum disk { DISK_MAIN, DISK_READ_ONLY, DISK_LARGE, DISKS };

/* How the front must be connected for a check. */
struct setup {
    enum disk disk;
    unsigned order; /* of the ring's pages */
    unsigned queues;
    enum front_layout layout;
    enum front_scheme scheme;
    bool persistent, straight;
};

/* What a backend says it can. */
struct offer {
    bool known, flush, barrier, discard, secure, persistent;
    uint64_t order, pages, queues, indirect;
};

/* What must be offered for a check to make sense; the setup says more. */
enum need { NEED_NOTHING, NEED_FLUSH, NEED_BARRIER, NEED_DISCARD, NEED_SECURE, NEED_INDIRECT };

enum verdict { PASS, FAIL, SKIP };

struct conf {
    struct front front;
    unsigned vdevs[DISKS]; /* 0: not given */
    struct offer offers[DISKS];
    const struct setup *setup; /* of the connection; NULL: none */
    int timeout_ms;
    bool resize; /* somebody listens to data/conformance-resize */

    xengntshr_handle *pool_handle;
    uint8_t *pool; /* POOL_PAGES */
    uint32_t refs[POOL_PAGES];
    uint8_t *sealed; /* one page that the backend may only read */
    uint32_t sealed_ref;

    uint64_t next_id, seed;
    char why[400];
};

/* One request, and its answer. */
struct ask {
    struct front_raw raw;
    bool own_id; /* raw.id is the check's, or else conf_put chooses one */
    int status;
    struct front_response answer;
};

struct check {
    const char *name;
    enum need need;
    const struct setup *setup;
    enum verdict (*run)(struct conf *c);
};

struct checks {
    const struct check *list;
    size_t count;
};

/* Each file of checks has one table. */
extern const struct checks checks_keys, checks_data, checks_bad, checks_indirect, checks_control,
    checks_ring, checks_life, checks_disks;
extern const struct setup plain; /* one page, one queue, the main disk */

/* --- session.c --- */

enum verdict fail(struct conf *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum verdict skip(struct conf *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Connects as a setup says, unless that is so already. FAIL with the reason. */
enum verdict conf_connect(struct conf *c, const struct setup *setup);
/* Closes what is open; false with the reason. */
bool conf_disconnect(struct conf *c);
/* Learns what a disk's backend offers, by connecting once. */
enum verdict conf_learn(struct conf *c, enum disk disk);
/* Whether a check can run; or else why not, in c->why. */
bool conf_offered(struct conf *c, const struct check *check);
const struct offer *conf_offer(const struct conf *c);
/* Takes events that are there, without waiting; how many, or -1. */
int conf_events(struct conf *c);

/* --- request.c --- */

/* Builders. A page is a number in the pool. */
void ask_start(struct ask *a, unsigned op, uint64_t sector);
void ask_segment(struct conf *c, struct ask *a, unsigned page, unsigned first, unsigned last);
void ask_pages(struct conf *c, struct ask *a, unsigned page, unsigned sectors);
/* Makes `a` indirect, with `count` equal segments in pages from `page` on, one each. */
void ask_indirect(struct conf *c, struct ask *a, unsigned op, unsigned page, unsigned count,
                  unsigned first, unsigned last);
/* Changes one descriptor of the last such. */
void set_descriptor(struct conf *c, unsigned index, uint32_t ref, unsigned first, unsigned last);
uint8_t *conf_page(struct conf *c, unsigned page);

/* Puts requests into a queue's ring and publishes them. */
bool conf_put(struct conf *c, unsigned queue, struct ask *asks, unsigned count);
/* Takes `wanted` answers to those asks, and checks each: an id that is asked and not answered, the
 * operation. */
bool conf_take(struct conf *c, unsigned queue, struct ask *asks, unsigned count, unsigned wanted);
/* Both: all are answered when it returns true. */
bool conf_ask(struct conf *c, struct ask *asks, unsigned count);
/* One, which must succeed. */
bool conf_do(struct conf *c, struct ask *a);
bool is_refusal(int status);
const char *status_text(int status);

/* --- content.c --- */

void pattern(uint8_t *at, uint64_t seed, uint64_t sector);
bool is_pattern(const uint8_t *at, uint64_t seed, uint64_t sector);
void blank(struct conf *c, unsigned page, unsigned count);
bool is_blank(const uint8_t *at, size_t len);
/* Gives sectors of the disk their contents of a seed, by plain requests. */
bool conf_store(struct conf *c, uint64_t sector, unsigned sectors, uint64_t seed);
/* Reads them and compares. */
bool conf_holds(struct conf *c, uint64_t sector, unsigned sectors, uint64_t seed);

/* The geometry of a request: equal segments. */
struct shape {
    bool indirect;
    unsigned segments, first, last;
};

/* Writes or reads in that shape from `sector` on, and checks every byte of the pages, of the range
 * and of what is beside it. */
enum verdict conf_write(struct conf *c, const struct shape *shape, uint64_t sector);
enum verdict conf_read(struct conf *c, const struct shape *shape, uint64_t sector);
/* Sends a bad request: it must be refused, move nothing in pages or on the disk's sectors around
 * `watched`, and the backend must go on. */
enum verdict conf_refused(struct conf *c, struct ask *a, uint64_t watched);

#define TABLE(name, list) const struct checks name = {list, sizeof(list) / sizeof((list)[0])}

#endif
