/* test_blkback_ops.c - operations beyond read, write and flush: barriers keep their order, discards
 * reach the storage, indirect requests carry their data, in both layouts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/ring_world.h"

enum { SEGMENTS = 512, DESCRIPTORS = 32 /* guest page of indirect descriptors */ };

static struct world *rich_world(enum handfront_layout layout)
{
    return new_world_of(
        layout, 1,
        (struct vbd_queue_config){
            .disk = {.sectors = DISK_SECTORS, .discard = true, .segments_indirect = SEGMENTS},
            .in_flight_max = 32,
            .memory_pages = 2048});
}

/* --- indirect --- */

static void describe(struct world *w, unsigned at, unsigned page)
{
    char *descriptor = sim_page(w->sim, DESCRIPTORS + at / 512) + (size_t)(at % 512) * 8;
    uint32_t grant = sim_grant(w->sim, page, false);

    memcpy(descriptor, &grant, 4);
    descriptor[4] = 0;
    descriptor[5] = 7;
}

static struct hand_indirect indirect(struct world *w, uint8_t inner, uint64_t id, uint64_t sector,
                                     unsigned page, uint16_t count)
{
    struct hand_indirect r = {.inner = inner, .count = count, .id = id, .sector = sector};

    for (unsigned i = 0; i < count; i++)
        describe(w, i, page + i);
    for (unsigned i = 0; i < 8; i++)
        r.grants[i] = sim_grant(w->sim, DESCRIPTORS + i, true);
    return r;
}

/* It is answered as what it wraps: Linux' front wants that. */
static int16_t run_indirect(struct world *w, const struct hand_indirect *r)
{
    struct hand_response response;

    handfront_put_indirect(&w->front, r);
    handfront_push(&w->front);
    pass(w);
    complete_all(&w->disk);
    pass(w);
    assert_true(handfront_take(&w->front, &response));
    assert_int_equal(response.id, r->id);
    assert_int_equal(response.op, r->inner);
    return response.status;
}

static void indirect_there_and_back(enum handfront_layout layout, uint16_t count)
{
    struct world *w = rich_world(layout);
    struct hand_indirect write = indirect(w, 1, 1, 64, DATA_PAGE, count);
    struct hand_indirect read;

    for (unsigned i = 0; i < count; i++)
        memset(sim_page(w->sim, DATA_PAGE + i), (int)(i % 251 + 1), SIM_PAGE);
    assert_int_equal(run_indirect(w, &write), 0);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(w->disk.bytes[64 * 512 + i * SIM_PAGE + 4095], i % 251 + 1);
    read = indirect(w, 0, 2, 64, DATA_PAGE + 600, count);
    assert_int_equal(run_indirect(w, &read), 0);
    for (unsigned i = 0; i < count; i++)
        assert_memory_equal(sim_page(w->sim, DATA_PAGE + i), sim_page(w->sim, DATA_PAGE + 600 + i),
                            SIM_PAGE);
    assert_int_equal(counters(w).indirect, 2);
    end_world(w);
}

static void test_indirect_requests_carry_their_data(void **state)
{
    static const uint16_t counts[] = {1, 11, 12, 32, 256, 511, 512};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        indirect_there_and_back(HAND_X86_64, counts[i]);
        indirect_there_and_back(HAND_X86_32, counts[i]);
    }
}

static void test_bad_indirect_requests_reach_no_storage(void **state)
{
    struct world *w = rich_world(HAND_X86_64);
    struct hand_indirect good = indirect(w, 0, 1, 0, DATA_PAGE, 4), r;

    (void)state;
    r = good; /* one segment too many */
    r.count = SEGMENTS + 1;
    assert_int_equal(run_indirect(w, &r), -1);
    r = good;
    r.id = 2;
    r.count = 0;
    assert_int_equal(run_indirect(w, &r), -1);
    for (unsigned inner = 2; inner < 9; inner++) {
        r = good;
        r.id = 10 + inner;
        r.inner = (uint8_t)inner;
        assert_int_equal(run_indirect(w, &r), -2);
    }
    r = good;
    r.id = 3;
    r.grants[0] = 4000000; /* no such page of descriptors */
    assert_int_equal(run_indirect(w, &r), -1);
    r = good;
    r.id = 4;
    r.sector = DISK_SECTORS - 31;
    assert_int_equal(run_indirect(w, &r), -1);
    r = good;
    r.id = 5;
    memset(sim_page(w->sim, DESCRIPTORS), 0xff, SIM_PAGE); /* garbage */
    assert_int_equal(run_indirect(w, &r), -1);
    assert_int_equal(w->disk.submits, 0);
    end_world(w);
}

