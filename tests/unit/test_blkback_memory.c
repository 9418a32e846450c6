/* test_blkback_memory.c - limits of memory, grants that stay mapped, and a disk that changes its
 * size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/ring_world.h"

static const uint64_t minute = 60000000000u;

static struct world *small_world(uint32_t memory_pages, uint32_t persistent)
{
    return new_world_of(HAND_X86_64, 1,
                        (struct vbd_queue_config){.disk = {.sectors = DISK_SECTORS},
                                                  .in_flight_max = 32,
                                                  .memory_pages = memory_pages,
                                                  .persistent_max = persistent});
}

/* Three requests of eleven pages, each in sixteen: one at a time fits. */
static void test_requests_wait_for_memory_in_ring_order(void **state)
{
    struct world *w = small_world(16, 0);

    (void)state;
    for (uint64_t id = 0; id < 3; id++) {
        struct hand_request r = whole_pages(w, 1, id, id * 1000, DATA_PAGE, id == 2 ? 1 : 11);

        handfront_put(&w->front, &r);
    }
    handfront_push(&w->front);
    for (uint64_t id = 0; id < 3; id++) {
        pass(w);
        assert_int_equal(w->disk.count, 1);
        assert_int_equal(w->disk.held[0]->offset, id * 1000 * 512);
        complete_all(&w->disk);
        assert_int_equal(pass(w), id < 2); /* more to do at once: there is memory now */
        assert_int_equal(expect_answer(w, id), 0);
    }
    assert_true(counters(w).memory_full > 0);
    end_world(w);
}

/* A slot keeps its memory for the next request; one that is refused must not, since its answer may
 * have to wait for a request that needs it. */
static void test_a_refused_request_keeps_no_memory(void **state)
{
    struct world *w = new_world_of(HAND_X86_64, 1,
                                   (struct vbd_queue_config){.disk = {.sectors = DISK_SECTORS},
                                                             .in_flight_max = 32,
                                                             .memory_pages = 16,
                                                             .in_order = true});
    struct hand_request large = whole_pages(w, 1, 3, 0, DATA_PAGE, 11);
    struct hand_request refused = whole_pages(w, 1, 4, DISK_SECTORS, DATA_PAGE, 1);

    (void)state;
    for (uint64_t id = 1; id < 3; id++) { /* two slots have memory */
        struct hand_request r = whole_pages(w, 1, id, id * 1000, DATA_PAGE, 1);

        handfront_put(&w->front, &r);
    }
    handfront_push(&w->front);
    pass(w);
    complete_all(&w->disk);
    pass(w);
    assert_int_equal(expect_answer(w, 1), 0);
    assert_int_equal(expect_answer(w, 2), 0);
    handfront_put(&w->front, &large);
    run(w, &refused);
    assert_int_equal(w->disk.count, 1);
    complete_all(&w->disk);
    pass(w);
    assert_int_equal(expect_answer(w, 3), 0);
    assert_int_equal(expect_answer(w, 4), -1);
    end_world(w);
}

static void write_page(struct world *w, uint64_t id, unsigned page)
{
    struct hand_request r = whole_pages(w, 1, id, page * 8, page, 1);

    memset(sim_page(w->sim, page), (int)id + 1, SIM_PAGE);
    run(w, &r);
    complete_all(&w->disk);
    pass(w);
    assert_int_equal(expect_answer(w, id), 0);
    assert_int_equal(w->disk.bytes[page * SIM_PAGE], (int)id + 1);
}

static void test_grants_that_stay_are_mapped_once(void **state)
{
    struct world *w = small_world(64, 8);
    int mapped = w->sim->mapped_pages;

    (void)state;
    for (uint64_t id = 0; id < 10; id++)
        write_page(w, id, DATA_PAGE);
    assert_int_equal(counters(w).grants_mapped, 1);
    assert_int_equal(counters(w).grants_reused, 9);
    assert_int_equal(w->sim->copy_calls, 0);
    assert_int_equal(w->sim->mapped_pages, mapped + 1);
    end_world(w);
}

