/* test_blkfront.c - blkfront's queue against blkback's, over a simulated hypervisor: operations
 * split and joined, barriers, memory that the back reaches, backends that come and go. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/front_world.h"

enum { MANY = 64, MIB = 1 << 20 };

static void fill(unsigned char *bytes, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)((seed = seed * 1664525 + 1013904223) >> 24);
}

static const unsigned char *on_disk(const struct front_world *w, uint64_t offset)
{
    return w->back->disk.bytes + offset;
}

/* --- splitting and joining --- */

static void write_and_read(struct front_world *w, uint64_t offset, uint64_t length)
{
    unsigned char *out = malloc(length), *in = malloc(length);

    fill(out, length, (unsigned)(offset + length));
    memset(in, 0xee, length);
    assert_int_equal(front_op_run(w, VBD_IO_WRITE, offset, length, out), 0);
    assert_memory_equal(on_disk(w, offset), out, length);
    assert_int_equal(front_op_run(w, VBD_IO_READ, offset, length, in), 0);
    assert_memory_equal(in, out, length);
    free(out);
    free(in);
}

static void test_any_length_at_any_sector(void **state)
{
    static const uint64_t lengths[] = {512, 1024, 3584, 4096, 4608, 45056, 45568, 1049088, 3 * MIB};
    static const uint32_t segments[] = {1, 11, 12, 256, 1024};

    (void)state;
    for (size_t s = 0; s < 5; s++) {
        struct front_world *w = front_world_new(1, s == 0 ? 4 : 300, segments[s]);

        front_world_connect(w);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
            write_and_read(w, i * 512, lengths[i]);
        front_world_free(w);
    }
}

static void test_pieces_of_memory_of_any_size(void **state)
{
    struct front_world *w = front_world_new(1, 16, 11);
    unsigned char *out = malloc(8192), in[8192];
    struct front_op op = {
        .io = {.op = VBD_IO_WRITE, .length = 8192, .memory_count = 5},
        .memory = {
            {out, 1}, {out + 1, 4094}, {out + 4095, 2}, {out + 4097, 0}, {out + 4097, 4095}}};

    (void)state;
    fill(out, 8192, 1);
    front_world_connect(w);
    front_op_send(w, &op);
    front_world_settle(w);
    assert_int_equal(op.result, 0);
    assert_memory_equal(on_disk(w, 0), out, 8192);
    op = (struct front_op){.io = {.op = VBD_IO_READ, .length = 8192, .memory_count = 3},
                           .memory = {{in, 4097}, {in + 4097, 1}, {in + 4098, 4094}}};
    front_op_send(w, &op);
    front_world_settle(w);
    assert_memory_equal(in, out, 8192);
    front_world_free(w);
    free(out);
}

static void test_neighbours_go_as_one_request(void **state)
{
    struct front_world *w = front_world_new(1, 64, 32);
    unsigned char *bytes = malloc(MANY * 4096), *in = malloc(MANY * 4096);
    struct front_op ops[MANY];

    (void)state;
    fill(bytes, MANY * 4096, 2);
    front_world_connect(w);
    for (unsigned i = 0; i < MANY; i++)
        front_op_submit(w, &ops[i], VBD_IO_WRITE, i * 4096, 4096, bytes + i * 4096);
    front_world_settle(w);
    assert_int_equal(w->front.counters.requests, 2);
    assert_int_equal(w->front.counters.merged, MANY - 2);
    assert_memory_equal(on_disk(w, 0), bytes, MANY * 4096);
    for (unsigned i = 0; i < MANY; i++) /* of 1.5 pages: a request ends amid one */
        front_op_submit(w, &ops[i], VBD_IO_READ, i * 6144 % (40 * 6144), 6144, in + i % 40 * 6144);
    front_world_settle(w);
    for (unsigned i = 0; i < MANY; i++)
        assert_true(ops[i].done == 1 && ops[i].result == 0);
    assert_memory_equal(in, bytes, 40 * 6144);
    front_world_free(w);
    free(bytes);
    free(in);
}