/* --- discard --- */

static int16_t run_discard(struct world *w, const struct hand_discard *r)
{
    handfront_put_discard(&w->front, r);
    handfront_push(&w->front);
    pass(w);
    complete_all(&w->disk);
    pass(w);
    return expect_answer(w, r->id);
}

static void discard_in(enum handfront_layout layout)
{
    struct world *w = rich_world(layout);

    memset(w->disk.bytes, 0xaa, (size_t)DISK_SECTORS * 512);
    assert_int_equal(run_discard(w, &(struct hand_discard){0, 1, 16, 1000}), 0);
    assert_int_equal(w->disk.bytes[16 * 512 - 1], 0xaa);
    assert_int_equal(w->disk.bytes[16 * 512], 0);
    assert_int_equal(w->disk.bytes[1016 * 512 - 1], 0);
    assert_int_equal(w->disk.bytes[1016 * 512], 0xaa);
    assert_int_equal(run_discard(w, &(struct hand_discard){0, 2, 0, DISK_SECTORS}), 0);
    assert_int_equal(run_discard(w, &(struct hand_discard){0, 3, 0, DISK_SECTORS + 1}), -1);
    assert_int_equal(run_discard(w, &(struct hand_discard){0, 4, 1, UINT64_MAX}), -1);
    assert_int_equal(run_discard(w, &(struct hand_discard){0, 5, 1, 0}), -1);
    assert_int_equal(run_discard(w, &(struct hand_discard){1, 6, 1, 1}), -2); /* secure */
    assert_int_equal(counters(w).discarded_bytes, (1000 + DISK_SECTORS) * 512);
    end_world(w);
}

static void test_discards_reach_the_storage(void **state)
{
    (void)state;
    discard_in(HAND_X86_64);
    discard_in(HAND_X86_32);
}

static void test_a_flush_waits_for_discards_too(void **state)
{
    struct world *w = rich_world(HAND_X86_64);
    struct hand_request flush = {.op = 3, .id = 2};

    (void)state;
    handfront_put_discard(&w->front, &(struct hand_discard){0, 1, 16, 8});
    handfront_put(&w->front, &flush);
    handfront_push(&w->front);
    pass(w);
    assert_int_equal(w->disk.count, 1);
    complete(&w->disk, 0);
    pass(w);
    assert_int_equal(w->disk.held[0]->op, VBD_IO_FLUSH);
    assert_int_equal(finish(w, 1), 0);
    assert_int_equal(expect_answer(w, 2), 0);
    end_world(w);
}

/* --- barriers --- */

static void expect_held(struct world *w, int count, enum vbd_io_op op)
{
    assert_int_equal(w->disk.count, count);
    assert_int_equal(w->disk.held[0]->op, op);
}

static void step(struct world *w)
{
    complete(&w->disk, 0);
    pass(w);
}

static void test_a_barrier_is_a_flush_a_write_and_a_flush_between_all_others(void **state)
{
    struct world *w = rich_world(HAND_X86_64);
    struct hand_request before = whole_pages(w, 1, 1, 0, DATA_PAGE, 1);
    struct hand_request barrier = whole_pages(w, 2, 2, 64, DATA_PAGE, 1);
    struct hand_request after = whole_pages(w, 1, 3, 128, DATA_PAGE, 1);

    (void)state;
    memset(sim_page(w->sim, DATA_PAGE), 0x5a, SIM_PAGE);
    handfront_put(&w->front, &before);
    handfront_put(&w->front, &barrier);
    handfront_put(&w->front, &after);
    handfront_push(&w->front);
    pass(w);
    expect_held(w, 1, VBD_IO_WRITE); /* the one before, alone */
    step(w);
    assert_int_equal(expect_answer(w, 1), 0);
    expect_held(w, 1, VBD_IO_FLUSH);
    step(w);
    expect_held(w, 1, VBD_IO_WRITE);
    assert_int_equal(w->disk.held[0]->offset, 64 * 512);
    step(w);
    expect_held(w, 1, VBD_IO_FLUSH);
    expect_nothing(w);
    step(w);
    assert_int_equal(expect_answer(w, 2), 0);
    expect_held(w, 1, VBD_IO_WRITE);
    assert_int_equal(w->disk.held[0]->offset, 128 * 512);
    step(w);
    assert_int_equal(expect_answer(w, 3), 0);
    assert_int_equal(w->disk.bytes[64 * 512], 0x5a);
    end_world(w);
}

