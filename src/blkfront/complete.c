/* complete.c - responses: copied out once, held against the request they claim to be for, and
 * passed on to the operations whose parts they answer. Called by a pass.
 *
 * The back may have written anything. A response to no request, or a producer out of range, breaks
 * the queue; a status that is none counts as an error. */
#include <errno.h>

#include "blkfront/queue.h"

static void lies(struct vbd_front_queue *q, const char *how)
{
    q->broken = true;
    q->lie = how;
}

/* --- which request --- */

/* An indirect request is echoed by what it does, or by Linux's rule of old as itself. */
static bool echoes(const struct vbd_part *part, uint8_t operation)
{
    return operation == part->operation ||
           (operation == VBD_OP_INDIRECT && part->descriptors != VBD_NO_PAGE);
}

static struct vbd_part *find_part(struct vbd_front_queue *q, const struct vbd_response *response)
{
    uint32_t index = (uint32_t)(response->id & 0xffff), round = (uint32_t)(response->id >> 16);
    struct vbd_part *part = &q->parts[index & (q->ring.size - 1)];

    if (index >= q->ring.size || !part->used || response->id >> 48 != 0 || part->round != round) {
        lies(q, "the backend answered a request that is not under way");
        return NULL;
    }
    if (!echoes(part, response->operation)) {
        lies(q, "the backend answered another operation than was asked for");
        return NULL;
    }
    return part;
}

static int to_error(int16_t status)
{
    if (status == VBD_STATUS_OKAY)
        return 0;
    return status == VBD_STATUS_NOT_SUPPORTED ? -EOPNOTSUPP : -EIO;
}

/* The back says that it can't, whatever it offered: it is not asked again. */
static void learn(struct vbd_front_queue *q, const struct vbd_part *part)
{
    if (part->operation == VBD_OP_FLUSH)
        q->disk.flush = false;
    else if (part->operation == VBD_OP_WRITE_BARRIER)
        q->disk.barrier = false;
    else if (part->operation == VBD_OP_DISCARD && part->first->secure)
        q->disk.secure_discard = false;
    else if (part->operation == VBD_OP_DISCARD)
        q->disk.discard = false;
}

/* Refused: a flush or a barrier is asked for as the other of the two, where the back may know that;
 * a barrier of several steps has its step once more. False where there is no other way. */
static bool goes_another_way(struct vbd_front_queue *q, const struct vbd_part *part)
{
    struct vbd_io *io = part->first;

    learn(q, part);
    if (part->operation != VBD_OP_FLUSH && part->operation != VBD_OP_WRITE_BARRIER)
        return false;
    if (!q->disk.flush && !q->disk.barrier)
        return false;
    vbd_held(io)->parts--;
    if (vbd_held(io)->step == VBD_FRONT_ONLY)
        vbd_front_wait_again(q, io);
    return true;
}

/* --- what becomes of the operations --- */

static void part_over(struct vbd_io *io, int error)
{
    struct vbd_held *held = vbd_held(io);
    bool all = vbd_front_issued(io);

    if (error < 0 && held->error == 0)
        held->error = error;
    if (--held->parts > 0)
        return;
    if (held->error < 0 || held->step == VBD_FRONT_FLUSH_LAST ||
        (held->step == VBD_FRONT_ONLY && all))
        vbd_front_done(io, held->error);
    else if (held->step == VBD_FRONT_FLUSH_FIRST || (held->step == VBD_FRONT_WRITE && all))
        held->step++;
}

/* Copies `bytes` bytes out of the part's pages: *page and *at move on. */
static void deliver(const struct vbd_pool *pool, uint32_t *page, uint32_t *at, struct vbd_io *io,
                    uint64_t offset, uint32_t bytes)
{
    while (bytes > 0) {
        uint32_t n = VBD_GUEST_PAGE - *at < bytes ? VBD_GUEST_PAGE - *at : bytes;

        vbd_scatter(io, offset, vbd_pool_page(pool, *page) + *at, n);
        offset += n;
        bytes -= n;
        *at += n;
        if (*at == VBD_GUEST_PAGE) {
            *page = pool->next[*page];
            *at = 0;
        }
    }
}

/* The operation submitted after this one: only the last that is started may have its follower in
 * `waiting`. */
static struct vbd_io *following(struct vbd_front_queue *q, struct vbd_io *io)
{
    struct vbd_list *next = vbd_held(io)->link.next;

    return vbd_held_io(next == &q->started ? q->waiting.next : next);
}

/* Each operation's share of the part. The next one stays in its place until its own turn. */
static void answer(struct vbd_front_queue *q, const struct vbd_part *part, int error)
{
    struct vbd_io *io = part->first;
    uint64_t offset = part->offset;
    uint32_t left = part->bytes, page = part->pages, at = 0;
    bool reads = part->operation == VBD_OP_READ && page != VBD_NO_PAGE && error == 0;

    do {
        struct vbd_io *next = following(q, io);
        uint64_t rest = io->length - offset;
        uint32_t n = left < rest ? left : (uint32_t)rest;

        if (reads)
            deliver(&q->pool, &page, &at, io, offset, n);
        left -= n;
        part_over(io, error);
        io = next;
        offset = 0;
    } while (left > 0);
}

static void take(struct vbd_front_queue *q)
{
    struct vbd_response response;
    struct vbd_part *part, copy;
    int error;

    vbd_front_ring_take(&q->ring, &response);
    part = find_part(q, &response);
    if (part == NULL)
        return;
    error = to_error(response.status);
    q->counters.errors += error < 0;
    copy = *part;
    part->used = false;
    q->free_parts[q->free_count++] = (uint32_t)(part - q->parts);
    if (error != -EOPNOTSUPP || !goes_another_way(q, &copy))
        answer(q, &copy, error);
    vbd_pool_give(&q->pool, copy.pages);
    vbd_pool_give(&q->pool, copy.descriptors);
}

void vbd_front_complete(struct vbd_front_queue *q)
{
    bool broken;
    uint32_t n = vbd_front_ring_waiting(&q->ring, &broken);

    if (broken)
        lies(q, "the backend's response index is out of range");
    for (; n > 0 && !q->broken; n--)
        take(q);
}
