/* ring_world.c - see ring_world.h. */
#include "support/ring_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vbdkit/xsc_linux.h"

static void hold(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    struct slow_disk *d = VBD_CONTAINER(channel, struct slow_disk, channel);

    d->submits++;
    for (size_t i = 0; i < count; i++) {
        assert_true(d->count < HELD);
        d->held[d->count++] = ios[i];
    }
}

static const struct vbd_channel_ops ops = {.struct_size = sizeof ops, .submit = hold};

void move_data(unsigned char *disk, const struct vbd_io *io)
{
    unsigned char *at = disk + io->offset;

    if (io->op == VBD_IO_DISCARD)
        memset(at, 0, io->length);
    for (uint32_t i = 0; io->op != VBD_IO_DISCARD && i < io->memory_count; i++) {
        if (io->op == VBD_IO_READ)
            memcpy(io->memory[i].base, at, io->memory[i].len);
        else
            memcpy(at, io->memory[i].base, io->memory[i].len);
        at += io->memory[i].len;
    }
}

void complete(struct slow_disk *d, int index)
{
    struct vbd_io *io = d->held[index];
    int error = d->fail_with != 0 ? d->fail_with : -EIO;
    int result = d->fail_next > 0 ? (d->fail_next--, error) : 0;

    memmove(&d->held[index], &d->held[index + 1],
            (size_t)(--d->count - index) * sizeof(struct vbd_io *));
    if (io->op != VBD_IO_FLUSH) {
        assert_true(io->offset + io->length <= (uint64_t)DISK_SECTORS * 512);
        if (result == 0)
            move_data(d->bytes, io);
    }
    io->done(io, result);
}

void complete_all(struct slow_disk *d)
{
    while (d->count > 0)
        complete(d, 0);
}

bool pass(struct world *w)
{
    return vbd_queue_pass(w->queue, ++w->now);
}

static void connect_ring(struct world *w, enum handfront_layout layout, unsigned ring_pages,
                         struct vbd_queue_config config)
{
    const struct vbd_hypervisor *h = &w->sim->seam;
    uint32_t refs[16];

    config.allocator = &vbd_libc_allocator;
    config.hypervisor = h;
    config.domid = w->sim->domid;
    config.ring_page_count = ring_pages;
    config.layout = layout == HAND_X86_32 ? VBD_LAYOUT_X86_32 : VBD_LAYOUT_X86_64;
    handfront_init(&w->front, w->sim, layout, RING_PAGE, ring_pages, PORT);
    for (unsigned i = 0; i < ring_pages; i++)
        refs[i] = sim_grant(w->sim, RING_PAGE + i, false);
    assert_int_equal(h->map(h->ctx, w->sim->domid, refs, ring_pages, true, &w->ring), 0);
    assert_int_equal(h->bind(h->ctx, w->sim->domid, PORT, &w->channel), 0);
    config.ring_pages = w->ring;
    config.channel = w->channel;
    assert_int_equal(vbd_queue_new(&config, &w->queue), 0);
    w->disk.channel.ops = &ops;
    w->disk.bytes = calloc(DISK_SECTORS, 512);
    vbd_queue_begin(w->queue, &w->disk.channel);
}

struct world *new_world_of(enum handfront_layout layout, unsigned ring_pages,
                           struct vbd_queue_config config)
{
    struct world *w = calloc(1, sizeof *w);

    w->sim = sim_new(7);
    connect_ring(w, layout, ring_pages, config);
    return w;
}

struct world *new_world(enum handfront_layout layout, unsigned ring_pages, uint32_t in_flight,
                        bool read_only)
{
    return new_world_of(
        layout, ring_pages,
        (struct vbd_queue_config){.disk = {.sectors = DISK_SECTORS, .read_only = read_only},
                                  .in_flight_max = in_flight,
                                  .memory_pages = 4096});
}

struct world *keeping_world(uint32_t persistent, uint32_t in_place)
{
    struct vbd_queue_config config = {
        .disk = {.sectors = DISK_SECTORS, .segments_indirect = INDIRECT_SEGMENTS},
        .in_flight_max = 32,
        .memory_pages = 512,
        .persistent_max = persistent,
        .in_place = in_place};
    struct world *w = new_world_of(HAND_X86_64, 1, config);

    for (unsigned i = 0; i < DISK_SECTORS * 512; i++)
        w->disk.bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    return w;
}

void end_world(struct world *w)
{
    assert_int_equal(w->disk.count, 0);
    assert_true(vbd_queue_idle(w->queue));
    vbd_queue_end(w->queue);
    vbd_queue_free(w->queue);
    leave_world(w);
}

void leave_world(struct world *w)
{
    const struct vbd_hypervisor *h = &w->sim->seam;

    h->unbind(h->ctx, w->channel);
    h->unmap(h->ctx, w->ring, w->front.ring_pages);
    assert_int_equal(w->sim->mapped_pages, 0);
    assert_int_equal(w->sim->own_mappings, 0);
    assert_int_equal(w->sim->bound_ports, 0);
    sim_free(w->sim);
    free(w->disk.bytes);
    free(w);
}

/* A request of `pages` whole pages of guest memory from `page` on. */
struct hand_request whole_pages(struct world *w, uint8_t op, uint64_t id, uint64_t sector,
                                unsigned page, unsigned pages)
{
    struct hand_request r = {.op = op, .count = (uint8_t)pages, .id = id, .sector = sector};

    for (unsigned i = 0; i < pages; i++)
        r.segments[i] = (struct hand_segment){sim_grant(w->sim, page + i, false), 0, 7};
    return r;
}

int16_t expect_answer(struct world *w, uint64_t id)
{
    struct hand_response response;

    assert_true(handfront_take(&w->front, &response));
    assert_int_equal(response.id, id);
    assert_false(w->answered[id]);
    w->answered[id] = true;
    return response.status;
}

void expect_nothing(struct world *w)
{
    struct hand_response response;

    assert_false(handfront_take(&w->front, &response));
}

void run(struct world *w, const struct hand_request *r)
{
    handfront_put(&w->front, r);
    handfront_push(&w->front);
    pass(w);
}

struct vbd_counters counters(const struct world *w)
{
    struct vbd_counters c = {0};

    vbd_queue_count(w->queue, &c);
    return c;
}

int16_t finish(struct world *w, uint64_t id)
{
    complete_all(&w->disk);
    pass(w);
    return expect_answer(w, id);
}

void write_page(struct world *w, uint64_t id, unsigned page)
{
    struct hand_request r = whole_pages(w, 1, id, page * 8, page, 1);

    memset(sim_page(w->sim, page), (int)id + 1, SIM_PAGE);
    run(w, &r);
    assert_int_equal(finish(w, id), 0);
    assert_int_equal(w->disk.bytes[page * SIM_PAGE], (int)id + 1);
}
