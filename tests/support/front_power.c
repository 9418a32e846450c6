/* front_power.c - see front_power.h. */
#include "support/front_power.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/front_world.h"
#include "vbdkit/xsc_linux.h"

enum {
    CALLS = 16,       /* not done at a time, the most */
    SECTORS_MAX = 24, /* of an operation */
    BYTES_MAX = SECTORS_MAX * 512,
    STEPS_MAX = 200000,
    DRAIN_ROUNDS = 10000
};

struct caller;

/* An operation of the caller. */
struct call {
    struct vbd_io io;
    struct vbd_iovec memory[3];
    struct caller *caller;
    enum vbd_io_op op;
    unsigned request; /* of the history */
    uint64_t order;   /* of submission */
    bool busy;
    char *data; /* `own`, or memory that the backends of the first queue reach */
    char own[BYTES_MAX];
};

/* Calls not done, in the order in which a queue has them. */
struct order {
    struct call *calls[CALLS];
    unsigned count;
};

struct caller {
    const struct front_power_config *config;
    uint64_t submitted; /* operations */
    struct front_power_report *report;
    struct power_history *history;
    struct power_device device;
    struct vbd_storage *storage;
    struct vbd_channel *channels[POWER_QUEUES];
    struct front_world *worlds[POWER_QUEUES];
    unsigned connected; /* queues; 0: there is no backend */
    struct call calls[CALLS];
    struct order orders[POWER_QUEUES];
    unsigned next;         /* the sector behind the last write */
    unsigned percent_done; /* of what a backend leaves on the device */
    bool draining;
    uint64_t random;
};

static unsigned below(struct caller *c, unsigned n)
{
    return (unsigned)(power_random(&c->random) % n);
}

/* --- operations --- */

static bool has_memory(enum vbd_io_op op)
{
    return op == VBD_IO_READ || op == VBD_IO_WRITE || op == VBD_IO_BARRIER;
}

static void forget(struct order *o, const struct call *call)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < o->count; i++)
        if (o->calls[i] != call)
            o->calls[kept++] = o->calls[i];
    o->count = kept;
}

static void submit(struct caller *c);

static void call_done(struct vbd_io *io, int result)
{
    struct call *call = VBD_CONTAINER(io, struct call, io);
    struct caller *c = call->caller;
    struct power_request *r = &c->history->requests[call->request];

    assert_true(call->busy); /* or it is done twice */
    call->busy = false;
    r->answered = ++c->history->clock;
    r->status = (int16_t)result;
    for (unsigned q = 0; q < POWER_QUEUES; q++)
        forget(&c->orders[q], call);
    front_power_count(c->report, call->op, result);
    assert_true(front_power_explained(c->config, &c->worlds[0]->disk, call->op, result));
    if (call->op == VBD_IO_READ && result == 0)
        c->report->read_wrong += front_power_misread(c->history, call->request, call->data);
    if (!c->draining && below(c, 4) == 0) {
        c->history->clock++;
        submit(c);
    }
}

/* A request for what a call is, sent now. */
static void begin_request(struct caller *c, struct call *call, unsigned queue)
{
    struct power_history *h = c->history;
    struct power_request *r = &h->requests[h->request_count];

    assert_true(h->request_count < POWER_REQUESTS);
    call->request = h->request_count++;
    *r = (struct power_request){.kind = front_power_kind(call->op),
                                .queue = queue,
                                .sector = (unsigned)(call->io.offset / 512),
                                .count = (unsigned)(call->io.length / 512),
                                .sent = h->clock,
                                .answered = POWER_NEVER,
                                .status = -EINPROGRESS};
    for (unsigned i = 0; has_memory(call->op) && call->op != VBD_IO_READ && i < r->count; i++)
        power_stamp(call->data + (size_t)i * 512, call->request, r->sector + i);
}

static enum vbd_io_op pick_op(struct caller *c)
{
    unsigned sum = 0, at, op = 0;

