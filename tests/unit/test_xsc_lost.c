/* test_xsc_lost.c - proves how a session ends: servers that break the protocol, connections that
 * are lost, sessions that are freed, and what callbacks may do then. Each call still completes once
 * and is released once, and nothing leaks. */
#include <errno.h>

#include "xsc_support.h"

/* Three calls: answered by the peer's next message, sent, and not sent yet. */
struct trio {
    struct memory memory;
    struct xsc *x;
    struct outcome o[3];
    struct message m[2];
};

static void trio_init(struct trio *t)
{
    memset(t, 0, sizeof *t);
    t->x = new_session(&t->memory);
    for (int i = 0; i < 3; i++)
        assert_int_equal(submit(t->x, XSC_OP_READ, "/a", &t->o[i]), 0);
    t->m[0] = expect(t->x, XSC_OP_READ, 0, "/a");
    t->m[1] = expect(t->x, XSC_OP_READ, 0, "/a");
}

static void assert_lost(struct xsc *x)
{
    struct xsc_watch *watch = NULL;
    struct outcome o[2] = {0};

    assert_true(xsc_why(x)[0] != '\0');
    assert_int_equal(xsc_pending(x), 0);
    assert_false(xsc_wants_write(x));
    assert_int_equal(xsc_output(x, &(struct xsc_slice){0}, 1), 0);
    assert_int_equal(submit(x, XSC_OP_READ, "/a", &o[0]), -ENOTCONN);
    assert_released_only(&o[0]);
    assert_int_equal(xsc_watch_add(x, "/a", NULL, NULL, into(&o[1]), &watch), -ENOTCONN);
    assert_released_only(&o[1]);
    assert_int_equal(xsc_feed(x, "more", 4), -ENOTCONN);
}

static void trio_is_broken(struct trio *t, int answered)
{
    for (int i = answered; i < 3; i++)
        assert_completed(&t->o[i], -ECONNRESET);
    assert_lost(t->x);
    end_session(t->x, &t->memory);
}

static void test_a_duplicate_answer_breaks_the_session(void **state)
{
    struct trio t;

    (void)state;
    trio_init(&t);
    assert_string_equal(xsc_why(t.x), "");
    assert_int_equal(answer(t.x, &t.m[0], "v", 1), 0);
    assert_completed(&t.o[0], 0);
    assert_int_equal(answer(t.x, &t.m[0], "v", 1), -EPROTO);
    assert_completed(&t.o[0], 0);
    trio_is_broken(&t, 1);
}

static void test_an_answer_to_an_unknown_id_breaks_the_session(void **state)
{
    struct trio t;

    (void)state;
    trio_init(&t);
    assert_int_equal(feed_message(t.x, XSC_OP_READ, t.m[1].id + 1000, "v", 1), -EPROTO);
    trio_is_broken(&t, 0);
}

static void test_an_answer_to_what_was_not_sent_yet_breaks_the_session(void **state)
{
    struct trio t;
    struct xsc_slice slice;
    uint32_t header[4];

    (void)state;
    trio_init(&t);
    assert_int_equal(xsc_output(t.x, &slice, 1), 1);
    memcpy(header, slice.bytes, sizeof header);
    xsc_output_sent(t.x, slice.len - 1);
    assert_int_equal(feed_message(t.x, XSC_OP_READ, header[1], "v", 1), -EPROTO);
    trio_is_broken(&t, 0);
}

static void test_an_answer_of_another_type_breaks_the_session(void **state)
{
    static const uint32_t types[] = {XSC_OP_WRITE, XSC_OP_DIRECTORY, XSC_OP_CONTROL, 17,
                                     0xffffffff};

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct trio t;

        trio_init(&t);
        assert_int_equal(feed_message(t.x, types[i], t.m[0].id, "v", 1), -EPROTO);
        trio_is_broken(&t, 0);
    }
}

