/* front.h - testfront: a blkif front that drives its ring by hand, for tests of any backend.
 *
 * It runs in the domain that has the vbd and speaks to xenstore through libxsc, shares pages by
 * libxengnttab and events by libxenevtchn. Nothing of src/blkif is used: slots are written byte by
 * byte from blkif.h's offsets, so that front and back find each other's mistakes.
 *
 * Threads: one. Every function that can fail prints its sentence to standard error by front_fail
 * and returns -1; callers only pass that on. Every wait has a deadline.
 */
#ifndef TESTS_FRONT_H
#define TESTS_FRONT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#include "vbdkit/xsc_linux.h"

enum {
    FRONT_PAGE = 4096,
    FRONT_SECTOR = 512,
    FRONT_PAGE_SECTORS = FRONT_PAGE / FRONT_SECTOR,
    FRONT_SEGMENTS = 11,       /* of one request */
    FRONT_RING_PAGES_MAX = 16, /* the largest that blkif.h names */
    FRONT_QUEUES_MAX = 4,
    FRONT_INDIRECT_PAGES = 8 /* of descriptors, of one request */
};

/* Operations and statuses of blkif.h. */
enum front_op {
    FRONT_READ = 0,
    FRONT_WRITE = 1,
    FRONT_BARRIER = 2,
    FRONT_FLUSH = 3,
    FRONT_DISCARD = 5,
    FRONT_INDIRECT = 6
};
enum { FRONT_OKAY = 0, FRONT_ERROR = -1, FRONT_UNSUPPORTED = -2 };

/* States of xenbus.h. */
enum front_state {
    FRONT_UNKNOWN,
    FRONT_INITIALISING,
    FRONT_INIT_WAIT,
    FRONT_INITIALISED,
    FRONT_CONNECTED,
    FRONT_CLOSING,
    FRONT_CLOSED
};

/* The layout of the slots, and what the key "protocol" says of it. */
enum front_layout {
    FRONT_X86_64,
    FRONT_X86_32,
    FRONT_NATIVE /* the key is not written */
};

/* How a ring of several pages is told: ring-page-order of Linux, num-ring-pages of FreeBSD. */
enum front_scheme { FRONT_BY_ORDER, FRONT_BY_PAGES };

struct front_options {
    unsigned vdev;
    unsigned ring_pages; /* wanted; a power of two */
    unsigned depth;      /* requests in flight wanted; the ring's size bounds it; 0: no pool */
    unsigned queues;     /* 0 and 1: one, told by the flat keys */
    enum front_layout layout;
    enum front_scheme scheme;
    bool persistent; /* say that the same grants are used again */
    bool straight;   /* from Initialising to Connected, never Initialised */
    bool quiet;      /* front_fail prints nothing */
    int timeout_ms;  /* for each step of connecting, and for each answer */
    int backend_id;  /* -1: what the nodes say */
};

/* One segment of a request: sectors first..last of its page. */
struct front_segment {
    uint8_t first, last;
};

/* A request and its own FRONT_SEGMENTS pages of the pool. The caller fills op, sector, count and
 * segments between front_request_get and front_request_put. */
struct front_request {
    enum front_op op;
    uint64_t sector; /* of the disk, in units of FRONT_SECTOR */
    unsigned count;  /* of segments; 0 for a flush */
    struct front_segment segments[FRONT_SEGMENTS];
    uint8_t *pages;  /* FRONT_SEGMENTS pages, shared with the backend */
    int16_t status;  /* of the answer */
    uint64_t serial; /* counts requests, so that an answer to an earlier one is found */
    int64_t asked;   /* when, in ms of front_now */
    bool taken;      /* by the caller */
    bool in_flight;  /* in the ring and not answered */
};

struct front_ring {
    uint8_t *page; /* the first of the shared pages */
    enum front_layout layout;
    uint32_t size;     /* slots */
    uint32_t req_prod; /* private; published by front_ring_push */
    uint32_t rsp_cons;
};