static void test_what_cannot_be_is_refused_and_the_rest_goes_on(void **state)
{
    static const struct {
        enum vbd_io_op op;
        uint64_t offset, length;
        int result;
    } bad[] = {{VBD_IO_READ, 1, 512, -EINVAL},
               {VBD_IO_READ, 0, 513, -EINVAL},
               {VBD_IO_READ, FRONT_DISK_BYTES, 512, -EINVAL},
               {VBD_IO_READ, UINT64_MAX - 511, 1024, -EINVAL},
               {VBD_IO_WRITE, FRONT_DISK_BYTES - 512, 1024, -EINVAL},
               {VBD_IO_BARRIER, 0, 0, -EINVAL},
               {VBD_IO_READ, 0, 0, 0}};
    struct front_world *w = front_world_new(1, 16, 11);
    unsigned char bytes[4096];

    (void)state;
    front_world_connect(w);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct front_op wrong, right;

        front_op_submit(w, &right, VBD_IO_WRITE, 4096, 4096, bytes);
        front_op_submit(w, &wrong, bad[i].op, bad[i].offset, bad[i].length, bytes);
        front_world_settle(w);
        assert_int_equal(wrong.result, bad[i].result);
        assert_true(wrong.done == 1 && right.done == 1 && right.result == 0);
    }
    w->front.disk.read_only = true;
    assert_int_equal(front_op_run(w, VBD_IO_WRITE, 0, 512, bytes), -EROFS);
    assert_int_equal(front_op_run(w, VBD_IO_ZERO, 0, 512, NULL), -EROFS);
    w->front.disk.discard = w->front.disk.flush = w->front.disk.barrier = false;
    assert_int_equal(front_op_run(w, VBD_IO_FLUSH, 0, 0, NULL), -EOPNOTSUPP);
    front_world_free(w);
}

/* --- other operations --- */

static void test_zeroes_and_discards(void **state)
{
    struct front_world *w = front_world_new(1, 20, 11);
    unsigned char bytes[8192], zeroes[8192] = {0};

    (void)state;
    memset(bytes, 0x77, sizeof bytes);
    memset(w->back->disk.bytes, 0x55, FRONT_DISK_BYTES);
    front_world_connect(w);
    assert_int_equal(front_op_run(w, VBD_IO_ZERO, 512, 2 * MIB, NULL), 0);
    assert_int_equal(*on_disk(w, 511), 0x55);
    assert_memory_equal(on_disk(w, 512), zeroes, sizeof zeroes);
    assert_memory_equal(on_disk(w, 512 + 2 * MIB - 8192), zeroes, sizeof zeroes);
    assert_int_equal(*on_disk(w, 512 + 2 * MIB), 0x55);
    assert_int_equal(front_op_run(w, VBD_IO_WRITE, 0, 8192, bytes), 0);
    assert_int_equal(front_op_run(w, VBD_IO_DISCARD, 0, 4096, NULL), 0);
    assert_memory_equal(on_disk(w, 0), zeroes, 4096);
    assert_int_equal(*on_disk(w, 4096), 0x77);
    assert_int_equal(front_op_run(w, VBD_IO_FLUSH, 0, 0, NULL), 0);
    front_world_free(w);
}

/* The disk sees a flush, the data, a flush, and nothing of what came later before them. */
static void test_a_barrier_of_any_size_is_one(void **state)
{
    struct front_world *w = front_world_new(1, 64, 11);
    unsigned char *bytes = malloc(MIB);
    struct slow_disk *disk = &w->back->disk;
    struct front_op before, barrier, after;
    uint64_t seen = 0;

    (void)state;
    fill(bytes, MIB, 3);
    w->disk.barrier = false;
    front_world_connect(w);
    front_op_submit(w, &before, VBD_IO_WRITE, 2 * MIB, 4096, bytes);
    front_op_submit(w, &barrier, VBD_IO_BARRIER, 0, MIB, bytes);
    front_op_submit(w, &after, VBD_IO_WRITE, 3 * MIB, 4096, bytes);
    front_world_turn(w);
    assert_int_equal(disk->count, 1);
    assert_int_equal(w->front.counters.requests, 1); /* another back's flush would not wait */
    complete_all(disk);
    front_world_turn(w);
    assert_int_equal(disk->count, 1);
    assert_int_equal(disk->held[0]->op, VBD_IO_FLUSH);
    for (complete_all(disk), front_world_turn(w); disk->held[0]->op != VBD_IO_FLUSH;
         front_world_turn(w)) {
        assert_true(disk->held[0]->op == VBD_IO_WRITE && disk->held[0]->offset < MIB);
        seen += disk->held[0]->length;
        complete(disk, 0);
    }
    assert_int_equal(seen, MIB);
    assert_true(before.done == 1 && barrier.done == 0);
    front_world_settle(w);
    assert_true(barrier.done == 1 && barrier.result == 0 && after.done == 1);
    assert_memory_equal(on_disk(w, 0), bytes, MIB);
    w->front.disk.barrier = true;
    assert_int_equal(front_op_run(w, VBD_IO_BARRIER, 4096, 8192, bytes), 0);
    assert_memory_equal(on_disk(w, 4096), bytes, 8192);
    front_world_free(w);
    free(bytes);
}

