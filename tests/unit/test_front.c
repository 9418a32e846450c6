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
#include "support/stage.h"
#include "vbdkit/front.h"

enum { VDEV = 51712, PAGES_FROM = 1024, FRONT_PORTS_FROM = 4 };

struct fronted {
    struct stage *s;
    struct vbd_guest guest;
    struct vbd_front_platform platform;
    struct vbd_front *front;
    unsigned next_page;
    uint32_t next_port;
    int shared, offered;
    int events[VBD_FRONT_CLOSED + 1]; /* how often each came */
};

/* --- the guest's seam, on the stage's guest --- */

static int share(void *ctx, unsigned domid, size_t count, uint32_t *ret_grants, void **ret)
{
    struct fronted *t = ctx;

    assert_int_equal(domid, 0);
    if (t->next_page + count > SIM_PAGES)
        t->next_page = PAGES_FROM; /* those of earlier connections are free */
    *ret = sim_page(t->s->sim, t->next_page);
    memset(*ret, 0, count * SIM_PAGE);
    for (size_t i = 0; i < count; i++)
        ret_grants[i] = sim_grant(t->s->sim, t->next_page++, false);
    t->shared += (int)count;
    return 0;
}

static void unshare(void *ctx, void *pages, size_t count, const uint32_t *grants)
{
    struct fronted *t = ctx;

    (void)pages;
    for (size_t i = 0; i < count; i++)
        sim_revoke(t->s->sim, grants[i]);
    t->shared -= (int)count;
}

static int offer(void *ctx, unsigned domid, uint32_t *ret_port, struct vbd_event_channel **ret)
{
    struct fronted *t = ctx;

    (void)domid;
    *ret_port = t->next_port++;
    if (t->next_port == SIM_PORTS)
        t->next_port = FRONT_PORTS_FROM;
    *ret = (struct vbd_event_channel *)(uintptr_t)*ret_port;
    t->offered++;
    return 0;
}

static void withdraw(void *ctx, struct vbd_event_channel *channel)
{
    (void)channel;
    ((struct fronted *)ctx)->offered--;
}

static void notify(void *ctx, struct vbd_event_channel *channel)
{
    sim_send(((struct fronted *)ctx)->s->sim, (uint32_t)(uintptr_t)channel);
}

static bool take_event(void *ctx, struct vbd_event_channel *channel)
{
    return sim_wait(((struct fronted *)ctx)->s->sim, (uint32_t)(uintptr_t)channel, 0);
}

/* --- the owner --- */

static void event(void *ctx, struct vbd_front *front, enum vbd_front_event what)
{
    (void)front;
    ((struct fronted *)ctx)->events[what]++;
}

struct expected {
    struct fronted *t;
    enum vbd_front_event what;
    int times;
};

static bool came(void *arg)
{
    struct expected *e = arg;

    while (e->t->front != NULL && vbd_front_process(e->t->front))
        ;
    return e->t->events[e->what] >= e->times;
}

static void await(struct fronted *t, enum vbd_front_event what, int times)
{
    struct expected e = {t, what, times};

    if (!stage_wait(t->s, came, &e))
        fail_msg("event %d did not come; the front: \"%s\", the log:\n%s", what,
                 vbd_front_why(t->front), t->s->log);
}

static void begin(struct fronted *t, const struct vbd_front_options *options)
{
    struct vbd_front_config config = {
        .vdev = VDEV, .home = "/local/domain/5/", .options = options, .event = event, .ctx = t};

    assert_int_equal(
        vbd_front_connect(&t->platform, xsc_client_session(t->s->client), &config, &t->front), 0);
}

static int set_up(void **state)
{
    struct fronted *t = calloc(1, sizeof *t);

    t->s = stage_new();
    t->next_page = PAGES_FROM;
    t->next_port = FRONT_PORTS_FROM;
    t->guest =
        (struct vbd_guest){sizeof t->guest, t, share, unshare, offer, withdraw, notify, take_event};
    t->platform = (struct vbd_front_platform){.allocator = &vbd_libc_allocator, .guest = &t->guest};
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct fronted *t = *state;

    vbd_front_free(t->front);
    assert_int_equal(t->shared, 0);
    assert_int_equal(t->offered, 0);
    stage_free(t->s);
    free(t);
    return 0;
}

