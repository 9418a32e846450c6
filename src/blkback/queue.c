/* queue.c - a queue's life, and the pass that leads through the rooms. Called by runners and by
 * src/vbd; makes no thread and does no I/O of its own. */
#include "blkback/queue.h"

#include <errno.h>

#include "base/memory.h"

enum { BUFFER_BYTES = VBD_SEGMENTS_DIRECT * VBD_RING_PAGE, PAGE_MASK = VBD_RING_PAGE - 1 };

static void init_lists(struct vbd_queue *q)
{
    vbd_list_init(&q->free);
    vbd_list_init(&q->taken);
    vbd_list_init(&q->flushes);
    vbd_list_init(&q->completed);
    vbd_list_init(&q->answered);
}

static int allocate(struct vbd_queue *q)
{
    const struct vbd_allocator *a = q->config.allocator;
    size_t n = q->slot_count;

    q->slots = vbd_alloc_array(a, n, sizeof *q->slots);
    q->buffers = vbd_alloc(a, n * BUFFER_BYTES + VBD_RING_PAGE);
    q->pieces = vbd_alloc_array(a, n * VBD_SEGMENTS_DIRECT, sizeof *q->pieces);
    q->batch = vbd_alloc_array(a, n, sizeof(struct vbd_io *));
    return q->slots == NULL || q->buffers == NULL || q->pieces == NULL || q->batch == NULL ? -ENOMEM
                                                                                           : 0;
}

static void give_buffers(struct vbd_queue *q)
{
    uintptr_t first = ((uintptr_t)q->buffers + PAGE_MASK) & ~(uintptr_t)PAGE_MASK;

    for (uint32_t i = 0; i < q->slot_count; i++) {
        struct vbd_slot *slot = &q->slots[q->slot_count - 1 - i];

        slot->queue = q;
        slot->io.memory.base = (void *)(first + (uintptr_t)(q->slot_count - 1 - i) * BUFFER_BYTES);
        vbd_list_append(&q->free, &slot->link);
    }
}

int vbd_queue_new(const struct vbd_queue_config *config, struct vbd_queue **ret)
{
    struct vbd_queue *q = VBD_NEW(config->allocator, struct vbd_queue);

    if (q == NULL)
        return -ENOMEM;
    q->config = *config;
    init_lists(q);
    vbd_ring_attach(&q->ring, config->ring_pages, config->ring_page_count, config->layout);
    if (q->ring.size == 0) {
        vbd_free(config->allocator, q);
        return -EINVAL;
    }
    q->slot_count = config->in_flight_max < q->ring.size ? config->in_flight_max : q->ring.size;
    if (allocate(q) < 0) {
        vbd_queue_free(q);
        return -ENOMEM;
    }
    give_buffers(q);
    *ret = q;
    return 0;
}

void vbd_queue_free(struct vbd_queue *q)
{
    const struct vbd_allocator *a;

    if (q == NULL)
        return;
    a = q->config.allocator;
    vbd_free(a, q->slots);
    vbd_free(a, q->buffers);
    vbd_free(a, q->pieces);
    vbd_free(a, q->batch);
    vbd_free(a, q);
}

void vbd_queue_begin(struct vbd_queue *q, struct vbd_channel *channel)
{
    q->storage = channel;
}

void vbd_queue_end(struct vbd_queue *q)
{
    q->storage = NULL;
}

bool vbd_queue_pass(struct vbd_queue *q)
{
    vbd_intake(q);
    vbd_fetch_written(q);
    vbd_dispatch(q);
    vbd_deliver_read(q);
    vbd_respond(q);
    if (q->stopping || q->broken || vbd_list_empty(&q->free))
        return false; /* nothing to take, or no room: a completion wakes us */
    return vbd_ring_announce_and_recheck(&q->ring);
}

void vbd_queue_stop(struct vbd_queue *q)
{
    q->stopping = true;
}

bool vbd_queue_idle(const struct vbd_queue *q)
{
    return q->in_flight == 0;
}

bool vbd_queue_broken(const struct vbd_queue *q)
{
    return q->broken;
}

void vbd_settle(struct vbd_slot *slot, enum vbd_status status)
{
    slot->status = (int16_t)status;
    vbd_list_append(&slot->queue->answered, &slot->link);
}

void vbd_queue_count(const struct vbd_queue *q, struct vbd_counters *sum)
{
#define ADD(name, text) sum->name += __atomic_load_n(&q->counters.name, __ATOMIC_RELAXED);
    VBD_COUNTERS(ADD)
#undef ADD
}
