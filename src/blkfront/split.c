/* split.c - from waiting operations to requests in the ring: neighbours are joined, what is long is
 * split, data to be written is copied into the back's pages. Called by a pass.
 *
 * Operations begin in the order of their submission; where one has to wait, for a slot, for pages
 * or for those before it, so do all behind it, and a barrier is over before the next begins. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "blkfront/queue.h"

/* What a request is made of. */
struct plan {
    uint64_t bytes;
    uint32_t segments; /* in q->segments */
    uint32_t pages;    /* of the pool, for data; 0: the operation's own memory is used */
};

static uint32_t pages_of_descriptors(uint32_t segments)
{
    return segments <= VBD_SEGMENTS_DIRECT
               ? 0
               : (segments + VBD_INDIRECT_PER_PAGE - 1) / VBD_INDIRECT_PER_PAGE;
}

/* --- judging --- */

static int judge(const struct vbd_front_queue *q, const struct vbd_io *io)
{
    const struct vbd_front_disk *d = &q->disk;
    uint64_t bytes = d->sectors * VBD_SECTOR;
    bool changes = io->op != VBD_IO_READ && io->op != VBD_IO_FLUSH;

    if (io->op == VBD_IO_FLUSH)
        return d->flush || d->barrier ? 0 : -EOPNOTSUPP;
    if ((io->offset | io->length) % d->sector_size != 0 || io->offset > bytes ||
        io->length > bytes - io->offset || (io->op == VBD_IO_BARRIER && io->length == 0))
        return -EINVAL;
    if (changes && d->read_only)
        return -EROFS;
    if (io->op == VBD_IO_DISCARD && (!d->discard || (io->secure && !d->secure_discard)))
        return -EOPNOTSUPP;
    return io->op == VBD_IO_BARRIER && !d->flush && !d->barrier ? -EOPNOTSUPP : 0;
}

/* --- requests --- */

/* Adds an operation's next bytes to a request. */
static void claim(struct vbd_front_queue *q, struct vbd_io *io, uint64_t bytes)
{
    struct vbd_held *held = vbd_held(io);

    held->issued += bytes;
    held->parts++;
    if (!vbd_front_issued(io) || held->step != VBD_FRONT_ONLY)
        return;
    vbd_list_remove(&held->link);
    vbd_list_append(&q->started, &held->link);
}

static struct vbd_part *new_part(struct vbd_front_queue *q, struct vbd_io *io, enum vbd_op op,
                                 struct vbd_request *request)
{
    uint32_t index = q->free_parts[--q->free_count];
    struct vbd_part *part = &q->parts[index];

    *part = (struct vbd_part){.first = io,
                              .offset = vbd_held(io)->issued,
                              .pages = VBD_NO_PAGE,
                              .descriptors = VBD_NO_PAGE,
                              .round = part->round + 1,
                              .operation = (uint8_t)op,
                              .used = true};
    *request = (struct vbd_request){.operation = (uint8_t)op,
                                    .effect = (uint8_t)op,
                                    .handle = q->config.handle,
                                    .id = (uint64_t)part->round << 16 | index,
                                    .sector = (io->offset + part->offset) / VBD_SECTOR};
    q->counters.requests++;
    return part;
}

/* Without data. The data of such an operation, if it has any, is a step of its own. */
static void put_plain(struct vbd_front_queue *q, struct vbd_io *io, enum vbd_op op)
{
    struct vbd_request request;

    (void)new_part(q, io, op, &request);
    if (op == VBD_OP_DISCARD) {
        request.discard.sectors = io->length / VBD_SECTOR;
        request.discard.secure = io->secure;
    } else {
        request.sector = 0;
    }
    vbd_front_ring_put(&q->ring, &request);
    claim(q, io, op == VBD_OP_DISCARD ? io->length : 0);
}

static void put_flush(struct vbd_front_queue *q, struct vbd_io *io)
{
    put_plain(q, io, q->disk.flush ? VBD_OP_FLUSH : VBD_OP_WRITE_BARRIER);
}

/* Writes the segments into the request, or into pages of descriptors. */
static void put_segments(struct vbd_front_queue *q, struct vbd_part *part,
                         struct vbd_request *request, uint32_t count)
{
    uint32_t tail = VBD_NO_PAGE, pages = pages_of_descriptors(count);

    request->segment_count = (uint16_t)count;
    q->counters.segments += count;
    if (pages == 0) {
        memcpy(request->segments, q->segments, count * sizeof q->segments[0]);
        return;
    }
    request->operation = VBD_OP_INDIRECT;
    q->counters.indirect++;
    memset(request->indirect_grants, 0, sizeof request->indirect_grants);
    for (uint32_t i = 0; i < pages; i++) {
        uint32_t page = vbd_pool_take(&q->pool, &part->descriptors, &tail);
        uint32_t left = count - i * VBD_INDIRECT_PER_PAGE;

        memcpy(vbd_pool_page(&q->pool, page), q->segments + (size_t)i * VBD_INDIRECT_PER_PAGE,
               (left < VBD_INDIRECT_PER_PAGE ? left : VBD_INDIRECT_PER_PAGE) *
                   sizeof q->segments[0]);
        request->indirect_grants[i] = q->pool.grants[page];
    }
}

