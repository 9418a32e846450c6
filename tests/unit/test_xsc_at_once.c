/* test_xsc_at_once.c - proves transactions whose commit travels with their calls: the order on the
 * wire, what a refused call, a conflict and a lost connection do, and servers that answer out of
 * order; and what calls without a path and watches with a depth look like on the wire. */
#include <errno.h>

#include "xsc_support.h"

static void at_once_init(struct owner *o)
{
    owner_init(o, XSC_BATCH_TRANSACTION);
    xsc_batch_commit_at_once(o->b, true);
    assert_int_equal(xsc_batch_add(o->b, XSC_OP_WRITE, "/a", "v", 1), 0);
    assert_int_equal(xsc_batch_add(o->b, XSC_OP_READ, "/b", NULL, 0), 1);
}

struct flight {
    struct message calls[2], end;
};

/* Lets the transaction begin; what it then sends is to be taken without an answer. */
static void take_flight(struct owner *o, const char *tx, struct flight *f)
{
    uint32_t number = (uint32_t)strtoul(tx, NULL, 10);

    serve(o, XSC_OP_TRANSACTION_START, 0, "", tx);
    f->calls[0] = expect(o->x, XSC_OP_WRITE, number, "/a");
    f->calls[1] = expect(o->x, XSC_OP_READ, number, "/b");
    f->end = expect(o->x, XSC_OP_TRANSACTION_END, number, "T");
    assert_false(xsc_wants_write(o->x));
}

static void answer_flight(struct owner *o, const struct flight *f, const char *word)
{
    assert_int_equal(answer_ok(o->x, &f->calls[0]), 0);
    assert_int_equal(answer(o->x, &f->calls[1], "value", 5), 0);
    assert_int_equal(o->done, 0);
    if (word == NULL)
        assert_int_equal(answer_ok(o->x, &f->end), 0);
    else
        assert_int_equal(answer_error(o->x, &f->end, word), 0);
}

static void test_calls_and_commit_travel_together(void **state)
{
    struct owner o;
    struct flight f;

    (void)state;
    at_once_init(&o);
    assert_int_equal(owner_submit(&o), 0);
    take_flight(&o, "4", &f);
    answer_flight(&o, &f, NULL);
    assert_string_equal(xsc_batch_string(o.b, 1), "value");
    assert_string_equal(xsc_batch_why(o.b), "");
    owner_end(&o, 0);
}

static void test_they_are_one_run_of_output(void **state)
{
    struct xsc_slice slices[4];
    struct owner o;

    (void)state;
    at_once_init(&o);
    assert_int_equal(owner_submit(&o), 0);
    assert_int_equal(xsc_output(o.x, slices, 4), 1);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "4");
    assert_int_equal(xsc_output(o.x, slices, 4), 3);
    xsc_batch_free(o.b);
    end_session(o.x, &o.memory);
}

static void test_turned_off_again_the_commit_waits(void **state)
{
    struct owner o;

    (void)state;
    at_once_init(&o);
    xsc_batch_commit_at_once(o.b, false);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "4");
    serve(&o, XSC_OP_WRITE, 4, "/a", "OK");
    serve(&o, XSC_OP_READ, 4, "/b", "v");
    serve(&o, XSC_OP_TRANSACTION_END, 4, "T", "OK");
    owner_end(&o, 0);
}

static void test_no_effect_with_then_nor_on_a_plain_batch(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    xsc_batch_commit_at_once(o.b, true);
    xsc_batch_then(o.b, add_more);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_TRANSACTION_START, 0, "", "4");
    serve(&o, XSC_OP_READ, 4, "/a", "seen");
    serve(&o, XSC_OP_WRITE, 4, "/more", "OK");
    serve(&o, XSC_OP_READ, 4, "/more2", "v");
    serve(&o, XSC_OP_TRANSACTION_END, 4, "T", "OK");
    owner_end(&o, 0);
    owner_init(&o, XSC_BATCH_PLAIN);
    xsc_batch_commit_at_once(o.b, true);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_READ, 0, "/a", "v");
    owner_end(&o, 0);
}

static void test_a_refused_call_is_told_though_the_rest_was_committed(void **state)
{
    struct owner o;
    struct flight f;

    (void)state;
    at_once_init(&o);
    assert_int_equal(owner_submit(&o), 0);
    take_flight(&o, "4", &f);
    assert_int_equal(answer_error(o.x, &f.calls[0], "EACCES"), 0);
    assert_int_equal(answer_error(o.x, &f.calls[1], "ENOENT"), 0); /* which a READ may */
    assert_int_equal(answer_ok(o.x, &f.end), 0);
    assert_non_null(strstr(xsc_batch_why(o.b), "write /a: EACCES"));
    assert_false(xsc_wants_write(o.x));
    owner_end(&o, -EACCES);
}

