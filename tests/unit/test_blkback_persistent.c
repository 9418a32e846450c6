/* test_blkback_persistent.c - grants that stay mapped. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/ring_world.h"

static const uint64_t minute = 60000000000u, second = 1000000000u;

static void test_grants_that_stay_are_mapped_once(void **state)
{
    struct world *w = keeping_world(8, 0);
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
    struct world *w = keeping_world(4, 0);
    int mapped = w->sim->mapped_pages;
    uint64_t id = 0;

    (void)state;
    for (unsigned page = 0; page < 4; page++)
        write_page(w, id++, DATA_PAGE + page);
    w->now += second;
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
    struct world *w = keeping_world(8, 0);
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
    struct world *w = keeping_world(8, 0);
    struct hand_request r = {.op = 1, .count = 1, .id = 1};

    (void)state;
    r.segments[0] = (struct hand_segment){sim_grant(w->sim, DATA_PAGE, true), 0, 7};
    run(w, &r);
    assert_int_equal(finish(w, 1), 0);
    r.id = 2;
    r.op = 0; /* a read into it is refused by the copy */
    run(w, &r);
    assert_int_equal(finish(w, 2), -1);
    end_world(w);
}

/* More pages than the limit, in turn: those that have no room are copied, and none goes for them.
 */
static void test_what_finds_no_room_is_copied(void **state)
{
    struct world *w = keeping_world(4, 0);

    (void)state;
    for (uint64_t id = 0; id < 40; id++)
        write_page(w, id, DATA_PAGE + id % 8);
    assert_int_equal(counters(w).grants_mapped, 4);
    assert_int_equal(counters(w).grants_released, 0);
    assert_int_equal(w->sim->copy_calls, 20);
    end_world(w);
}

/* Not again with each request: a call that fails costs as much as one that does not. */
static void test_a_grant_that_can_not_be_mapped_makes_a_pause(void **state)
{
    struct world *w = keeping_world(8, 0);
    struct hand_request r = {.op = 1, .count = 1};

    (void)state;
    r.segments[0] = (struct hand_segment){sim_grant(w->sim, DATA_PAGE, true), 0, 7};
    run(w, &r);
    assert_int_equal(finish(w, 0), 0);
    write_page(w, 1, DATA_PAGE + 1);
    assert_int_equal(counters(w).grants_mapped, 0);
    assert_int_equal(w->sim->copy_calls, 2);
    w->now += second;
    write_page(w, 2, DATA_PAGE + 1);
    assert_int_equal(counters(w).grants_mapped, 1);
    end_world(w);
}

static void test_all_queues_share_a_limit(void **state)
{
    struct world *w = keeping_world(8, 0);
    uint32_t kept = 5; /* other queues' */

    (void)state;
    w->sim->seam.kept = &kept;
    w->sim->seam.kept_max = 7;
    for (uint64_t id = 0; id < 4; id++)
        write_page(w, id, DATA_PAGE + id);
    assert_int_equal(counters(w).grants_mapped, 2);
    assert_int_equal(kept, 7);
    w->now += minute;
    pass(w);
    assert_int_equal(kept, 5);
    end_world(w);
}

static void test_a_queue_maps_for_itself(void **state)
{
    struct world *w = keeping_world(8, 0);
    int mapped = w->sim->mapped_pages;

    (void)state;
    assert_int_equal(w->sim->own_mappings, 0);
    write_page(w, 0, DATA_PAGE);
    write_page(w, 1, DATA_PAGE + 1);
    assert_int_equal(w->sim->own_mappings, 1);
    assert_int_equal(w->sim->mappings.pages, mapped); /* the ring, and no more than before */
    vbd_queue_end(w->queue);                          /* on the queue's thread */
    assert_int_equal(w->sim->mapped_pages, mapped);
    assert_int_equal(w->sim->own_mappings, 0);
    vbd_queue_begin(w->queue, &w->disk.channel);
    write_page(w, 2, DATA_PAGE);
    assert_int_equal(w->sim->own_mappings, 1);
    end_world(w);
}

static void test_a_hypervisor_may_have_one_room_for_all_mappings(void **state)
{
    struct world *w = keeping_world(8, 0);
    int mapped = w->sim->mapped_pages;

    (void)state;
    w->sim->seam.open_mappings = NULL;
    w->sim->seam.close_mappings = NULL;
    write_page(w, 0, DATA_PAGE);
    assert_int_equal(w->sim->mappings.pages, mapped + 1);
    end_world(w);
}

static int open_nothing(void *ctx, void **ret)
{
    (void)ctx;
    (void)ret;
    return -EMFILE;
}

static void test_without_room_to_map_data_is_copied(void **state)
{
    struct world *w = keeping_world(8, 0);

    (void)state;
    w->sim->seam.open_mappings = open_nothing;
    write_page(w, 0, DATA_PAGE);
    assert_int_equal(w->sim->copy_calls, 1);
    assert_int_equal(counters(w).grants_mapped, 0);
    end_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grants_that_stay_are_mapped_once),
        cmocka_unit_test(test_the_grant_unused_longest_goes_at_the_limit),
        cmocka_unit_test(test_idle_grants_are_given_back),
        cmocka_unit_test(test_a_grant_to_read_alone_is_copied),
        cmocka_unit_test(test_what_finds_no_room_is_copied),
        cmocka_unit_test(test_a_grant_that_can_not_be_mapped_makes_a_pause),
        cmocka_unit_test(test_all_queues_share_a_limit),
        cmocka_unit_test(test_a_queue_maps_for_itself),
        cmocka_unit_test(test_a_hypervisor_may_have_one_room_for_all_mappings),
        cmocka_unit_test(test_without_room_to_map_data_is_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