static void test_memory_that_the_back_reaches_is_not_copied(void **state)
{
    struct front_world *w = front_world_new(1, 16, 11);
    unsigned char *shared;
    void *memory;

    (void)state;
    front_world_connect(w);
    assert_int_equal(vbd_buffers_add(&w->buffers, 5 * 4096, &memory), 0);
    shared = memory;
    fill(shared, 5 * 4096, 4);
    assert_int_equal(front_op_run(w, VBD_IO_WRITE, 8192, 4 * 4096, shared + 512), 0);
    assert_memory_equal(on_disk(w, 8192), shared + 512, 4 * 4096);
    assert_int_equal(w->front.counters.uncopied, 1);
    assert_int_equal(front_op_run(w, VBD_IO_READ, 8192, 4096, shared), 0);
    assert_memory_equal(on_disk(w, 8192), shared, 4096);
    assert_int_equal(w->front.counters.uncopied, 2);
    assert_int_equal(front_op_run(w, VBD_IO_WRITE, 0, 512, shared + 100), 0); /* at no sector */
    assert_memory_equal(on_disk(w, 0), shared + 100, 512);
    w->buffers.epoch++; /* the domain is another one: it is copied */
    assert_int_equal(front_op_run(w, VBD_IO_WRITE, 0, 4096, shared), 0);
    assert_int_equal(w->front.counters.uncopied, 2);
    assert_memory_equal(on_disk(w, 0), shared, 4096);
    vbd_buffers_remove(&w->buffers, memory);
    front_world_free(w);
}

/* More segments than all pages of the pool could describe: several requests, not none. */
static void test_a_small_pool_describes_many_segments(void **state)
{
    enum { PIECES = 1100 };
    struct front_world *w = front_world_new(1, 2, 4096);
    struct vbd_iovec *pieces = malloc(PIECES * sizeof *pieces);
    struct front_op op = {.io = {.op = VBD_IO_WRITE, .length = PIECES * 512}};
    void *memory;

    (void)state;
    front_world_connect(w);
    assert_int_equal(vbd_buffers_add(&w->buffers, 4096, &memory), 0);
    fill(memory, 4096, 5);
    for (unsigned i = 0; i < PIECES; i++)
        pieces[i] = (struct vbd_iovec){(char *)memory + i % 8 * 512, 512};
    front_op_send(w, &op);
    op.io.memory = pieces; /* looked at in the first pass */
    op.io.memory_count = PIECES;
    front_world_settle(w);
    assert_true(op.done == 1 && op.result == 0);
    assert_int_equal(w->front.counters.uncopied, 2);
    for (unsigned i = 0; i < PIECES; i++)
        assert_memory_equal(on_disk(w, i * 512), pieces[i].base, 512);
    front_world_free(w);
    free(pieces);
}

static void test_errors_of_the_disk_are_told_once(void **state)
{
    struct front_world *w = front_world_new(1, 64, 11);
    unsigned char *bytes = calloc(1, MIB);
    struct front_op op, other;

    (void)state;
    front_world_connect(w);
    w->back->disk.fail_next = 20; /* one merged operation of the back, and its parts alone */
    front_op_submit(w, &op, VBD_IO_WRITE, 0, MIB, bytes);
    front_world_settle(w);
    w->back->disk.fail_next = 0;
    front_op_submit(w, &other, VBD_IO_WRITE, 2 * MIB, 4096, bytes);
    front_world_settle(w);
    assert_true(op.done == 1 && op.result == -EIO);
    assert_true(other.done == 1 && other.result == 0);
    front_world_free(w);
    free(bytes);
}

/* --- backends that come and go --- */

/* Each operation is done once, though backends with other limits come and go under them; the disk
 * is what the last writes say. */
static void come_and_go(unsigned seed)
{
    static const uint32_t segments[] = {11, 1, 64, 256};
    struct front_world *w = front_world_new(1, 24, 256);
    unsigned char *bytes = malloc(MANY * 65536), *in = malloc(MANY * 65536);
    struct front_op ops[MANY], flush;
    uint64_t once = 0;

    fill(bytes, MANY * 65536, seed);
    for (unsigned i = 0; i < MANY; i++)
        front_op_submit(w, &ops[i], VBD_IO_WRITE, i * 65536,
                        512 * (1 + (seed = seed * 1103515245 + 12345) / 65536 % 128),
                        bytes + i * 65536);
    front_op_submit(w, &flush, VBD_IO_FLUSH, 0, 0, NULL);
    for (unsigned round = 0; round < 8; round++) {
        w->disk.segments = segments[(seed + round) % 4];
        front_world_connect(w);
        front_world_turn(w);
        for (unsigned i = 0; i < round * 3 && w->back->disk.count > 0; i++)
            complete(&w->back->disk, (int)((seed >> i) % (unsigned)w->back->disk.count));
        front_world_turn(w);
        front_world_leave(w);
    }
    front_world_connect(w);
    front_world_settle(w);
    for (unsigned i = 0; i < MANY; i++) {
        once += ops[i].done == 1 && ops[i].result == 0;
        assert_memory_equal(on_disk(w, i * 65536), bytes + i * 65536, ops[i].io.length);
    }
    assert_int_equal(once, MANY);
    assert_true(flush.done == 1 && flush.result == 0);
    assert_int_equal(front_op_run(w, VBD_IO_READ, 0, MANY * 65536, in), 0);
    assert_memory_equal(in, on_disk(w, 0), MANY * 65536);
    front_world_free(w);
    free(bytes);
    free(in);
}