static void test_a_conflict_repeats_all(void **state)
{
    static const char *const numbers[] = {"4", "5", "6"};
    struct owner o;
    struct flight f;

    (void)state;
    at_once_init(&o);
    assert_int_equal(owner_submit(&o), 0);
    for (int i = 0; i < 3; i++) {
        take_flight(&o, numbers[i], &f);
        answer_flight(&o, &f, i < 2 ? "EAGAIN" : NULL);
    }
    owner_end(&o, 0);
}

static void test_an_end_that_fails_is_told(void **state)
{
    struct owner o;
    struct flight f;

    (void)state;
    at_once_init(&o);
    assert_int_equal(owner_submit(&o), 0);
    take_flight(&o, "4", &f);
    answer_flight(&o, &f, "ENOSPC");
    assert_non_null(strstr(xsc_batch_why(o.b), "ENOSPC"));
    owner_end(&o, -ENOSPC);
}

/* Steps: 0 nothing was taken, 1 it begins, 2 to 4 as many are answered less 2. */
static void go_to_step(struct owner *o, int step, struct flight *f)
{
    at_once_init(o);
    assert_int_equal(owner_submit(o), 0);
    if (step == 1)
        (void)expect(o->x, XSC_OP_TRANSACTION_START, 0, "");
    if (step >= 2)
        take_flight(o, "4", f);
    for (int i = 0; i < step - 2; i++)
        assert_int_equal(answer_ok(o->x, &f->calls[i]), 0);
}

static void test_lost_or_freed_at_each_step(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * 5; i++) {
        struct owner o;
        struct flight f;

        go_to_step(&o, i / 3, &f);
        if (i % 3 == 0) {
            xsc_disconnected(o.x, "gone");
            owner_end(&o, -ECONNRESET);
        } else if (i % 3 == 1) { /* what is on its way is answered later */
            xsc_batch_free(o.b);
            xsc_disconnected(o.x, "gone");
            assert_int_equal(o.done, 0);
            end_session(o.x, &o.memory);
        } else { /* the batch goes with its session */
            end_session(o.x, &o.memory);
            assert_in_range(o.done, 0, 1);
        }
    }
}

static void test_a_freed_batch_still_has_its_answers_taken(void **state)
{
    (void)state;
    for (int i = 2; i < 5; i++) {
        struct owner o;
        struct flight f;

        go_to_step(&o, i, &f);
        xsc_batch_free(o.b);
        for (int j = i - 2; j < 2; j++)
            assert_int_equal(answer_ok(o.x, &f.calls[j]), 0);
        assert_int_equal(answer_error(o.x, &f.end, "EAGAIN"), 0);
        assert_false(xsc_wants_write(o.x));
        assert_int_equal(xsc_pending(o.x), 0);
        assert_int_equal(o.done, 0);
        end_session(o.x, &o.memory);
    }
}

/* A server that answers the end before the calls is wrong; the batch still ends once, after the
 * last answer to it or with a lost connection, and may be freed then. */
static void test_an_end_answered_before_the_calls(void **state)
{
    static const char *const words[] = {NULL, "EAGAIN", "ENOSPC"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct owner o;
        struct flight f;

        at_once_init(&o);
        o.free_when_done = true;
        assert_int_equal(owner_submit(&o), 0);
        take_flight(&o, "4", &f);
        (void)(words[i] == NULL ? answer_ok(o.x, &f.end) : answer_error(o.x, &f.end, words[i]));
        (void)answer_ok(o.x, &f.calls[0]);
        (void)answer_ok(o.x, &f.calls[1]);
        if (i == 1 && o.done == 0) {
            take_flight(&o, "5", &f);
            answer_flight(&o, &f, NULL);
        }
        assert_int_equal(o.done, 1);
        end_session(o.x, &o.memory);
    }
}

/* --- on the wire --- */

