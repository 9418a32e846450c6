/* test_xsc_suspend.c - proves that a connection can be ended in order and taken up again, in every
 * phase: what is waited for, what is kept, what watches are told, what is refused, and what a lost
 * connection, a freed session and missing memory do then. The test plays the server. */
#include <errno.h>

#include "xsc_support.h"

struct told {
    int done, error;
};

struct watched {
    struct xsc_watch *watch;
    struct outcome o;
    struct message set;
    int fired, missed; /* with a path, and with NULL */
};

static void suspended(void *ctx, int error)
{
    struct told *t = ctx;

    t->done++;
    t->error = error;
}

static void note(void *ctx, const char *path)
{
    struct watched *w = ctx;

    if (path == NULL)
        w->missed++;
    else
        w->fired++;
}

static void watch_start(struct xsc *x, struct watched *w, const char *path)
{
    *w = (struct watched){0};
    assert_int_equal(xsc_watch_add(x, path, note, w, into(&w->o), &w->watch), 0);
}

static void watch_set(struct xsc *x, struct watched *w, const char *path)
{
    watch_start(x, w, path);
    w->set = expect(x, XSC_OP_WATCH, 0, path);
    assert_int_equal(answer_ok(x, &w->set), 0);
    assert_completed(&w->o, 0);
}

/* The next request must be this, and is answered OK. */
static struct message pass(struct xsc *x, enum xsc_op op, uint32_t tx, const char *path)
{
    struct message m = expect(x, op, tx, path);

    assert_int_equal(answer_ok(x, &m), 0);
    return m;
}

static void begin(struct xsc *x, struct told *t)
{
    *t = (struct told){0};
    assert_int_equal(xsc_suspend(x, suspended, t), 0);
}

static void assert_suspended(struct xsc *x, const struct told *t)
{
    assert_int_equal(t->done, 1);
    assert_int_equal(t->error, 0);
    assert_true(xsc_is_suspended(x));
    assert_false(xsc_wants_write(x));
    assert_int_equal(xsc_output(x, &(struct xsc_slice){0}, 1), 0);
}

/* Suspends a session that has nothing to do but to cancel `watches` watches. */
static void suspend_now(struct xsc *x, int watches)
{
    struct told t;
    struct message m;

    begin(x, &t);
    for (int i = 0; i < watches; i++) {
        assert_true(take_message(x, &m));
        assert_int_equal(m.type, XSC_OP_UNWATCH);
        assert_false(xsc_is_suspended(x));
        assert_int_equal(answer_ok(x, &m), 0);
    }
    assert_suspended(x, &t);
}

static void test_an_idle_session_is_suspended_at_once(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o = {0};

    (void)state;
    assert_false(xsc_is_suspended(x));
    suspend_now(x, 0);
    assert_int_equal(xsc_resume(x, true), 0);
    assert_false(xsc_is_suspended(x));
    assert_int_equal(submit(x, XSC_OP_READ, "/a", &o), 0);
    (void)pass(x, XSC_OP_READ, 0, "/a");
    assert_completed(&o, 0);
    end_session(x, &memory);
}

static void test_requests_are_waited_for_and_new_ones_kept(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o[4] = {0};
    struct message sent;
    struct told t;

    (void)state;
    assert_int_equal(submit(x, XSC_OP_READ, "/sent", &o[0]), 0);
    assert_int_equal(submit(x, XSC_OP_READ, "/unsent", &o[1]), 0);
    sent = expect(x, XSC_OP_READ, 0, "/sent");
    begin(x, &t);
    assert_int_equal(submit(x, XSC_OP_READ, "/kept", &o[2]), 0);
    assert_int_equal(answer_ok(x, &sent), 0);
    assert_int_equal(t.done, 0);
    (void)pass(x, XSC_OP_READ, 0, "/unsent");
    assert_suspended(x, &t);
    assert_int_equal(submit(x, XSC_OP_WRITE, "/kept2", &o[3]), 0);
    assert_int_equal(xsc_pending(x), 2);
    assert_false(xsc_wants_write(x));
    assert_int_equal(xsc_resume(x, true), 0);
    (void)pass(x, XSC_OP_READ, 0, "/kept");
    (void)pass(x, XSC_OP_WRITE, 0, "/kept2");
    for (int i = 0; i < 4; i++)
        assert_completed(&o[i], 0);
    assert_int_equal(t.done, 1);
    end_session(x, &memory);
}

