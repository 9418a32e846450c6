/* test_blkfront_requests.c - which requests a front writes, and what it does when one is refused
 * although it was offered: a hand takes each from the ring, notes it as a letter and answers it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "blkif/wire.h"
#include "support/front_world.h"

enum { PAGE = 4096, SEEN = 64 };

/* The backend: an operation whose letter is in `refuses` is answered as not supported. */
struct hand {
    struct front_world *w;
    const char *refuses;
    char seen[SEEN + 1];
    unsigned count;
    uint32_t taken;
    struct vbd_wire_request_64 last;
};

static void begin(struct hand *h, uint32_t pool_pages)
{
    *h = (struct hand){.w = front_world_new(1, pool_pages, 11), .refuses = ""};
    h->w->by_hand = true;
}

static char letter(const struct vbd_wire_request_64 *request)
{
    static const char letters[] = "rwbf?di";

    return request->operation < sizeof letters - 1 ? letters[request->operation] : '?';
}

static void answer(struct hand *h, const struct vbd_wire_request_64 *request, int16_t status)
{
    struct vbd_front_ring *ring = &h->w->front.ring;
    struct vbd_wire_response_64 response = {
        .id = request->id, .operation = request->operation, .status = status};

    memcpy(vbd_front_ring_slot(ring, ring->header->rsp_prod), &response, sizeof response);
    ring->header->rsp_prod++;
}

/* Takes the next request; false when there is none. */
static bool take(struct hand *h)
{
    struct vbd_front_ring *ring = &h->w->front.ring;

    front_world_turn(h->w);
    if (h->taken == ring->header->req_prod)
        return false;
    memcpy(&h->last, vbd_front_ring_slot(ring, h->taken++), sizeof h->last);
    assert_true(h->count < SEEN);
    h->seen[h->count++] = letter(&h->last);
    return true;
}

/* Answers all requests, one by one. */
static void serve(struct hand *h)
{
    while (take(h))
        answer(h, &h->last,
               strchr(h->refuses, letter(&h->last)) != NULL ? VBD_STATUS_NOT_SUPPORTED
                                                            : VBD_STATUS_OKAY);
}

/* --- segments --- */

/* On a disk of large sectors, memory that begins amid one is copied. */
static void test_a_segment_is_whole_logical_sectors(void **state)
{
    struct front_op op;
    struct hand h;
    void *memory;

    (void)state;
    begin(&h, 16);
    h.w->disk.sector_size = PAGE;
    front_world_connect(h.w);
    assert_int_equal(vbd_buffers_add(&h.w->buffers, 3 * PAGE, &memory), 0);
    for (unsigned shift = 0; shift < 2; shift++) {
        front_op_submit(h.w, &op, VBD_IO_WRITE, 0, 2 * PAGE, (char *)memory + shift * 512);
        assert_true(take(&h));
        answer(&h, &h.last, VBD_STATUS_OKAY);
        serve(&h);
        assert_int_equal(h.last.second, 2);
        for (unsigned i = 0; i < 2; i++)
            assert_true(h.last.tail.segments[i].first == 0 && h.last.tail.segments[i].last == 7);
        assert_true(op.done == 1 && op.result == 0);
    }
    assert_int_equal(h.w->front.counters.uncopied, 1);
    vbd_buffers_remove(&h.w->buffers, memory);
    front_world_free(h.w);
}

/* --- refused although it was offered --- */

/* Submits one, serves it, and holds the requests that it was against `asks`. */
static void expect(struct hand *h, enum vbd_io_op what, uint64_t length, int result,
                   const char *asks)
{
    static char bytes[64 * PAGE];
    struct front_op op;

    memset(h->seen, 0, sizeof h->seen);
    h->count = 0;
    front_op_submit(h->w, &op, what, 0, length,
                    what == VBD_IO_WRITE || what == VBD_IO_BARRIER ? bytes : NULL);
    serve(h);
    assert_string_equal(h->seen, asks);
    assert_true(op.done == 1 && op.result == result);
}

static void test_a_refused_barrier_becomes_three(void **state)
{
    struct hand h;

    (void)state;
    begin(&h, 64);
    h.refuses = "b";
    front_world_connect(h.w);
    expect(&h, VBD_IO_BARRIER, PAGE, 0, "bfwf");
    expect(&h, VBD_IO_BARRIER, PAGE, 0, "fwf"); /* and is not asked for again */
    expect(&h, VBD_IO_FLUSH, 0, 0, "f");
    front_world_leave(h.w);
    h.taken = 0; /* another back is asked anew */
    front_world_connect(h.w);
    expect(&h, VBD_IO_BARRIER, PAGE, 0, "bfwf");
    front_world_free(h.w);
}