/* --- operations --- */

struct op {
    struct fronted *t;
    struct vbd_io io;
    struct vbd_iovec memory;
    int done, result;
};

static void op_done(struct vbd_io *io, int result)
{
    struct op *op = VBD_CONTAINER(io, struct op, io);

    op->done++;
    op->result = result;
}

static bool op_is_done(void *arg)
{
    struct op *op = arg;

    while (vbd_front_process(op->t->front))
        ;
    return op->done > 0;
}

static void submit(struct fronted *t, struct op *op, enum vbd_io_op what, uint64_t offset,
                   uint64_t length, void *bytes)
{
    struct vbd_channel *channel = vbd_front_channel(t->front);
    struct vbd_io *io = &op->io;

    *op = (struct op){.t = t, .memory = {bytes, length}};
    op->io = (struct vbd_io){.op = what,
                             .offset = offset,
                             .length = length,
                             .memory = &op->memory,
                             .memory_count = bytes != NULL,
                             .done = op_done};
    channel->ops->submit(channel, &io, 1);
}

static int finish(struct op *op)
{
    if (!stage_wait(op->t->s, op_is_done, op))
        fail_msg("the operation is not done; the front: \"%s\", the log:\n%s",
                 vbd_front_why(op->t->front), op->t->s->log);
    assert_int_equal(op->done, 1);
    return op->result;
}

static int run(struct fronted *t, enum vbd_io_op what, uint64_t offset, uint64_t length,
               void *bytes)
{
    struct op op;

    submit(t, &op, what, offset, length, bytes);
    return finish(&op);
}

static void check_io(struct fronted *t, uint64_t offset, int byte)
{
    unsigned char out[12288], in[12288];

    memset(out, byte, sizeof out);
    assert_int_equal(run(t, VBD_IO_WRITE, offset, sizeof out, out), 0);
    assert_int_equal(run(t, VBD_IO_READ, offset, sizeof in, in), 0);
    assert_memory_equal(in, out, sizeof in);
}

/* --- the tests --- */

static void test_connects_serves_and_leaves(void **state)
{
    struct fronted *t = *state;
    const struct vbd_front_info *info;

    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, NULL);
    await(t, VBD_FRONT_CONNECTED, 1);
    info = vbd_front_info(t->front);
    assert_int_equal(info->disk.sectors, STAGE_DISK_BYTES / 512);
    assert_int_equal(info->disk.segments, 256);
    assert_int_equal(info->ring_pages, 4);
    assert_true(info->disk.flush && info->disk.barrier && !info->disk.read_only);
    stage_expect(t->s, front_key(VDEV, "state"), "4");
    stage_expect(t->s, front_key(VDEV, "ring-page-order"), "2");
    check_io(t, 4096, 'a');
    assert_int_equal(run(t, VBD_IO_FLUSH, 0, 0, NULL), 0);
    assert_int_equal(run(t, VBD_IO_READ, STAGE_DISK_BYTES, 512, (char[512]){0}), -EINVAL);
    vbd_front_disconnect(t->front);
    await(t, VBD_FRONT_CLOSED, 1);
    stage_expect(t->s, front_key(VDEV, "state"), "6");
    stage_expect(t->s, back_key(VDEV, "state"), "6");
    assert_int_equal(t->shared, 0);
    stage_remove_device(t->s, VDEV);
}

static void test_takes_over_from_a_front_that_died(void **state)
{
    struct fronted *t = *state;
    struct handfront dead;

    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    stage_connect(t->s, &dead, VDEV, 1, 3);
    begin(t, NULL);
    await(t, VBD_FRONT_CONNECTED, 1);
    check_io(t, 0, 'b');
    vbd_front_disconnect(t->front);
    await(t, VBD_FRONT_CLOSED, 1);
    stage_remove_device(t->s, VDEV);
}

