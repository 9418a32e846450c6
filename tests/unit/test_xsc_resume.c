/* test_xsc_resume.c - proves what a session does when it is taken up again: after a loss, in the
 * middle of a message, without memory; and watches that come and go in every phase. The test plays
 * the server. */
#include <errno.h>

#include "xsc_support.h"

struct told {
    int done, error;
};

struct watched {
    struct xsc_watch *watch;
    struct outcome o;
    int fired, missed;
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

static int watch_start(struct xsc *x, struct watched *w, const char *path)
{
    *w = (struct watched){0};
    return xsc_watch_add(x, path, note, w, into(&w->o), &w->watch);
}

static struct message pass(struct xsc *x, enum xsc_op op, const char *path)
{
    struct message m = expect(x, op, 0, path);

    assert_int_equal(answer_ok(x, &m), 0);
    return m;
}

static void watch_set(struct xsc *x, struct watched *w, const char *path)
{
    assert_int_equal(watch_start(x, w, path), 0);
    (void)pass(x, XSC_OP_WATCH, path);
}

/* --- a server that remembers which watches are set, and answers all --- */

enum { SET_MAX = 16 };

struct keeper {
    char tokens[SET_MAX][64];
    int count, unwatched;
};

static int keeper_find(const struct keeper *k, const char *token)
{
    for (int i = 0; i < k->count; i++)
        if (strcmp(k->tokens[i], token) == 0)
            return i;
    return -1;
}

static void keep_watch(struct keeper *k, const struct message *m)
{
    const char *token = m->payload + strlen(m->payload) + 1;
    int at = keeper_find(k, token);

    if (m->type == XSC_OP_WATCH) {
        assert_int_equal(at, -1);
        assert_in_range(k->count, 0, SET_MAX - 1);
        (void)snprintf(k->tokens[k->count++], sizeof k->tokens[0], "%s", token);
    } else if (at >= 0) { /* ENOENT for what is not there does no harm */
        memmove(k->tokens[at], k->tokens[at + 1], (size_t)(--k->count - at) * sizeof k->tokens[0]);
        k->unwatched++;
    }
}

static void serve_all(struct xsc *x, struct keeper *k)
{
    struct message m;

    while (take_message(x, &m)) {
        if (m.type == XSC_OP_WATCH || m.type == XSC_OP_UNWATCH)
            keep_watch(k, &m);
        (void)answer_ok(x, &m); /* it fails when the session ran out of memory */
    }
}

/* --- after a loss --- */

static void test_a_lost_session_is_taken_up_again(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o[2] = {0};
    struct watched w;

    (void)state;
    watch_set(x, &w, "/w");
    assert_int_equal(submit(x, XSC_OP_READ, "/lost", &o[0]), 0);
    xsc_disconnected(x, "gone");
    assert_completed(&o[0], -ECONNRESET);
    assert_int_equal(w.missed, 0);
    assert_int_equal(xsc_resume(x, true), 0);
    assert_string_equal(xsc_why(x), "");
    assert_int_equal(w.missed, 1);
    assert_int_equal(submit(x, XSC_OP_READ, "/again", &o[1]), 0);
    (void)pass(x, XSC_OP_WATCH, "/w");
    (void)pass(x, XSC_OP_READ, "/again");
    assert_completed(&o[1], 0);
    assert_int_equal(w.missed, 1);
    end_session(x, &memory);
}

static void test_a_watch_that_was_never_answered_is_set_again(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct message set;
    struct watched w;

    (void)state;
    assert_int_equal(watch_start(x, &w, "/w"), 0);
    (void)expect(x, XSC_OP_WATCH, 0, "/w");
    xsc_disconnected(x, "gone");
    assert_completed(&w.o, -ECONNRESET);
    assert_int_equal(xsc_resume(x, true), 0);
    set = pass(x, XSC_OP_WATCH, "/w");
    assert_int_equal(fire(x, &set, "/w/x"), 0);
    assert_int_equal(w.fired, 1);
    assert_int_equal(w.o.done, 1);
    end_session(x, &memory);
}

/* A server may take fewer watches than the last one did. */
static void test_a_watch_that_is_refused_then_is_told_again(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct message set;
    struct watched w;

    (void)state;
    watch_set(x, &w, "/w");
    for (int i = 1; i < 3; i++) {
        xsc_disconnected(x, "gone");
        assert_int_equal(xsc_resume(x, true), 0);
        set = expect(x, XSC_OP_WATCH, 0, "/w");
        assert_int_equal(w.missed, 2 * i - 1);
        assert_int_equal(answer_error(x, &set, "EQUOTA"), 0);
        assert_int_equal(w.missed, 2 * i);
    }
    xsc_watch_remove(w.watch); /* it is not set, so there is nothing to ask */
    assert_false(xsc_wants_write(x));
    end_session(x, &memory);
}

static void test_a_watch_removed_while_lost_stays_removed(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w[2];

    (void)state;
    watch_set(x, &w[0], "/gone");
    watch_set(x, &w[1], "/stays");
    xsc_disconnected(x, "gone");
    xsc_watch_remove(w[0].watch);
    assert_int_equal(xsc_resume(x, true), 0);
    (void)pass(x, XSC_OP_WATCH, "/stays");
    assert_false(xsc_wants_write(x));
    assert_int_equal(w[0].missed, 0);
    assert_int_equal(w[1].missed, 1);
    end_session(x, &memory);
}

static void test_several_losses_in_a_row(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct keeper k = {0};
    struct watched w;

    (void)state;
    watch_set(x, &w, "/w");
    for (int i = 0; i < 5; i++) {
        xsc_disconnected(x, "gone");
        assert_int_equal(xsc_resume(x, true), 0);
        assert_int_equal(w.missed, i + 1);
        if (i % 2 == 0) /* else it is lost before the watch was set */
            serve_all(x, &k);
    }
    end_session(x, &memory);
}

/* --- half a message --- */

static void test_half_a_message_of_the_old_connection_is_dropped(void **state)
{
    char big[HEADER + 100];

    (void)state;
    for (size_t have = 1; have < sizeof big; have++) {
        struct memory memory;
        struct xsc *x = new_session(&memory);
        struct told t = {0};
        struct outcome o = {0};

        (void)put_message(big, XSC_OP_WATCH_EVENT, 0, (char[100]){0}, 100);
        assert_int_equal(xsc_suspend(x, suspended, &t), 0);
        assert_int_equal(xsc_feed(x, big, have), 0);
        assert_int_equal(xsc_resume(x, true), 0);
        assert_int_equal(submit(x, XSC_OP_READ, "/a", &o), 0);
        (void)pass(x, XSC_OP_READ, "/a");
        assert_completed(&o, 0);
        end_session(x, &memory);
    }
}

static void test_half_a_message_goes_on_with_the_same_connection(void **state)
{
    char event[HEADER + 100];

    (void)state;
    for (size_t have = 0; have < sizeof event; have++) {
        struct memory memory;
        struct xsc *x = new_session(&memory);
        struct told t = {0};
        struct outcome o = {0};

        (void)put_message(event, XSC_OP_WATCH_EVENT, 0, (char[100]){0}, 100);
        assert_int_equal(xsc_suspend(x, suspended, &t), 0);
        assert_int_equal(xsc_feed(x, event, have), 0);
        assert_int_equal(xsc_resume(x, false), 0);
        assert_int_equal(xsc_feed(x, event + have, sizeof event - have), 0);
        assert_int_equal(submit(x, XSC_OP_READ, "/a", &o), 0);
        (void)pass(x, XSC_OP_READ, "/a");
        assert_completed(&o, 0);
        end_session(x, &memory);
    }
}

/* A message over the limit was seen, and the connection is over: whatever resume is told about the
 * next one, nothing of that message may be left. */
static void test_what_broke_the_connection_is_gone_after_resume(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        struct memory memory;
        struct xsc *x = new_session(&memory);
        struct outcome o = {0};
        uint32_t header[4] = {XSC_OP_READ, 1, 0, 100000};

        assert_int_equal(xsc_feed(x, header, sizeof header), -EPROTO);
        assert_int_equal(xsc_resume(x, other == 0), 0);
        assert_int_equal(submit(x, XSC_OP_READ, "/a", &o), 0);
        (void)pass(x, XSC_OP_READ, "/a");
        assert_completed(&o, 0);
        end_session(x, &memory);
    }
}

