/* test_blkback.c - the engine's passes, on a simulated guest and a storage that completes when
 * told: every request is answered once and rightly, batches are batches, limits hold, a flush
 * waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "blkback/queue.h"
#include "support/handfront.h"
#include "vbdkit/xsc_linux.h"

enum {
    DISK_SECTORS = 8192,
    RING_PAGE = 0,
    DATA_PAGE = 64, /* first guest page for data */
    PORT = 3,
    HELD = 1024
};

/* A storage in memory whose operations complete when the test says so, in any order. */
struct slow_disk {
    struct vbd_channel channel;
    unsigned char *bytes;
    struct vbd_io *held[HELD];
    int count, submits, fail_next;
};

struct world {
    struct sim *sim;
    struct handfront front;
    struct slow_disk disk;
    struct vbd_event_channel *channel;
    struct vbd_queue *queue;
    void *ring;
    bool answered[65536]; /* by id */
    int answers;
};

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

static void complete(struct slow_disk *d, int index)
{
    struct vbd_io *io = d->held[index];
    int result = d->fail_next > 0 ? (d->fail_next--, -5) : 0;

    memmove(&d->held[index], &d->held[index + 1],
            (size_t)(--d->count - index) * sizeof(struct vbd_io *));
    if (io->op != VBD_IO_FLUSH) {
        assert_true(io->offset + io->memory.len <= (uint64_t)DISK_SECTORS * 512);
        if (io->op == VBD_IO_READ)
            memcpy(io->memory.base, d->bytes + io->offset, io->memory.len);
        else if (result == 0)
            memcpy(d->bytes + io->offset, io->memory.base, io->memory.len);
    }
    io->done(io, result);
}

static void complete_all(struct slow_disk *d)
{
    while (d->count > 0)
        complete(d, 0);
}

static void connect_ring(struct world *w, enum handfront_layout layout, unsigned ring_pages,
                         uint32_t in_flight, bool read_only)
{
    const struct vbd_hypervisor *h = &w->sim->seam;
    struct vbd_queue_config config = {.allocator = &vbd_libc_allocator,
                                      .hypervisor = h,
                                      .domid = w->sim->domid,
                                      .ring_page_count = ring_pages,
                                      .layout = layout == HAND_X86_32 ? VBD_LAYOUT_X86_32
                                                                      : VBD_LAYOUT_X86_64,
                                      .disk = {DISK_SECTORS, read_only},
                                      .in_flight_max = in_flight};
    uint32_t refs[16];

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

static struct world *new_world(enum handfront_layout layout, unsigned ring_pages,
                               uint32_t in_flight, bool read_only)
{
    struct world *w = calloc(1, sizeof *w);

    w->sim = sim_new(7);
    connect_ring(w, layout, ring_pages, in_flight, read_only);
    return w;
}

static void end_world(struct world *w)
{
    const struct vbd_hypervisor *h = &w->sim->seam;

    assert_int_equal(w->disk.count, 0);
    assert_true(vbd_queue_idle(w->queue));
    vbd_queue_end(w->queue);
    vbd_queue_free(w->queue);
    h->unbind(h->ctx, w->channel);
    h->unmap(h->ctx, w->ring, w->front.ring_pages);
    assert_int_equal(w->sim->mapped_pages, 0);
    assert_int_equal(w->sim->bound_ports, 0);
    sim_free(w->sim);
    free(w->disk.bytes);
    free(w);
}

/* A request of `pages` whole pages of guest memory from `page` on. */
static struct hand_request whole_pages(struct world *w, uint8_t op, uint64_t id, uint64_t sector,
                                       unsigned page, unsigned pages)
{
    struct hand_request r = {.op = op, .count = (uint8_t)pages, .id = id, .sector = sector};

    for (unsigned i = 0; i < pages; i++)
        r.segments[i] = (struct hand_segment){sim_grant(w->sim, page + i, false), 0, 7};
    return r;
}

static int16_t expect_answer(struct world *w, uint64_t id)
{
    struct hand_response response;

    assert_true(handfront_take(&w->front, &response));
    assert_int_equal(response.id, id);
    assert_false(w->answered[id]);
    w->answered[id] = true;
    return response.status;
}

static void expect_nothing(struct world *w)
{
    struct hand_response response;

    assert_false(handfront_take(&w->front, &response));
}

static void run(struct world *w, const struct hand_request *r)
{
    handfront_put(&w->front, r);
    handfront_push(&w->front);
    vbd_queue_pass(w->queue);
}

/* --- tests --- */

static void write_and_read_back(enum handfront_layout layout, unsigned ring_pages)
{
    struct world *w = new_world(layout, ring_pages, 4096, false);
    uint32_t rounds = w->front.size * 3 + 5; /* the ring wraps */

    for (uint32_t n = 0; n < rounds; n++) {
        struct hand_request write = whole_pages(w, 1, n * 2 % 65536, n * 8 % 8000, DATA_PAGE, 1);
        struct hand_request read =
            whole_pages(w, 0, (n * 2 + 1) % 65536, n * 8 % 8000, DATA_PAGE + 1, 1);

        memset(sim_page(w->sim, DATA_PAGE), (int)(n & 0xff), SIM_PAGE);
        memset(sim_page(w->sim, DATA_PAGE + 1), 0xee, SIM_PAGE);
        run(w, &write);
        complete_all(&w->disk);
        vbd_queue_pass(w->queue);
        assert_int_equal(expect_answer(w, write.id), 0);
        run(w, &read);
        complete_all(&w->disk);
        vbd_queue_pass(w->queue);
        assert_int_equal(expect_answer(w, read.id), 0);
        assert_memory_equal(sim_page(w->sim, DATA_PAGE), sim_page(w->sim, DATA_PAGE + 1), SIM_PAGE);
    }
    end_world(w);
}

static void test_data_survives_every_layout_and_ring_size(void **state)
{
    (void)state;
    for (unsigned order = 0; order <= 4; order++) {
        write_and_read_back(HAND_X86_64, 1u << order);
        write_and_read_back(HAND_X86_32, 1u << order);
    }
}

static void test_parts_of_pages_go_where_they_belong(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request r = {.op = 1, .count = 3, .id = 1, .sector = 10};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned s = 0; s < 8; s++)
            memset(sim_page(w->sim, DATA_PAGE + i) + s * 512, (int)(i * 16 + s), 512);
        r.segments[i] = (struct hand_segment){sim_grant(w->sim, DATA_PAGE + i, true),
                                              (uint8_t)(i * 2), (uint8_t)(i * 2 + 1)};
    }
    run(w, &r);
    assert_int_equal(w->disk.held[0]->memory.len, 6 * 512);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 1), 0);
    for (unsigned s = 0; s < 6; s++)
        assert_int_equal(w->disk.bytes[(10 + s) * 512 + 511], s / 2 * 16 + s / 2 * 2 + s % 2);
    end_world(w);
}

