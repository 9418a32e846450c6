/* power_guest.c - see power.h: a guest at random on one or two queues of one disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/power.h"
#include "vbdkit/xsc_linux.h"

enum {
    RING_SLOTS = 32,
    PAGES_EACH = 3,      /* guest pages of a request */
    STEPS_MAX = 200000,  /* no workload needs so many */
    DRAIN_ROUNDS = 10000 /* nor so many */
};

struct queue {
    struct world *world;
    struct vbd_channel *channel;
    unsigned page_of[POWER_REQUESTS]; /* by request */
    unsigned free_pages[RING_SLOTS], free_count;
    unsigned next; /* the sector behind the last write */
};

struct guest {
    const struct power_config *config;
    struct power_history *history;
    struct power_device device;
    struct vbd_storage *storage;
    struct queue queues[POWER_QUEUES];
    uint64_t random;
};

uint64_t power_random(uint64_t *state)
{
    uint64_t n = *state += UINT64_C(0x9e3779b97f4a7c15);

    n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
    return n ^ (n >> 31);
}

static unsigned below(struct guest *g, unsigned n)
{
    return (unsigned)(power_random(&g->random) % n);
}

/* --- requests --- */

static enum power_kind pick_kind(struct guest *g)
{
    const unsigned *weights = g->config->weights;
    unsigned sum = 0, at;

    for (unsigned i = 0; i < POWER_KINDS; i++)
        sum += weights[i];
    at = below(g, sum);
    for (unsigned i = 0; i < POWER_KINDS; i++) {
        if (at < weights[i])
            return (enum power_kind)i;
        at -= weights[i];
    }
    return POWER_WRITE;
}

/* Often where the last write ended, so that requests are merged. */
static void pick_range(struct guest *g, struct queue *q, struct power_request *r)
{
    if (r->kind == POWER_FLUSH)
        return;
    r->sector = below(g, 3) == 0 && q->next < POWER_SECTORS ? q->next : below(g, POWER_SECTORS);
    r->count = 1 + below(g, 12);
    if (r->count > POWER_SECTORS - r->sector)
        r->count = POWER_SECTORS - r->sector;
    if (r->kind == POWER_BARRIER && below(g, 4) == 0 && g->config->fault == POWER_HONEST)
        r->count = 0; /* one without data */
    if (r->kind == POWER_WRITE)
        q->next = r->sector + r->count;
}

/* Two discards of one range under way could not be told apart in the log. */
static bool clashes(const struct power_history *h, const struct power_request *r)
{
    for (unsigned i = 0; r->kind == POWER_DISCARD && i < h->request_count; i++) {
        const struct power_request *other = &h->requests[i];

        if (other->kind == POWER_DISCARD && other->sector == r->sector &&
            other->count == r->count && other->answered == POWER_NEVER)
            return true;
    }
    return false;
}

/* Cuts the range into segments at random places of their pages, and stamps what is written. */
static void put_data(struct guest *g, struct queue *q, const struct power_request *r,
                     unsigned number)
{
    static const uint8_t codes[] = {[POWER_READ] = 0, [POWER_WRITE] = 1, [POWER_BARRIER] = 2};
    struct hand_request out = {.op = codes[r->kind], .id = number, .sector = r->sector};
    unsigned done = 0;

    for (; done < r->count; out.count++) {
        unsigned pages_left = PAGES_EACH - out.count, left = r->count - done;
        unsigned least = left > (pages_left - 1) * 8 ? left - (pages_left - 1) * 8 : 1;
        unsigned most = left < 8 ? left : 8, n = least + below(g, most - least + 1);
        unsigned first = below(g, 8 - n + 1), page = q->page_of[number] + out.count;

        for (unsigned i = 0; i < n; i++)
            power_stamp(sim_page(q->world->sim, page) + (size_t)(first + i) * 512, number,
                        r->sector + done + i);
        out.segments[out.count] = (struct hand_segment){sim_grant(q->world->sim, page, false),
                                                        (uint8_t)first, (uint8_t)(first + n - 1)};
        done += n;
    }
    handfront_put(&q->world->front, &out);
}

static void put(struct guest *g, struct queue *q, unsigned number)
{
    const struct power_request *r = &g->history->requests[number];
    struct hand_request flush = {.op = 3, .id = number};
    struct hand_discard discard = {.id = number, .sector = r->sector, .sectors = r->count};

    q->page_of[number] = q->free_pages[--q->free_count];
    if (r->kind == POWER_FLUSH)
        handfront_put(&q->world->front, &flush);
    else if (r->kind == POWER_DISCARD)
        handfront_put_discard(&q->world->front, &discard);
    else
        put_data(g, q, r, number);
}

static void send_some(struct guest *g, struct queue *q)
{
    struct power_history *h = g->history;
    unsigned count = 1 + below(g, 6);

    h->clock++;
    for (; count > 0 && q->free_count > 0 && h->request_count < g->config->requests; count--) {
        struct power_request r = {.kind = pick_kind(g),
                                  .queue = (unsigned)(q - g->queues),
                                  .sent = h->clock,
                                  .answered = POWER_NEVER};

        pick_range(g, q, &r);
        if (clashes(h, &r))
            continue;
        h->requests[h->request_count] = r;
        put(g, q, h->request_count++);
    }
    (void)handfront_push(&q->world->front);
}

