/* test_front.c - a front's life against our own back, on the real xenstored, over a simulated
 * hypervisor: connects, serves, follows backends that close, vanish or change, and leaves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "support/fronted.h"

static void test_connects_serves_and_leaves(void **state)
{
    struct fronted *t = *state;
    const struct vbd_front_info *info;

    fronted_connect(t, 1);
    info = vbd_front_info(t->front);
    assert_int_equal(info->disk.sectors, STAGE_DISK_BYTES / 512);
    assert_int_equal(info->disk.segments, 256);
    assert_int_equal(info->ring_pages, 4);
    assert_true(info->disk.flush && info->disk.barrier && !info->disk.read_only);
    stage_expect(t->s, front_key(FRONTED_VDEV, "state"), "4");
    stage_expect(t->s, front_key(FRONTED_VDEV, "ring-page-order"), "2");
    fronted_check_io(t, 4096, 'a');
    assert_int_equal(fronted_run(t, VBD_IO_FLUSH, 0, 0, NULL), 0);
    assert_int_equal(fronted_run(t, VBD_IO_READ, STAGE_DISK_BYTES, 512, (char[512]){0}), -EINVAL);
    vbd_front_disconnect(t->front);
    fronted_await(t, VBD_FRONT_CLOSED, 1);
    stage_expect(t->s, front_key(FRONTED_VDEV, "state"), "6");
    stage_expect(t->s, back_key(FRONTED_VDEV, "state"), "6");
    assert_int_equal(t->shared, 0);
    stage_remove_device(t->s, FRONTED_VDEV);
}

static void test_takes_over_from_a_front_that_died(void **state)
{
    struct fronted *t = *state;
    struct handfront dead;

    assert_int_equal(stage_create(t->s, FRONTED_VDEV, t->s->image, false), 0);
    stage_run(t->s, FRONTED_VDEV);
    stage_connect(t->s, &dead, FRONTED_VDEV, 1, 3);
    fronted_begin(t, NULL);
    fronted_await(t, VBD_FRONT_CONNECTED, 1);
    fronted_check_io(t, 0, 'b');
    fronted_leave(t);
}

static void test_waits_for_a_backend_that_is_not_there_yet(void **state)
{
    struct fronted *t = *state;
    char bytes[512] = "early";
    struct fronted_op op;

    fronted_begin(t, NULL);
    fronted_submit(t, &op, VBD_IO_WRITE, 0, 512, bytes);
    assert_int_equal(stage_create(t->s, FRONTED_VDEV, t->s->image, false), 0);
    stage_run(t->s, FRONTED_VDEV);
    assert_int_equal(fronted_finish(&op), 0);
    assert_int_equal(t->events[VBD_FRONT_CONNECTED], 1);
    fronted_leave(t);
}

struct chained {
    struct fronted_op op, next; /* `next` is submitted from inside the end of `op` */
    char bytes[512];
};

static void chained_done(struct vbd_io *io, int result)
{
    struct chained *c = (struct chained *)(void *)((char *)io - offsetof(struct chained, op.io));

    fronted_op_done(io, result);
    fronted_submit(c->op.t, &c->next, VBD_IO_READ, 0, 512, c->bytes);
}

/* It may go to a queue that had its pass before: whoever drives is told that there is more. */
static void test_what_a_callback_submits_is_sent_at_once(void **state)
{
    struct vbd_front_counters n;
    struct fronted *t = *state;
    struct chained c;
    char bytes[512];

    fronted_connect(t, 2);
    assert_int_equal(fronted_run(t, VBD_IO_READ, 0, 512, bytes), 0); /* queue 0 */
    fronted_submit(t, &c.op, VBD_IO_READ, 0, 512, bytes);            /* queue 1 */
    c.op.io.done = chained_done;
    while (c.op.done == 0)
        if (!vbd_front_process(t->front) && c.op.done > 0) { /* no more to do: it is in its ring */
            vbd_front_count(t->front, &n);
            assert_int_equal(n.requests, 3);
        }
    assert_int_equal(fronted_finish(&c.next), 0);
    fronted_leave(t);
}

/* The toolstack removes the backend under load and makes it anew: what was under way is done by the
 * next one. */
static void test_a_backend_goes_and_another_comes(void **state)
{
    struct fronted *t = *state;
    char bytes[4096];
    struct fronted_op op;

    fronted_connect(t, 3);
    assert_int_equal(vbd_front_info(t->front)->queues, 3);
    for (int round = 1; round <= 3; round++) {
        fronted_check_io(t, 0, 'c' + round);
        stage_remove_device(t->s, FRONTED_VDEV);
        fronted_await(t, VBD_FRONT_AWAY, round);
        memset(bytes, round, sizeof bytes);
        fronted_submit(t, &op, VBD_IO_WRITE, 65536, sizeof bytes, bytes);
        assert_int_equal(stage_create(t->s, FRONTED_VDEV, t->s->image, false), 0);
        stage_write(t->s, back_key(FRONTED_VDEV, "vbdkit-options"),
                    round == 2 ? "queues=1" : "queues=2");
        stage_run(t->s, FRONTED_VDEV);
        assert_int_equal(fronted_finish(&op), 0);
        assert_int_equal(vbd_front_info(t->front)->queues, round == 2 ? 1 : 2);
    }
    fronted_leave(t);
}