/* Wherever it points to: Linux sends such a one as a flush, with a sector of all ones. */
static void test_a_barrier_without_data_is_one_flush(void **state)
{
    struct world *w = rich_world(HAND_X86_64);
    struct hand_request barrier = {.op = 2, .id = 1, .sector = UINT64_MAX};

    (void)state;
    run(w, &barrier);
    expect_held(w, 1, VBD_IO_FLUSH);
    step(w);
    assert_int_equal(expect_answer(w, 1), 0);
    assert_int_equal(w->disk.count, 0);
    end_world(w);
}

static void test_a_barrier_that_fails_lets_the_next_on(void **state)
{
    for (int fails = 0; fails < 3; fails++) {
        struct world *w = rich_world(HAND_X86_64);
        struct hand_request barrier = whole_pages(w, 2, 1, 64, DATA_PAGE, 1);
        struct hand_request after = whole_pages(w, 0, 2, 128, DATA_PAGE, 1);

        (void)state;
        handfront_put(&w->front, &barrier);
        handfront_put(&w->front, &after);
        handfront_push(&w->front);
        pass(w);
        for (int i = 0; i < fails; i++)
            step(w);
        w->disk.fail_next = 1;
        step(w);
        assert_int_equal(expect_answer(w, 1), -1);
        step(w);
        assert_int_equal(expect_answer(w, 2), 0);
        end_world(w);
    }
}

/* A flush that waits for a write is in flight for a barrier behind it. */
static void test_a_barrier_waits_for_a_flush_that_waits(void **state)
{
    struct world *w = rich_world(HAND_X86_64);
    struct hand_request write = whole_pages(w, 1, 1, 0, DATA_PAGE, 1);
    struct hand_request flush = {.op = 3, .id = 2}, barrier = {.op = 2, .id = 3};

    (void)state;
    handfront_put(&w->front, &write);
    handfront_put(&w->front, &flush);
    handfront_put(&w->front, &barrier);
    handfront_push(&w->front);
    pass(w);
    for (uint64_t id = 1; id <= 3; id++) {
        assert_int_equal(w->disk.count, 1);
        step(w);
        assert_int_equal(expect_answer(w, id), 0);
    }
    end_world(w);
}

static void test_a_barrier_whose_grant_is_bad_stops_nobody(void **state)
{
    struct world *w = rich_world(HAND_X86_64);
    struct hand_request barrier = {.op = 2, .count = 1, .id = 1, .segments = {{4000000, 0, 7}}};
    struct hand_request after = whole_pages(w, 0, 2, 128, DATA_PAGE, 1);

    (void)state;
    handfront_put(&w->front, &barrier);
    handfront_put(&w->front, &after);
    handfront_push(&w->front);
    pass(w);
    step(w);
    assert_int_equal(expect_answer(w, 1), -1);
    assert_int_equal(expect_answer(w, 2), 0);
    end_world(w);
}

/* --- order and neighbours --- */

