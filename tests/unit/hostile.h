/* hostile.h - a guest that keeps to no rule, for test_hostile_guest.c: its misdeeds are rows of
 * tables, each table in a hostile_*.c file; hostile_front.c and hostile_world.c have what they are
 * done with.
 *
 * The stage is that of stage.h. The hostile device is made anew for each row; two honest neighbours
 * live as long as the program, one of the same guest and one of another.
 */
#ifndef TESTS_HOSTILE_H
#define TESTS_HOSTILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "support/stage.h"

enum {
    HOSTILE = 51712, /* the vdevs */
    HONEST = 51728,
    OTHERS = 51744 | STAGE_OTHERS,
    HOSTILE_PORT = 3, /* also says where the ring is: see stage_front */
    HONEST_PORT = 4,
    OTHER_PORT = 5,
    DATA = 1024,        /* guest pages of the hostile front's data, 512 of them */
    DESCRIPTORS = 1536, /* eight pages of indirect descriptors */
    STRANGE = 1600,     /* a page that was never granted */
    HONEST_DATA = 2048,
    DISK_SECTORS = STAGE_DISK_BYTES / 512,
    GUARD_BYTES = 128 * 1024, /* the neighbour's image */
    SERVED_MS = 10000         /* the patience with which anything is waited for */
};

enum { OKAY = 0, FAULTY = -1, NOT_SUPPORTED = -2 };

/* What the device must have come to. All but _CLOSED are then closed by the front. */
enum hostile_end {
    ENDS_SERVED,    /* still connected, and a usable disk */
    ENDS_UNTOUCHED, /* the same, and nothing on the disk has changed */
    ENDS_REFUSED,   /* Closing, with the row's sentence in the error node */
    ENDS_CLOSED,    /* Closed */
    ENDS_EITHER     /* any of them: the misdeed is a race */
};

/* How far the device is when the misdeed begins. */
enum hostile_begin {
    BEGINS_CONNECTED, /* or, without a function, told that the front is ready */
    BEGINS_OFFERED,   /* a back was run; the front has written nothing */
    BEGINS_CREATED    /* there are the toolstack's nodes */
};

struct hostile;

struct misdeed {
    const char *name;
    void (*commit)(struct hostile *h); /* NULL: its key is all of it */
    enum hostile_end end;
    const char *says; /* a part of the error node */
    enum hostile_begin begin;
    bool read_only;
    unsigned pages;      /* of the ring; 0: 1 */
    const char *options; /* vbdkit-options */
    /* Of the front, written before it is ready; without a value: removed. */
    const char *key, *value;
    size_t value_length; /* 0: up to the value's NUL */
    /* One request, of hostile_ask_row, and the status it gets. */
    struct hostile_ask {
        uint8_t op, count; /* of segments; of an indirect request the inner operation */
        uint16_t indirect; /* number of segments */
        uint64_t sector, sectors;
        uint8_t first, last;
        int16_t gets;
    } ask;
};

/* Rows that differ from each other in little. */
#define SERVED(what, how)                                                                          \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_SERVED                                            \
    }
#define UNTOUCHED(what, how)                                                                       \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_UNTOUCHED                                         \
    }
#define CLOSED(what, how)                                                                          \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_CLOSED                                            \
    }
#define EITHER(what, how)                                                                          \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_EITHER                                            \
    }
#define OFFERED(what, how, ending)                                                                 \
    {                                                                                              \
        .name = what, .commit = how, .end = ending, .begin = BEGINS_OFFERED                        \
    }
/* The front keeps its grants, more of them than the backend will. */
#define KEPT .options = "persistent=4", .key = "feature-persistent", .value = "1"
#define KEEPS(what, how, ending)                                                                   \
    {                                                                                              \
        .name = what, .commit = how, .end = ending, KEPT                                           \
    }
/* What is said of indexes that can't be. */
#define BROKEN "the guest broke its ring: a producer index out of range"
#define TEN(x) x x x x x x x x x x
#define LONG TEN(TEN(TEN("1") TEN("1") TEN("1") TEN("1"))) /* a value of 4000 bytes */

struct misdeeds {
    const struct misdeed *rows;
    size_t count;
};

extern const struct misdeeds misdeeds_of_ring, misdeeds_of_requests, misdeeds_of_grants,
    misdeeds_of_races, misdeeds_of_keys, misdeeds_of_states, misdeeds_of_toolstack;

struct hostile {
    struct stage *s;
    const struct misdeed *row;
    struct vbd_back *back;
    struct handfront front, honest, other;
    char *view; /* guest memory once more: a detector sees no race with what is written here */
    char disk[32], guard[32], other_guard[32]; /* paths of the images: the hostile one's, theirs */
    int disk_fd, guard_fd, other_guard_fd;
    unsigned honest_round;
    uint64_t next_id;
    int nodes; /* in xenstore while the hostile device is not there */
    /* A second thread, which does one thing over and over, and its own connection. */
    struct xsc_client *client;
    pthread_t thread;
    void (*act)(struct hostile *h, unsigned n);
    atomic_bool stop;
    atomic_uint acts;
};

/* --- the world --- */
struct hostile *hostile_new(void);
void hostile_free(struct hostile *h);
/* Makes the row's device and brings it to where the misdeed begins. */
void hostile_begin(struct hostile *h, const struct misdeed *row);
/* Everything that must hold afterwards; then the device is removed. */
void hostile_check(struct hostile *h);
/* The neighbours are answered: a write and a read, verified; their images hold what they should. */
void hostile_neighbours(struct hostile *h);

/* --- the front --- */
/* A request of `count` whole pages from DATA on, all of them granted. */
struct hand_request hostile_pages(struct hostile *h, uint8_t op, uint64_t sector, unsigned count);
/* Sends it with an event and waits for its answer: the status. */
int16_t hostile_ask(struct hostile *h, const struct hand_request *r);
int16_t hostile_ask_indirect(struct hostile *h, const struct hand_indirect *r);
/* The row's one request gets what the row says. For `commit`. */
void hostile_ask_row(struct hostile *h);
/* The same, described by `count` descriptors. */
struct hand_indirect hostile_indirect(struct hostile *h, uint8_t inner, uint64_t sector,
                                      unsigned count);
void hostile_describe(struct hostile *h, unsigned at, uint32_t grant, uint8_t first, uint8_t last);
/* Publishes what was put, sends an event, waits until all is answered, and takes the answers: the
 * last one. */
struct hand_response hostile_answers(struct hostile *h, struct handfront *f);
/* A page of guest memory, in the other view. */
char *hostile_page(struct hostile *h, unsigned page);
bool hostile_disk_is_empty(struct hostile *h);

/* --- xenstore --- */
/* The front's keys, and its state Initialising. */
void hostile_prepare(struct hostile *h);
/* The front is ready; waits until both are Connected. */
void hostile_go(struct hostile *h);
void hostile_close(struct hostile *h);
/* The daemon goes; the guest stays connected. */
void hostile_park(struct hostile *h);
/* Closes, begins anew, and is connected. */
void hostile_reconnect(struct hostile *h);
void hostile_state(struct hostile *h, const char *state);
void hostile_write(struct xsc_client *client, const char *path, const char *value, size_t len);
/* Waits until so many guest pages are mapped; the neighbours have one each. */
void hostile_mapped(struct hostile *h, int pages);
/* Turns the control loop so often. */
void hostile_turns(struct hostile *h, unsigned n);

/* --- the second thread --- */
void hostile_thread(struct hostile *h, void (*act)(struct hostile *h, unsigned n));
void hostile_join(struct hostile *h);

#endif
