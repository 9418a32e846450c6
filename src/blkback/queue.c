/* queue.c - a queue's life, and the pass that leads through the rooms. Called by runners and by
 * src/vbd; makes no thread and does no I/O of its own. */
#include "blkback/in_place.h"

#include <errno.h>

#include "base/histogram.h"
#include "base/memory.h"

enum { PAGE_MASK = VBD_RING_PAGE - 1, PAGES_MIN = 16 /* a direct request's */ };

_Static_assert((int)VBD_LATENCY_RANGES == (int)VBD_HISTOGRAM_RANGES, "the same ranges");

static void init_rows(struct vbd_queue *q)
{
    struct vbd_row *all[] = {&q->arrived, &q->taken, &q->flushes, &q->completed, &q->answered};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        vbd_row_init(all[i]);
    vbd_list_init(&q->ring_order);
    q->batch_reaches = UINT64_MAX; /* no offset */
}

/* The limit of memory, made a power of two that holds the largest request. */
static uint32_t memory_pages(const struct vbd_queue_config *config)
{
    uint32_t least = PAGES_MIN, pages;

    if (config->disk.segments_indirect > least)
        least = config->disk.segments_indirect;
    pages = config->memory_pages > least ? config->memory_pages : least;
    return 1u << vbd_buddy_order(pages);
}

static int allocate(struct vbd_queue *q)
{
    const struct vbd_allocator *a = q->config.allocator;
    uint32_t n = q->slot_count, pages = memory_pages(&q->config);
    uint32_t indirect = q->config.disk.segments_indirect;

    q->slots = vbd_alloc_array(a, n, sizeof *q->slots);
    q->memory = vbd_alloc(a, ((size_t)pages + 1) * VBD_RING_PAGE);
    q->batch = q->batch_end = vbd_alloc_array(a, n, sizeof(struct vbd_io *));
    if (indirect > 0)
        q->indirect = vbd_alloc_array(a, (size_t)n * indirect, sizeof *q->indirect);
    if (q->slots == NULL || q->memory == NULL || q->batch == NULL ||
        (indirect > 0 && q->indirect == NULL) || vbd_buddy_init(&q->runs, a, pages) < 0)
        return -ENOMEM;
    q->pages = (char *)(((uintptr_t)q->memory + PAGE_MASK) & ~(uintptr_t)PAGE_MASK);
    return vbd_persistent_init(&q->persistent, a, q->config.hypervisor, q->config.domid,
                               q->config.persistent_max, &q->counters);
}

static void init_slots(struct vbd_queue *q)
{
    for (uint32_t i = q->slot_count; i-- > 0;) {
        struct vbd_slot *slot = &q->slots[i];

        slot->queue = q;
        slot->io.memory = slot->memory;
        slot->io.memory_count = 1;
        slot->io.done = vbd_dispatch_done;
        if (q->indirect != NULL)
            slot->indirect = q->indirect + (size_t)i * q->config.disk.segments_indirect;
        vbd_row_init(&slot->merged);
        slot->next = q->free;
        q->free = slot;
    }
}

int vbd_queue_new(const struct vbd_queue_config *config, struct vbd_queue **ret)
{
    struct vbd_queue *q = VBD_NEW(config->allocator, struct vbd_queue);

    if (q == NULL)
        return -ENOMEM;
    q->config = *config;
    vbd_queue_set_in_place(q, config->in_place);
    init_rows(q);
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
    init_slots(q);
    *ret = q;
    return 0;
}

void vbd_queue_free(struct vbd_queue *q)
{
    const struct vbd_allocator *a;

    if (q == NULL)
        return;
    a = q->config.allocator;
    vbd_persistent_free(&q->persistent);
    vbd_buddy_free(&q->runs);
    vbd_free(a, q->slots);
    vbd_free(a, q->indirect);
    vbd_free(a, q->memory);
    vbd_free(a, q->batch);
    vbd_free(a, q);
}