static void test_a_pass_is_one_copy_one_submit_one_event(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct vbd_counters c = {0};

    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        struct hand_request r = whole_pages(w, 1, i, i * 8, DATA_PAGE + i, 1);

        handfront_put(&w->front, &r);
    }
    assert_true(handfront_push(&w->front));
    vbd_queue_pass(w->queue);
    assert_int_equal(w->sim->copy_calls, 1);
    assert_int_equal(w->disk.submits, 1);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(w->sim->notifications, 1);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(expect_answer(w, i), 0);
    vbd_queue_count(w->queue, &c);
    assert_int_equal(c.writes, 32);
    assert_int_equal(c.written_bytes, 32 * SIM_PAGE);
    end_world(w);
}

/* Each with the status it must get; none may reach the storage. */
static void test_bad_requests_are_answered_and_harm_nothing(void **state)
{
    struct {
        const char *what;
        struct hand_request r;
        int16_t status;
    } cases[] = {
        {"no segments", {.op = 0, .count = 0}, -1},
        {"12 segments", {.op = 0, .count = 12}, -1},
        {"255 segments", {.op = 1, .count = 255}, -1},
        {"first after last", {.op = 0, .count = 1, .segments = {{8, 5, 4}}}, -1},
        {"last beyond the page", {.op = 0, .count = 1, .segments = {{8, 0, 8}}}, -1},
        {"last 255", {.op = 1, .count = 1, .segments = {{8, 0, 255}}}, -1},
        {"past the end",
         {.op = 0, .count = 1, .sector = DISK_SECTORS - 7, .segments = {{8, 0, 7}}},
         -1},
        {"at the end", {.op = 0, .count = 1, .sector = DISK_SECTORS, .segments = {{8, 0, 0}}}, -1},
        {"sector overflows",
         {.op = 0, .count = 1, .sector = UINT64_MAX, .segments = {{8, 0, 7}}},
         -1},
        {"sector times 512 overflows",
         {.op = 1, .count = 1, .sector = 1ull << 55, .segments = {{8, 0, 7}}},
         -1},
        {"flush with a segment", {.op = 3, .count = 1}, -1},
        {"barrier", {.op = 2, .count = 1}, -2},
        {"discard", {.op = 5}, -2},
        {"indirect", {.op = 6}, -2},
        {"packet", {.op = 4}, -2},
        {"operation 255", {.op = 255}, -2},
    };
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct vbd_counters c = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cases[i].r.id = i;
        run(w, &cases[i].r);
        if (w->disk.count != 0 || expect_answer(w, i) != cases[i].status)
            fail_msg("%s", cases[i].what);
    }
    vbd_queue_count(w->queue, &c);
    assert_int_equal(c.refused, sizeof cases / sizeof cases[0]);
    end_world(w);
}