static void test_waits_for_a_backend_that_is_not_there_yet(void **state)
{
    struct fronted *t = *state;
    char bytes[512] = "early";
    struct op op;

    begin(t, NULL);
    submit(t, &op, VBD_IO_WRITE, 0, 512, bytes);
    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    assert_int_equal(finish(&op), 0);
    assert_int_equal(t->events[VBD_FRONT_CONNECTED], 1);
    vbd_front_disconnect(t->front);
    await(t, VBD_FRONT_CLOSED, 1);
    stage_remove_device(t->s, VDEV);
}

struct chained {
    struct op op, next; /* `next` is submitted from inside the end of `op` */
    char bytes[512];
};

static void chained_done(struct vbd_io *io, int result)
{
    struct chained *c = (struct chained *)(void *)((char *)io - offsetof(struct chained, op.io));

    op_done(io, result);
    submit(c->op.t, &c->next, VBD_IO_READ, 0, 512, c->bytes);
}

/* It may go to a queue that had its pass before: whoever drives is told that there is more. */
static void test_what_a_callback_submits_is_sent_at_once(void **state)
{
    struct vbd_front_options options;
    struct vbd_front_counters n;
    struct fronted *t = *state;
    struct chained c;
    char bytes[512];

    vbd_front_options_init(&options);
    options.queues = 2;
    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, &options);
    await(t, VBD_FRONT_CONNECTED, 1);
    assert_int_equal(run(t, VBD_IO_READ, 0, 512, bytes), 0); /* queue 0 */
    submit(t, &c.op, VBD_IO_READ, 0, 512, bytes);            /* queue 1 */
    c.op.io.done = chained_done;
    while (c.op.done == 0)
        if (!vbd_front_process(t->front) && c.op.done > 0) { /* no more to do: it is in its ring */
            vbd_front_count(t->front, &n);
            assert_int_equal(n.requests, 3);
        }
    assert_int_equal(finish(&c.next), 0);
    vbd_front_disconnect(t->front);
    await(t, VBD_FRONT_CLOSED, 1);
    stage_remove_device(t->s, VDEV);
}

/* The toolstack removes the backend under load and makes it anew: what was under way is done by the
 * next one. */
static void test_a_backend_goes_and_another_comes(void **state)
{
    struct vbd_front_options options;
    struct fronted *t = *state;
    char bytes[4096];
    struct op op;

    vbd_front_options_init(&options);
    options.queues = 3;
    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, &options);
    await(t, VBD_FRONT_CONNECTED, 1);
    assert_int_equal(vbd_front_info(t->front)->queues, 3);
    for (int round = 1; round <= 3; round++) {
        check_io(t, 0, 'c' + round);
        stage_remove_device(t->s, VDEV);
        await(t, VBD_FRONT_AWAY, round);
        memset(bytes, round, sizeof bytes);
        submit(t, &op, VBD_IO_WRITE, 65536, sizeof bytes, bytes);
        assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
        stage_write(t->s, back_key(VDEV, "vbdkit-options"), round == 2 ? "queues=1" : "queues=2");
        stage_run(t->s, VDEV);
        assert_int_equal(finish(&op), 0);
        assert_int_equal(vbd_front_info(t->front)->queues, round == 2 ? 1 : 2);
    }
    vbd_front_disconnect(t->front);
    await(t, VBD_FRONT_CLOSED, 1);
    stage_remove_device(t->s, VDEV);
}

static void test_a_backend_that_closes_first_is_left_by_the_book(void **state)
{
    struct fronted *t = *state;

    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, NULL);
    await(t, VBD_FRONT_CONNECTED, 1);
    assert_int_equal(stage_request_close(t->s, VDEV), 0);
    await(t, VBD_FRONT_AWAY, 1);
    stage_expect(t->s, back_key(VDEV, "state"), "6");
    stage_remove_device(t->s, VDEV);
}

static void test_a_resumed_domain_begins_anew(void **state)
{
    struct fronted *t = *state;

    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, NULL);
    await(t, VBD_FRONT_CONNECTED, 1);
    check_io(t, 8192, 'r');
    vbd_front_resume(t->front);
    await(t, VBD_FRONT_CONNECTED, 2);
    check_io(t, 16384, 's');
    vbd_front_disconnect(t->front);
    await(t, VBD_FRONT_CLOSED, 1);
    stage_remove_device(t->s, VDEV);
}