static void test_a_depth_is_the_third_string_of_a_watch(void **state)
{
    static const struct {
        int depth;
        const char *text;
    } cases[] = {{XSC_DEPTH_ALL, NULL}, {0, "0"}, {1, "1"}, {INT32_MAX, "2147483647"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct memory memory;
        struct xsc *x = new_session(&memory);
        struct outcome o = {0};
        struct xsc_watch *watch = NULL;
        struct message m, removal;
        const char *token, *depth;

        assert_int_equal(xsc_watch_add_depth(x, "/w", cases[i].depth, NULL, NULL, into(&o), &watch),
                         0);
        m = expect(x, XSC_OP_WATCH, 0, "/w");
        token = m.payload + sizeof "/w";
        depth = token + strlen(token) + 1;
        assert_int_equal(m.len, (size_t)(depth - m.payload) +
                                    (cases[i].text != NULL ? strlen(cases[i].text) + 1 : 0));
        if (cases[i].text != NULL)
            assert_string_equal(depth, cases[i].text);
        assert_int_equal(answer_error(x, &m, "EINVAL"), 0);
        assert_completed(&o, -EINVAL);
        xsc_watch_remove(watch);
        removal = expect(x, XSC_OP_UNWATCH, 0, "/w");
        assert_int_equal(removal.len, depth - m.payload); /* without the depth */
        end_session(x, &memory);
    }
}

static void test_a_depth_that_is_none_is_refused(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o = {0};
    struct xsc_watch *watch = NULL;

    (void)state;
    assert_int_equal(xsc_watch_add_depth(x, "/w", -2, NULL, NULL, into(&o), &watch), -EINVAL);
    assert_released_only(&o);
    assert_null(watch);
    assert_false(xsc_wants_write(x));
    end_session(x, &memory);
}

static void test_a_call_without_a_path_is_its_value(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o[3] = {0};
    static const struct xsc_call calls[] = {
        {.op = XSC_OP_RESET_WATCHES, .path = ""},
        {.op = XSC_OP_CONTROL, .path = NULL, .value = "quota\0set", .value_len = 10},
        {.op = XSC_OP_GET_FEATURE, .path = NULL}};
    static const size_t sizes[] = {1, 10, 0};
    struct message m;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(xsc_submit(x, &calls[i], into(&o[i])), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(take_message(x, &m));
        assert_int_equal(m.type, calls[i].op);
        assert_int_equal(m.len, sizes[i]);
        if (i == 1)
            assert_memory_equal(m.payload, "quota\0set", 10);
        assert_int_equal(answer_ok(x, &m), 0);
        assert_completed(&o[i], 0);
    }
    end_session(x, &memory);
}

static void test_a_call_without_a_path_that_needs_one_is_refused(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o = {0};

    (void)state;
    assert_int_equal(submit(x, XSC_OP_READ, NULL, &o), -EINVAL);
    assert_released_only(&o);
    end_session(x, &memory);
}

/* xsc_batch_add takes what xsc_submit does. */
static void test_a_batch_takes_or_refuses_a_call_without_a_path(void **state)
{
    struct owner o;
    int index;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    index = xsc_batch_add(o.b, XSC_OP_CONTROL, NULL, "help", 5);
    assert_true(index == 0 || index == -EINVAL);
    assert_int_equal(owner_submit(&o), index);
    if (index == 0)
        serve(&o, XSC_OP_CONTROL, 0, "help", "OK");
    assert_int_equal(o.done, index == 0);
    xsc_batch_free(o.b);
    end_session(o.x, &o.memory);
}

static void test_a_window_made_smaller_than_what_is_on_the_wire(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct xsc_slice slices[4];
    struct outcome o[6] = {0};
    struct message m[2];

    (void)state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(submit(x, XSC_OP_READ, "/a", &o[i]), 0);
    m[0] = expect(x, XSC_OP_READ, 0, "/a");
    m[1] = expect(x, XSC_OP_READ, 0, "/a");
    xsc_set_window(x, 1);
    assert_false(xsc_wants_write(x));
    assert_int_equal(xsc_output(x, slices, 4), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(answer_ok(x, &m[i]), 0);
    assert_int_equal(xsc_output(x, slices, 4), 1);
    end_session(x, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_and_commit_travel_together),
        cmocka_unit_test(test_they_are_one_run_of_output),
        cmocka_unit_test(test_turned_off_again_the_commit_waits),
        cmocka_unit_test(test_no_effect_with_then_nor_on_a_plain_batch),
        cmocka_unit_test(test_a_refused_call_is_told_though_the_rest_was_committed),
        cmocka_unit_test(test_a_conflict_repeats_all),
        cmocka_unit_test(test_an_end_that_fails_is_told),
        cmocka_unit_test(test_lost_or_freed_at_each_step),
        cmocka_unit_test(test_a_freed_batch_still_has_its_answers_taken),
        cmocka_unit_test(test_an_end_answered_before_the_calls),
        cmocka_unit_test(test_a_depth_is_the_third_string_of_a_watch),
        cmocka_unit_test(test_a_depth_that_is_none_is_refused),
        cmocka_unit_test(test_a_call_without_a_path_is_its_value),
        cmocka_unit_test(test_a_call_without_a_path_that_needs_one_is_refused),
        cmocka_unit_test(test_a_batch_takes_or_refuses_a_call_without_a_path),
        cmocka_unit_test(test_a_window_made_smaller_than_what_is_on_the_wire),
    };

    return cmocka_run_group_tests_name("xsc_at_once", tests, NULL, NULL);
}
