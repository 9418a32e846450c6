/* front.h - the world of fuzz_blkfront: a guest's seam whose calls may fail, and a backend that
 * reads the ring by itself, knows blkif from public/io/blkif.h, and holds the queue to its
 * promises.
 *
 *   front_guest.c     memory, pages shared, ports, events
 *   front_back.c      requests looked at, carried out and answered; lies
 *   fuzz_blkfront.c   operations and steps
 */
#ifndef FUZZ_FRONT_H
#define FUZZ_FRONT_H

#include "blkfront/queue.h"
#include "input.h"
#include "must.h"

enum { SECTORS = 512, OPS = 24, GRANTS = 8192, SLOTS = 128 };

/* What blkif calls them. */
enum { READ, WRITE, BARRIER, FLUSH, DISCARD = 5, INDIRECT, SECURE_DISCARD, KINDS };

struct op {
    struct vbd_io io;
    struct vbd_iovec memory[4];
    char *bytes;
    bool used, shared, alone;
    uint8_t tag;
    uint32_t number; /* counts submissions */
    uint32_t before; /* the newest of the writes that were done when it was submitted */
};

/* A request that the backend has taken. */
struct asked {
    uint8_t slot[112];
    uint32_t changes; /* of the disk, when it was taken */
};

/* Whether the backend has said that it can't after all, and from which request on the front knows.
 */
struct refusal {
    bool said, known;
    uint32_t from;
};

struct world {
    /* The queue and what it is given. */
    struct vbd_guest guest;
    struct vbd_allocator allocator;
    struct vbd_front_queue q;
    struct vbd_front_queue_config config;
    struct vbd_front_disk disk;
    struct vbd_buffers buffers;
    bool open;

    /* The guest. */
    char *grants[GRANTS];
    uint32_t next_grant;
    long live, ports;
    unsigned fail; /* the n-th call from now; 0: none */
    int notified;
    bool front_sleeps; /* until an event */

    /* The backend. */
    uint32_t req_cons, rsp_prod, pending;
    struct asked asked[SLOTS]; /* as they were taken */
    struct refusal refused[KINDS];
    bool lied, back_sleeps;

    /* The disk: each change has a number, and is stable once a flush has come by. */
    uint8_t model[SECTORS * VBD_SECTOR];
    uint32_t changed[SECTORS];
    uint32_t changes, stable;

    /* What was submitted. */
    struct op ops[OPS];
    uint8_t tags[SECTORS];
    bool known[SECTORS];
    uint32_t again, submitted, done; /* done: the newest change whose write is done */
};

extern struct world w;

/* front_guest.c */
void guest_begin(void);

/* front_back.c */
/* The k-th shared word: req_prod, req_event, rsp_prod, rsp_event. */
uint32_t *back_word(unsigned k);
void back_begin(void);
/* A pass of the front, what it owes the backend, and the backend's own look at the ring. The
 * backend sleeps afterwards, or looks again without an event. */
void back_pass(bool sleep);
/* Answers the request at this place, or one before it that a barrier is behind. */
void back_answer(uint32_t which, int16_t status);
void back_lie(struct input *in);
/* Whether it changes the disk. */
bool back_changes(const struct vbd_io *io);
/* The newest change of the range. */
uint32_t back_changed(const struct vbd_io *io);

#endif
