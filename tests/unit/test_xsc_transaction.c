/* test_xsc_transaction.c - proves transaction batches without any I/O: begun, committed, repeated
 * on conflict within a bound, aborted when a call fails, the owner refuses or the batch is freed.
 * The test plays the server. */
#include <errno.h>

#include "xsc_support.h"

static void test_a_transaction_begins_does_and_commits(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/b", "v", 1);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "4294967295");
    serve(&o, XSC_OP_READ, UINT32_MAX, "/a", "1");
    serve(&o, XSC_OP_WRITE, UINT32_MAX, "/b", "OK");
    assert_int_equal(o.done, 0);
    serve(&o, XSC_OP_TRANSACTION_END, UINT32_MAX, "T", "OK");
    assert_string_equal(xsc_batch_string(o.b, 0), "1");
    owner_end(&o, 0);
}

static void test_a_conflict_repeats_all_of_the_transaction(void **state)
{
    static const char *const tx[] = {"11", "12", "13"};
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    xsc_batch_then(o.b, add_more);
    assert_int_equal(owner_submit(&o), 0);
    for (uint32_t i = 0; i < 3; i++) {
        serve(&o, XSC_OP_TRANSACTION_START, 0, "", tx[i]);
        serve(&o, XSC_OP_READ, 11 + i, "/a", "seen");
        serve(&o, XSC_OP_WRITE, 11 + i, "/more", "OK");
        serve(&o, XSC_OP_READ, 11 + i, "/more2", tx[i]);
        if (i < 2)
            serve_error(&o, XSC_OP_TRANSACTION_END, 11 + i, "T", "EAGAIN");
    }
    serve(&o, XSC_OP_TRANSACTION_END, 13, "T", "OK");
    assert_int_equal(o.asked, 3);
    assert_string_equal(xsc_batch_string(o.b, 2), "13");
    assert_int_equal(xsc_batch_reply(o.b, 3)->error, -EINVAL);
    assert_string_equal(xsc_batch_why(o.b), "");
    owner_end(&o, 0);
}

static void test_conflicts_are_repeated_a_bounded_number_of_times(void **state)
{
    struct owner o;
    int tries = 0;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o.b, XSC_OP_RM, "/a", NULL, 0);
    assert_int_equal(owner_submit(&o), 0);
    while (o.done == 0) {
        serve(&o, XSC_OP_TRANSACTION_START, 0, "", "5");
        serve(&o, XSC_OP_RM, 5, "/a", "OK");
        serve_error(&o, XSC_OP_TRANSACTION_END, 5, "T", "EAGAIN");
        assert_in_range(++tries, 1, XSC_BATCH_TRIES);
    }
    assert_int_equal(tries, XSC_BATCH_TRIES);
    assert_non_null(strstr(xsc_batch_why(o.b), "EAGAIN"));
    assert_false(xsc_wants_write(o.x));
    owner_end(&o, -EAGAIN);
}

