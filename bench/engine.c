/* engine.c - the backend engine alone: a ring, passes, a storage that does nothing, and no data
 * copied. What is left is what vbdkit itself costs for a request. Called by bench/run.
 *
 * usage: engine REQUESTS BATCH [read|write] [SEGMENTS]
 *        engine REQUESTS polled
 *
 * Prints requests per second. In the first form front and back take turns on one thread, BATCH
 * requests at a time; in the second each polls on a thread of its own, and the ring is kept full.
 *
 * What is not the engine's are the functions whose names begin with seam_ and front_: a profiler
 * leaves them out.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blkback/queue.h"
#include "blkif/front_ring.h"
#include "support/handfront.h"
#include "vbdkit/xsc_linux.h"

#define NOINLINE __attribute__((noinline))

enum { RING_PAGES = 16 };

static struct vbd_io *pending[4096];
static size_t pending_count;

/* --- the seams --- */

NOINLINE static int seam_copy(void *ctx, unsigned domid, enum vbd_copy_direction direction,
                              struct vbd_grant_copy *pieces, size_t count)
{
    (void)ctx, (void)domid, (void)direction;
    for (size_t i = 0; i < count; i++)
        pieces[i].status = 0;
    return 0;
}

NOINLINE static int seam_notify(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx, (void)channel;
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

struct polled_front {
    struct vbd_front_ring ring;
    unsigned long wanted, done;
    bool finished;
};

static void put_all(struct vbd_front_ring *ring)
{
    struct vbd_request request = {
        .operation = VBD_OP_READ, .segment_count = 1, .segments = {{8, 0, 7, 0}}};

    for (uint32_t n = vbd_front_ring_free(ring); n > 0; n--)
        vbd_front_ring_put(ring, &request);
    (void)vbd_front_ring_publish(ring);
}

static void *front_polls(void *arg)
{
    struct polled_front *front = arg;
    bool broken = false;

    while (front->done < front->wanted && !broken) {
        uint32_t n = vbd_front_ring_waiting(&front->ring, &broken);

        for (; n > 0; n--, front->done++) {
            struct vbd_response response;

            vbd_front_ring_take(&front->ring, &response);
            if (response.status != 0)
                abort();
        }
        put_all(&front->ring);
    }
    __atomic_store_n(&front->finished, true, __ATOMIC_RELEASE);
    return NULL;
}

static void poll_both(struct polled_front *front, struct vbd_queue *queue)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, front_polls, front) != 0)
        abort();
    while (!__atomic_load_n(&front->finished, __ATOMIC_ACQUIRE) || !vbd_queue_idle(queue)) {
        (void)vbd_queue_pass(queue, 0);
        complete_all();
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
    bool polled = strcmp(batch, "polled") == 0;
    struct hand_request request = {.count = (uint8_t)(argc > 4 ? strtoul(argv[4], NULL, 10) : 1)};
    struct polled_front front = {.wanted = wanted};
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
    begin = seconds();
    if (polled)
        poll_both(&front, queue);
    else
        take_turns(sim, queue, wanted, strtoul(batch, NULL, 10), &request);
    (void)printf("%.0f\n", (double)wanted / (seconds() - begin));
    vbd_queue_end(queue);
    vbd_queue_free(queue);
    sim_free(sim);
    return 0;
}