static void test_a_backend_that_closes_first_is_left_by_the_book(void **state)
{
    struct fronted *t = *state;

    fronted_connect(t, 1);
    assert_int_equal(stage_request_close(t->s, FRONTED_VDEV), 0);
    fronted_await(t, VBD_FRONT_AWAY, 1);
    stage_expect(t->s, back_key(FRONTED_VDEV, "state"), "6");
    stage_remove_device(t->s, FRONTED_VDEV);
}

static void test_a_resumed_domain_begins_anew(void **state)
{
    struct fronted *t = *state;

    fronted_connect(t, 1);
    fronted_check_io(t, 8192, 'r');
    vbd_front_resume(t->front);
    fronted_await(t, VBD_FRONT_CONNECTED, 2);
    fronted_check_io(t, 16384, 's');
    fronted_leave(t);
}

/* Looking fails then, at once; the front waits for the connection's return. */
static void test_xenstore_may_be_lost_when_it_is_asked(void **state)
{
    struct fronted *t = *state;
    struct vbd_error why = {""};
    struct fronted_op op;
    char bytes[512] = "kept";

    fronted_connect(t, 1);
    xsc_disconnected(xsc_client_session(t->s->client), "lost");
    vbd_front_resume(t->front);
    fronted_submit(t, &op, VBD_IO_WRITE, 8192, 512, bytes);
    assert_int_equal(vbd_front_error(t->front), 0);
    assert_int_equal(xsc_client_resume(t->s->client, NULL, &why), 0);
    assert_int_equal(fronted_finish(&op), 0);
    xsc_disconnected(xsc_client_session(t->s->client), "lost");
    vbd_front_disconnect(t->front);
    assert_int_equal(vbd_front_error(t->front), 0);
    assert_int_equal(xsc_client_resume(t->s->client, NULL, &why), 0);
    fronted_await(t, VBD_FRONT_CLOSED, 1);
    assert_int_equal(t->events[VBD_FRONT_FAILED], 0);
    stage_remove_device(t->s, FRONTED_VDEV);
}

/* Nothing is shared while it is suspended, and what is submitted then is done afterwards. */
static void test_a_domain_that_is_saved_shares_nothing(void **state)
{
    struct fronted *t = *state;
    char bytes[512] = "saved";
    struct fronted_op op;

    assert_int_equal(stage_create(t->s, FRONTED_VDEV, t->s->image, false), 0);
    stage_run(t->s, FRONTED_VDEV);
    fronted_begin(t, NULL);
    vbd_front_suspend(t->front); /* in the middle of connecting */
    vbd_front_resume(t->front);
    fronted_await(t, VBD_FRONT_CONNECTED, 1);
    fronted_check_io(t, 0, 'w');
    vbd_front_suspend(t->front);
    assert_int_equal(t->events[VBD_FRONT_AWAY], 1);
    assert_int_equal(t->shared, 0);
    assert_int_equal(t->offered, 0);
    fronted_submit(t, &op, VBD_IO_WRITE, 8192, 512, bytes);
    assert_false(vbd_front_process(t->front));
    stage_write(t->s, front_key(FRONTED_VDEV, "backend"),
                back_key(FRONTED_VDEV, "")); /* not looked at */
    stage_write(t->s, front_key(FRONTED_VDEV, "backend"), "/local/domain/0/backend/vbd/5/51712");
    assert_int_equal(op.done, 0);
    vbd_front_resume(t->front);
    assert_int_equal(fronted_finish(&op), 0);
    assert_int_equal(t->events[VBD_FRONT_CONNECTED], 2);
    fronted_leave(t);
}

static void test_a_disk_that_grows_is_told(void **state)
{
    struct fronted *t = *state;

    fronted_connect(t, 1);
    stage_write(t->s, back_key(FRONTED_VDEV, "sectors"), "1024");
    stage_write(t->s, back_key(FRONTED_VDEV, "state"), "4");
    fronted_await(t, VBD_FRONT_RESIZED, 1);
    assert_int_equal(vbd_front_info(t->front)->disk.sectors, 1024);
    assert_int_equal(fronted_run(t, VBD_IO_READ, 1024 * 512, 512, (char[512]){0}), -EINVAL);
    fronted_leave(t);
}

/* Batches go to the queues in turn; what came before a barrier is done when that is. */
static void test_a_barrier_is_one_for_all_queues(void **state)
{
    enum { OPS = 60 };
    static char bytes[OPS][4096];
    static struct fronted_op ops[OPS];
    struct fronted *t = *state;

    fronted_connect(t, 3);
    for (unsigned i = 0; i < OPS; i++)
        fronted_submit(t, &ops[i], i % 10 == 9 ? VBD_IO_BARRIER : VBD_IO_WRITE, i * 8192, 4096,
                       bytes[i]);
    for (unsigned i = 9; i < OPS; i += 10) {
        assert_int_equal(fronted_finish(&ops[i]), 0);
        for (unsigned before = 0; before < i; before++)
            assert_int_equal(ops[before].done, 1);
    }
    fronted_leave(t);
}