static void test_a_length_over_the_limit_breaks_the_session_at_its_header(void **state)
{
    static const struct {
        uint32_t type, len;
        int result;
    } cases[] = {{XSC_OP_READ, XSC_PAYLOAD_MAX, 0},
                 {XSC_OP_READ, XSC_PAYLOAD_MAX + 1, -EPROTO},
                 {XSC_OP_READ, UINT32_MAX, -EPROTO},
                 {XSC_OP_DIRECTORY, XSC_REPLY_MAX, 0},
                 {XSC_OP_DIRECTORY, XSC_REPLY_MAX + 1, -EPROTO},
                 {XSC_OP_DIRECTORY, UINT32_MAX, -EPROTO},
                 {XSC_OP_ERROR, XSC_PAYLOAD_MAX + 1, -EPROTO},
                 {XSC_OP_WATCH_EVENT, UINT32_MAX, -EPROTO},
                 {99, XSC_PAYLOAD_MAX + 1, -EPROTO}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trio t;
        uint32_t header[4];

        trio_init(&t);
        memcpy(header, (uint32_t[4]){cases[i].type, t.m[0].id, 0, cases[i].len}, sizeof header);
        assert_int_equal(xsc_feed(t.x, header, sizeof header), cases[i].result);
        if (cases[i].result == 0)
            xsc_disconnected(t.x, "enough seen");
        trio_is_broken(&t, 0);
    }
}

static void test_a_directory_over_one_message_is_taken_whole(void **state)
{
    static char names[6600];
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o[2] = {0};
    struct message m[2];

    (void)state;
    memset(names, 'n', sizeof names - 1);
    for (int i = 0; i < 2; i++) {
        (void)submit(x, i == 0 ? XSC_OP_DIRECTORY : XSC_OP_READ, "/a", &o[i]);
        assert_true(take_message(x, &m[i]));
    }
    assert_int_equal(answer(x, &m[0], names, sizeof names), 0);
    assert_completed(&o[0], 0);
    assert_int_equal(o[0].len, sizeof names);
    assert_int_equal(answer(x, &m[1], "small", 5), 0);
    assert_int_equal(o[1].len, 5);
    assert_string_equal(o[1].data, "small");
    end_session(x, &memory);
}

static void test_a_lost_connection_completes_all_and_keeps_the_first_reason(void **state)
{
    struct trio t;

    (void)state;
    trio_init(&t);
    xsc_disconnected(t.x, "the daemon went away");
    assert_string_equal(xsc_why(t.x), "the daemon went away");
    xsc_disconnected(t.x, "another reason");
    assert_string_equal(xsc_why(t.x), "the daemon went away");
    trio_is_broken(&t, 0);
}

static void test_a_long_reason_is_cut_but_kept(void **state)
{
    char why[2000];
    struct memory memory;
    struct xsc *x = new_session(&memory);

    (void)state;
    memset(why, 'w', sizeof why);
    why[sizeof why - 1] = '\0';
    xsc_disconnected(x, why);
    assert_in_range(strlen(xsc_why(x)), 40, sizeof why - 1);
    end_session(x, &memory);
}

static void test_freeing_cancels_what_waits(void **state)
{
    struct trio t;

    (void)state;
    trio_init(&t);
    end_session(t.x, &t.memory);
    for (int i = 0; i < 3; i++)
        assert_completed(&t.o[i], -ECANCELED);
    assert_null(xsc_free(NULL));
}

static void test_freeing_in_the_middle_of_an_answer(void **state)
{
    struct trio t;
    char bytes[HEADER + 10];

    (void)state;
    for (size_t have = 1; have < sizeof bytes; have++) {
        trio_init(&t);
        (void)put_message(bytes, XSC_OP_READ, t.m[0].id, "0123456789", 10);
        assert_int_equal(xsc_feed(t.x, bytes, have), 0);
        end_session(t.x, &t.memory);
        assert_completed(&t.o[0], -ECANCELED);
    }
}

static void test_freeing_a_lost_session_completes_nothing_twice(void **state)
{
    struct trio t;

    (void)state;
    trio_init(&t);
    xsc_disconnected(t.x, "gone");
    end_session(t.x, &t.memory);
    for (int i = 0; i < 3; i++)
        assert_completed(&t.o[i], -ECONNRESET);
}