/* --- watches in every phase --- */

enum { BEFORE, DRAINING, CANCELLING, SUSPENDED, RESUMED, PHASES };

struct course {
    struct memory memory;
    struct xsc *x;
    struct keeper k;
    struct told t;
    struct watched always, moving;
    struct outcome read;
    struct message m;
    int add, remove, added; /* in which phase; what the add answered */
};

static void in_phase(struct course *c, int phase)
{
    if (c->add == phase)
        c->added = watch_start(c->x, &c->moving, "/moving");
    if (c->remove == phase) {
        xsc_watch_remove(c->moving.watch);
        c->moving.watch = NULL;
    }
}

/* One suspension, with a watch that is added in one phase and removed in another, or the same. */
static void run_course(struct course *c, bool new_connection)
{
    c->x = new_session(&c->memory);
    assert_int_equal(watch_start(c->x, &c->always, "/always"), 0);
    in_phase(c, BEFORE);
    serve_all(c->x, &c->k);
    assert_int_equal(submit(c->x, XSC_OP_READ, "/a", &c->read), 0);
    c->m = expect(c->x, XSC_OP_READ, 0, "/a");
    assert_int_equal(xsc_suspend(c->x, suspended, &c->t), 0);
    in_phase(c, DRAINING);
    assert_int_equal(answer_ok(c->x, &c->m), 0);
    in_phase(c, CANCELLING);
    serve_all(c->x, &c->k);
    assert_int_equal(c->t.done, 1);
    assert_true(xsc_is_suspended(c->x));
    assert_int_equal(c->k.count, 0); /* none is left at the server */
    in_phase(c, SUSPENDED);
    assert_false(xsc_wants_write(c->x));
    assert_int_equal(xsc_resume(c->x, new_connection), 0);
    in_phase(c, RESUMED);
    serve_all(c->x, &c->k);
}