    for (unsigned i = 0; i < FRONT_POWER_OPS; i++)
        sum += c->config->weights[i];
    for (at = below(c, sum); at >= c->config->weights[op]; op++)
        at -= c->config->weights[op];
    return (enum vbd_io_op)op;
}

/* Often where the last write ended, so that operations are joined. */
static void pick_range(struct caller *c, struct call *call)
{
    unsigned sector =
        below(c, 3) == 0 && c->next < POWER_SECTORS ? c->next : below(c, POWER_SECTORS);
    unsigned n = 1 + below(c, below(c, 4) == 0 ? SECTORS_MAX : 8);

    if (n > POWER_SECTORS - sector)
        n = POWER_SECTORS - sector;
    if (call->op == VBD_IO_WRITE)
        c->next = sector + n;
    call->io.offset = (uint64_t)sector * 512;
    call->io.length = (uint64_t)n * 512;
}

/* One run of memory, or three, of whole sectors or any length. */
static void pick_memory(struct caller *c, struct call *call)
{
    unsigned length = (unsigned)call->io.length, unit = below(c, 2) == 0 ? 512 : 1;
    unsigned a = below(c, length / unit) * unit, b = below(c, (length - a) / unit) * unit;

    memset(call->data, 0xee, BYTES_MAX);
    call->io.memory = call->memory;
    call->io.memory_count = below(c, 2) == 0 ? 1 : 3;
    call->memory[0] = (struct vbd_iovec){call->data, call->io.memory_count == 1 ? length : a};
    call->memory[1] = (struct vbd_iovec){call->data + a, b};
    call->memory[2] = (struct vbd_iovec){call->data + a + b, length - a - b};
}

/* Zeroes could not be told apart in the log where two ranges overlap. */
static bool clashes(const struct caller *c, const struct call *call)
{
    for (unsigned i = 0; front_power_kind(call->op) == POWER_DISCARD && i < CALLS; i++) {
        const struct call *other = &c->calls[i];

        if (other->busy && front_power_kind(other->op) == POWER_DISCARD &&
            other->io.offset < call->io.offset + call->io.length &&
            call->io.offset < other->io.offset + other->io.length)
            return true;
    }
    return false;
}

static void submit(struct caller *c)
{
    unsigned i = 0, queue = c->connected > 0 ? below(c, c->connected) : 0;
    struct call *call;

    while (i < CALLS && c->calls[i].busy)
        i++;
    if (i == CALLS || c->history->request_count >= c->config->requests)
        return;
    call = &c->calls[i];
    call->op = pick_op(c);
    call->io = (struct vbd_io){.op = call->op, .done = call_done};
    if (call->op != VBD_IO_FLUSH)
        pick_range(c, call);
    if (has_memory(call->op))
        pick_memory(c, call);
    if (clashes(c, call))
        return;
    call->busy = true;
    call->order = c->submitted++;
    begin_request(c, call, queue);
    c->orders[queue].calls[c->orders[queue].count++] = call;
    vbd_front_queue_submit(&c->worlds[queue]->front, &call->io, call->order);
}

/* --- backends --- */

static void pick_offers(struct caller *c, struct vbd_front_disk *disk)
{
    static const uint32_t segments[] = {1, 2, 11, 64};

    disk->sectors = POWER_SECTORS;
    disk->segments = segments[below(c, 4)];
    disk->flush = c->config->no_barriers || below(c, 4) > 0;
    disk->barrier = !c->config->no_barriers && below(c, 2) == 0;
    disk->discard = below(c, 4) > 0;
}

static void connect_world(struct caller *c, unsigned queue, const struct vbd_front_disk *disk)
{
    struct front_world *w = c->worlds[queue];

    w->disk = *disk;
    w->disk.sector_size = 512;
    w->config.ring_pages = 1u << below(c, 3);
    w->config.pool_pages = 2 + below(c, 40);
    w->limits = (struct vbd_queue_config){.in_order = below(c, 4) == 0,
                                          .in_flight_max = 1 + below(c, 32),
                                          .memory_pages = 16u << below(c, 3),
                                          .persistent_max = below(c, 2) * 16};
    w->buffers.epoch = below(c, 3) == 0; /* else the backends reach the calls' memory */
    front_world_connect(w);
}

