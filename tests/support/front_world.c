/* front_world.c - see front_world.h. */
#include "support/front_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vbdkit/xsc_linux.h"

/* --- the guest's seam --- */

static int share(void *ctx, unsigned domid, size_t count, uint32_t *ret_grants, void **ret)
{
    struct front_world *w = ctx;

    (void)domid;
    if (w->next_page + count > SIM_PAGES)
        return -ENOSPC;
    for (size_t i = 0; i < count; i++)
        ret_grants[i] = sim_grant(w->back->sim, w->next_page + (unsigned)i, false);
    *ret = sim_page(w->back->sim, w->next_page);
    memset(*ret, 0, count * SIM_PAGE);
    w->next_page += (unsigned)count;
    w->shared += (int)count;
    return 0;
}

static void unshare(void *ctx, void *pages, size_t count, const uint32_t *grants)
{
    struct front_world *w = ctx;

    (void)pages;
    for (size_t i = 0; i < count; i++)
        sim_revoke(w->back->sim, grants[i]);
    w->shared -= (int)count;
}

static int offer(void *ctx, unsigned domid, uint32_t *ret_port, struct vbd_event_channel **ret)
{
    struct front_world *w = ctx;

    (void)domid;
    *ret_port = FRONT_PORT;
    *ret = (struct vbd_event_channel *)(void *)w;
    w->offered++;
    return 0;
}

static void withdraw(void *ctx, struct vbd_event_channel *channel)
{
    (void)channel;
    ((struct front_world *)ctx)->offered--;
}

static void notify(void *ctx, struct vbd_event_channel *channel)
{
    (void)channel;
    sim_send(((struct front_world *)ctx)->back->sim, FRONT_PORT);
}

static bool take_event(void *ctx, struct vbd_event_channel *channel)
{
    (void)channel;
    return sim_wait(((struct front_world *)ctx)->back->sim, PORT, 0);
}

/* --- the back's side --- */

static void begin_back(struct front_world *w)
{
    const struct vbd_hypervisor *h = &w->back->sim->seam;
    struct vbd_queue_config config = w->limits;

    config.allocator = &vbd_libc_allocator;
    config.hypervisor = h;
    config.channel = w->back->channel;
    config.domid = w->back->sim->domid;
    config.ring_page_count = w->config.ring_pages;
    config.layout = VBD_LAYOUT_NATIVE;
    config.disk =
        (struct vbd_disk_limits){.sectors = w->disk.sectors,
                                 .read_only = w->disk.read_only,
                                 .discard = true,
                                 .block_mask = w->disk.sector_size / 512 - 1,
                                 .segments_indirect = w->disk.segments > 11 ? w->disk.segments : 0};
    assert_int_equal(
        h->map(h->ctx, config.domid, w->front.ring_grants, w->config.ring_pages, true, &w->ring),
        0);
    config.ring_pages = w->ring;
    assert_int_equal(vbd_queue_new(&config, &w->back->queue), 0);
    vbd_queue_begin(w->back->queue, w->storage);
}

/* What the disk still has is dropped, as by a machine that fell over. */
static void drop_all(void *ctx)
{
    struct slow_disk *d = ctx;

    d->fail_next = INT32_MAX;
    complete_all(d);
    d->fail_next = 0;
}

static void end_back(struct front_world *w)
{
    const struct vbd_hypervisor *h = &w->back->sim->seam;

    if (w->ring == NULL)
        return;
    vbd_queue_stop(w->back->queue);
    do
        w->drop(w->drop_ctx);
    while (pass(w->back) || !vbd_queue_idle(w->back->queue));
    vbd_queue_end(w->back->queue);
    vbd_queue_free(w->back->queue);
    h->unmap(h->ctx, w->ring, w->config.ring_pages);
    w->ring = NULL;
}

/* --- the world --- */

void front_world_connect(struct front_world *w)
{
    w->first_page = w->next_page;
    assert_int_equal(vbd_front_queue_open(&w->front, &w->config), 0);
    if (!w->by_hand)
        begin_back(w);
    vbd_front_queue_start(&w->front, &w->disk);
}