static void test_a_watch_may_be_added_and_removed_in_each_phase(void **state)
{
    static struct course c;

    (void)state;
    for (int i = 0; i < 2 * PHASES * (PHASES + 1); i++) {
        memset(&c, 0, sizeof c);
        c.add = i / 2 % PHASES;
        c.remove = i / 2 / PHASES; /* PHASES: never */
        if (c.remove < c.add)
            continue;
        run_course(&c, i % 2 == 0);
        assert_int_equal(c.added, 0);
        assert_int_equal(c.moving.o.done, 1);
        assert_int_equal(c.moving.o.released, 1);
        assert_int_equal(c.k.count, c.remove == PHASES ? 2 : 1);
        assert_int_equal(c.always.missed, 1);
        assert_int_equal(c.moving.missed, c.add == BEFORE && c.remove >= RESUMED);
        assert_int_equal(xsc_pending(c.x), 0);
        end_session(c.x, &c.memory);
    }
}

/* --- one suspension after another --- */

static void test_a_watch_kept_by_one_suspension_is_cancelled_by_the_next(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct keeper k = {0};
    struct told t[2] = {0};
    struct watched w;

    (void)state;
    assert_int_equal(xsc_suspend(x, suspended, &t[0]), 0);
    assert_int_equal(watch_start(x, &w, "/w"), 0); /* kept */
    assert_int_equal(xsc_resume(x, false), 0);
    assert_int_equal(xsc_suspend(x, suspended, &t[1]), 0);
    xsc_watch_remove(w.watch); /* its request was made before, and is on its way */
    serve_all(x, &k);
    assert_int_equal(t[1].done, 1);
    assert_int_equal(k.count, 0);
    assert_int_equal(xsc_resume(x, false), 0);
    serve_all(x, &k);
    assert_int_equal(k.count, 0);
    end_session(x, &memory);
}

static void test_a_call_in_a_transaction_that_is_over_is_not_written_while_suspended(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct xsc_call call = {.op = XSC_OP_READ, .tx = 77, .path = "/a"};
    struct told t = {0};
    struct outcome o = {0};

    (void)state;
    assert_int_equal(xsc_suspend(x, suspended, &t), 0);
    assert_true(xsc_is_suspended(x));
    (void)xsc_submit(x, &call, into(&o));
    assert_false(xsc_wants_write(x));
    assert_int_equal(xsc_output(x, &(struct xsc_slice){0}, 1), 0);
    end_session(x, &memory);
    assert_int_equal(o.released, 1);
}

/* --- memory --- */

/* Resumes three watches with the n-th allocation failing; true when it did. */
static bool resume_fails(struct xsc *x, struct memory *memory, const struct watched *w,
                         unsigned long n)
{
    int r;

    memory->fail_at = memory->calls + n;
    r = xsc_resume(x, true);
    memory->fail_at = 0;
    assert_true(r == 0 || r == -ENOMEM);
    assert_int_equal(xsc_is_suspended(x), r != 0);
    assert_int_equal(w->missed, r == 0);
    assert_int_equal(xsc_wants_write(x), r == 0);
    return r != 0;
}

static void test_resume_without_memory_changes_nothing(void **state)
{
    bool failed = true;
    unsigned long n = 0;

    (void)state;
    while (failed) {
        struct memory memory;
        struct xsc *x = new_session(&memory);
        struct keeper k = {0};
        struct told t = {0};
        struct watched w[3];

        for (int i = 0; i < 3; i++)
            assert_int_equal(watch_start(x, &w[i], "/w"), 0);
        serve_all(x, &k);
        assert_int_equal(xsc_suspend(x, suspended, &t), 0);
        serve_all(x, &k);
        failed = resume_fails(x, &memory, &w[0], ++n);
        assert_int_equal(xsc_resume(x, true), 0);
        serve_all(x, &k);
        assert_int_equal(k.count, 3);
        assert_int_equal(w[2].missed, 1);
        end_session(x, &memory);
    }
    assert_in_range(n, 4, 100); /* each watch needs some */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lost_session_is_taken_up_again),
        cmocka_unit_test(test_a_watch_that_was_never_answered_is_set_again),
        cmocka_unit_test(test_a_watch_that_is_refused_then_is_told_again),
        cmocka_unit_test(test_a_watch_removed_while_lost_stays_removed),
        cmocka_unit_test(test_several_losses_in_a_row),
        cmocka_unit_test(test_half_a_message_of_the_old_connection_is_dropped),
        cmocka_unit_test(test_half_a_message_goes_on_with_the_same_connection),
        cmocka_unit_test(test_what_broke_the_connection_is_gone_after_resume),
        cmocka_unit_test(test_a_watch_may_be_added_and_removed_in_each_phase),
        cmocka_unit_test(test_a_watch_kept_by_one_suspension_is_cancelled_by_the_next),
        cmocka_unit_test(test_a_call_in_a_transaction_that_is_over_is_not_written_while_suspended),
        cmocka_unit_test(test_resume_without_memory_changes_nothing),
    };

    return cmocka_run_group_tests_name("xsc_resume", tests, NULL, NULL);
}