static void test_a_refused_barrier_without_flushes_fails(void **state)
{
    struct hand h;

    (void)state;
    begin(&h, 64);
    h.refuses = "b";
    h.w->disk.flush = false;
    front_world_connect(h.w);
    expect(&h, VBD_IO_BARRIER, PAGE, -EOPNOTSUPP, "b");
    expect(&h, VBD_IO_BARRIER, PAGE, -EOPNOTSUPP, "");
    expect(&h, VBD_IO_FLUSH, 0, -EOPNOTSUPP, "");
    expect(&h, VBD_IO_WRITE, PAGE, 0, "w");
    front_world_free(h.w);
}

static void test_a_refused_flush_is_an_empty_barrier_or_nothing(void **state)
{
    struct hand h;

    (void)state;
    for (unsigned barrier = 0; barrier < 2; barrier++) {
        begin(&h, 64);
        h.refuses = "f";
        h.w->disk.barrier = barrier;
        front_world_connect(h.w);
        expect(&h, VBD_IO_FLUSH, 0, barrier ? 0 : -EOPNOTSUPP, barrier ? "fb" : "f");
        expect(&h, VBD_IO_FLUSH, 0, barrier ? 0 : -EOPNOTSUPP, barrier ? "b" : "");
        expect(&h, VBD_IO_BARRIER, PAGE, barrier ? 0 : -EOPNOTSUPP, barrier ? "b" : "");
        front_world_free(h.w);
    }
}

static void test_a_step_of_a_barrier_is_refused(void **state)
{
    struct hand h;

    (void)state;
    begin(&h, 64);
    h.refuses = "f";
    front_world_connect(h.w);
    expect(&h, VBD_IO_BARRIER, 12 * PAGE, 0, "fbwwb"); /* too large for one */
    h.refuses = "b";
    expect(&h, VBD_IO_BARRIER, 12 * PAGE, -EOPNOTSUPP, "b");
    expect(&h, VBD_IO_BARRIER, PAGE, -EOPNOTSUPP, "");
    front_world_free(h.w);
}

static void test_a_refused_discard_is_not_asked_for_again(void **state)
{
    struct hand h;

    (void)state;
    begin(&h, 64);
    h.refuses = "d";
    front_world_connect(h.w);
    expect(&h, VBD_IO_DISCARD, PAGE, -EOPNOTSUPP, "d");
    expect(&h, VBD_IO_DISCARD, PAGE, -EOPNOTSUPP, "");
    front_world_free(h.w);
}

static void test_a_refused_secure_discard_leaves_plain_ones(void **state)
{
    struct front_op op = {.io = {.op = VBD_IO_DISCARD, .length = PAGE, .secure = true}};
    struct hand h;

    (void)state;
    begin(&h, 64);
    h.refuses = "d";
    h.w->disk.secure_discard = true;
    front_world_connect(h.w);
    for (unsigned i = 0; i < 2; i++) {
        front_op_send(h.w, &op);
        serve(&h);
        assert_true(op.done == 1 && op.result == -EOPNOTSUPP);
    }
    assert_string_equal(h.seen, "d");
    h.refuses = "";
    expect(&h, VBD_IO_DISCARD, PAGE, 0, "d");
    front_world_free(h.w);
}

/* Nothing of what came after it goes before it. */
static void test_a_refused_barrier_keeps_its_place(void **state)
{
    struct front_op before, barrier[2], after;
    struct vbd_wire_request_64 first;
    char bytes[PAGE] = "";
    struct hand h;

    (void)state;
    begin(&h, 64);
    h.refuses = "b";
    front_world_connect(h.w);
    front_op_submit(h.w, &before, VBD_IO_WRITE, 0, PAGE, bytes);
    front_op_submit(h.w, &barrier[0], VBD_IO_BARRIER, 8 * PAGE, PAGE, bytes);
    front_op_submit(h.w, &barrier[1], VBD_IO_BARRIER, 8 * PAGE, PAGE, bytes);
    front_op_submit(h.w, &after, VBD_IO_WRITE, 8 * PAGE, PAGE, bytes);
    assert_true(take(&h));
    first = h.last;
    serve(&h);
    assert_string_equal(h.seen, "wb"); /* the first is under way: no flush yet */
    answer(&h, &first, VBD_STATUS_OKAY);
    serve(&h);
    assert_string_equal(h.seen, "wbfwffwfw");
    assert_true(before.done == 1 && barrier[0].done == 1 && barrier[1].done == 1);
    assert_true(after.done == 1 && barrier[0].result == 0 && barrier[1].result == 0);
    front_world_free(h.w);
}

static void other_done(struct vbd_io *io, int result)
{
    (void)io;
    assert_int_equal(result, -EIO);
}