/* --- through the pool --- */

static enum vbd_op data_op(const struct vbd_io *io)
{
    return io->op == VBD_IO_READ ? VBD_OP_READ : VBD_OP_WRITE;
}

/* The most pages of data that a request may ever have. */
static uint32_t pages_max(const struct vbd_front_queue *q)
{
    uint32_t most = q->disk.segments;
    uint32_t fit = q->pool.count - pages_of_descriptors(q->pool.count);

    return most < fit ? most : fit;
}

static bool joins(struct vbd_io *io, const struct vbd_io *next, uint64_t end)
{
    return next->op == io->op && next->offset == end && vbd_held(io)->step == VBD_FRONT_ONLY &&
           (io->op == VBD_IO_READ || io->op == VBD_IO_WRITE);
}

/* Fills one page with an operation's next bytes, or makes it fit to be read into. */
static void fill(struct vbd_front_queue *q, const struct vbd_io *io, uint64_t offset, char *to,
                 uint32_t bytes)
{
    if (io->op == VBD_IO_ZERO || (io->op == VBD_IO_READ && !q->config.trusted))
        memset(to, 0, bytes);
    else if (io->op != VBD_IO_READ)
        vbd_gather(io, offset, to, bytes);
}

/* Packs `bytes` bytes of the operation into pages, behind what is there. */
static void pack(struct vbd_front_queue *q, struct vbd_part *part, struct vbd_io *io,
                 uint64_t bytes, struct plan *plan, uint32_t *tail)
{
    uint64_t offset = vbd_held(io)->issued;

    while (bytes > 0) {
        uint32_t at = (uint32_t)(plan->bytes % VBD_GUEST_PAGE);
        uint32_t n = VBD_GUEST_PAGE - at < bytes ? VBD_GUEST_PAGE - at : (uint32_t)bytes;
        uint32_t page = at == 0 ? vbd_pool_take(&q->pool, &part->pages, tail) : *tail;

        if (at == 0)
            q->segments[plan->segments++] =
                (struct vbd_segment){.grant = q->pool.grants[page], .first = 0};
        fill(q, io, offset, vbd_pool_page(&q->pool, page) + at, n);
        q->segments[plan->segments - 1].last = (uint8_t)((at + n) / VBD_SECTOR - 1);
        plan->bytes += n;
        offset += n;
        bytes -= n;
    }
}

/* How many bytes go into the next request, with neighbours. */
static uint64_t plan_bytes(const struct vbd_front_queue *q, struct vbd_io *io)
{
    uint64_t most = (uint64_t)pages_max(q) * VBD_GUEST_PAGE;
    uint64_t bytes = io->length - vbd_held(io)->issued, end = io->offset + io->length;

    for (struct vbd_list *at = vbd_held(io)->link.next; at != &q->waiting && bytes < most;
         at = at->next) {
        struct vbd_io *next = vbd_held_io(at);

        if (!joins(io, next, end) || judge(q, next) < 0)
            break;
        bytes += next->length;
        end += next->length;
    }
    return bytes < most ? bytes : most;
}

static bool has_pages(const struct vbd_front_queue *q, uint64_t bytes)
{
    uint32_t pages = (uint32_t)((bytes + VBD_GUEST_PAGE - 1) / VBD_GUEST_PAGE);

    return pages + pages_of_descriptors(pages) <= q->pool.free_count;
}

/* False when pages are missing. */
static bool put_copied(struct vbd_front_queue *q, struct vbd_io *io, enum vbd_op op)
{
    uint64_t left = plan_bytes(q, io);
    uint32_t tail = VBD_NO_PAGE;
    struct vbd_request request;
    struct plan plan = {0};
    struct vbd_part *part;

    if (!has_pages(q, left))
        return false;
    part = new_part(q, io, op, &request);
    part->bytes = (uint32_t)left;
    while (left > 0) {
        struct vbd_list *next = vbd_held(io)->link.next;
        uint64_t rest = io->length - vbd_held(io)->issued, n = left < rest ? left : rest;

        pack(q, part, io, n, &plan, &tail);
        claim(q, io, n);
        left -= n;
        q->counters.merged += left > 0;
        io = vbd_held_io(next);
    }
    put_segments(q, part, &request, plan.segments);
    vbd_front_ring_put(&q->ring, &request);
    return true;
}

/* --- in place --- */

/* The most segments that a request in place may ever have: the pool's pages describe them. */
static uint32_t segments_max(const struct vbd_front_queue *q)
{
    uint64_t most = (uint64_t)q->pool.count * VBD_INDIRECT_PER_PAGE;

    return most < q->disk.segments ? (uint32_t)most : q->disk.segments;
}

/* Segments of the operation's own memory from its next byte on; false when the back does not reach
 * all of that, or some is no whole logical sectors: Linux' back refuses such segments, whatever
 * they are together. */
static bool plan_in_place(struct vbd_front_queue *q, const struct vbd_io *io, uint64_t skip,
                          struct plan *plan)
{
    uint32_t i = 0, most = segments_max(q);