/* A hand plays the backend, and tells a disk that can't be. */
static void test_a_disk_that_cannot_be_is_refused(void **state)
{
    struct fronted *t = *state;
    char bytes[512];
    struct fronted_op op;

    assert_int_equal(stage_create(t->s, FRONTED_VDEV, t->s->image, false), 0);
    stage_write(t->s, back_key(FRONTED_VDEV, "state"), "2");
    fronted_begin(t, NULL);
    fronted_submit(t, &op, VBD_IO_READ, 0, 512, bytes);
    stage_expect(t->s, front_key(FRONTED_VDEV, "state"), "3");
    stage_write(t->s, back_key(FRONTED_VDEV, "sectors"), "1000");
    stage_write(t->s, back_key(FRONTED_VDEV, "sector-size"), "513");
    stage_write(t->s, back_key(FRONTED_VDEV, "state"), "4");
    fronted_await(t, VBD_FRONT_FAILED, 1);
    assert_non_null(strstr(vbd_front_why(t->front), "sector-size: the backend says 513"));
    assert_true(op.done == 1 && op.result == -EINVAL);
    stage_expect(t->s, front_key(FRONTED_VDEV, "state"), "6");
    assert_int_equal(t->shared, 0);
    vbd_front_disconnect(t->front);
    vbd_front_disconnect(t->front);
    assert_true(t->events[VBD_FRONT_FAILED] == 1 && t->events[VBD_FRONT_CLOSED] == 1);
    assert_int_equal(stage_destroy(t->s, FRONTED_VDEV), 0);
}

/* The first page that was shared is the ring's: its third word counts responses. */
static void test_a_backend_that_lies_ends_the_front(void **state)
{
    struct fronted *t = *state;

    fronted_connect(t, 1);
    fronted_check_io(t, 0, 'l');
    ((uint32_t *)(void *)sim_page(t->s->sim, FRONTED_PAGES_FROM))[2] += 1000;
    fronted_await(t, VBD_FRONT_FAILED, 1);
    assert_non_null(strstr(vbd_front_why(t->front), "response index is out of range"));
    assert_int_equal(fronted_run(t, VBD_IO_FLUSH, 0, 0, NULL), -EPROTO);
    stage_expect(t->s, front_key(FRONTED_VDEV, "state"), "6");
    stage_expect(t->s, back_key(FRONTED_VDEV, "state"), "6");
    assert_int_equal(t->shared, 0);
    stage_remove_device(t->s, FRONTED_VDEV);
}

static bool has_answers(void *arg)
{
    return vbd_front_waits(((struct fronted *)arg)->front);
}

static void leaving_done(struct vbd_io *io, int result)
{
    fronted_op_done(io, result);
    vbd_front_disconnect(VBD_CONTAINER(io, struct fronted_op, io)->t->front);
}

/* Queues are closed after the pass that found one broken, not amid another's. */
static void test_a_callback_may_leave_a_backend_that_lies(void **state)
{
    struct fronted *t = *state;
    char bytes[512];
    struct fronted_op op;

    fronted_connect(t, 2);
    assert_int_equal(fronted_run(t, VBD_IO_READ, 0, 512, bytes), 0); /* queue 0 */
    fronted_submit(t, &op, VBD_IO_READ, 0, 512, bytes);              /* queue 1 */
    op.io.done = leaving_done;
    (void)vbd_front_process(t->front);
    assert_int_equal(op.done, 0); /* answers are taken before requests are sent */
    assert_true(stage_wait(t->s, has_answers, t));
    ((uint32_t *)(void *)sim_page(t->s->sim, FRONTED_PAGES_FROM))[2] += 1000;
    (void)vbd_front_process(t->front);
    assert_int_equal(op.done, 1);
    assert_int_equal(op.result, 0);
    fronted_await(t, VBD_FRONT_CLOSED, 1);
    assert_int_equal(t->events[VBD_FRONT_FAILED], 0);
    assert_int_equal(t->shared, 0);
    stage_remove_device(t->s, FRONTED_VDEV);
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, fronted_set_up, fronted_tear_down)
    const struct CMUnitTest tests[] = {
        STAGED(test_connects_serves_and_leaves),
        STAGED(test_takes_over_from_a_front_that_died),
        STAGED(test_waits_for_a_backend_that_is_not_there_yet),
        STAGED(test_what_a_callback_submits_is_sent_at_once),
        STAGED(test_a_backend_goes_and_another_comes),
        STAGED(test_a_backend_that_closes_first_is_left_by_the_book),
        STAGED(test_a_resumed_domain_begins_anew),
        STAGED(test_xenstore_may_be_lost_when_it_is_asked),
        STAGED(test_a_domain_that_is_saved_shares_nothing),
        STAGED(test_a_disk_that_grows_is_told),
        STAGED(test_a_barrier_is_one_for_all_queues),
        STAGED(test_a_disk_that_cannot_be_is_refused),
        STAGED(test_a_backend_that_lies_ends_the_front),
        STAGED(test_a_callback_may_leave_a_backend_that_lies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