void vbd_queue_begin(struct vbd_queue *q, struct vbd_channel *channel)
{
    q->storage = channel;
    q->stopping = false;
}

void vbd_queue_end(struct vbd_queue *q)
{
    vbd_persistent_unmap(&q->persistent);
    q->storage = NULL;
}

static bool has_answers(const struct vbd_queue *q)
{
    return q->completed.first != NULL || q->answered.first != NULL;
}

/* A storage that completes at once takes its time within the pass. */
static void dispatch(struct vbd_queue *q)
{
    bool before = has_answers(q);

    vbd_dispatch(q);
    if (q->config.now != NULL && !before && has_answers(q))
        q->now = q->config.now();
}

enum { PATIENT_WITH = 4 /* requests in flight */ };

bool vbd_queue_poll(struct vbd_queue *q, uint64_t now)
{
    q->now = now;
    q->released = false;
    vbd_intake(q);
    if (q->undescribed > 0)
        vbd_fetch_descriptors(q);
    if (q->arrived.first != NULL)
        vbd_admit_data(q);
    if (q->unfetched > 0)
        vbd_fetch_written(q);
    if (q->config.in_place > 0 && q->batch_end != q->batch)
        vbd_read_in_place(q);
    dispatch(q);
    if (q->completed.first != NULL)
        vbd_deliver_read(q);
    if (q->config.in_order)
        vbd_put_in_order(q);
    if (q->answered.first != NULL)
        vbd_respond(q);
    if (q->config.persistent_max > 0)
        vbd_persistent_expire(&q->persistent, now);
    return q->released && q->arrived.first != NULL; /* there is memory for them now */
}

/* Whether what the guest sends can be taken: otherwise there is no room, and a completion wakes us.
 */
static bool takes(const struct vbd_queue *q)
{
    return !q->stopping && !q->broken && q->free != NULL;
}

bool vbd_queue_pass(struct vbd_queue *q, uint64_t now)
{
    if (vbd_queue_poll(q, now))
        return true;
    return takes(q) && vbd_ring_announce_and_recheck(&q->ring);
}

bool vbd_queue_waits(const struct vbd_queue *q)
{
    return takes(q) && vbd_shared_load(&q->ring.header->req_prod) != q->ring.req_cons;
}

uint64_t vbd_queue_patience(const struct vbd_queue *q)
{
    return q->in_flight <= PATIENT_WITH ? q->config.patience : 0;
}

uint64_t vbd_queue_deadline(const struct vbd_queue *q)
{
    return vbd_persistent_deadline(&q->persistent);
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

void vbd_queue_set_in_place(struct vbd_queue *q, uint32_t unit)
{
    q->config.in_place = q->config.persistent_max > 0 ? unit : 0;
}

void vbd_queue_resize(struct vbd_queue *q, uint64_t sectors)
{
    __atomic_store_n(&q->config.disk.sectors, sectors, __ATOMIC_RELAXED);
}

/* --- counters --- */

void vbd_queue_count_calls(struct vbd_queue *q, unsigned calls)
{
    vbd_bump(&q->counters.system_calls, calls);
}

void vbd_queue_count(const struct vbd_queue *q, struct vbd_counters *sum)
{
#define ADD(name, text) sum->name += __atomic_load_n(&q->counters.name, __ATOMIC_RELAXED);
    VBD_COUNTERS(ADD)
#undef ADD
}

static void add_ranges(const uint64_t *from, uint64_t *to)
{
    for (unsigned i = 0; i < VBD_LATENCY_RANGES; i++)
        to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void vbd_queue_latency(const struct vbd_queue *q, struct vbd_latency *sum)
{
    add_ranges(q->latency.reads, sum->reads);
    add_ranges(q->latency.writes, sum->writes);
    add_ranges(q->latency.others, sum->others);
}

uint64_t vbd_latency_end(unsigned range)
{
    return vbd_histogram_end(range);
}