struct front_response {
    uint64_t id;
    uint8_t op;
    int16_t status;
    uint8_t padding[5]; /* bytes 9 and, of a 64-bit layout, 12 to 15 */
};

/* A slot's contents, field by field, sane or not. */
struct front_raw {
    uint8_t op;
    uint8_t second; /* segments; of an indirect request its operation, of a discard its flag */
    uint16_t third; /* handle; of an indirect request its segments */
    uint64_t id, sector;
    uint64_t discard;              /* sectors of a discard */
    uint32_t refs[FRONT_SEGMENTS]; /* of pages; of an indirect request those of its descriptors */
    struct front_segment segments[FRONT_SEGMENTS];
};

/* A ring and its event channel. */
struct front_queue {
    struct front_ring ring;
    int port; /* -1: none */
    uint32_t refs[FRONT_RING_PAGES_MAX];
};

struct front {
    struct front_options options;
    char name[24]; /* "vbd-51712" */
    int signals;   /* a signalfd of SIGINT and SIGTERM */
    int stopped;   /* the signal that came, or 0 */

    struct xsc_client *xenstore;
    struct xsc_watch *watch;    /* of the backend's state */
    bool changed;               /* by the watch: look at the state again */
    char dir[64];               /* ours in xenstore, relative to the domain */
    char *backend;              /* its directory, absolute */
    unsigned backend_id;        /* its domain */
    enum front_state published; /* the state that we wrote last */

    xengntshr_handle *grants;
    xenevtchn_handle *events;
    struct front_queue queues[FRONT_QUEUES_MAX]; /* requests of front_io.c use the first */
    unsigned queue_count;                        /* that have a ring */
    unsigned ring_pages;

    uint8_t *pool; /* depth * FRONT_SEGMENTS pages */
    uint32_t *pool_refs;
    struct front_request *requests; /* depth of them */
    unsigned depth;
    unsigned in_flight;
    unsigned in_flight_most;
    uint64_t serial, notifies, wakeups;

    uint64_t sectors; /* of the disk; valid while connected, as are the next */
    uint64_t sector_size;
    uint64_t info;
    bool flush; /* the backend has feature-flush-cache */
};

/* --- front_wait.c --- */