    *plan = (struct plan){0};
    while (i < io->memory_count && plan->segments < most) {
        const char *at = (const char *)io->memory[i].base + skip;
        uint64_t left = io->memory[i].len > skip ? io->memory[i].len - skip : 0;
        uint32_t first = (uint32_t)((uintptr_t)at % VBD_GUEST_PAGE), grant;
        uint64_t n = VBD_GUEST_PAGE - first < left ? VBD_GUEST_PAGE - first : left;

        if (left == 0) {
            skip -= io->memory[i++].len;
            continue;
        }
        if ((first | n) % q->disk.sector_size != 0 ||
            !vbd_buffers_grant(q->config.buffers, at, &grant))
            return false;
        q->segments[plan->segments++] =
            (struct vbd_segment){.grant = grant,
                                 .first = (uint8_t)(first / VBD_SECTOR),
                                 .last = (uint8_t)((first + n) / VBD_SECTOR - 1)};
        plan->bytes += n;
        skip += n;
    }
    return plan->segments > 0;
}

/* False when pages for descriptors are missing. */
static bool put_in_place(struct vbd_front_queue *q, struct vbd_io *io, enum vbd_op op,
                         const struct plan *plan)
{
    struct vbd_request request;
    struct vbd_part *part;

    if (pages_of_descriptors(plan->segments) > q->pool.free_count)
        return false;
    part = new_part(q, io, op, &request);
    part->bytes = (uint32_t)plan->bytes;
    put_segments(q, part, &request, plan->segments);
    vbd_front_ring_put(&q->ring, &request);
    claim(q, io, plan->bytes);
    q->counters.uncopied++;
    return true;
}

/* --- operations --- */

static bool put_data(struct vbd_front_queue *q, struct vbd_io *io, enum vbd_op op)
{
    struct plan plan;

    if (io->op != VBD_IO_ZERO && plan_in_place(q, io, vbd_held(io)->issued, &plan))
        return put_in_place(q, io, op, &plan);
    return put_copied(q, io, op);
}

/* One request holds it, in a form that a barrier may have, wherever in a page its memory begins. */
static bool is_one_request(const struct vbd_front_queue *q, const struct vbd_io *io)
{
    uint32_t most = pages_max(q) < VBD_SEGMENTS_DIRECT ? pages_max(q) : VBD_SEGMENTS_DIRECT;

    return q->disk.barrier && io->memory_count <= 1 &&
           io->length <= (most - 1) * (uint64_t)VBD_GUEST_PAGE;
}

/* Alone in the ring, step by step. Returns false while it has to wait. */
static bool put_barrier(struct vbd_front_queue *q, struct vbd_io *io)
{
    struct vbd_held *held = vbd_held(io);

    q->held = vbd_front_queue_is_held(q);
    if (q->held)
        return false;
    if (held->step == VBD_FRONT_ONLY && is_one_request(q, io))
        return put_data(q, io, VBD_OP_WRITE_BARRIER);
    if (!vbd_list_empty(&q->started) || (held->parts > 0 && vbd_front_issued(io)))
        return false;
    if (held->step == VBD_FRONT_ONLY)
        held->step = VBD_FRONT_FLUSH_FIRST;
    if (held->step == VBD_FRONT_WRITE)
        return put_data(q, io, VBD_OP_WRITE);
    if (held->parts > 0)
        return false;
    put_flush(q, io);
    return true;
}

static bool put(struct vbd_front_queue *q, struct vbd_io *io)
{
    switch (io->op) {
    case VBD_IO_FLUSH:
        put_flush(q, io);
        return true;
    case VBD_IO_DISCARD:
        put_plain(q, io, VBD_OP_DISCARD);
        return true;
    case VBD_IO_BARRIER:
        return put_barrier(q, io);
    case VBD_IO_READ:
    case VBD_IO_WRITE:
    case VBD_IO_ZERO:
        break;
    }
    return put_data(q, io, data_op(io));
}

/* What can't be done, or needs nothing done: true. */
static bool settle(struct vbd_front_queue *q, struct vbd_io *io)
{
    struct vbd_held *held = vbd_held(io);
    int r = held->issued == 0 && held->parts == 0 ? judge(q, io) : 0;

    if (held->error < 0) { /* of a part; the rest is not asked for any more */
        vbd_list_remove(&held->link);
        vbd_list_append(&q->started, &held->link);
        return true;
    }
    if (r < 0 || (io->length == 0 && io->op != VBD_IO_FLUSH)) {
        vbd_front_done(io, r);
        return true;
    }
    return false;
}

/* The last that was started; nothing follows it into the ring. */
static bool barrier_under_way(const struct vbd_front_queue *q)
{
    return !vbd_list_empty(&q->started) && vbd_held_io(q->started.prev)->op == VBD_IO_BARRIER;
}

void vbd_front_split(struct vbd_front_queue *q)
{
    while (!vbd_list_empty(&q->waiting) && q->free_count > 0 && !barrier_under_way(q)) {
        struct vbd_io *io = vbd_held_io(q->waiting.next);

        if (!settle(q, io) && !put(q, io))
            return;
    }
}
