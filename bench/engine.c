/* engine.c - the backend engine alone: a ring, passes, a storage that does nothing, and no data
 * copied. What is left is what vbdkit itself costs for a request. Called by bench/run.
 *
 * usage: engine REQUESTS BATCH [read|write] [SEGMENTS]
 *        engine REQUESTS polled|events [DEPTH]
 *
 * Prints requests per second, and for each the system calls by which the back wakes and sleeps. In
 * the first form front and back take turns on one thread, BATCH requests at a time; in the second
 * each has a thread of its own, and DEPTH requests are under way, or as many as the ring holds:
 * they poll, or sleep until the other notifies them, by an eventfd.
 *
 * What is not the engine's are the functions whose names begin with seam_ and front_: a profiler
 * leaves them out.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/inline.h"
#include "blkback/queue.h"
#include "blkif/front_ring.h"
#include "support/handfront.h"
#include "vbdkit/xsc_linux.h"

#define NOINLINE __attribute__((noinline))

enum { RING_PAGES = 16 };

static struct vbd_io *pending[4096];
static size_t pending_count;

/* Of two threads that sleep; -1: nobody sleeps. */
static int back_event = -1, front_event = -1;
static unsigned long back_calls; /* the back's, on both */

static void signal_event(int fd)
{
    static const uint64_t one = 1;

    (void)!write(fd, &one, sizeof one);
}

static void await_event(int fd)
{
    uint64_t times;

    (void)!read(fd, &times, sizeof times);
}

/* --- the seams --- */

NOINLINE static int seam_copy(void *ctx, unsigned domid, enum vbd_copy_direction direction,
                              struct vbd_grant_copy *pieces, size_t count)
{
    (void)ctx, (void)domid, (void)direction, (void)pieces, (void)count;
    return 0;
}

NOINLINE static int seam_notify(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx, (void)channel;
    if (front_event >= 0) {
        signal_event(front_event);
        back_calls++;
    }
    return 0;
}

NOINLINE static void seam_submit(struct vbd_channel *channel, struct vbd_io *const *ios,
                                 size_t count)
{
    (void)channel;
    memcpy(pending + pending_count, ios, count * sizeof(struct vbd_io *));
    pending_count += count;
}

/* The engine's again. */
NOINLINE static void engine_done(struct vbd_io *io)
{
    io->done(io, 0);
}

static void complete_all(void)
{
    for (size_t i = 0; i < pending_count; i++)
        engine_done(pending[i]);
    pending_count = 0;
}

static const struct vbd_channel_ops ops = {.struct_size = sizeof ops, .submit = seam_submit};
static struct vbd_channel channel = {&ops};

static struct vbd_queue *make_queue(struct sim *sim, struct vbd_hypervisor *hypervisor)
{
    struct vbd_queue_config config = {.allocator = &vbd_libc_allocator,
                                      .hypervisor = hypervisor,
                                      .domid = sim->domid,
                                      .ring_pages = sim_page(sim, 0),
                                      .ring_page_count = RING_PAGES,
                                      .layout = VBD_LAYOUT_X86_64,
                                      .disk = {.sectors = 1 << 20},
                                      .in_flight_max = 512,
                                      .memory_pages = 1024};
    struct vbd_queue *queue;

    if (vbd_queue_new(&config, &queue) < 0)
        abort();
    vbd_queue_begin(queue, &channel);
    return queue;
}

/* --- in turns --- */

static void take_turns(struct sim *sim, struct vbd_queue *queue, unsigned long wanted,
                       unsigned long batch, const struct hand_request *request)
{
    struct hand_response response;
    struct handfront front;
    unsigned long done = 0;

    handfront_init(&front, sim, HAND_X86_64, 0, RING_PAGES, 0);
    while (done < wanted) {
        for (unsigned long i = 0; i < batch; i++)
            handfront_put(&front, request);
        (void)handfront_push(&front);
        (void)vbd_queue_pass(queue, 0);
        complete_all();
        (void)vbd_queue_pass(queue, 0);
        while (handfront_take(&front, &response))
            done++;
    }
}

/* --- each on its thread --- */