/* Prints "testfront: NAME: SENTENCE" and returns -1. */
int front_fail(const struct front *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The last such sentence. */
const char *front_why(void);
/* Milliseconds of the monotonic clock. */
int64_t front_now(void);
/* Blocks SIGINT and SIGTERM and takes them as input of front_wait from now on. */
int front_catch_signals(struct front *f);
/* Waits until the event channel, xenstore, a signal or the descriptor `input` (-1: none) has
 * something, or front_now() reaches the deadline (-1: never), and takes notice of it: f->changed,
 * f->stopped. *ret_input, which may be NULL, says whether input can be read. */
int front_wait(struct front *f, int input, int64_t deadline, bool *ret_input);

/* --- front_store.c --- */

const char *front_state_name(enum front_state state);
int front_store_open(struct front *f);
void front_store_close(struct front *f);
/* The value of the node dir/key for the caller to free(); NULL when it can't be read. */
char *front_node(struct front *f, const char *dir, const char *key);
/* The number in the node dir/key, or `otherwise` when it is missing or no number. */
uint64_t front_number(struct front *f, const char *dir, const char *key, uint64_t otherwise);
/* The children of dir, sorted, in one allocation for the caller to free(); 0 of them where dir is
 * missing. */
size_t front_children(struct front *f, const char *dir, char ***ret);
/* A side's state; FRONT_UNKNOWN where the node is missing. */
enum front_state front_state_of(struct front *f, const char *dir);
/* Writes our state. */
int front_set_state(struct front *f, enum front_state state);
/* Waits until the backend has one of the states in `wanted`, a set of bits 1 << state; one in
 * `refused` fails at once. `why` says what for: "the backend's offer". */
int front_await_state(struct front *f, unsigned wanted, unsigned refused, const char *why);
/* Writes in one transaction what a front tells to connect: ring, port, protocol, Initialised; and
 * removes what an earlier front told. */
int front_tell_ring(struct front *f);

/* --- front_xenbus.c --- */

/* Goes all the way to Connected. When it fails, front_disconnect is still due. */
int front_connect(struct front *f);
/* The two halves of it: to where the backend has published its offer, and from there on. */
int front_approach(struct front *f);
int front_proceed(struct front *f);
/* Closes by the book, and gives pages, port and connections back, whatever was reached. */
int front_disconnect(struct front *f);

/* --- front_ring.c --- */

/* Makes an empty ring in `count` pages at `pages`. */
void front_ring_init(struct front_ring *ring, void *pages, unsigned count,
                     enum front_layout layout);
unsigned front_ring_free_slots(const struct front_ring *ring);
/* Writes a request into the next slot, not yet published. refs are those of its pages. */
void front_ring_put(struct front_ring *ring, uint64_t id, const struct front_request *r,
                    const uint32_t *refs);
/* The same for any contents. */
void front_ring_put_raw(struct front_ring *ring, const struct front_raw *raw);
/* Publishes what was put; true when the backend asked for an event. */
bool front_ring_push(struct front_ring *ring);
/* How many answers are there. With none it asks for an event and looks once more. */
uint32_t front_ring_answers(struct front_ring *ring);
/* The same, but asks for an event only at the answer numbered `at`. */
uint32_t front_ring_answers_at(struct front_ring *ring, uint32_t at);
void front_ring_take(struct front_ring *ring, struct front_response *ret);

/* --- front_io.c --- */

/* Shares the pool and makes the requests, as many as depth and ring allow. */
int front_io_start(struct front *f);
void front_io_end(struct front *f);
/* A request to fill in, or NULL when all are taken. */
struct front_request *front_request_get(struct front *f);
/* Puts it into the ring; front_push publishes. */
void front_request_put(struct front *f, struct front_request *r);
int front_push(struct front *f);
/* Gives back a request that is not in flight. */
void front_request_release(struct front_request *r);
/* Takes an answer and checks that it is one to a request in flight; *ret stays taken. With no
 * answer there, waits for one, or with `wait` false sets *ret to NULL. A status other than
 * FRONT_OKAY is a failure. */
int front_answer(struct front *f, bool wait, struct front_request **ret);
/* Waits until nothing is in flight, and releases what was. */
int front_drain(struct front *f);
/* Sectors of a request's segments. */
unsigned front_request_sectors(const struct front_request *r);
/* Fills a request for `sectors` sectors from `sector` on, at most FRONT_SEGMENTS whole pages;
 * returns how many it took. The data lies at r->pages without gaps. */
unsigned front_request_plain(struct front_request *r, enum front_op op, uint64_t sector,
                             uint64_t sectors);
/* Asks for a flush and waits for it. */
int front_flush(struct front *f);

/* --- front_copy.c --- */

/* Checks that a range of bytes consists of whole sectors of the disk. */
int front_check_range(const struct front *f, uint64_t offset, uint64_t length);

/* Copies bytes of the disk to standard output. */
int front_copy_out(struct front *f, uint64_t offset, uint64_t length);
/* Copies standard input to the disk, and flushes where that is offered. */
int front_copy_in(struct front *f, uint64_t offset);

/* --- front_verify.c --- */

struct front_load {
    uint64_t seed;
    uint64_t requests;       /* of one round, when seconds is 0 */
    uint64_t seconds;        /* of one round */
    uint64_t rounds;         /* between two the front disconnects and connects again */
    uint64_t offset, length; /* bytes of the disk it works on; a length of 0 means to the end */
};

/* Writes and reads at random and compares every byte with what the disk must hold. */
int front_verify(struct front *f, const struct front_load *load);

#endif