/* Looking fails then, at once; the front waits for the connection's return. */
static void test_xenstore_may_be_lost_when_it_is_asked(void **state)
{
    struct fronted *t = *state;
    struct vbd_error why = {""};
    struct op op;
    char bytes[512] = "kept";

    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, NULL);
    await(t, VBD_FRONT_CONNECTED, 1);
    xsc_disconnected(xsc_client_session(t->s->client), "lost");
    vbd_front_resume(t->front);
    submit(t, &op, VBD_IO_WRITE, 8192, 512, bytes);
    assert_int_equal(vbd_front_error(t->front), 0);
    assert_int_equal(xsc_client_resume(t->s->client, NULL, &why), 0);
    assert_int_equal(finish(&op), 0);
    xsc_disconnected(xsc_client_session(t->s->client), "lost");
    vbd_front_disconnect(t->front);
    assert_int_equal(vbd_front_error(t->front), 0);
    assert_int_equal(xsc_client_resume(t->s->client, NULL, &why), 0);
    await(t, VBD_FRONT_CLOSED, 1);
    assert_int_equal(t->events[VBD_FRONT_FAILED], 0);
    stage_remove_device(t->s, VDEV);
}

/* Nothing is shared while it is suspended, and what is submitted then is done afterwards. */
static void test_a_domain_that_is_saved_shares_nothing(void **state)
{
    struct fronted *t = *state;
    char bytes[512] = "saved";
    struct op op;

    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, NULL);
    vbd_front_suspend(t->front); /* in the middle of connecting */
    vbd_front_resume(t->front);
    await(t, VBD_FRONT_CONNECTED, 1);
    check_io(t, 0, 'w');
    vbd_front_suspend(t->front);
    assert_int_equal(t->events[VBD_FRONT_AWAY], 1);
    assert_int_equal(t->shared, 0);
    assert_int_equal(t->offered, 0);
    submit(t, &op, VBD_IO_WRITE, 8192, 512, bytes);
    assert_false(vbd_front_process(t->front));
    stage_write(t->s, front_key(VDEV, "backend"), back_key(VDEV, "")); /* not looked at */
    stage_write(t->s, front_key(VDEV, "backend"), "/local/domain/0/backend/vbd/5/51712");
    assert_int_equal(op.done, 0);
    vbd_front_resume(t->front);
    assert_int_equal(finish(&op), 0);
    assert_int_equal(t->events[VBD_FRONT_CONNECTED], 2);
    vbd_front_disconnect(t->front);
    await(t, VBD_FRONT_CLOSED, 1);
    stage_remove_device(t->s, VDEV);
}

static void test_a_disk_that_grows_is_told(void **state)
{
    struct fronted *t = *state;

    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, NULL);
    await(t, VBD_FRONT_CONNECTED, 1);
    stage_write(t->s, back_key(VDEV, "sectors"), "1024");
    stage_write(t->s, back_key(VDEV, "state"), "4");
    await(t, VBD_FRONT_RESIZED, 1);
    assert_int_equal(vbd_front_info(t->front)->disk.sectors, 1024);
    assert_int_equal(run(t, VBD_IO_READ, 1024 * 512, 512, (char[512]){0}), -EINVAL);
    vbd_front_disconnect(t->front);
    await(t, VBD_FRONT_CLOSED, 1);
    stage_remove_device(t->s, VDEV);
}

/* Batches go to the queues in turn; what came before a barrier is done when that is. */
static void test_a_barrier_is_one_for_all_queues(void **state)
{
    enum { OPS = 60 };
    struct vbd_front_options options;
    static char bytes[OPS][4096];
    static struct op ops[OPS];
    struct fronted *t = *state;

    vbd_front_options_init(&options);
    options.queues = 3;
    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, &options);
    await(t, VBD_FRONT_CONNECTED, 1);
    for (unsigned i = 0; i < OPS; i++)
        submit(t, &ops[i], i % 10 == 9 ? VBD_IO_BARRIER : VBD_IO_WRITE, i * 8192, 4096, bytes[i]);
    for (unsigned i = 9; i < OPS; i += 10) {
        assert_int_equal(finish(&ops[i]), 0);
        for (unsigned before = 0; before < i; before++)
            assert_int_equal(ops[before].done, 1);
    }
    vbd_front_disconnect(t->front);
    await(t, VBD_FRONT_CLOSED, 1);
    stage_remove_device(t->s, VDEV);
}