static void test_the_grant_unused_longest_goes_at_the_limit(void **state)
{
    struct world *w = small_world(64, 4);
    int mapped = w->sim->mapped_pages;
    uint64_t id = 0;

    (void)state;
    for (unsigned page = 0; page < 4; page++)
        write_page(w, id++, DATA_PAGE + page);
    write_page(w, id++, DATA_PAGE);     /* used again: page 1 is the oldest now */
    write_page(w, id++, DATA_PAGE + 9); /* takes its place */
    assert_int_equal(w->sim->mapped_pages, mapped + 4);
    assert_int_equal(counters(w).grants_released, 1);
    write_page(w, id++, DATA_PAGE);
    assert_int_equal(counters(w).grants_mapped, 5);
    write_page(w, id++, DATA_PAGE + 1);
    assert_int_equal(counters(w).grants_mapped, 6);
    assert_int_equal(counters(w).grants_released, 2);
    assert_int_equal(counters(w).system_calls, w->sim->notifications + 6 * 2 + 2 * 3);
    end_world(w);
}

static void test_idle_grants_are_given_back(void **state)
{
    struct world *w = small_world(64, 8);
    int mapped = w->sim->mapped_pages;

    (void)state;
    assert_int_equal(vbd_queue_deadline(w->queue), 0);
    write_page(w, 0, DATA_PAGE);
    assert_in_range(vbd_queue_deadline(w->queue), minute, minute + 100);
    w->now += minute / 2;
    write_page(w, 1, DATA_PAGE + 1);
    w->now += minute / 2;
    pass(w);
    assert_int_equal(w->sim->mapped_pages, mapped + 1);
    w->now += minute / 2;
    pass(w);
    assert_int_equal(w->sim->mapped_pages, mapped);
    assert_int_equal(vbd_queue_deadline(w->queue), 0);
    write_page(w, 2, DATA_PAGE);
    end_world(w);
}

/* What can't be mapped for writing is copied, as without the feature. */
static void test_a_grant_to_read_alone_is_copied(void **state)
{
    struct world *w = small_world(64, 8);
    struct hand_request r = {.op = 1, .count = 1, .id = 1};

    (void)state;
    r.segments[0] = (struct hand_segment){sim_grant(w->sim, DATA_PAGE, true), 0, 7};
    run(w, &r);
    complete_all(&w->disk);
    pass(w);
    assert_int_equal(expect_answer(w, 1), 0);
    r.id = 2;
    r.op = 0; /* a read into it is refused by the copy */
    run(w, &r);
    complete_all(&w->disk);
    pass(w);
    assert_int_equal(expect_answer(w, 2), -1);
    end_world(w);
}

static void test_a_disk_grows_and_shrinks_under_its_queue(void **state)
{
    struct world *w = small_world(64, 0);
    struct hand_request last = whole_pages(w, 0, 1, DISK_SECTORS - 8, DATA_PAGE, 1);

    (void)state;
    vbd_queue_resize(w->queue, DISK_SECTORS - 8);
    run(w, &last);
    assert_int_equal(expect_answer(w, 1), -1);
    vbd_queue_resize(w->queue, DISK_SECTORS);
    last.id = 2;
    run(w, &last);
    complete_all(&w->disk);
    pass(w);
    assert_int_equal(expect_answer(w, 2), 0);
    end_world(w);
}

static void test_latency_is_the_time_from_taken_to_answered(void **state)
{
    struct world *w = small_world(64, 0);
    struct hand_request r = whole_pages(w, 0, 1, 0, DATA_PAGE, 1);
    struct vbd_latency l = {{0}, {0}, {0}};
    uint64_t count = 0;

    (void)state;
    run(w, &r);
    w->now += 1000000;
    complete_all(&w->disk);
    pass(w);
    assert_int_equal(expect_answer(w, 1), 0);
    vbd_queue_latency(w->queue, &l);
    for (unsigned i = 0; i < VBD_LATENCY_RANGES; i++) {
        if (l.reads[i] > 0)
            assert_in_range(vbd_latency_end(i), 1000000, 1300000);
        count += l.reads[i] + l.writes[i] + l.others[i];
    }
    assert_int_equal(count, 1);
    end_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_wait_for_memory_in_ring_order),
        cmocka_unit_test(test_a_refused_request_keeps_no_memory),
        cmocka_unit_test(test_grants_that_stay_are_mapped_once),
        cmocka_unit_test(test_the_grant_unused_longest_goes_at_the_limit),
        cmocka_unit_test(test_idle_grants_are_given_back),
        cmocka_unit_test(test_a_grant_to_read_alone_is_copied),
        cmocka_unit_test(test_a_disk_grows_and_shrinks_under_its_queue),
        cmocka_unit_test(test_latency_is_the_time_from_taken_to_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