static void test_a_failing_call_aborts_the_transaction(void **state)
{
    static const char *const answers[] = {"OK", "ENOENT"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct owner o;

        owner_init(&o, XSC_BATCH_TRANSACTION);
        (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/a", "v", 1);
        (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/b", "v", 1);
        assert_int_equal(owner_submit(&o), 0);
        serve(&o, XSC_OP_TRANSACTION_START, 0, "", "9");
        serve_error(&o, XSC_OP_WRITE, 9, "/a", "EACCES");
        serve(&o, XSC_OP_WRITE, 9, "/b", "OK");
        assert_int_equal(o.done, 0);
        if (i == 0)
            serve(&o, XSC_OP_TRANSACTION_END, 9, "F", answers[i]);
        else
            serve_error(&o, XSC_OP_TRANSACTION_END, 9, "F", answers[i]);
        assert_non_null(strstr(xsc_batch_why(o.b), "write /a: EACCES"));
        owner_end(&o, -EACCES);
    }
}

static void test_a_failing_call_is_not_repeated_by_a_conflicting_abort(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/a", "v", 1);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "9");
    serve_error(&o, XSC_OP_WRITE, 9, "/a", "EAGAIN");
    serve_error(&o, XSC_OP_TRANSACTION_END, 9, "F", "EAGAIN");
    assert_false(xsc_wants_write(o.x));
    owner_end(&o, -EAGAIN);
}

static void test_an_owner_who_refuses_aborts_the_transaction(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    o.refusal = -EBADMSG;
    (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/a", "v", 1);
    xsc_batch_then(o.b, add_more);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "9");
    serve(&o, XSC_OP_WRITE, 9, "/a", "OK");
    serve(&o, XSC_OP_TRANSACTION_END, 9, "F", "OK");
    assert_true(xsc_batch_why(o.b)[0] == '\0' || strchr(xsc_batch_why(o.b), ' ') != NULL);
    owner_end(&o, -EBADMSG);
}

static void test_a_transaction_that_does_not_begin_sends_nothing_else(void **state)
{
    static const struct {
        const char *error, *id;
        int result;
    } cases[] = {{"EBUSY", NULL, -EBUSY}, {"EQUOTA", NULL, -EDQUOT},     {NULL, "", -EPROTO},
                 {NULL, "1x", -EPROTO},   {NULL, "4294967296", -EPROTO}, {NULL, "-1", -EPROTO},
                 {NULL, "0", -EPROTO}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct owner o;

        owner_init(&o, XSC_BATCH_TRANSACTION);
        (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/a", "v", 1);
        assert_int_equal(owner_submit(&o), 0);
        if (cases[i].error != NULL)
            serve_error(&o, XSC_OP_TRANSACTION_START, 0, "", cases[i].error);
        else
            serve(&o, XSC_OP_TRANSACTION_START, 0, "", cases[i].id);
        assert_false(xsc_wants_write(o.x));
        assert_non_null(strstr(xsc_batch_why(o.b), "transaction start"));
        owner_end(&o, cases[i].result);
    }
}

static void end_counted(void *ctx, struct xsc_batch *b, int error)
{
    int *ends = ctx;

    (void)b;
    ends[0]++;
    ends[1] = error;
}

static void owner_leave(struct owner *o)
{
    xsc_batch_free(o->b);
    end_session(o->x, &o->memory);
}

/* Three transactions of one session, of which the server allows one. */
static void three(struct xsc *x, struct xsc_batch *b[3], int ends[3][2])
{
    for (int i = 0; i < 3; i++) {
        assert_int_equal(xsc_batch_new(x, XSC_BATCH_TRANSACTION, &b[i]), 0);
        (void)xsc_batch_add(b[i], XSC_OP_RM, "/a", NULL, 0);
        assert_int_equal(xsc_batch_submit(b[i], end_counted, ends[i]), 0);
    }
}

static void test_one_transaction_too_many_waits_for_another_to_end(void **state)
{
    struct xsc_batch *b[3];
    int ends[3][2] = {{0}};
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    three(o.x, b, ends);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "5");
    serve_error(&o, XSC_OP_TRANSACTION_START, 0, "", "ENOSPC");
    serve_error(&o, XSC_OP_TRANSACTION_START, 0, "", "EQUOTA");
    serve(&o, XSC_OP_RM, 5, "/a", "OK");
    serve(&o, XSC_OP_TRANSACTION_END, 5, "T", "OK");
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "6"); /* the second, and not yet the third */
    serve(&o, XSC_OP_RM, 6, "/a", "OK");
    assert_false(ends[1][0] || ends[2][0]);
    serve_error(&o, XSC_OP_TRANSACTION_END, 6, "T", "EAGAIN"); /* it and the third begin */
    serve_error(&o, XSC_OP_TRANSACTION_START, 0, "", "ENOSPC");
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "7");
    serve(&o, XSC_OP_RM, 7, "/a", "OK");
    serve(&o, XSC_OP_TRANSACTION_END, 7, "T", "OK");
    serve_error(&o, XSC_OP_TRANSACTION_START, 0, "", "ENOSPC"); /* of another session's making */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ends[i][0], 1);
        xsc_batch_free(b[i]);
    }
    assert_int_equal(ends[0][1], 0);
    assert_int_equal(ends[1][1], -ENOSPC);
    assert_int_equal(ends[2][1], 0);
    owner_leave(&o);
}

static void test_those_that_wait_for_a_transaction_end_with_the_session(void **state)
{
    struct xsc_batch *b[3];
    int ends[3][2] = {{0}};
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    three(o.x, b, ends);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "5");
    serve_error(&o, XSC_OP_TRANSACTION_START, 0, "", "ENOSPC");
    serve_error(&o, XSC_OP_TRANSACTION_START, 0, "", "ENOSPC");
    xsc_batch_free(b[1]); /* its owner has lost interest */
    xsc_disconnected(o.x, "gone");
    assert_true(ends[0][0] == 1 && ends[0][1] == -ECONNRESET);
    assert_int_equal(ends[1][0], 0);
    assert_true(ends[2][0] == 1 && ends[2][1] == -ENOTCONN);
    xsc_batch_free(b[0]);
    xsc_batch_free(b[2]);
    owner_leave(&o);
}