static void take_answers(struct guest *g, struct queue *q)
{
    struct power_history *h = g->history;
    struct hand_response answer;

    while (handfront_take(&q->world->front, &answer)) {
        struct power_request *r = &h->requests[answer.id];

        assert_true(answer.id > 0 && answer.id < h->request_count);
        assert_int_equal(r->answered, POWER_NEVER);
        assert_int_equal(r->queue, q - g->queues);
        r->answered = ++h->clock;
        r->status = answer.status;
        q->free_pages[q->free_count++] = q->page_of[answer.id];
    }
}

/* --- a run --- */

static void complete_some(struct guest *g, unsigned most)
{
    for (unsigned n = 1 + below(g, most); n > 0 && g->device.count > 0; n--)
        power_device_complete(&g->device, below(g, g->device.count));
}

static void step(struct guest *g)
{
    struct queue *q = &g->queues[below(g, g->config->queues)];
    unsigned what = below(g, 16);

    if (what < 4)
        send_some(g, q);
    if (what < 8)
        (void)pass(q->world);
    else if (what < 15)
        complete_some(g, 3);
    else
        complete_some(g, HELD);
    if (below(g, 4) > 0)
        take_answers(g, q);
}

static bool busy(const struct guest *g)
{
    for (unsigned i = 0; i < g->config->queues; i++)
        if (g->queues[i].free_count < RING_SLOTS)
            return true;
    return g->device.count > 0;
}

static void drain(struct guest *g)
{
    for (int round = 0; busy(g); round++) {
        assert_true(round < DRAIN_ROUNDS);
        for (unsigned i = 0; i < g->config->queues; i++) {
            (void)pass(g->queues[i].world);
            take_answers(g, &g->queues[i]);
        }
        complete_some(g, 2);
    }
}

static void open_queue(struct guest *g, struct queue *q)
{
    struct vbd_queue_config config = {.disk = {.sectors = POWER_SECTORS, .discard = true},
                                      .in_order = below(g, 4) == 0,
                                      .in_flight_max = 2 + below(g, RING_SLOTS),
                                      .memory_pages = 16u << below(g, 3),
                                      .persistent_max = below(g, 2) * 16};

    q->world = new_world_of(below(g, 2) == 0 ? HAND_X86_64 : HAND_X86_32, 1, config);
    vbd_queue_end(q->world->queue);
    assert_int_equal(g->storage->ops->open_channel(g->storage, NULL, &q->channel), 0);
    vbd_queue_begin(q->world->queue, q->channel);
    for (unsigned i = 0; i < RING_SLOTS; i++)
        q->free_pages[q->free_count++] = DATA_PAGE + i * PAGES_EACH;
}

static void close_queue(struct queue *q, struct power_report *report)
{
    struct vbd_counters c = counters(q->world);

    report->merges += c.merges;
    report->errors += c.storage_errors;
    report->flushes += c.flushes;
    report->barriers += c.barriers;
    report->discards += c.discards;
    q->channel->ops->close(q->channel);
    end_world(q->world);
}

/* The queue's storage: a fault, the log, errors, the device. */
static void stack(struct guest *g)
{
    const struct vbd_allocator *a = &vbd_libc_allocator;
    struct vbd_log_sink sink = power_sink(g->history);
    struct vbd_error_rule rule = {.struct_size = sizeof rule,
                                  .kinds = 1u << VBD_IO_WRITE | 1u << VBD_IO_FLUSH |
                                           1u << VBD_IO_DISCARD,
                                  .per_million = g->config->errors_per_million,
                                  .seed = g->config->seed,
                                  .error = -5,
                                  .done = below(g, 2) == 0};

    power_device_init(&g->device);
    assert_int_equal(vbd_error_layer_new(a, &g->device.storage, &rule, &g->storage), 0);
    assert_int_equal(vbd_log_layer_new(a, g->storage, &sink, &g->storage), 0);
    if (g->config->fault != POWER_HONEST)
        g->storage = power_faulty(g->storage, g->config->fault);
}

struct power_history *power_run(const struct power_config *config, struct power_report *report)
{
    struct guest *g = calloc(1, sizeof *g);
    struct power_history *h = calloc(1, sizeof *h);

    assert_true(g != NULL && h != NULL && config->requests <= POWER_REQUESTS);
    *g = (struct guest){.config = config, .history = h, .random = config->seed};
    h->requests[0] = (struct power_request){.kind = POWER_WRITE, .count = POWER_SECTORS};
    h->request_count = 1;
    stack(g);
    for (unsigned i = 0; i < config->queues; i++)
        open_queue(g, &g->queues[i]);
    for (unsigned i = 0; h->request_count < config->requests; i++) {
        assert_true(i < STEPS_MAX); /* else nothing is answered any more */
        step(g);
    }
    drain(g);
    for (unsigned i = 0; i < config->queues; i++)
        close_queue(&g->queues[i], report);
    g->storage->ops->close(g->storage);
    for (unsigned s = 0; s < POWER_SECTORS; s++)
        h->end[s] = power_read_stamp((char *)g->device.bytes + (size_t)s * 512, s);
    report->operations += h->operation_count;
    free(g);
    return h;
}