static void test_a_barrier_waits_for_other_queues(void **state)
{
    struct vbd_io earlier = {.op = VBD_IO_READ, .length = 512, .done = other_done};
    struct vbd_front_queue other = {0};
    struct front_op write, barrier;
    char bytes[PAGE] = "";
    struct hand h;

    (void)state;
    begin(&h, 64);
    vbd_front_queue_init(&other);
    vbd_front_queue_submit(&other, &earlier, 0);
    h.w->config.queues = &other;
    h.w->config.queue_count = 1;
    front_world_connect(h.w);
    front_op_submit(h.w, &write, VBD_IO_WRITE, 0, PAGE, bytes);
    front_op_submit(h.w, &barrier, VBD_IO_BARRIER, 8 * PAGE, PAGE, bytes);
    serve(&h);
    assert_string_equal(h.seen, "w");
    assert_true(h.w->front.held && vbd_front_queue_is_held(&h.w->front));
    vbd_front_queue_fail(&other, -EIO);
    assert_false(vbd_front_queue_is_held(&h.w->front)); /* who drives it sees that */
    vbd_front_queue_submit(&other, &earlier, 2);
    serve(&h);
    assert_string_equal(h.seen, "wb");
    assert_true(barrier.done == 1 && barrier.result == 0);
    vbd_front_queue_fail(&other, -EIO);
    front_world_free(h.w);
}

/* A read that shares its request with a part of the next one, whose rest waits for pages: what
 * waits again does not come between them. */
static void test_a_refused_flush_does_not_part_neighbours(void **state)
{
    struct vbd_wire_request_64 flush;
    static char in[8 * PAGE];
    struct front_op ops[3];
    struct hand h;

    (void)state;
    begin(&h, 4);
    front_world_connect(h.w);
    front_op_submit(h.w, &ops[0], VBD_IO_FLUSH, 0, 0, NULL);
    front_op_submit(h.w, &ops[1], VBD_IO_READ, 0, PAGE, in);
    front_op_submit(h.w, &ops[2], VBD_IO_READ, PAGE, 7 * PAGE, in + PAGE);
    assert_true(take(&h));
    flush = h.last;
    answer(&h, &flush, VBD_STATUS_NOT_SUPPORTED);
    assert_true(take(&h)); /* the read of both */
    memset(h.w->front.pool.memory, 0x66, 4 * PAGE);
    answer(&h, &h.last, VBD_STATUS_OKAY);
    serve(&h);
    assert_string_equal(h.seen, "frrb");
    for (unsigned i = 0; i < 3; i++)
        assert_true(ops[i].done == 1 && ops[i].result == 0);
    for (unsigned i = 0; i < 4 * PAGE; i++)
        assert_int_equal(in[i], 0x66);
    front_world_free(h.w);
}

/* Which response is to raise an event, and what is taken and sent meanwhile. */
static void test_a_poll_asks_for_no_event(void **state)
{
    struct hand h;
    struct front_op first, second;
    char bytes[512];

    (void)state;
    begin(&h, 16);
    front_world_connect(h.w);
    front_op_submit(h.w, &first, VBD_IO_READ, 0, 512, bytes);
    assert_true(take(&h));
    assert_int_equal(h.w->front.ring.header->rsp_event, 1); /* asked for by the pass */
    answer(&h, &h.last, 0);
    front_op_submit(h.w, &second, VBD_IO_READ, 512, 512, bytes);
    vbd_front_queue_poll(&h.w->front);
    assert_int_equal(first.done, 1);
    assert_int_equal(h.w->front.ring.header->req_prod, 2);  /* sent */
    assert_int_equal(h.w->front.ring.header->rsp_event, 1); /* that one is over */
    assert_true(take(&h));
    answer(&h, &h.last, 0);
    assert_false(vbd_front_queue_pass(&h.w->front));
    assert_int_equal(second.done, 1);
    assert_int_equal(h.w->front.ring.header->rsp_event, 3);
    front_world_free(h.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_segment_is_whole_logical_sectors),
        cmocka_unit_test(test_a_refused_barrier_becomes_three),
        cmocka_unit_test(test_a_refused_barrier_without_flushes_fails),
        cmocka_unit_test(test_a_refused_flush_is_an_empty_barrier_or_nothing),
        cmocka_unit_test(test_a_step_of_a_barrier_is_refused),
        cmocka_unit_test(test_a_refused_discard_is_not_asked_for_again),
        cmocka_unit_test(test_a_refused_secure_discard_leaves_plain_ones),
        cmocka_unit_test(test_a_refused_barrier_keeps_its_place),
        cmocka_unit_test(test_a_barrier_waits_for_other_queues),
        cmocka_unit_test(test_a_refused_flush_does_not_part_neighbours),
        cmocka_unit_test(test_a_poll_asks_for_no_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