struct front {
    struct vbd_front_ring ring;
    unsigned long wanted, done, depth;
    bool finished;
};

static void put_all(struct front *front)
{
    struct vbd_request request = {
        .operation = VBD_OP_READ, .segment_count = 1, .segments = {{8, 0, 7, 0}}};
    struct vbd_front_ring *ring = &front->ring;

    while (vbd_front_ring_free(ring) > 0 && ring->req_prod - ring->rsp_cons < front->depth)
        vbd_front_ring_put(ring, &request);
    if (vbd_front_ring_publish(ring) && back_event >= 0)
        signal_event(back_event);
}

static void take_all(struct front *front, uint32_t waiting)
{
    for (; waiting > 0; waiting--, front->done++) {
        struct vbd_response response;

        vbd_front_ring_take(&front->ring, &response);
        if (response.status != 0)
            abort();
    }
}

static void *front_thread(void *arg)
{
    struct front *front = arg;
    bool broken = false;

    while (front->done < front->wanted && !broken) {
        uint32_t waiting = vbd_front_ring_waiting(&front->ring, &broken);

        take_all(front, waiting);
        put_all(front);
        if (waiting == 0 && front_event < 0)
            vbd_relax();
        if (front_event >= 0 && !vbd_front_ring_announce_and_recheck(&front->ring))
            await_event(front_event);
    }
    __atomic_store_n(&front->finished, true, __ATOMIC_RELEASE);
    if (back_event >= 0)
        signal_event(back_event);
    return NULL;
}

/* What its storage holds is completed in between. */
static bool pass_polled(struct vbd_queue *queue)
{
    bool more = vbd_queue_poll(queue, 0) || pending_count > 0;

    complete_all();
    return more || vbd_queue_waits(queue);
}

/* False: it is announced that the next request shall wake. */
static bool pass_announced(struct vbd_queue *queue)
{
    bool more = vbd_queue_pass(queue, 0) || pending_count > 0;

    complete_all();
    return more;
}

static void serve(struct front *front, struct vbd_queue *queue)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, front_thread, front) != 0)
        abort();
    while (!__atomic_load_n(&front->finished, __ATOMIC_ACQUIRE) || !vbd_queue_idle(queue)) {
        if (back_event < 0) {
            if (!pass_polled(queue))
                vbd_relax();
        } else if (!pass_announced(queue)) {
            await_event(back_event);
            back_calls++;
        }
    }
    (void)pthread_join(thread, NULL);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    unsigned long wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000000;
    const char *batch = argc > 2 ? argv[2] : "32";
    bool events = strcmp(batch, "events") == 0;
    bool threads = events || strcmp(batch, "polled") == 0;
    struct hand_request request = {.count = (uint8_t)(argc > 4 ? strtoul(argv[4], NULL, 10) : 1)};
    struct front front = {.wanted = wanted, .depth = UINT32_MAX};
    struct sim *sim = sim_new(1);
    struct vbd_hypervisor hypervisor = sim->seam;
    struct vbd_queue *queue;
    double begin;

    request.op = argc > 3 && strcmp(argv[3], "write") == 0;
    for (int i = 0; i < request.count && i < 11; i++)
        request.segments[i] = (struct hand_segment){8, 0, 7};
    hypervisor.copy = seam_copy;
    hypervisor.notify = seam_notify;
    vbd_front_ring_init(&front.ring, sim_page(sim, 0), RING_PAGES);
    queue = make_queue(sim, &hypervisor);
    if (threads && argc > 3)
        front.depth = strtoul(argv[3], NULL, 10);
    if (events) {
        back_event = eventfd(0, EFD_CLOEXEC);
        front_event = eventfd(0, EFD_CLOEXEC);
    }
    begin = seconds();
    if (threads)
        serve(&front, queue);
    else
        take_turns(sim, queue, wanted, strtoul(batch, NULL, 10), &request);
    (void)printf("%.0f %.4f\n", (double)wanted / (seconds() - begin),
                 (double)back_calls / (double)wanted);
    vbd_queue_end(queue);
    vbd_queue_free(queue);
    sim_free(sim);
    return 0;
}