static void test_a_commit_that_fails_otherwise_is_not_repeated(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/a", "v", 1);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "9");
    serve(&o, XSC_OP_WRITE, 9, "/a", "OK");
    serve_error(&o, XSC_OP_TRANSACTION_END, 9, "T", "ENOSPC");
    assert_non_null(strstr(xsc_batch_why(o.b), "ENOSPC"));
    owner_end(&o, -ENOSPC);
}

/* --- submitted again by its own completion --- */

struct again {
    struct owner o; /* what add_more and serve know */
    int left;       /* runs to come */
    bool too_long;  /* what `more` adds can't be sent */
};

static int more_or_too_long(void *ctx, struct xsc_batch *b)
{
    struct again *a = ctx;
    static const char value[XSC_PAYLOAD_MAX];

    if (!a->too_long)
        return add_more(&a->o, b);
    (void)xsc_batch_add(b, XSC_OP_WRITE, "/more", value, sizeof value);
    return 0; /* the batch knows */
}

static void submit_again(void *ctx, struct xsc_batch *b, int error)
{
    struct again *a = ctx;

    a->o.done++;
    a->o.error = error;
    a->too_long = false;
    if (a->left-- > 0)
        assert_int_equal(xsc_batch_submit(b, submit_again, a), 0);
}

static void again_init(struct again *a, enum xsc_batch_kind kind)
{
    *a = (struct again){.left = 2};
    owner_init(&a->o, kind);
    (void)xsc_batch_add(a->o.b, XSC_OP_READ, "/a", NULL, 0);
    xsc_batch_then(a->o.b, more_or_too_long);
    assert_int_equal(xsc_batch_submit(a->o.b, submit_again, a), 0);
}

static void serve_run(struct again *a, uint32_t tx)
{
    serve(&a->o, XSC_OP_READ, tx, "/a", "seen");
    serve(&a->o, XSC_OP_WRITE, tx, "/more", "OK");
    serve(&a->o, XSC_OP_READ, tx, "/more2", "v");
}

/* What `more` added belongs to the run that it was added in: each has the same three calls. */
static void test_a_completion_that_submits_again(void **state)
{
    static const enum xsc_batch_kind kinds[] = {XSC_BATCH_PLAIN, XSC_BATCH_TRANSACTION};

    (void)state;
    for (size_t kind = 0; kind < 2; kind++) {
        bool tx = kinds[kind] == XSC_BATCH_TRANSACTION;
        struct again a;

        again_init(&a, kinds[kind]);
        for (int i = 1; i <= 3; i++) {
            if (tx)
                serve(&a.o, XSC_OP_TRANSACTION_START, 0, "", "7");
            serve_run(&a, tx ? 7 : 0);
            if (tx)
                serve(&a.o, XSC_OP_TRANSACTION_END, 7, "T", "OK");
            assert_int_equal(a.o.done, i);
            assert_int_equal(a.o.error, 0);
        }
        assert_int_equal(a.o.asked, 3);
        assert_false(xsc_wants_write(a.o.x));
        xsc_batch_free(a.o.b);
        end_session(a.o.x, &a.o.memory);
    }
}

/* Nor does a call that could not be added outlive its run. */
static void test_what_more_could_not_add_does_not_stick(void **state)
{
    struct again a;

    (void)state;
    again_init(&a, XSC_BATCH_PLAIN);
    a.left = 1;
    a.too_long = true;
    serve(&a.o, XSC_OP_READ, 0, "/a", "seen");
    assert_int_equal(a.o.done, 1);
    assert_int_equal(a.o.error, -E2BIG);
    serve_run(&a, 0);
    assert_int_equal(a.o.done, 2);
    assert_int_equal(a.o.error, 0);
    xsc_batch_free(a.o.b);
    end_session(a.o.x, &a.o.memory);
}

/* --- freed while it runs --- */

/* Frees the batch after `steps` answers; returns how the transaction went on. */
static void free_after(struct owner *o, int steps)
{
    owner_init(o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o->b, XSC_OP_WRITE, "/a", "v", 1);
    (void)xsc_batch_add(o->b, XSC_OP_WRITE, "/b", "v", 1);
    assert_int_equal(owner_submit(o), 0);
    if (steps > 0)
        serve(o, XSC_OP_TRANSACTION_START, 0, "", "7");
    if (steps > 1)
        serve(o, XSC_OP_WRITE, 7, "/a", "OK");
    xsc_batch_free(o->b);
}

