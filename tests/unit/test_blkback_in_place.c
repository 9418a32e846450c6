/* test_blkback_in_place.c - reads that go straight into pages that stay mapped. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/ring_world.h"

static const uint64_t minute = 60000000000u, second = 1000000000u;

static bool holds(const struct world *w, unsigned page, uint64_t sector, unsigned count)
{
    return memcmp(sim_page(w->sim, page), w->disk.bytes + sector * 512, (size_t)count * SIM_PAGE) ==
           0;
}

/* Whether the operation is into the queue's own memory. */
static bool into_a_buffer(const struct world *w, const struct vbd_io *io)
{
    return (const char *)io->memory[0].base >= w->queue->pages &&
           (const char *)io->memory[0].base < w->queue->pages + (size_t)512 * SIM_PAGE;
}

static void test_a_read_goes_into_the_guests_pages(void **state)
{
    struct world *w = keeping_world(64, 512);
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE, 11);

    (void)state;
    r.segments[3].first = 2; /* parts of pages, too */
    r.segments[3].last = 5;
    run(w, &r);
    assert_int_equal(w->disk.count, 1);
    assert_int_equal(w->disk.held[0]->memory_count, 11);
    assert_int_equal(w->disk.held[0]->length, (10 * 8 + 4) * 512);
    assert_false(into_a_buffer(w, w->disk.held[0]));
    assert_int_equal(finish(w, 1), 0);
    assert_true(holds(w, DATA_PAGE, 80, 3));
    assert_memory_equal(sim_page(w->sim, DATA_PAGE + 3) + 1024, w->disk.bytes + (80 + 24) * 512,
                        2048);
    assert_true(holds(w, DATA_PAGE + 4, 80 + 28, 7));
    assert_int_equal(w->sim->copy_calls, 0);
    assert_int_equal(counters(w).in_place, 1);
    assert_int_equal(counters(w).read_bytes, (10 * 8 + 4) * 512);
    end_world(w);
}

static void ask_indirect(struct world *w, uint64_t id, uint64_t sector)
{
    struct hand_indirect r = {.inner = 0, .count = INDIRECT_SEGMENTS, .id = id, .sector = sector};
    char *descriptors = sim_page(w->sim, DATA_PAGE - 1);

    r.grants[0] = sim_grant(w->sim, DATA_PAGE - 1, false);
    for (unsigned i = 0; i < INDIRECT_SEGMENTS; i++) {
        uint32_t grant = sim_grant(w->sim, DATA_PAGE + i, false);

        memcpy(descriptors + (size_t)i * 8, &grant, sizeof grant);
        descriptors[i * 8 + 4] = 0;
        descriptors[i * 8 + 5] = 7;
    }
    handfront_put_indirect(&w->front, &r);
    handfront_push(&w->front);
    pass(w);
}

/* Its vector is longer than those of merged requests. */
static void test_an_indirect_read_goes_into_the_guests_pages(void **state)
{
    struct world *w = keeping_world(64, 512);

    (void)state;
    for (uint64_t id = 0; id < 3; id++) {
        memset(sim_page(w->sim, DATA_PAGE), 0, (size_t)INDIRECT_SEGMENTS * SIM_PAGE);
        ask_indirect(w, id, 256 + id * 8);
        assert_int_equal(w->disk.held[0]->memory_count, INDIRECT_SEGMENTS);
        assert_int_equal(finish(w, id), 0);
        assert_true(holds(w, DATA_PAGE, 256 + id * 8, INDIRECT_SEGMENTS));
    }
    assert_int_equal(counters(w).in_place, 3);
    end_world(w);
}

static void expect_copied(struct world *w, const struct hand_request *r)
{
    run(w, r);
    assert_int_equal(w->disk.count, 1);
    assert_int_equal(w->disk.held[0]->memory_count, 1);
    assert_true(into_a_buffer(w, w->disk.held[0]));
    assert_int_equal(finish(w, r->id), 0);
    assert_int_equal(counters(w).in_place, 0);
}

static void test_a_storage_that_minds_gets_memory_of_its_own(void **state)
{
    struct world *w = keeping_world(64, 0);
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE, 3);

    (void)state;
    expect_copied(w, &r);
    assert_true(holds(w, DATA_PAGE, 80, 3));
    end_world(w);
}