static void write_done(struct vbd_io *io, int result)
{
    assert_int_equal(result, 0);
    assert_int_equal(io->op, VBD_IO_WRITE);
}

/* A write that is the `order`-th of all queues. */
static void submit_to(struct vbd_front_queue *q, struct front_op *op, unsigned order, void *bytes)
{
    *op = (struct front_op){.io = {.op = VBD_IO_WRITE,
                                   .offset = order * 65536ull,
                                   .length = 4096,
                                   .memory_count = 1,
                                   .done = write_done},
                            .memory = {{bytes, 4096}}};
    op->io.memory = op->memory;
    vbd_front_queue_submit(q, &op->io, order);
}

static void test_what_was_under_way_begins_again_in_its_order(void **state)
{
    static const uint64_t places[] = {7, 3, 11, 5, 1, 9}; /* no neighbours */
    struct front_world *w = front_world_new(1, 64, 11);
    unsigned char bytes[4096] = {0};
    struct front_op ops[7];

    (void)state;
    for (unsigned i = 0; i < 6; i++)
        front_op_submit(w, &ops[i], VBD_IO_WRITE, places[i] * 65536, sizeof bytes, bytes);
    front_op_submit(w, &ops[6], VBD_IO_FLUSH, 0, 0, NULL);
    for (unsigned round = 0; round < 2; round++) {
        front_world_connect(w);
        front_world_turn(w);
        assert_int_equal(w->back->disk.count, 6); /* the back holds the flush */
        for (int i = 0; i < 6; i++)
            assert_int_equal(w->back->disk.held[i]->offset, places[i] * 65536);
        if (round == 0)
            front_world_leave(w);
    }
    assert_int_equal(w->front.counters.recovered, 7);
    front_world_settle(w);
    for (unsigned i = 0; i < 7; i++)
        assert_true(ops[i].done == 1 && ops[i].result == 0);
    front_world_free(w);
}

/* Those of three queues that went wait in one, as they were submitted. */
static void test_what_waited_in_several_queues_keeps_its_order(void **state)
{
    struct front_world *w = front_world_new(1, 64, 11);
    struct vbd_front_queue more[2], *queues[] = {&more[0], &w->front, &more[1]};
    unsigned char bytes[8][4096] = {{0}};
    struct front_op ops[8];

    (void)state;
    memset(more, 0, sizeof more);
    vbd_front_queue_init(&more[0]);
    vbd_front_queue_init(&more[1]);
    for (unsigned i = 0; i < 8; i++)
        submit_to(queues[i * 5 / 2 % 3], &ops[i], i, bytes[i]);
    vbd_front_queue_move(&more[0], &w->front);
    vbd_front_queue_move(&more[1], &w->front);
    front_world_connect(w);
    front_world_turn(w);
    assert_int_equal(w->back->disk.count, 8);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(w->back->disk.held[i]->offset, i * 65536);
    front_world_settle(w);
    assert_true(vbd_front_queue_idle(&more[0]) && vbd_front_queue_idle(&more[1]));
    front_world_free(w);
}

static void test_backends_come_and_go_under_load(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 40; seed++)
        come_and_go(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_length_at_any_sector),
        cmocka_unit_test(test_pieces_of_memory_of_any_size),
        cmocka_unit_test(test_neighbours_go_as_one_request),
        cmocka_unit_test(test_what_cannot_be_is_refused_and_the_rest_goes_on),
        cmocka_unit_test(test_zeroes_and_discards),
        cmocka_unit_test(test_a_barrier_of_any_size_is_one),
        cmocka_unit_test(test_memory_that_the_back_reaches_is_not_copied),
        cmocka_unit_test(test_a_small_pool_describes_many_segments),
        cmocka_unit_test(test_errors_of_the_disk_are_told_once),
        cmocka_unit_test(test_what_was_under_way_begins_again_in_its_order),
        cmocka_unit_test(test_what_waited_in_several_queues_keeps_its_order),
        cmocka_unit_test(test_backends_come_and_go_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