static void come(struct caller *c)
{
    unsigned queues = 1 + below(c, c->config->queues);
    struct vbd_front_disk disk = {0};

    pick_offers(c, &disk);
    for (unsigned q = 0; q < queues; q++)
        connect_world(c, q, &disk);
    c->connected = queues;
    c->report->backends++;
}

/* Drops or executes what is on the device; what comes after that comes from nobody. */
static void end_device(void *ctx)
{
    struct caller *c = ctx;

    while (c->device.count > 0) {
        unsigned index = below(c, c->device.count);
        struct vbd_io *io = c->device.held[index];

        if (below(c, 100) < c->percent_done) {
            power_device_complete(&c->device, index);
            c->report->executed++;
            continue;
        }
        c->device.held[index] = c->device.held[--c->device.count];
        io->done(io, -EIO);
        c->report->dropped++;
    }
    c->percent_done = 0;
}

/* What two queues have waits in one, as it was submitted. */
static void join(struct order *to, struct order *from)
{
    for (unsigned i = 0; i < from->count; i++) {
        unsigned at = to->count++;

        for (; at > 0 && to->calls[at - 1]->order > from->calls[i]->order; at--)
            to->calls[at] = to->calls[at - 1];
        to->calls[at] = from->calls[i];
    }
    from->count = 0;
}

/* What is not done counts as failed, and as sent anew, in the order of before. A read changes
 * nothing: it may return what was there at any time since its first life. */
static void begin_requests_anew(struct caller *c)
{
    struct order *first = &c->orders[0];
    uint64_t left = ++c->history->clock;

    join(first, &c->orders[1]);
    c->history->clock++;
    for (unsigned i = 0; i < first->count; i++) {
        if (first->calls[i]->op == VBD_IO_READ)
            continue;
        c->history->requests[first->calls[i]->request].answered = left;
        begin_request(c, first->calls[i], 0);
    }
}

/* As vbd_front_close_queues does it. */
static void leave(struct caller *c)
{
    struct vbd_front_queue *first = &c->worlds[0]->front;

    c->percent_done = below(c, 3) * 50;
    for (unsigned q = 0; q < c->connected && below(c, 3) > 0; q++) {
        (void)vbd_front_queue_pass(&c->worlds[q]->front);
        (void)pass(c->worlds[q]->back);
    }
    for (unsigned q = 0; q < c->connected; q++)
        front_world_leave(c->worlds[q]);
    for (unsigned q = 1; q < c->connected; q++)
        vbd_front_queue_move(&c->worlds[q]->front, first);
    c->connected = 0;
    begin_requests_anew(c);
    if (c->config->mutation != NULL)
        c->config->mutation(first);
}

/* --- a run --- */

static void complete_some(struct caller *c, unsigned most)
{
    for (unsigned n = 1 + below(c, most); n > 0 && c->device.count > 0; n--)
        power_device_complete(&c->device, below(c, c->device.count));
}

static void submit_some(struct caller *c)
{
    c->history->clock++;
    for (unsigned n = 1 + below(c, 8); n > 0; n--)
        submit(c);
}

static void step(struct caller *c)
{
    struct front_world *w = c->connected > 0 ? c->worlds[below(c, c->connected)] : NULL;
    unsigned what = below(c, 16);

    if (what < 3)
        submit_some(c);
    else if (w == NULL && what < 6)
        come(c);
    else if (w != NULL && what < 7)
        (void)vbd_front_queue_pass(&w->front);
    else if (w != NULL && what < 11)
        (void)pass(w->back);
    else
        complete_some(c, what < 15 ? 3 : HELD);
    if (w != NULL && below(c, c->config->patience) == 0)
        leave(c);
}

static bool busy(const struct caller *c)
{
    for (unsigned q = 0; q < c->config->queues; q++)
        if (!vbd_front_queue_idle(&c->worlds[q]->front))
            return true;
    return c->device.count > 0;
}

