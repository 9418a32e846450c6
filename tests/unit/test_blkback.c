/* test_blkback.c - the engine's passes, on a simulated guest and a storage that completes when
 * told: every request is answered once and rightly, batches are batches, limits hold, a flush
 * waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/ring_world.h"
#include "vbdkit/xsc_linux.h"

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
        assert_int_equal(finish(w, write.id), 0);
        run(w, &read);
        assert_int_equal(finish(w, read.id), 0);
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
    assert_int_equal(w->disk.held[0]->length, 6 * 512);
    assert_int_equal(finish(w, 1), 0);
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
    pass(w);
    assert_int_equal(w->sim->copy_calls, 1);
    assert_int_equal(w->disk.submits, 1);
    complete_all(&w->disk);
    pass(w);
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
        {"barrier with twelve segments", {.op = 2, .count = 12}, -1},
        {"discard that was not offered", {.op = 5}, -2},
        {"indirect that was not offered", {.op = 6}, -2},
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
    assert_int_equal(c.refused_operation + c.refused_count + c.refused_range + c.refused_end,
                     sizeof cases / sizeof cases[0]);
    end_world(w);
}

static void test_the_last_sector_can_be_used(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request r = {.op = 0, .count = 1, .id = 9, .sector = DISK_SECTORS - 1};

    (void)state;
    r.segments[0] = (struct hand_segment){sim_grant(w->sim, DATA_PAGE, false), 7, 7};
    run(w, &r);
    assert_int_equal(finish(w, 9), 0);
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
    assert_int_equal(finish(w, 2), 0);
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
    pass(w);
    assert_int_equal(expect_answer(w, 2), -1);
    assert_int_equal(w->disk.count, 2);
    assert_int_equal(finish(w, 1), 0);
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
    assert_int_equal(finish(w, 1), -1);
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
    struct hand_request second = whole_pages(w, 1, 2, 32, DATA_PAGE, 1);
    struct hand_request later = whole_pages(w, 1, 4, 64, DATA_PAGE, 1);

    (void)state;
    handfront_put(&w->front, &first);
    handfront_put(&w->front, &second);
    put_flush(w, 3);
    handfront_put(&w->front, &later);
    handfront_push(&w->front);
    pass(w);
    assert_int_equal(w->disk.count, 3); /* the flush is held back, the later write is not */
    complete(&w->disk, 2);
    complete(&w->disk, 1);
    pass(w);
    assert_int_equal(expect_answer(w, 4), 0);
    assert_int_equal(expect_answer(w, 2), 0);
    assert_int_equal(w->disk.count, 1);
    complete(&w->disk, 0);
    pass(w);
    assert_int_equal(expect_answer(w, 1), 0);
    assert_int_equal(w->disk.count, 1);
    assert_int_equal(w->disk.held[0]->op, VBD_IO_FLUSH);
    expect_nothing(w);
    complete(&w->disk, 0);
    pass(w);
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
    pass(w);
    assert_int_equal(expect_answer(w, 1), -1);
    assert_int_equal(finish(w, 2), 0);
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
        pass(w);
        assert_int_equal(w->disk.count, 4);
        complete_all(&w->disk);
        pass(w);
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
        assert_false(pass(w));
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
    pass(w);
    *handfront_req_prod(&w->front) = 4;
    pass(w);
    assert_true(vbd_queue_broken(w->queue));
    complete_all(&w->disk); /* what was taken is finished all the same */
    pass(w);
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
    assert_int_equal(finish(w, 1), 0);
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
    pass(w);
    vbd_queue_free(w->queue);
    assert_int_equal(vbd_queue_new(&config, &w->queue), 0);
    vbd_queue_begin(w->queue, &w->disk.channel);
    pass(w);
    assert_int_equal(finish(w, 1), 0);
    assert_int_equal(expect_answer(w, 2), 0);
    end_world(w);
}

static void test_a_request_after_the_pass_is_seen_or_notifies(void **state)
{
    struct world *w = new_world(HAND_X86_64, 1, 32, false);
    struct hand_request r = whole_pages(w, 0, 1, 0, DATA_PAGE, 1);

    (void)state;
    assert_false(pass(w)); /* nothing there: it may sleep */
    handfront_put(&w->front, &r);
    assert_true(handfront_push(&w->front)); /* and so it asked to be woken */
    pass(w);
    assert_int_equal(finish(w, 1), 0);
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