static void test_a_half_written_request_is_finished_first(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct xsc_slice slice;
    struct outcome o = {0};
    struct message m;
    struct told t;

    (void)state;
    assert_int_equal(submit(x, XSC_OP_READ, "/half", &o), 0);
    assert_int_equal(xsc_output(x, &slice, 1), 1);
    memcpy(&m, slice.bytes, HEADER);
    xsc_output_sent(x, 7);
    begin(x, &t);
    assert_int_equal(xsc_output(x, &slice, 1), 1);
    assert_int_equal(slice.len, HEADER + sizeof "/half" - 7);
    xsc_output_sent(x, slice.len);
    assert_int_equal(answer_ok(x, &m), 0);
    assert_suspended(x, &t);
    end_session(x, &memory);
}

static int submit_in(struct xsc *x, uint32_t tx, enum xsc_op op, const char *path,
                     struct outcome *o)
{
    struct xsc_call call = {.op = op, .tx = tx, .path = path};

    return xsc_submit(x, &call, into(o));
}

static void test_an_open_transaction_is_waited_for_and_goes_on(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o[4] = {0};
    struct message m;
    struct told t;

    (void)state;
    assert_int_equal(submit(x, XSC_OP_TRANSACTION_START, "", &o[0]), 0);
    m = expect(x, XSC_OP_TRANSACTION_START, 0, "");
    assert_int_equal(answer(x, &m, "5", 2), 0);
    begin(x, &t);
    assert_int_equal(t.done, 0);
    assert_int_equal(submit(x, XSC_OP_READ, "/outside", &o[1]), 0);
    assert_int_equal(submit_in(x, 5, XSC_OP_READ, "/inside", &o[2]), 0);
    (void)pass(x, XSC_OP_READ, 5, "/inside");
    assert_false(xsc_wants_write(x));
    assert_int_equal(t.done, 0);
    assert_int_equal(submit_in(x, 5, XSC_OP_TRANSACTION_END, "T", &o[3]), 0);
    (void)pass(x, XSC_OP_TRANSACTION_END, 5, "T");
    assert_suspended(x, &t);
    assert_completed(&o[2], 0);
    assert_waiting(&o[1]);
    end_session(x, &memory);
    assert_completed(&o[1], -ECANCELED);
}

/* A transaction is over when it could not begin, and however its end is answered. */
static void test_a_transaction_that_fails_is_over(void **state)
{
    static const int errors[] = {-EBUSY, -EPROTO, -EACCES};

    (void)state;
    for (int round = 0; round < 3; round++) {
        struct owner o;
        struct told t;

        owner_init(&o, XSC_BATCH_TRANSACTION);
        (void)xsc_batch_add(o.b, XSC_OP_RM, "/a", NULL, 0);
        assert_int_equal(owner_submit(&o), 0);
        begin(o.x, &t);
        if (round == 0) {
            serve_error(&o, XSC_OP_TRANSACTION_START, 0, "", "EBUSY");
        } else if (round == 1) { /* no number: nothing that could be ended */
            serve(&o, XSC_OP_TRANSACTION_START, 0, "", "what");
        } else {
            serve(&o, XSC_OP_TRANSACTION_START, 0, "", "8");
            serve_error(&o, XSC_OP_RM, 8, "/a", "EACCES");
            serve_error(&o, XSC_OP_TRANSACTION_END, 8, "F", "ENOENT");
        }
        assert_int_equal(o.done, 1);
        assert_suspended(o.x, &t);
        owner_end(&o, errors[round]);
    }
}

static void test_a_transaction_batch_is_waited_for(void **state)
{
    struct owner o;
    struct told t;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o.b, XSC_OP_RM, "/a", NULL, 0);
    assert_int_equal(owner_submit(&o), 0);
    begin(o.x, &t);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "8");
    serve(&o, XSC_OP_RM, 8, "/a", "OK");
    assert_int_equal(t.done, 0);
    serve(&o, XSC_OP_TRANSACTION_END, 8, "T", "OK");
    assert_suspended(o.x, &t);
    owner_end(&o, 0);
}