static void test_the_last_sector_can_be_used(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request r = {.op = 0, .count = 1, .id = 9, .sector = DISK_SECTORS - 1};

    (void)state;
    r.segments[0] = (struct hand_segment){sim_grant(w->sim, DATA_PAGE, false), 7, 7};
    run(w, &r);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 9), 0);
    end_world(w);
}

static void test_a_read_only_disk_refuses_writes_and_serves_reads(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, true);
    struct hand_request write = whole_pages(w, 1, 1, 0, DATA_PAGE, 1);
    struct hand_request read = whole_pages(w, 0, 2, 0, DATA_PAGE, 1);

    (void)state;
    run(w, &write);
    assert_int_equal(w->disk.count, 0);
    assert_int_equal(expect_answer(w, 1), -1);
    run(w, &read);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 2), 0);
    end_world(w);
}

static void test_bad_grants_fail_their_request_alone(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request good = whole_pages(w, 1, 1, 0, DATA_PAGE, 1);
    struct hand_request bad = whole_pages(w, 1, 2, 8, DATA_PAGE + 1, 2);
    struct hand_request unwritable = whole_pages(w, 0, 3, 0, DATA_PAGE + 4, 1);

    (void)state;
    sim_revoke(w->sim, bad.segments[1].grant);
    sim_grant(w->sim, DATA_PAGE + 4, true);
    handfront_put(&w->front, &good);
    handfront_put(&w->front, &bad);
    handfront_put(&w->front, &unwritable);
    handfront_push(&w->front);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 2), -1);
    assert_int_equal(w->disk.count, 2);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 1), 0);
    assert_int_equal(expect_answer(w, 3), -1);
    end_world(w);
}

static void test_a_failing_copy_call_fails_what_it_carried(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request write = whole_pages(w, 1, 1, 0, DATA_PAGE, 1);

    (void)state;
    w->sim->fail_copy_call = 1;
    run(w, &write);
    assert_int_equal(w->disk.count, 0);
    assert_int_equal(expect_answer(w, 1), -1);
    end_world(w);
}

static void test_storage_errors_are_told(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request read = whole_pages(w, 0, 1, 0, DATA_PAGE, 1);

    (void)state;
    w->disk.fail_next = 1;
    run(w, &read);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 1), -1);
    end_world(w);
}

static void put_flush(struct world *w, uint64_t id)
{
    struct hand_request flush = {.op = 3, .id = id};

    handfront_put(&w->front, &flush);
}

static void test_a_flush_waits_for_the_writes_before_it(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request first = whole_pages(w, 1, 1, 0, DATA_PAGE, 1);
    struct hand_request second = whole_pages(w, 1, 2, 8, DATA_PAGE, 1);
    struct hand_request later = whole_pages(w, 1, 4, 16, DATA_PAGE, 1);

    (void)state;
    handfront_put(&w->front, &first);
    handfront_put(&w->front, &second);
    put_flush(w, 3);
    handfront_put(&w->front, &later);
    handfront_push(&w->front);
    vbd_queue_pass(w->queue);
    assert_int_equal(w->disk.count, 3); /* the flush is held back, the later write is not */
    complete(&w->disk, 2);
    complete(&w->disk, 1);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 4), 0);
    assert_int_equal(expect_answer(w, 2), 0);
    assert_int_equal(w->disk.count, 1);
    complete(&w->disk, 0);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 1), 0);
    assert_int_equal(w->disk.count, 1);
    assert_int_equal(w->disk.held[0]->op, VBD_IO_FLUSH);
    expect_nothing(w);
    complete(&w->disk, 0);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 3), 0);
    end_world(w);
}

static void test_a_flush_does_not_wait_for_a_write_that_failed(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request bad = whole_pages(w, 1, 1, 0, DATA_PAGE, 1);

    (void)state;
    sim_revoke(w->sim, bad.segments[0].grant);
    handfront_put(&w->front, &bad);
    put_flush(w, 2);
    handfront_push(&w->front);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 1), -1);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 2), 0);
    end_world(w);
}

static void test_the_limit_in_flight_holds_and_nothing_is_lost(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 4, false);

    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        struct hand_request r = whole_pages(w, 0, i, 0, DATA_PAGE + i, 1);

        handfront_put(&w->front, &r);
    }
    handfront_push(&w->front);
    for (unsigned answered = 0; answered < 32; answered += 4) {
        vbd_queue_pass(w->queue);
        assert_int_equal(w->disk.count, 4);
        complete_all(&w->disk);
        vbd_queue_pass(w->queue);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(expect_answer(w, answered + i), 0);
    }
    end_world(w);
}