static void test_segments_smaller_than_the_storages_unit_are_copied(void **state)
{
    struct world *w = keeping_world(64, 4096);
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE, 2);

    (void)state;
    r.segments[0].first = 4;
    r.segments[1].last = 3;
    expect_copied(w, &r);
    assert_memory_equal(sim_page(w->sim, DATA_PAGE) + 2048, w->disk.bytes + 80 * 512, 4096);
    end_world(w);
}

/* One of its pages can't be mapped: none is held, and the answer says which did not arrive. */
static void test_a_page_without_a_mapping_sends_all_by_copy(void **state)
{
    struct world *w = keeping_world(2, 512);
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE, 3);

    (void)state;
    expect_copied(w, &r);
    assert_true(holds(w, DATA_PAGE, 80, 3));
    w->now += second;
    write_page(w, 2, DATA_PAGE + 20); /* takes the place of one that nobody holds */
    assert_int_equal(counters(w).grants_released, 1);
    end_world(w);
}

/* There is no room, since nothing that is mapped is idle, whatever the time. */
static void write_a_page_by_copy(struct world *w, uint64_t id)
{
    struct hand_request r = whole_pages(w, 1, id, 800, DATA_PAGE + 20, 1);
    int before = w->sim->copy_calls;

    w->now += minute;
    run(w, &r);
    assert_int_equal(w->sim->copy_calls, before + 1);
    complete(&w->disk, w->disk.count - 1);
    pass(w);
    assert_int_equal(expect_answer(w, id), 0);
}

static void test_a_page_under_way_keeps_its_place(void **state)
{
    struct world *w = keeping_world(2, 512);
    int mapped = w->sim->mapped_pages;
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE, 2), again = r;

    (void)state;
    again.id = 2; /* into the same pages: held twice */
    run(w, &r);
    run(w, &again);
    write_a_page_by_copy(w, 3);
    complete(&w->disk, 0);
    w->now += minute;
    pass(w);
    assert_int_equal(expect_answer(w, 1), 0);
    assert_int_equal(w->sim->mapped_pages, mapped + 2);
    assert_int_equal(counters(w).grants_released, 0);
    assert_int_equal(finish(w, 2), 0);
    w->now += minute;
    pass(w);
    assert_int_equal(w->sim->mapped_pages, mapped);
    end_world(w);
}

/* The page can't be reached. */
static void fail_in_place(struct world *w)
{
    w->disk.fail_next = 1;
    w->disk.fail_with = -EFAULT;
    complete(&w->disk, 0);
    pass(w);
}

static void test_what_fails_in_place_is_tried_by_copy(void **state)
{
    struct world *w = keeping_world(64, 512);
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE, 3);

    (void)state;
    run(w, &r);
    fail_in_place(w);
    expect_nothing(w);
    assert_true(into_a_buffer(w, w->disk.held[0]));
    assert_int_equal(w->disk.held[0]->memory_count, 1);
    assert_int_equal(finish(w, 1), 0);
    assert_true(holds(w, DATA_PAGE, 80, 3));
    assert_int_equal(counters(w).storage_errors, 0);
    end_world(w);
}

static void test_what_fails_by_copy_too_is_an_error(void **state)
{
    struct world *w = keeping_world(64, 512);
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE, 3);

    (void)state;
    run(w, &r);
    fail_in_place(w);
    fail_in_place(w);
    assert_int_equal(expect_answer(w, 1), -1);
    assert_int_equal(counters(w).storage_errors, 1);
    r.id = 2; /* the slot is as any other again */
    run(w, &r);
    assert_int_equal(finish(w, 2), 0);
    assert_int_equal(counters(w).in_place, 1);
    end_world(w);
}

static void test_an_error_of_the_disk_is_not_tried_again(void **state)
{
    struct world *w = keeping_world(64, 512);
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE, 3);

    (void)state;
    run(w, &r);
    w->disk.fail_next = 1;
    complete(&w->disk, 0);
    pass(w);
    assert_int_equal(w->disk.count, 0);
    assert_int_equal(expect_answer(w, 1), -1);
    assert_int_equal(counters(w).storage_errors, 1);
    end_world(w);
}

/* The slot is used again, with a vector that lies in itself. */
static void test_a_large_read_that_fails_in_place_is_tried_by_copy(void **state)
{
    struct world *w = keeping_world(64, 512);
    struct hand_request r = whole_pages(w, 0, 2, 80, DATA_PAGE, 3);

    (void)state;
    ask_indirect(w, 1, 256);
    fail_in_place(w);
    assert_int_equal(w->disk.held[0]->memory_count, 1);
    assert_int_equal(finish(w, 1), 0);
    assert_true(holds(w, DATA_PAGE, 256, INDIRECT_SEGMENTS));
    run(w, &r);
    assert_int_equal(w->disk.held[0]->memory_count, 3);
    assert_int_equal(finish(w, 2), 0);
    assert_true(holds(w, DATA_PAGE, 80, 3));
    end_world(w);
}

