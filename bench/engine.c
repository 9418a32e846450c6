/* engine.c - the backend engine alone: a ring, passes, a storage that does nothing, and no data
 * copied. What is left is what vbdkit itself costs for a request. Called by bench/run.
 *
 * usage: engine REQUESTS BATCH; prints requests per second. Front and back take turns on one
 * thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blkback/queue.h"
#include "support/handfront.h"
#include "vbdkit/xsc_linux.h"

static struct vbd_io *pending[4096];
static size_t pending_count;

static int copy_nothing(void *ctx, unsigned domid, enum vbd_copy_direction direction,
                        struct vbd_grant_copy *pieces, size_t count)
{
    (void)ctx, (void)domid, (void)direction;
    for (size_t i = 0; i < count; i++)
        pieces[i].status = 0;
    return 0;
}

static int notify_nobody(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx, (void)channel;
    return 0;
}

static void accept_all(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    (void)channel;
    memcpy(pending + pending_count, ios, count * sizeof(struct vbd_io *));
    pending_count += count;
}

static void complete_all(void)
{
    for (size_t i = 0; i < pending_count; i++)
        pending[i]->done(pending[i], 0);
    pending_count = 0;
}

static const struct vbd_channel_ops ops = {.struct_size = sizeof ops, .submit = accept_all};

static struct vbd_queue *make_queue(struct sim *sim, struct vbd_hypervisor *hypervisor)
{
    struct vbd_queue_config config = {.allocator = &vbd_libc_allocator,
                                      .hypervisor = hypervisor,
                                      .domid = sim->domid,
                                      .ring_pages = sim_page(sim, 0),
                                      .ring_page_count = 16,
                                      .layout = VBD_LAYOUT_X86_64,
                                      .disk = {.sectors = 1 << 20},
                                      .in_flight_max = 512,
                                      .memory_pages = 1024};
    struct vbd_queue *queue;

    if (vbd_queue_new(&config, &queue) < 0)
        abort();
    return queue;
}

int main(int argc, char **argv)
{
    unsigned long wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000000;
    unsigned long batch = argc > 2 ? strtoul(argv[2], NULL, 10) : 32;
    struct sim *sim = sim_new(1);
    struct vbd_hypervisor hypervisor = sim->seam;
    struct hand_request request = {.op = 0, .count = 1, .segments = {{8, 0, 7}}};
    struct vbd_channel channel = {&ops};
    struct hand_response response;
    struct timespec begin, end;
    struct handfront front;
    struct vbd_queue *queue;
    unsigned long done = 0;

    hypervisor.copy = copy_nothing;
    hypervisor.notify = notify_nobody;
    handfront_init(&front, sim, HAND_X86_64, 0, 16, 0);
    queue = make_queue(sim, &hypervisor);
    vbd_queue_begin(queue, &channel);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (done < wanted) {
        for (unsigned long i = 0; i < batch; i++)
            handfront_put(&front, &request);
        (void)handfront_push(&front);
        (void)vbd_queue_pass(queue, 0);
        complete_all();
        (void)vbd_queue_pass(queue, 0);
        while (handfront_take(&front, &response))
            done++;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    (void)printf("%.0f\n", (double)done / ((double)(end.tv_sec - begin.tv_sec) +
                                           (double)(end.tv_nsec - begin.tv_nsec) * 1e-9));
    vbd_queue_end(queue);
    vbd_queue_free(queue);
    sim_free(sim);
    return 0;
}