static void test_answers_come_in_the_order_of_requests_when_wanted(void **state)
{
    struct world *w = new_world_of(HAND_X86_64, 1,
                                   (struct vbd_queue_config){.disk = {.sectors = DISK_SECTORS},
                                                             .in_order = true,
                                                             .in_flight_max = 32,
                                                             .memory_pages = 64});
    struct hand_request bad = {.op = 77, .id = 3};

    (void)state;
    for (uint64_t id = 0; id < 3; id++) {
        struct hand_request r = whole_pages(w, 0, id, id * 64, DATA_PAGE, 1);

        handfront_put(&w->front, &r);
    }
    handfront_put(&w->front, &bad);
    handfront_push(&w->front);
    pass(w);
    complete(&w->disk, 2);
    pass(w);
    expect_nothing(w);
    complete(&w->disk, 1);
    pass(w);
    expect_nothing(w);
    complete(&w->disk, 0);
    pass(w);
    for (uint64_t id = 0; id < 4; id++)
        assert_int_equal(expect_answer(w, id), id == 3 ? -2 : 0);
    end_world(w);
}

static void put_neighbours(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct hand_request r = whole_pages(w, 1, i, i * 8, DATA_PAGE + i, 1);

        memset(sim_page(w->sim, DATA_PAGE + i), (int)i + 1, SIM_PAGE);
        handfront_put(&w->front, &r);
    }
    handfront_push(&w->front);
    pass(w);
}

static void test_neighbours_go_to_the_storage_as_one(void **state)
{
    struct world *w = rich_world(HAND_X86_64);

    (void)state;
    put_neighbours(w, 20);
    assert_int_equal(w->disk.count, 2);
    assert_int_equal(counters(w).merges, 18);
    complete_all(&w->disk);
    pass(w);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(expect_answer(w, i), 0);
        assert_int_equal(w->disk.bytes[i * SIM_PAGE + 77], i + 1);
    }
    end_world(w);
}

/* One bad block fails its own request alone. */
static void test_an_error_among_neighbours_fails_its_own_request_alone(void **state)
{
    struct world *w = rich_world(HAND_X86_64);

    (void)state;
    put_neighbours(w, 4);
    assert_int_equal(w->disk.count, 1);
    w->disk.fail_next = 1;
    complete(&w->disk, 0);
    pass(w);
    assert_int_equal(w->disk.count, 4);
    w->disk.fail_next = 1;
    complete_all(&w->disk);
    pass(w);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(expect_answer(w, i), i == 0 ? -1 : 0);
    end_world(w);
}

static void test_large_sectors_are_kept(void **state)
{
    struct world *w =
        new_world_of(HAND_X86_64, 1,
                     (struct vbd_queue_config){
                         .disk = {.sectors = DISK_SECTORS, .discard = true, .block_mask = 7},
                         .in_flight_max = 32,
                         .memory_pages = 64});
    struct hand_request r = whole_pages(w, 0, 1, 8, DATA_PAGE, 1);

    (void)state;
    run(w, &r);
    assert_int_equal(finish(w, 1), 0);
    r.id = 2;
    r.sector = 9;
    run(w, &r);
    assert_int_equal(expect_answer(w, 2), -1);
    r.id = 3;
    r.sector = 8;
    r.segments[0].last = 3;
    run(w, &r);
    assert_int_equal(expect_answer(w, 3), -1);
    assert_int_equal(run_discard(w, &(struct hand_discard){0, 4, 8, 4}), -1);
    assert_int_equal(run_discard(w, &(struct hand_discard){0, 5, 8, 16}), 0);
    assert_int_equal(counters(w).refused_alignment, 3);
    end_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_indirect_requests_carry_their_data),
        cmocka_unit_test(test_bad_indirect_requests_reach_no_storage),
        cmocka_unit_test(test_discards_reach_the_storage),
        cmocka_unit_test(test_a_flush_waits_for_discards_too),
        cmocka_unit_test(test_a_barrier_is_a_flush_a_write_and_a_flush_between_all_others),
        cmocka_unit_test(test_a_barrier_without_data_is_one_flush),
        cmocka_unit_test(test_a_barrier_that_fails_lets_the_next_on),
        cmocka_unit_test(test_a_barrier_waits_for_a_flush_that_waits),
        cmocka_unit_test(test_a_barrier_whose_grant_is_bad_stops_nobody),
        cmocka_unit_test(test_answers_come_in_the_order_of_requests_when_wanted),
        cmocka_unit_test(test_neighbours_go_to_the_storage_as_one),
        cmocka_unit_test(test_an_error_among_neighbours_fails_its_own_request_alone),
        cmocka_unit_test(test_large_sectors_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