static void ask_neighbours(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct hand_request r = whole_pages(w, 0, i, i * 16, DATA_PAGE + i * 2, 2);

        handfront_put(&w->front, &r);
    }
    handfront_push(&w->front);
    pass(w);
}

static void expect_neighbours(struct world *w, unsigned count)
{
    pass(w);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(expect_answer(w, i), 0);
    assert_true(holds(w, DATA_PAGE, 0, 2 * count));
}

static void test_neighbours_in_place_are_merged(void **state)
{
    struct world *w = keeping_world(64, 512);

    (void)state;
    ask_neighbours(w, 9); /* eight of them have sixteen pages */
    assert_int_equal(w->disk.count, 2);
    assert_int_equal(w->disk.held[0]->memory_count, VBD_MERGE_MAX);
    complete_all(&w->disk);
    expect_neighbours(w, 9);
    assert_int_equal(counters(w).in_place, 9);
    assert_int_equal(counters(w).merges, 7);
    end_world(w);
}

static void test_neighbours_in_place_that_fail_are_tried_alone(void **state)
{
    struct world *w = keeping_world(64, 512);

    (void)state;
    ask_neighbours(w, 4);
    assert_int_equal(w->disk.count, 1);
    fail_in_place(w);
    assert_int_equal(w->disk.count, 4);
    complete_all(&w->disk);
    expect_neighbours(w, 4);
    assert_int_equal(counters(w).in_place, 0);
    end_world(w);
}

/* Behind a barrier, where nothing is in the batch. */
static void test_reads_behind_a_barrier_are_answered(void **state)
{
    struct world *w = keeping_world(64, 512);
    struct hand_request barrier = whole_pages(w, 2, 0, 0, DATA_PAGE, 1);
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE + 1, 3);

    (void)state;
    handfront_put(&w->front, &barrier);
    handfront_put(&w->front, &r);
    handfront_push(&w->front);
    pass(w);
    for (int steps = 0; steps < 5; steps++) {
        complete_all(&w->disk);
        pass(w);
    }
    assert_int_equal(expect_answer(w, 0), 0);
    assert_int_equal(expect_answer(w, 1), 0);
    assert_true(holds(w, DATA_PAGE + 1, 80, 3));
    end_world(w);
}

/* A run that broke off: the storage answers no more. */
static void test_pages_of_a_run_that_broke_off_are_given_back(void **state)
{
    struct world *w = keeping_world(8, 512);
    int mapped = w->sim->mapped_pages;
    struct hand_request r = whole_pages(w, 0, 1, 80, DATA_PAGE, 2);

    (void)state;
    run(w, &r);
    assert_int_equal(w->sim->mapped_pages, mapped + 2);
    w->disk.count = 0;
    vbd_queue_end(w->queue);
    assert_int_equal(w->sim->mapped_pages, mapped + 2);
    vbd_queue_free(w->queue);
    assert_int_equal(w->sim->mapped_pages, mapped);
    assert_int_equal(w->sim->own_mappings, 0);
    leave_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_read_goes_into_the_guests_pages),
        cmocka_unit_test(test_an_indirect_read_goes_into_the_guests_pages),
        cmocka_unit_test(test_a_storage_that_minds_gets_memory_of_its_own),
        cmocka_unit_test(test_segments_smaller_than_the_storages_unit_are_copied),
        cmocka_unit_test(test_a_page_without_a_mapping_sends_all_by_copy),
        cmocka_unit_test(test_a_page_under_way_keeps_its_place),
        cmocka_unit_test(test_what_fails_in_place_is_tried_by_copy),
        cmocka_unit_test(test_what_fails_by_copy_too_is_an_error),
        cmocka_unit_test(test_an_error_of_the_disk_is_not_tried_again),
        cmocka_unit_test(test_a_large_read_that_fails_in_place_is_tried_by_copy),
        cmocka_unit_test(test_neighbours_in_place_are_merged),
        cmocka_unit_test(test_neighbours_in_place_that_fail_are_tried_alone),
        cmocka_unit_test(test_reads_behind_a_barrier_are_answered),
        cmocka_unit_test(test_pages_of_a_run_that_broke_off_are_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