static void test_a_freed_transaction_is_aborted(void **state)
{
    (void)state;
    for (int steps = 0; steps < 3; steps++) {
        struct owner o;

        free_after(&o, steps);
        if (steps == 0)
            serve(&o, XSC_OP_TRANSACTION_START, 0, "", "7");
        if (steps == 1)
            serve(&o, XSC_OP_WRITE, 7, "/a", "OK");
        if (steps > 0)
            serve(&o, XSC_OP_WRITE, 7, "/b", "OK");
        serve(&o, XSC_OP_TRANSACTION_END, 7, "F", "OK");
        assert_false(xsc_wants_write(o.x));
        assert_int_equal(o.done, 0);
        end_session(o.x, &o.memory);
    }
}

static void test_a_transaction_freed_during_its_commit_is_not_repeated(void **state)
{
    struct owner o;
    struct message m;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/a", "v", 1);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "7");
    serve(&o, XSC_OP_WRITE, 7, "/a", "OK");
    m = expect(o.x, XSC_OP_TRANSACTION_END, 7, "T");
    xsc_batch_free(o.b);
    assert_int_equal(answer_error(o.x, &m, "EAGAIN"), 0);
    assert_false(xsc_wants_write(o.x));
    assert_int_equal(o.done, 0);
    end_session(o.x, &o.memory);
}

static void test_a_freed_transaction_on_a_lost_session(void **state)
{
    (void)state;
    for (int steps = 0; steps < 3; steps++) {
        struct owner o;

        free_after(&o, steps);
        xsc_disconnected(o.x, "gone");
        assert_int_equal(o.done, 0);
        end_session(o.x, &o.memory);
    }
}

static void test_a_transaction_may_be_freed_by_its_own_completion(void **state)
{
    static const char *const words[] = {NULL, "ENOSPC"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct owner o;

        owner_init(&o, XSC_BATCH_TRANSACTION);
        o.free_when_done = true;
        (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/a", "v", 1);
        assert_int_equal(owner_submit(&o), 0);
        serve(&o, XSC_OP_TRANSACTION_START, 0, "", "7");
        serve(&o, XSC_OP_WRITE, 7, "/a", "OK");
        if (words[i] == NULL)
            serve(&o, XSC_OP_TRANSACTION_END, 7, "T", "OK");
        else
            serve_error(&o, XSC_OP_TRANSACTION_END, 7, "T", words[i]);
        owner_end(&o, i == 0 ? 0 : -ENOSPC);
    }
}

static void test_a_transaction_on_a_connection_that_is_lost_completes_once(void **state)
{
    (void)state;
    for (int steps = 0; steps < 4; steps++) {
        struct owner o;

        owner_init(&o, XSC_BATCH_TRANSACTION);
        (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/a", "v", 1);
        (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/b", "v", 1);
        assert_int_equal(owner_submit(&o), 0);
        if (steps > 0)
            serve(&o, XSC_OP_TRANSACTION_START, 0, "", "7");
        if (steps > 1)
            serve(&o, XSC_OP_WRITE, 7, "/a", "OK");
        if (steps > 2)
            serve(&o, XSC_OP_WRITE, 7, "/b", "OK");
        xsc_disconnected(o.x, "gone");
        assert_true(xsc_batch_why(o.b)[0] != '\0');
        owner_end(&o, -ECONNRESET);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_transaction_begins_does_and_commits),
        cmocka_unit_test(test_a_conflict_repeats_all_of_the_transaction),
        cmocka_unit_test(test_conflicts_are_repeated_a_bounded_number_of_times),
        cmocka_unit_test(test_a_failing_call_aborts_the_transaction),
        cmocka_unit_test(test_a_failing_call_is_not_repeated_by_a_conflicting_abort),
        cmocka_unit_test(test_an_owner_who_refuses_aborts_the_transaction),
        cmocka_unit_test(test_a_transaction_that_does_not_begin_sends_nothing_else),
        cmocka_unit_test(test_one_transaction_too_many_waits_for_another_to_end),
        cmocka_unit_test(test_those_that_wait_for_a_transaction_end_with_the_session),
        cmocka_unit_test(test_a_commit_that_fails_otherwise_is_not_repeated),
        cmocka_unit_test(test_a_completion_that_submits_again),
        cmocka_unit_test(test_what_more_could_not_add_does_not_stick),
        cmocka_unit_test(test_a_freed_transaction_is_aborted),
        cmocka_unit_test(test_a_transaction_freed_during_its_commit_is_not_repeated),
        cmocka_unit_test(test_a_freed_transaction_on_a_lost_session),
        cmocka_unit_test(test_a_transaction_may_be_freed_by_its_own_completion),
        cmocka_unit_test(test_a_transaction_on_a_connection_that_is_lost_completes_once),
    };

    return cmocka_run_group_tests_name("xsc_transaction", tests, NULL, NULL);
}