/* --- calls made by callbacks --- */

struct again {
    struct xsc *x;
    struct outcome o;
    int first_error, submit_result;
};

static void submit_again(void *ctx, const struct xsc_reply *reply)
{
    struct again *a = ctx;

    a->first_error = reply->error;
    a->submit_result = submit(a->x, XSC_OP_READ, "/second", &a->o);
}

static void again_start(struct again *a, struct memory *memory, struct message *m)
{
    struct xsc_call call = {.op = XSC_OP_READ, .path = "/first"};

    *a = (struct again){.x = new_session(memory), .submit_result = 1};
    assert_int_equal(xsc_submit(a->x, &call, (struct xsc_completion){submit_again, a, NULL}), 0);
    *m = expect(a->x, XSC_OP_READ, 0, "/first");
}

static void test_a_completion_may_submit(void **state)
{
    struct memory memory;
    struct again a;
    struct message m;

    (void)state;
    again_start(&a, &memory, &m);
    assert_int_equal(answer_ok(a.x, &m), 0);
    assert_int_equal(a.submit_result, 0);
    m = expect(a.x, XSC_OP_READ, 0, "/second");
    assert_int_equal(answer_ok(a.x, &m), 0);
    assert_completed(&a.o, 0);
    end_session(a.x, &memory);
}

static void test_a_completion_of_a_lost_session_may_not_submit(void **state)
{
    struct memory memory;
    struct again a;
    struct message m;

    (void)state;
    again_start(&a, &memory, &m);
    xsc_disconnected(a.x, "gone");
    assert_int_equal(a.first_error, -ECONNRESET);
    assert_int_equal(a.submit_result, -ENOTCONN);
    assert_released_only(&a.o);
    end_session(a.x, &memory);
    again_start(&a, &memory, &m);
    end_session(a.x, &memory);
    assert_int_equal(a.first_error, -ECANCELED);
    assert_int_equal(a.submit_result, -ENOTCONN);
    assert_released_only(&a.o);
}

static void test_a_refused_completion_may_submit(void **state)
{
    struct xsc_call call = {.op = XSC_OP_READ, .path = "/first"};
    struct memory memory;
    struct again a = {.x = new_session(&memory), .submit_result = 1};

    (void)state;
    assert_int_equal(xsc_submit(a.x, &call, (struct xsc_completion){submit_again, &a, NULL}), 0);
    xsc_output_refused(a.x, -EIO);
    assert_int_equal(a.first_error, -EIO);
    assert_int_equal(a.submit_result, 0);
    (void)expect(a.x, XSC_OP_READ, 0, "/second");
    end_session(a.x, &memory);
    assert_completed(&a.o, -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_duplicate_answer_breaks_the_session),
        cmocka_unit_test(test_an_answer_to_an_unknown_id_breaks_the_session),
        cmocka_unit_test(test_an_answer_to_what_was_not_sent_yet_breaks_the_session),
        cmocka_unit_test(test_an_answer_of_another_type_breaks_the_session),
        cmocka_unit_test(test_a_length_over_the_limit_breaks_the_session_at_its_header),
        cmocka_unit_test(test_a_directory_over_one_message_is_taken_whole),
        cmocka_unit_test(test_a_lost_connection_completes_all_and_keeps_the_first_reason),
        cmocka_unit_test(test_a_long_reason_is_cut_but_kept),
        cmocka_unit_test(test_freeing_cancels_what_waits),
        cmocka_unit_test(test_freeing_in_the_middle_of_an_answer),
        cmocka_unit_test(test_freeing_a_lost_session_completes_nothing_twice),
        cmocka_unit_test(test_a_completion_may_submit),
        cmocka_unit_test(test_a_completion_of_a_lost_session_may_not_submit),
        cmocka_unit_test(test_a_refused_completion_may_submit),
    };

    return cmocka_run_group_tests_name("xsc_lost", tests, NULL, NULL);
}
