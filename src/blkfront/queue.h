/* queue.h - the inside of a front's queue, for the files of this room and for src/vbd, which makes
 * one for each ring.
 *
 * An operation's way through it:
 *
 *   submit      judged against the disk                                  -> `waiting`
 *   split       neighbours are joined, what is long is split: each part is one request in the ring,
 *               whose data lies in pages that the back may use (pool)   -> `started`
 *   (the back)
 *   complete    a response is copied out once and judged; data goes to the caller; when an
 *               operation's last part is over, it is done
 *   recover     a new ring: what was started and is not done waits again, in its old order
 *
 * Both lists are in the order of submission, and together hold every operation that is not done.
 */
#ifndef BLKFRONT_QUEUE_H
#define BLKFRONT_QUEUE_H

#include "base/list.h"
#include "blkfront/buffers.h"
#include "blkfront/pool.h"
#include "blkif/front_ring.h"
#include "vbdkit/front_disk.h"
#include "vbdkit/storage.h"

/* What `held` of an operation is while a queue has it. */
struct vbd_held {
    struct vbd_list link;
    uint64_t issued; /* bytes of it that are or were in parts */
    uint64_t order;  /* of submission, among all queues of the front */
    uint32_t parts;  /* of it in the ring */
    int32_t error;   /* the first */
    uint32_t step;   /* enum vbd_front_step */
};

_Static_assert(sizeof(struct vbd_held) <= sizeof(((struct vbd_io *)NULL)->held),
               "an operation has room for what a front keeps in it");

/* A barrier that the back can't do at once is a flush, a write and a flush, and nothing else is
 * under way meanwhile; every other operation has one step. One that the back can do has nothing
 * behind it in the ring: where it is refused, it is made of the three after all. */
enum vbd_front_step {
    VBD_FRONT_ONLY,
    VBD_FRONT_FLUSH_FIRST,
    VBD_FRONT_WRITE,
    VBD_FRONT_FLUSH_LAST
};

/* A request in the ring. Its data is `bytes` bytes from `first`'s byte `offset` on; what exceeds
 * `first` is of the operations that follow it in `started`. */
struct vbd_part {
    struct vbd_io *first;
    uint64_t offset;
    uint32_t bytes;
    uint32_t pages;       /* chain in the pool: the data, packed; VBD_NO_PAGE: none of the pool's */
    uint32_t descriptors; /* chain in the pool */
    uint32_t round;       /* counts uses of the slot; part of the id */
    uint8_t operation;    /* what the response echoes */
    bool used;
};

struct vbd_front_queue_config {
    const struct vbd_allocator *allocator;
    const struct vbd_guest *guest;
    unsigned backend_domid;
    uint16_t handle;
    uint32_t ring_pages;
    uint32_t pool_pages;   /* at least 2 */
    uint32_t segments_max; /* of a request */
    const struct vbd_buffers *buffers;
    bool trusted; /* the back: pages that it reads into are not cleared before */
    /* All queues of the front, this one among them: a barrier waits for what was submitted to any
     * of them before it. NULL: there is no other. */
    const struct vbd_front_queue *queues;
    uint32_t queue_count;
};

struct vbd_front_queue {
    struct vbd_front_queue_config config;
    struct vbd_front_disk disk; /* as agreed */
    void *ring_memory;
    uint32_t ring_grants[16];
    uint32_t port;
    struct vbd_event_channel *channel; /* NULL: closed */
    bool started_up;                   /* the back is Connected; otherwise operations wait */
    struct vbd_front_ring ring;
    struct vbd_pool pool;
    struct vbd_segment *segments; /* room for those of the request that is being made */
    struct vbd_part *parts;       /* one for each slot */
    uint32_t *free_parts;         /* a stack */
    uint32_t free_count;
    struct vbd_list waiting, started;
    bool broken;     /* the back lied: nothing more is read from the ring */
    bool passing;    /* a callback that submits must not begin a pass in a pass */
    bool held;       /* by what another queue has under way, see vbd_front_queue_is_held */
    const char *lie; /* which one; a static sentence */
    struct vbd_front_counters counters;
};

/* Makes an empty queue, closed. */
void vbd_front_queue_init(struct vbd_front_queue *q);
/* Makes ring, pool and event channel. Errors: those of the guest's seam, -ENOMEM; nothing is held
 * then. */
int vbd_front_queue_open(struct vbd_front_queue *q, const struct vbd_front_queue_config *config);
/* The back is Connected: requests may go. */
void vbd_front_queue_start(struct vbd_front_queue *q, const struct vbd_front_disk *disk);
/* Gives ring, pool and event channel back. What was not done waits for vbd_front_queue_open, in its
 * old order. */
void vbd_front_queue_close(struct vbd_front_queue *q);
/* What waits in one queue waits in another from now on, as it was submitted; both are closed. */
void vbd_front_queue_move(struct vbd_front_queue *from, struct vbd_front_queue *to);
/* Every operation that is not done is done with this error. */
void vbd_front_queue_fail(struct vbd_front_queue *q, int error);
/* Takes an operation, which vbd_front_queue_pass sends. `order` grows with each one, in whichever
 * queue of the front. */
void vbd_front_queue_submit(struct vbd_front_queue *q, struct vbd_io *io, uint64_t order);
/* Takes responses, writes requests, publishes once, notifies at most once. The backend is not asked
 * for an event: more may have come at once. A queue that is `broken` afterwards has to be closed.
 */
void vbd_front_queue_poll(struct vbd_front_queue *q);
/* The same, and asks for an event with the next response. Returns true when there are more
 * responses already. */
bool vbd_front_queue_pass(struct vbd_front_queue *q);
/* Whether the next operation is a barrier that waits for other queues. One that was `held` and is
 * not any more needs a pass. */
bool vbd_front_queue_is_held(const struct vbd_front_queue *q);
/* True when no operation is under way. */
bool vbd_front_queue_idle(const struct vbd_front_queue *q);

/* split.c: writes as many requests as slots and pages allow. */
void vbd_front_split(struct vbd_front_queue *q);
/* complete.c: takes the responses that are there. */
void vbd_front_complete(struct vbd_front_queue *q);
/* queue.c: a started operation, none of which is under way, begins anew. */
void vbd_front_wait_again(struct vbd_front_queue *q, struct vbd_io *io);
/* queue.c: an operation's end. */
void vbd_front_done(struct vbd_io *io, int result);
/* gather.c: copies between an operation's memory from byte `at` on and `bytes` bytes elsewhere. */
void vbd_gather(const struct vbd_io *io, uint64_t at, char *to, size_t bytes);
void vbd_scatter(const struct vbd_io *io, uint64_t at, const char *from, size_t bytes);

static inline struct vbd_held *vbd_held(struct vbd_io *io)
{
    return (struct vbd_held *)(void *)io->held;
}

static inline struct vbd_io *vbd_held_io(struct vbd_list *link)
{
    return VBD_CONTAINER(link, struct vbd_io, held);
}

/* Whether all of an operation is or was in the ring. */
static inline bool vbd_front_issued(struct vbd_io *io)
{
    return io->op == VBD_IO_FLUSH || vbd_held(io)->issued == io->length;
}

#endif