void front_world_leave(struct front_world *w)
{
    end_back(w);
    vbd_front_queue_close(&w->front);
    w->next_page = w->first_page;
}

struct front_world *front_world_new(uint32_t ring_pages, uint32_t pool_pages, uint32_t segments)
{
    struct front_world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->back = new_world(HAND_X86_64, 1, 8, false);
    vbd_queue_end(w->back->queue);
    vbd_queue_free(w->back->queue);
    w->storage = &w->back->disk.channel;
    w->drop = drop_all;
    w->drop_ctx = &w->back->disk;
    w->limits = (struct vbd_queue_config){.in_flight_max = 64, .memory_pages = 4096};
    w->next_page = DATA_PAGE;
    w->guest =
        (struct vbd_guest){sizeof w->guest, w, share, unshare, offer, withdraw, notify, take_event};
    w->disk = (struct vbd_front_disk){.sectors = DISK_SECTORS,
                                      .sector_size = 512,
                                      .flush = true,
                                      .barrier = true,
                                      .discard = true,
                                      .segments = segments};
    vbd_buffers_init(&w->buffers, &vbd_libc_allocator, &w->guest);
    w->config = (struct vbd_front_queue_config){.allocator = &vbd_libc_allocator,
                                                .guest = &w->guest,
                                                .backend_domid = 0,
                                                .ring_pages = ring_pages,
                                                .pool_pages = pool_pages,
                                                .segments_max = segments,
                                                .buffers = &w->buffers};
    vbd_front_queue_init(&w->front);
    return w;
}

void front_world_free(struct front_world *w)
{
    const struct vbd_hypervisor *h = &w->back->sim->seam;
    struct world *b = w->back;

    assert_true(vbd_front_queue_idle(&w->front));
    end_back(w);
    vbd_front_queue_close(&w->front);
    vbd_buffers_remove_all(&w->buffers);
    assert_int_equal(w->shared, 0);
    assert_int_equal(w->offered, 0);
    h->unbind(h->ctx, b->channel);
    h->unmap(h->ctx, b->ring, b->front.ring_pages);
    assert_int_equal(b->sim->mapped_pages, 0);
    sim_free(b->sim);
    free(b->disk.bytes);
    free(b);
    free(w);
}

void front_world_turn(struct front_world *w)
{
    bool more;

    do {
        more = vbd_front_queue_pass(&w->front);
        if (!w->by_hand)
            more |= pass(w->back);
        more |= take_event(w, NULL);
    } while (more);
}

void front_world_settle(struct front_world *w)
{
    front_world_turn(w);
    while (!vbd_front_queue_idle(&w->front)) {
        assert_true(w->back->disk.count > 0); /* or nothing will ever happen */
        complete_all(&w->back->disk);
        front_world_turn(w);
    }
}

/* --- operations --- */

static void op_done(struct vbd_io *io, int result)
{
    struct front_op *op = VBD_CONTAINER(io, struct front_op, io);

    op->result = result;
    op->done++;
}

void front_op_send(struct front_world *w, struct front_op *op)
{
    op->io.memory = op->memory;
    op->io.done = op_done;
    op->done = 0;
    vbd_front_queue_submit(&w->front, &op->io, w->front.counters.operations);
}

void front_op_submit(struct front_world *w, struct front_op *op, enum vbd_io_op what,
                     uint64_t offset, uint64_t length, void *memory)
{
    *op = (struct front_op){
        .io = {.op = what, .offset = offset, .length = length, .memory_count = memory != NULL},
        .memory = {{memory, length}}};
    front_op_send(w, op);
}

int front_op_run(struct front_world *w, enum vbd_io_op what, uint64_t offset, uint64_t length,
                 void *memory)
{
    struct front_op op;

    front_op_submit(w, &op, what, offset, length, memory);
    front_world_settle(w);
    assert_int_equal(op.done, 1);
    return op.result;
}