static void drain(struct caller *c)
{
    c->draining = true;
    if (c->connected == 0)
        come(c);
    for (int round = 0; busy(c); round++) {
        assert_true(round < DRAIN_ROUNDS); /* else something is never done */
        for (unsigned q = 0; q < c->connected; q++) {
            (void)vbd_front_queue_pass(&c->worlds[q]->front);
            (void)pass(c->worlds[q]->back);
        }
        complete_some(c, 2);
    }
    for (unsigned i = 0; i < CALLS; i++)
        c->report->forgotten += c->calls[i].busy;
}

/* The backends' storage: the log, errors, the device. */
static void stack(struct caller *c)
{
    const struct vbd_allocator *a = &vbd_libc_allocator;
    struct vbd_log_sink sink = power_sink(c->history);
    struct vbd_error_rule rule = {.struct_size = sizeof rule,
                                  .kinds = 1u << VBD_IO_WRITE | 1u << VBD_IO_FLUSH |
                                           1u << VBD_IO_DISCARD,
                                  .per_million = c->config->errors_per_million,
                                  .seed = c->config->seed,
                                  .error = c->config->error,
                                  .done = below(c, 2) == 0};

    power_device_init(&c->device);
    c->storage = &c->device.storage;
    if (rule.per_million > 0)
        assert_int_equal(vbd_error_layer_new(a, c->storage, &rule, &c->storage), 0);
    assert_int_equal(vbd_log_layer_new(a, c->storage, &sink, &c->storage), 0);
}

static void open_world(struct caller *c, unsigned queue)
{
    struct front_world *w = c->worlds[queue] = front_world_new(1, 2, 64);

    assert_int_equal(c->storage->ops->open_channel(c->storage, NULL, &c->channels[queue]), 0);
    w->storage = c->channels[queue];
    w->drop = end_device;
    w->drop_ctx = c;
}

/* Every other one has memory that backends reach. */
static void make_calls(struct caller *c)
{
    for (unsigned i = 0; i < CALLS; i++) {
        struct call *call = &c->calls[i];
        void *memory = call->own;

        if (i % 2 == 0)
            assert_int_equal(vbd_buffers_add(&c->worlds[0]->buffers, BYTES_MAX, &memory), 0);
        call->caller = c;
        call->data = memory;
    }
}

static void close_world(struct caller *c, unsigned queue)
{
    c->report->recovered += c->worlds[queue]->front.counters.recovered;
    c->report->merged += c->worlds[queue]->front.counters.merged;
    c->report->uncopied += c->worlds[queue]->front.counters.uncopied;
    front_world_free(c->worlds[queue]);
    c->channels[queue]->ops->close(c->channels[queue]);
}

static void work(struct caller *c)
{
    for (unsigned q = 0; q < c->config->queues; q++)
        open_world(c, q);
    make_calls(c);
    for (unsigned i = 0; c->history->request_count < c->config->requests; i++) {
        assert_true(i < STEPS_MAX); /* else nothing is done any more */
        step(c);
    }
    drain(c);
    for (unsigned q = 0; q < c->config->queues; q++)
        close_world(c, q);
}

struct power_history *front_power_run(const struct front_power_config *config,
                                      struct front_power_report *report)
{
    struct caller *c = calloc(1, sizeof *c);
    struct power_history *h = calloc(1, sizeof *h);

    assert_true(c != NULL && h != NULL && config->requests + CALLS <= POWER_REQUESTS);
    *c = (struct caller){.config = config, .report = report, .history = h, .random = config->seed};
    h->requests[0] = (struct power_request){.kind = POWER_WRITE, .count = POWER_SECTORS};
    h->request_count = 1;
    stack(c);
    work(c);
    c->storage->ops->close(c->storage);
    for (unsigned s = 0; s < POWER_SECTORS; s++)
        h->end[s] = power_read_stamp((char *)c->device.bytes + (size_t)s * 512, s);
    free(c);
    return h;
}
