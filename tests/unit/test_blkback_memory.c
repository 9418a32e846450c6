/* test_blkback_memory.c - limits of memory, and a disk that changes its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/ring_world.h"

static struct world *small_world(uint32_t memory_pages)
{
    return new_world_of(HAND_X86_64, 1,
                        (struct vbd_queue_config){.disk = {.sectors = DISK_SECTORS},
                                                  .in_flight_max = 32,
                                                  .memory_pages = memory_pages});
}

/* Three requests of eleven pages, each in sixteen: one at a time fits. */
static void test_requests_wait_for_memory_in_ring_order(void **state)
{
    struct world *w = small_world(16);

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
    assert_int_equal(finish(w, 1), 0);
    assert_int_equal(expect_answer(w, 2), 0);
    handfront_put(&w->front, &large);
    run(w, &refused);
    assert_int_equal(w->disk.count, 1);
    assert_int_equal(finish(w, 3), 0);
    assert_int_equal(expect_answer(w, 4), -1);
    end_world(w);
}

static void test_a_disk_grows_and_shrinks_under_its_queue(void **state)
{
    struct world *w = small_world(64);
    struct hand_request last = whole_pages(w, 0, 1, DISK_SECTORS - 8, DATA_PAGE, 1);

    (void)state;
    vbd_queue_resize(w->queue, DISK_SECTORS - 8);
    run(w, &last);
    assert_int_equal(expect_answer(w, 1), -1);
    vbd_queue_resize(w->queue, DISK_SECTORS);
    last.id = 2;
    run(w, &last);
    assert_int_equal(finish(w, 2), 0);
    end_world(w);
}

/* One read, measured. */
static void expect_latency(const struct world *w)
{
    struct vbd_latency l = {{0}, {0}, {0}};
    uint64_t count = 0;

    vbd_queue_latency(w->queue, &l);
    for (unsigned i = 0; i < VBD_LATENCY_RANGES; i++) {
        if (l.reads[i] > 0)
            assert_in_range(vbd_latency_end(i), 1000000, 1300000);
        count += l.reads[i] + l.writes[i] + l.others[i];
    }
    assert_int_equal(count, 1);
}

static void test_latency_is_the_time_from_taken_to_answered(void **state)
{
    struct world *w = small_world(64);
    struct hand_request r = whole_pages(w, 0, 1, 0, DATA_PAGE, 1);

    (void)state;
    run(w, &r);
    w->now += 1000000;
    assert_int_equal(finish(w, 1), 0);
    expect_latency(w);
    end_world(w);
}

static void complete_at_once(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    (void)channel;
    for (size_t i = 0; i < count; i++)
        ios[i]->done(ios[i], 0);
}

static uint64_t a_millisecond_later(void)
{
    return 1000001;
}

/* The pass that takes the request answers it. */
static void test_latency_of_a_storage_that_completes_at_once(void **state)
{
    static const struct vbd_channel_ops ops = {.struct_size = sizeof ops,
                                               .submit = complete_at_once};
    struct world *w = new_world_of(HAND_X86_64, 1,
                                   (struct vbd_queue_config){.disk = {.sectors = DISK_SECTORS},
                                                             .in_flight_max = 32,
                                                             .memory_pages = 64,
                                                             .now = a_millisecond_later});
    struct hand_request r = whole_pages(w, 0, 1, 0, DATA_PAGE, 1);

    (void)state;
    w->disk.channel.ops = &ops;
    run(w, &r);
    assert_int_equal(expect_answer(w, 1), 0);
    expect_latency(w);
    end_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_wait_for_memory_in_ring_order),
        cmocka_unit_test(test_a_refused_request_keeps_no_memory),
        cmocka_unit_test(test_a_disk_grows_and_shrinks_under_its_queue),
        cmocka_unit_test(test_latency_is_the_time_from_taken_to_answered),
        cmocka_unit_test(test_latency_of_a_storage_that_completes_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