static void test_a_producer_out_of_range_breaks_the_ring_only(void **state)
{
    uint32_t lies[] = {33, 0x80000000, UINT32_MAX, 1000};

    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct world *w = new_world(HAND_X86_64, 1, 32, false);

        *handfront_req_prod(&w->front) = lies[i];
        assert_false(vbd_queue_pass(w->queue));
        assert_true(vbd_queue_broken(w->queue));
        assert_int_equal(w->disk.count, 0);
        end_world(w);
    }
}

static void test_a_producer_that_runs_back_breaks_the_ring(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct hand_request r = whole_pages(w, 0, i, 0, DATA_PAGE, 1);

        handfront_put(&w->front, &r);
    }
    handfront_push(&w->front);
    vbd_queue_pass(w->queue);
    *handfront_req_prod(&w->front) = 4;
    vbd_queue_pass(w->queue);
    assert_true(vbd_queue_broken(w->queue));
    complete_all(&w->disk); /* what was taken is finished all the same */
    vbd_queue_pass(w->queue);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(expect_answer(w, i), 0);
    end_world(w);
}

static void test_a_stopped_queue_finishes_and_takes_nothing_more(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request taken = whole_pages(w, 0, 1, 0, DATA_PAGE, 1);
    struct hand_request left = whole_pages(w, 0, 2, 0, DATA_PAGE, 1);

    (void)state;
    run(w, &taken);
    vbd_queue_stop(w->queue);
    run(w, &left);
    assert_int_equal(w->disk.count, 1);
    assert_false(vbd_queue_idle(w->queue));
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 1), 0);
    expect_nothing(w);
    assert_true(vbd_queue_idle(w->queue));
    end_world(w);
}

static void test_a_new_queue_takes_up_a_parked_ring(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request taken = whole_pages(w, 0, 1, 0, DATA_PAGE, 1);
    struct hand_request left = whole_pages(w, 0, 2, 0, DATA_PAGE, 1);
    struct vbd_queue_config config = w->queue->config;

    (void)state;
    run(w, &taken);
    vbd_queue_stop(w->queue);
    handfront_put(&w->front, &left);
    handfront_push(&w->front);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    vbd_queue_free(w->queue);
    assert_int_equal(vbd_queue_new(&config, &w->queue), 0);
    vbd_queue_begin(w->queue, &w->disk.channel);
    vbd_queue_pass(w->queue);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 1), 0);
    assert_int_equal(expect_answer(w, 2), 0);
    end_world(w);
}

static void test_a_request_after_the_pass_is_seen_or_notifies(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request r = whole_pages(w, 0, 1, 0, DATA_PAGE, 1);

    (void)state;
    assert_false(vbd_queue_pass(w->queue)); /* nothing there: it may sleep */
    handfront_put(&w->front, &r);
    assert_true(handfront_push(&w->front)); /* and so it asked to be woken */
    vbd_queue_pass(w->queue);
    complete_all(&w->disk);
    vbd_queue_pass(w->queue);
    assert_int_equal(expect_answer(w, 1), 0);
    end_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_survives_every_layout_and_ring_size),
        cmocka_unit_test(test_parts_of_pages_go_where_they_belong),
        cmocka_unit_test(test_a_pass_is_one_copy_one_submit_one_event),
        cmocka_unit_test(test_bad_requests_are_answered_and_harm_nothing),
        cmocka_unit_test(test_the_last_sector_can_be_used),
        cmocka_unit_test(test_a_read_only_disk_refuses_writes_and_serves_reads),
        cmocka_unit_test(test_bad_grants_fail_their_request_alone),
        cmocka_unit_test(test_a_failing_copy_call_fails_what_it_carried),
        cmocka_unit_test(test_storage_errors_are_told),
        cmocka_unit_test(test_a_flush_waits_for_the_writes_before_it),
        cmocka_unit_test(test_a_flush_does_not_wait_for_a_write_that_failed),
        cmocka_unit_test(test_the_limit_in_flight_holds_and_nothing_is_lost),
        cmocka_unit_test(test_a_producer_out_of_range_breaks_the_ring_only),
        cmocka_unit_test(test_a_producer_that_runs_back_breaks_the_ring),
        cmocka_unit_test(test_a_stopped_queue_finishes_and_takes_nothing_more),
        cmocka_unit_test(test_a_new_queue_takes_up_a_parked_ring),
        cmocka_unit_test(test_a_request_after_the_pass_is_seen_or_notifies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
