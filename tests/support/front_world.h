/* front_world.h - a queue of blkfront that meets, over a simulated hypervisor, a queue of blkback
 * or a hand that writes into its ring; for tests of its passes. Nothing happens by itself: the test
 * makes the passes of both and completes the disk's operations.
 */
#ifndef TESTS_FRONT_WORLD_H
#define TESTS_FRONT_WORLD_H

#include "blkfront/queue.h"
#include "support/ring_world.h"

enum { FRONT_PORT = 5, FRONT_DISK_BYTES = DISK_SECTORS * 512 };

struct front_world {
    struct vbd_guest guest; /* the seam, on `back`'s simulated guest */
    struct world *back;     /* its own ring is not used */
    struct vbd_front_queue front;
    struct vbd_front_queue_config config;
    struct vbd_front_disk disk;
    struct vbd_buffers buffers;
    void *ring;          /* the back's mapping */
    unsigned next_page;  /* of guest memory */
    unsigned first_page; /* of those that a connection takes; before it: buffers made earlier */
    int shared, offered; /* pages and ports that the front has */
    bool by_hand;        /* there is no back */
    /* What a back works on: back->disk, if the test does not say otherwise before it connects. */
    struct vbd_channel *storage;
    void (*drop)(void *ctx); /* ends all that is under way there, because the back is gone */
    void *drop_ctx;
    struct vbd_queue_config limits; /* of a back: those that its front does not see */
};

/* An operation of a caller. */
struct front_op {
    struct vbd_io io;
    struct vbd_iovec memory[8];
    int result, done; /* how often */
};

/* segments: of a request, offered and asked for. Everything is offered. */
struct front_world *front_world_new(uint32_t ring_pages, uint32_t pool_pages, uint32_t segments);
void front_world_free(struct front_world *w);
/* Connects; again after front_world_leave, with whatever is in config and disk. */
void front_world_connect(struct front_world *w);
/* The back goes: what it has under way is lost. */
void front_world_leave(struct front_world *w);
/* Passes of both sides until nothing moves; operations stay in the disk. */
void front_world_turn(struct front_world *w);
/* The same, and the disk completes all, until nothing is under way. */
void front_world_settle(struct front_world *w);
/* Submits an operation on one run of memory. */
void front_op_submit(struct front_world *w, struct front_op *op, enum vbd_io_op what,
                     uint64_t offset, uint64_t length, void *memory);
/* Submits what op->io and op->memory say. */
void front_op_send(struct front_world *w, struct front_op *op);
/* Submits, settles, and returns the result. */
int front_op_run(struct front_world *w, enum vbd_io_op what, uint64_t offset, uint64_t length,
                 void *memory);

#endif