/* Its next try is either waited for or kept; it is made once, and the batch ends well. */
static void test_a_batch_that_conflicts_meanwhile_is_tried_again(void **state)
{
    struct owner o;
    struct told t;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o.b, XSC_OP_RM, "/a", NULL, 0);
    assert_int_equal(owner_submit(&o), 0);
    begin(o.x, &t);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "8");
    serve(&o, XSC_OP_RM, 8, "/a", "OK");
    serve_error(&o, XSC_OP_TRANSACTION_END, 8, "T", "EAGAIN");
    assert_int_equal(o.done, 0);
    if (t.done == 1) {
        assert_suspended(o.x, &t);
        assert_int_equal(xsc_resume(o.x, true), 0);
    }
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "9");
    serve(&o, XSC_OP_RM, 9, "/a", "OK");
    serve(&o, XSC_OP_TRANSACTION_END, 9, "T", "OK");
    assert_int_equal(t.done, 1);
    assert_int_equal(t.error, 0);
    owner_end(&o, 0);
}

static void test_watches_are_cancelled_and_set_again_before_what_was_kept(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome kept = {0};
    struct watched w[2];
    struct message m;
    struct told t;

    (void)state;
    watch_set(x, &w[0], "/w0");
    watch_set(x, &w[1], "/w1");
    begin(x, &t);
    for (int i = 0; i < 2; i++) {
        m = pass(x, XSC_OP_UNWATCH, 0, i == 0 ? "/w0" : "/w1");
        assert_memory_equal(m.payload, w[i].set.payload, w[i].set.len);
    }
    assert_suspended(x, &t);
    assert_int_equal(submit(x, XSC_OP_READ, "/kept", &kept), 0);
    assert_int_equal(xsc_resume(x, true), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(w[i].missed, 1);
        w[i].set = pass(x, XSC_OP_WATCH, 0, i == 0 ? "/w0" : "/w1");
        assert_int_equal(fire(x, &w[i].set, "/w"), 0);
        assert_int_equal(w[i].fired, 1);
    }
    (void)pass(x, XSC_OP_READ, 0, "/kept");
    assert_int_equal(w[0].missed + w[1].missed, 2);
    assert_int_equal(w[0].o.done, 1); /* no second answer to the user */
    end_session(x, &memory);
}

static void test_events_of_the_old_connection_do_not_reach_a_watch_set_again(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct message old;
    struct watched w;

    (void)state;
    watch_set(x, &w, "/w");
    old = w.set;
    suspend_now(x, 1);
    assert_int_equal(fire(x, &old, "/w"), 0);
    assert_in_range(w.fired, 0, 1); /* late, but of a watch that is there */
    w.fired = 0;
    assert_int_equal(xsc_resume(x, true), 0);
    w.set = pass(x, XSC_OP_WATCH, 0, "/w");
    assert_int_equal(fire(x, &old, "/w"), 0);
    assert_int_equal(w.fired, 0);
    end_session(x, &memory);
}

/* Where a session can be when something happens to it. */
enum phase { DRAINING, CANCELLING, SUSPENDED, PHASES };

struct scene {
    struct memory memory;
    struct xsc *x;
    struct told t;
    struct outcome waited, kept;
    struct message read, unwatch;
    struct watched w;
};

static void scene_init(struct scene *s, enum phase phase)
{
    memset(s, 0, sizeof *s);
    s->x = new_session(&s->memory);
    watch_set(s->x, &s->w, "/w");
    assert_int_equal(submit(s->x, XSC_OP_READ, "/waited", &s->waited), 0);
    s->read = expect(s->x, XSC_OP_READ, 0, "/waited");
    begin(s->x, &s->t);
    assert_int_equal(submit(s->x, XSC_OP_READ, "/kept", &s->kept), 0);
    if (phase >= CANCELLING) {
        assert_int_equal(answer_ok(s->x, &s->read), 0);
        s->unwatch = expect(s->x, XSC_OP_UNWATCH, 0, "/w");
    }
    if (phase >= SUSPENDED) {
        assert_int_equal(answer_ok(s->x, &s->unwatch), 0);
        assert_suspended(s->x, &s->t);
    }
}