/* A hand plays the backend, and tells a disk that can't be. */
static void test_a_disk_that_cannot_be_is_refused(void **state)
{
    struct fronted *t = *state;
    char bytes[512];
    struct op op;

    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_write(t->s, back_key(VDEV, "state"), "2");
    begin(t, NULL);
    submit(t, &op, VBD_IO_READ, 0, 512, bytes);
    stage_expect(t->s, front_key(VDEV, "state"), "3");
    stage_write(t->s, back_key(VDEV, "sectors"), "1000");
    stage_write(t->s, back_key(VDEV, "sector-size"), "513");
    stage_write(t->s, back_key(VDEV, "state"), "4");
    await(t, VBD_FRONT_FAILED, 1);
    assert_non_null(strstr(vbd_front_why(t->front), "sector-size: the backend says 513"));
    assert_true(op.done == 1 && op.result == -EINVAL);
    stage_expect(t->s, front_key(VDEV, "state"), "6");
    assert_int_equal(t->shared, 0);
    vbd_front_disconnect(t->front);
    vbd_front_disconnect(t->front);
    assert_true(t->events[VBD_FRONT_FAILED] == 1 && t->events[VBD_FRONT_CLOSED] == 1);
    assert_int_equal(stage_destroy(t->s, VDEV), 0);
}

/* The first page that was shared is the ring's: its third word counts responses. */
static void test_a_backend_that_lies_ends_the_front(void **state)
{
    struct fronted *t = *state;

    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, NULL);
    await(t, VBD_FRONT_CONNECTED, 1);
    check_io(t, 0, 'l');
    ((uint32_t *)(void *)sim_page(t->s->sim, PAGES_FROM))[2] += 1000;
    await(t, VBD_FRONT_FAILED, 1);
    assert_non_null(strstr(vbd_front_why(t->front), "response index is out of range"));
    assert_int_equal(run(t, VBD_IO_FLUSH, 0, 0, NULL), -EPROTO);
    stage_expect(t->s, front_key(VDEV, "state"), "6");
    stage_expect(t->s, back_key(VDEV, "state"), "6");
    assert_int_equal(t->shared, 0);
    stage_remove_device(t->s, VDEV);
}

static bool has_answers(void *arg)
{
    return vbd_front_waits(((struct fronted *)arg)->front);
}

static void leaving_done(struct vbd_io *io, int result)
{
    op_done(io, result);
    vbd_front_disconnect(VBD_CONTAINER(io, struct op, io)->t->front);
}

/* Queues are closed after the pass that found one broken, not amid another's. */
static void test_a_callback_may_leave_a_backend_that_lies(void **state)
{
    struct vbd_front_options options;
    struct fronted *t = *state;
    char bytes[512];
    struct op op;

    vbd_front_options_init(&options);
    options.queues = 2;
    assert_int_equal(stage_create(t->s, VDEV, t->s->image, false), 0);
    stage_run(t->s, VDEV);
    begin(t, &options);
    await(t, VBD_FRONT_CONNECTED, 1);
    assert_int_equal(run(t, VBD_IO_READ, 0, 512, bytes), 0); /* queue 0 */
    submit(t, &op, VBD_IO_READ, 0, 512, bytes);              /* queue 1 */
    op.io.done = leaving_done;
    (void)vbd_front_process(t->front);
    if (op.done == 0) { /* else it was answered at once */
        assert_true(stage_wait(t->s, has_answers, t));
        ((uint32_t *)(void *)sim_page(t->s->sim, PAGES_FROM))[2] += 1000;
        (void)vbd_front_process(t->front);
        assert_int_equal(op.done, 1);
        assert_int_equal(op.result, 0);
    }
    await(t, VBD_FRONT_CLOSED, 1);
    assert_int_equal(t->events[VBD_FRONT_FAILED], 0);
    assert_int_equal(t->shared, 0);
    stage_remove_device(t->s, VDEV);
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
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
