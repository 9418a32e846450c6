/* queue.c - a front's queue: made, driven, given back; see queue.h. Called by src/vbd. */
#include "blkfront/queue.h"

#include <errno.h>

#include "base/memory.h"

/* --- made and given back --- */

static void free_arrays(struct vbd_front_queue *q)
{
    vbd_free(q->config.allocator, q->parts);
    vbd_free(q->config.allocator, q->free_parts);
    vbd_free(q->config.allocator, q->segments);
    q->parts = NULL;
    q->free_parts = NULL;
    q->segments = NULL;
}

static int make_arrays(struct vbd_front_queue *q)
{
    const struct vbd_allocator *a = q->config.allocator;

    q->parts = vbd_alloc_array(a, q->ring.size, sizeof *q->parts);
    q->free_parts = vbd_alloc_array(a, q->ring.size, sizeof *q->free_parts);
    q->segments = vbd_alloc_array(a, q->config.segments_max, sizeof *q->segments);
    if (q->parts == NULL || q->free_parts == NULL || q->segments == NULL) {
        free_arrays(q);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < q->ring.size; i++)
        q->free_parts[q->free_count++] = q->ring.size - 1 - i;
    return 0;
}

static int make_ring(struct vbd_front_queue *q)
{
    const struct vbd_guest *g = q->config.guest;
    int r = g->share(g->ctx, q->config.backend_domid, q->config.ring_pages, q->ring_grants,
                     &q->ring_memory);

    if (r < 0)
        return r;
    vbd_front_ring_init(&q->ring, q->ring_memory, q->config.ring_pages);
    r = make_arrays(q);
    if (r < 0)
        g->unshare(g->ctx, q->ring_memory, q->config.ring_pages, q->ring_grants);
    return r;
}

static void free_ring(struct vbd_front_queue *q)
{
    const struct vbd_guest *g = q->config.guest;

    g->unshare(g->ctx, q->ring_memory, q->config.ring_pages, q->ring_grants);
    free_arrays(q);
}

int vbd_front_queue_open(struct vbd_front_queue *q, const struct vbd_front_queue_config *config)
{
    const struct vbd_guest *g = config->guest;
    int r;

    q->config = *config;
    q->free_count = 0;
    q->broken = false;
    q->lie = NULL;
    r = make_ring(q);
    if (r < 0)
        return r;
    r = vbd_pool_open(&q->pool, config->allocator, g, config->backend_domid, config->pool_pages);
    if (r == 0)
        r = g->offer(g->ctx, config->backend_domid, &q->port, &q->channel);
    if (r < 0) {
        vbd_pool_close(&q->pool, config->allocator, g);
        free_ring(q);
        q->channel = NULL;
    }
    return r;
}

void vbd_front_queue_start(struct vbd_front_queue *q, const struct vbd_front_disk *disk)
{
    q->disk = *disk;
    q->started_up = true;
}

/* As it was when it was submitted. */
static void begin_anew(struct vbd_io *io)
{
    struct vbd_held *held = vbd_held(io);

    held->issued = 0;
    held->parts = 0;
    held->error = 0;
    held->step = VBD_FRONT_ONLY;
}

/* Behind an operation that has begun: that one may share a request with the last that is started.
 */
void vbd_front_wait_again(struct vbd_front_queue *q, struct vbd_io *io)
{
    struct vbd_list *before = &q->waiting, *first = q->waiting.next;

    if (first != before &&
        (vbd_held(vbd_held_io(first))->parts > 0 || vbd_held(vbd_held_io(first))->issued > 0))
        before = first;
    vbd_list_remove(&vbd_held(io)->link);
    vbd_list_prepend(before, &vbd_held(io)->link);
    begin_anew(io);
}

static void take_back(struct vbd_front_queue *q)
{
    struct vbd_list *last;

    while (!vbd_list_empty(&q->started)) {
        last = q->started.prev;
        vbd_list_remove(last);
        vbd_list_prepend(&q->waiting, last);
        q->counters.recovered++;
    }
    for (struct vbd_list *at = q->waiting.next; at != &q->waiting; at = at->next)
        begin_anew(vbd_held_io(at));
}