/* What is on the wire is answered, whatever it is; the watch must be set at the end. */
static void scene_goes_on(struct scene *s, enum phase phase)
{
    if (phase == DRAINING)
        assert_int_equal(answer_ok(s->x, &s->read), 0);
    if (phase == CANCELLING)
        assert_int_equal(answer_ok(s->x, &s->unwatch), 0);
    if (phase != DRAINING)
        s->w.set = pass(s->x, XSC_OP_WATCH, 0, "/w");
    (void)pass(s->x, XSC_OP_READ, 0, "/kept");
    assert_completed(&s->waited, 0);
    assert_completed(&s->kept, 0);
    assert_int_equal(fire(s->x, &s->w.set, "/w"), 0);
    assert_int_equal(s->w.fired, 1);
    assert_int_equal(s->w.missed, phase != DRAINING);
    assert_int_equal(xsc_pending(s->x), 0);
}

static void test_resume_on_the_same_connection_cancels_a_suspension_in_each_phase(void **state)
{
    static struct scene s;

    (void)state;
    for (enum phase phase = DRAINING; phase < PHASES; phase++) {
        scene_init(&s, phase);
        assert_int_equal(xsc_resume(s.x, false), 0);
        assert_int_equal(s.t.done, 1);
        assert_int_equal(s.t.error, phase == SUSPENDED ? 0 : -ECANCELED);
        scene_goes_on(&s, phase);
        assert_int_equal(s.t.done, 1);
        end_session(s.x, &s.memory);
    }
}

static void test_a_lost_connection_ends_a_suspension_unless_it_is_complete(void **state)
{
    static struct scene s;
    struct told second = {0};

    (void)state;
    for (enum phase phase = DRAINING; phase < PHASES; phase++) {
        scene_init(&s, phase);
        assert_int_equal(xsc_suspend(s.x, suspended, &second), -EBUSY);
        xsc_disconnected(s.x, "the daemon went away");
        assert_int_equal(s.t.done, 1);
        assert_int_equal(s.t.error, phase == SUSPENDED ? 0 : -ECONNRESET);
        assert_int_equal(xsc_is_suspended(s.x), phase == SUSPENDED);
        assert_int_equal(xsc_why(s.x)[0] == '\0', phase == SUSPENDED);
        assert_int_equal(xsc_suspend(s.x, suspended, &second),
                         phase == SUSPENDED ? -EBUSY : -ENOTCONN);
        assert_completed(&s.waited, phase == DRAINING ? -ECONNRESET : 0);
        if (phase == SUSPENDED)
            assert_waiting(&s.kept);
        else
            assert_completed(&s.kept, -ECONNRESET);
        end_session(s.x, &s.memory);
    }
    assert_int_equal(second.done, 0);
}

static void test_freeing_in_each_phase(void **state)
{
    static struct scene s;

    (void)state;
    for (enum phase phase = DRAINING; phase < PHASES; phase++) {
        scene_init(&s, phase);
        end_session(s.x, &s.memory);
        assert_int_equal(s.t.done, 1);
        assert_int_equal(s.t.error, phase == SUSPENDED ? 0 : -ECANCELED);
        assert_completed(&s.waited, phase == DRAINING ? -ECANCELED : 0);
        assert_completed(&s.kept, -ECANCELED);
        assert_int_equal(s.w.missed, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_session_is_suspended_at_once),
        cmocka_unit_test(test_requests_are_waited_for_and_new_ones_kept),
        cmocka_unit_test(test_a_half_written_request_is_finished_first),
        cmocka_unit_test(test_an_open_transaction_is_waited_for_and_goes_on),
        cmocka_unit_test(test_a_transaction_that_fails_is_over),
        cmocka_unit_test(test_a_transaction_batch_is_waited_for),
        cmocka_unit_test(test_a_batch_that_conflicts_meanwhile_is_tried_again),
        cmocka_unit_test(test_watches_are_cancelled_and_set_again_before_what_was_kept),
        cmocka_unit_test(test_events_of_the_old_connection_do_not_reach_a_watch_set_again),
        cmocka_unit_test(test_resume_on_the_same_connection_cancels_a_suspension_in_each_phase),
        cmocka_unit_test(test_a_lost_connection_ends_a_suspension_unless_it_is_complete),
        cmocka_unit_test(test_freeing_in_each_phase),
    };

    return cmocka_run_group_tests_name("xsc_suspend", tests, NULL, NULL);
}