void vbd_front_queue_close(struct vbd_front_queue *q)
{
    const struct vbd_guest *g = q->config.guest;

    if (q->channel == NULL)
        return;
    q->started_up = false;
    take_back(q);
    g->withdraw(g->ctx, q->channel);
    q->channel = NULL;
    vbd_pool_close(&q->pool, q->config.allocator, g);
    free_ring(q);
}

/* --- operations --- */

void vbd_front_queue_init(struct vbd_front_queue *q)
{
    vbd_list_init(&q->waiting);
    vbd_list_init(&q->started);
}

void vbd_front_done(struct vbd_io *io, int result)
{
    vbd_list_remove(&vbd_held(io)->link);
    io->done(io, result);
}

void vbd_front_queue_submit(struct vbd_front_queue *q, struct vbd_io *io, uint64_t order)
{
    *vbd_held(io) = (struct vbd_held){.order = order, .step = VBD_FRONT_ONLY};
    vbd_list_append(&q->waiting, &vbd_held(io)->link);
    q->counters.operations++;
}

static void move_all(struct vbd_list *from, struct vbd_list *to)
{
    struct vbd_list *at;

    while ((at = vbd_list_pop(from)) != NULL)
        vbd_list_append(to, at);
}

void vbd_front_queue_move(struct vbd_front_queue *from, struct vbd_front_queue *to)
{
    struct vbd_list *before = to->waiting.next, *at;

    while ((at = vbd_list_pop(&from->waiting)) != NULL) {
        while (before != &to->waiting &&
               vbd_held(vbd_held_io(before))->order < vbd_held(vbd_held_io(at))->order)
            before = before->next;
        vbd_list_append(before, at); /* in front of it */
    }
}

/* What callbacks submit meanwhile waits. */
void vbd_front_queue_fail(struct vbd_front_queue *q, int error)
{
    struct vbd_list all;

    vbd_list_init(&all);
    move_all(&q->started, &all);
    move_all(&q->waiting, &all);
    while (!vbd_list_empty(&all))
        vbd_front_done(vbd_held_io(all.next), error);
}

static bool has_before(const struct vbd_list *list, uint64_t order)
{
    return !vbd_list_empty(list) && vbd_held(vbd_held_io(list->next))->order < order;
}

bool vbd_front_queue_is_held(const struct vbd_front_queue *q)
{
    struct vbd_io *io = vbd_list_empty(&q->waiting) ? NULL : vbd_held_io(q->waiting.next);

    for (uint32_t i = 0; io != NULL && io->op == VBD_IO_BARRIER && i < q->config.queue_count; i++) {
        const struct vbd_front_queue *other = &q->config.queues[i];

        if (other != q && (has_before(&other->started, vbd_held(io)->order) ||
                           has_before(&other->waiting, vbd_held(io)->order)))
            return true;
    }
    return false;
}

bool vbd_front_queue_idle(const struct vbd_front_queue *q)
{
    return vbd_list_empty(&q->waiting) && vbd_list_empty(&q->started);
}

/* --- a pass --- */

static void publish(struct vbd_front_queue *q)
{
    const struct vbd_guest *g = q->config.guest;
    uint32_t before = q->ring.req_published;

    if (vbd_front_ring_publish(&q->ring)) {
        q->counters.notified++;
        g->notify(g->ctx, q->channel);
    } else if (q->ring.req_published != before) {
        q->counters.spared++;
    }
}

static bool serves(const struct vbd_front_queue *q)
{
    return q->started_up && !q->broken;
}

void vbd_front_queue_poll(struct vbd_front_queue *q)
{
    uint32_t before = q->ring.rsp_cons;

    q->held = false;
    if (!serves(q) || q->passing)
        return;
    q->passing = true;
    vbd_front_complete(q);
    if (!q->broken) {
        vbd_front_split(q);
        publish(q);
    }
    q->passing = false;
    q->counters.passes += q->ring.rsp_cons != before;
}

bool vbd_front_queue_pass(struct vbd_front_queue *q)
{
    if (q->passing)
        return false;
    vbd_front_queue_poll(q);
    return serves(q) && vbd_front_ring_announce_and_recheck(&q->ring);
}
