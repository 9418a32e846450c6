/* test_xsc_session.c - proves the session without any I/O: what is sent for a call, answers cut
 * anywhere, matched by id in any order, and what a server's words
 * become. Bytes are written by hand; test_xsc_lost.c has the ways a session ends. */
#include <errno.h>

#include "xsc_support.h"

/* --- requests --- */

static void test_a_request_is_header_path_and_value(void **state)
{
    static const char payload[] = "/a/b\0x\0y";
    struct xsc_call call = {
        .op = XSC_OP_WRITE, .tx = 0xfeedbeef, .path = "/a/b", .value = "x\0y", .value_len = 3};
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct message m;

    (void)state;
    assert_false(xsc_wants_write(x));
    assert_int_equal(xsc_submit(x, &call, (struct xsc_completion){0}), 0);
    assert_true(xsc_wants_write(x));
    assert_true(take_message(x, &m));
    assert_int_equal(m.type, 11);
    assert_int_equal(m.tx, 0xfeedbeef);
    assert_int_equal(m.len, sizeof payload - 1);
    assert_memory_equal(m.payload, payload, m.len);
    assert_false(xsc_wants_write(x));
    end_session(x, &memory);
}

static void test_calls_go_out_in_order_each_with_its_own_id(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o[100] = {0};
    uint32_t ids[100];
    char path[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(path, sizeof path, "/n/%d", i);
        assert_int_equal(submit(x, XSC_OP_READ, path, &o[i]), 0);
    }
    assert_int_equal(xsc_pending(x), 100);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(path, sizeof path, "/n/%d", i);
        ids[i] = expect(x, XSC_OP_READ, 0, path).id;
        for (int j = 0; j < i; j++)
            assert_int_not_equal(ids[i], ids[j]);
    }
    end_session(x, &memory);
}

static void test_a_call_that_is_not_allowed_is_only_released(void **state)
{
    static const char big[XSC_PAYLOAD_MAX + 1];
    static const struct {
        struct xsc_call call;
        int error;
    } cases[] = {
        {{XSC_OP_READ, 0, "", NULL, 0}, -EINVAL},
        {{XSC_OP_READ, 0, "/a b", NULL, 0}, -EINVAL},
        {{XSC_OP_RM, 0, "/a/", NULL, 0}, -EINVAL},
        {{XSC_OP_WRITE, 0, "/a//b", "v", 1}, -EINVAL},
        {{XSC_OP_MKDIR, 0, "@releaseDomain", NULL, 0}, -EINVAL},
        {{XSC_OP_WRITE, 0, "/a", big, XSC_PAYLOAD_MAX}, -E2BIG},
        {{XSC_OP_WRITE, 0, "/a", big, XSC_PAYLOAD_MAX - 2}, -E2BIG},
        {{XSC_OP_WRITE, 0, "/a", big, SIZE_MAX}, -E2BIG},
        {{XSC_OP_CONTROL, 0, "log", big, XSC_PAYLOAD_MAX}, -E2BIG},
    };
    struct memory memory;
    struct xsc *x = new_session(&memory);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outcome o = {0};

        assert_int_equal(xsc_submit(x, &cases[i].call, into(&o)), cases[i].error);
        assert_released_only(&o);
    }
    assert_int_equal(xsc_pending(x), 0);
    assert_false(xsc_wants_write(x));
    end_session(x, &memory);
}

static void test_a_request_may_fill_a_message_exactly(void **state)
{
    static const char big[XSC_PAYLOAD_MAX];
    struct xsc_call call = {.op = XSC_OP_WRITE, .path = "/a", .value = big, .value_len = 4096 - 3};
    struct memory memory;
    struct xsc *x = new_session(&memory);

    (void)state;
    assert_int_equal(xsc_submit(x, &call, (struct xsc_completion){0}), 0);
    assert_int_equal(expect(x, XSC_OP_WRITE, 0, "/a").len, XSC_PAYLOAD_MAX);
    end_session(x, &memory);
}

static void test_operations_without_a_path_carry_any_text(void **state)
{
    static const struct {
        enum xsc_op op;
        const char *text;
    } cases[] = {{XSC_OP_TRANSACTION_START, ""},
                 {XSC_OP_TRANSACTION_END, "T"},
                 {XSC_OP_GET_DOMAIN_PATH, "7"},
                 {XSC_OP_CONTROL, "live-update now"},
                 {XSC_OP_RELEASE, "7"},
                 {XSC_OP_WATCH, "@introduceDomain"},
                 {XSC_OP_GET_PERMS, "@releaseDomain"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct memory memory;
        struct xsc *x = new_session(&memory);
        struct outcome o = {0};

        assert_int_equal(submit(x, cases[i].op, cases[i].text, &o), 0);
        (void)expect(x, cases[i].op, 0, cases[i].text);
        end_session(x, &memory);
        assert_completed(&o, -ECANCELED);
    }
}

/* --- output --- */

enum { STREAM = 5 };

static size_t submit_stream(struct xsc *x, char *wire)
{
    static const char value[] = "0123456789abcdef";
    struct xsc_slice slices[STREAM];
    size_t total = 0;

    for (size_t i = 0; i < STREAM; i++) {
        struct xsc_call call = {XSC_OP_WRITE, 0, "/node", value, 3 * i};

        assert_int_equal(xsc_submit(x, &call, (struct xsc_completion){0}), 0);
    }
    assert_int_equal(xsc_output(x, slices, STREAM), STREAM);
    for (size_t i = 0; i < STREAM; i++) {
        memcpy(wire + total, slices[i].bytes, slices[i].len);
        total += slices[i].len;
    }
    return total;
}

static void test_output_may_be_sent_in_any_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 120; piece++) {
        char wire[512];
        struct memory memory;
        struct xsc *x = new_session(&memory);
        size_t total = submit_stream(x, wire), at = 0;

        while (at < total) {
            size_t n = piece < total - at ? piece : total - at;
            struct xsc_slice slice;

            assert_true(xsc_wants_write(x));
            assert_int_equal(xsc_output(x, &slice, 1), 1);
            assert_in_range(slice.len, 1, total - at);
            assert_memory_equal(slice.bytes, wire + at, slice.len);
            xsc_output_sent(x, n);
            at += n;
        }
        assert_false(xsc_wants_write(x));
        assert_int_equal(xsc_pending(x), STREAM);
        end_session(x, &memory);
    }
}

static void test_a_slice_ends_where_its_message_ends(void **state)
{
    char wire[512];
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct xsc_slice slices[STREAM + 1];

    (void)state;
    (void)submit_stream(x, wire);
    assert_int_equal(xsc_output(x, slices, 0), 0);
    assert_int_equal(xsc_output(x, slices, 2), 2);
    xsc_output_sent(x, 5);
    assert_int_equal(xsc_output(x, slices, STREAM + 1), STREAM);
    for (size_t i = 0; i < STREAM; i++)
        assert_int_equal(slices[i].len, HEADER + sizeof "/node" + 3 * i - (i == 0 ? 5 : 0));
    end_session(x, &memory);
}

static void test_a_refused_message_completes_its_call_alone(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o[2] = {0};
    struct message m;

    (void)state;
    xsc_output_refused(x, -EIO); /* nothing was there to refuse */
    (void)submit(x, XSC_OP_READ, "/a", &o[0]);
    (void)submit(x, XSC_OP_READ, "/b", &o[1]);
    xsc_output_refused(x, -E2BIG);
    assert_completed(&o[0], -E2BIG);
    assert_string_equal(o[0].word, "");
    assert_waiting(&o[1]);
    m = expect(x, XSC_OP_READ, 0, "/b");
    assert_int_equal(answer(x, &m, "v", 1), 0);
    assert_completed(&o[1], 0);
    end_session(x, &memory);
}

/* --- answers --- */

enum { ANSWERS = 5 };

/* One session with calls asked and a watch set, and all that its server has to say about it. */
struct dialogue {
    struct memory memory;
    struct xsc *x;
    struct outcome o[ANSWERS];
    int fired;
    char wire[1024];
    size_t len;
};

static void count_fired(void *ctx, const char *path)
{
    assert_string_equal(path, "/w/changed");
    ++*(int *)ctx;
}

static void dialogue_add(struct dialogue *d, uint32_t type, uint32_t id, const char *data,
                         size_t len)
{
    d->len += put_message(d->wire + d->len, type, id, data, len);
}

static void dialogue_init(struct dialogue *d)
{
    static const enum xsc_op ops[] = {XSC_OP_READ, XSC_OP_READ, XSC_OP_DIRECTORY, XSC_OP_RM};
    struct xsc_watch *watch;
    struct message m;
    uint32_t ids[4];

    memset(d, 0, sizeof *d);
    d->x = new_session(&d->memory);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(submit(d->x, ops[i], "/a", &d->o[i]), 0);
        ids[i] = expect(d->x, ops[i], 0, "/a").id;
    }
    assert_int_equal(xsc_watch_add(d->x, "/w", count_fired, &d->fired, into(&d->o[4]), &watch), 0);
    m = expect(d->x, XSC_OP_WATCH, 0, "/w");
    dialogue_add(d, XSC_OP_READ, ids[0], "a\0b\xff\0", 5);
    dialogue_add(d, XSC_OP_READ, ids[1], "", 0);
    d->len += put_event(d->wire + d->len, &m, "/w/changed");
    dialogue_add(d, XSC_OP_DIRECTORY, ids[2], "x\0yy\0", 5);
    dialogue_add(d, XSC_OP_WATCH, m.id, "OK", 3);
    dialogue_add(d, XSC_OP_ERROR, ids[3], "ENOENT", 7);
}

static void dialogue_check(struct dialogue *d)
{
    for (int i = 0; i < ANSWERS; i++)
        assert_completed(&d->o[i], i == 3 ? -ENOENT : 0);
    assert_int_equal(d->o[0].len, 5);
    assert_memory_equal(d->o[0].data, "a\0b\xff\0", 6);
    assert_int_equal(d->o[1].len, 0);
    assert_int_equal(d->o[2].len, 5);
    assert_memory_equal(d->o[2].data, "x\0yy\0", 6);
    assert_string_equal(d->o[3].word, "ENOENT");
    assert_int_equal(d->fired, 1);
    assert_int_equal(xsc_pending(d->x), 0);
    end_session(d->x, &d->memory);
}

static void test_a_dialogue_cut_at_every_byte(void **state)
{
    static struct dialogue d;

    (void)state;
    dialogue_init(&d);
    for (size_t cut = 0; cut <= d.len; cut++) {
        assert_int_equal(xsc_feed(d.x, d.wire, cut), 0);
        assert_int_equal(xsc_feed(d.x, d.wire + cut, d.len - cut), 0);
        dialogue_check(&d);
        dialogue_init(&d);
    }
    end_session(d.x, &d.memory);
}

static void test_a_dialogue_in_pieces_of_every_size(void **state)
{
    static struct dialogue d;

    (void)state;
    for (size_t piece = 1; piece < 40; piece++) {
        dialogue_init(&d);
        for (size_t at = 0; at < d.len; at += piece) {
            size_t n = piece < d.len - at ? piece : d.len - at;

            assert_int_equal(xsc_feed(d.x, d.wire + at, n), 0);
        }
        dialogue_check(&d);
    }
}

static void test_answers_may_come_in_any_order(void **state)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const char *const values[] = {"zero", "one", "two"};

    (void)state;
    for (size_t n = 0; n < sizeof orders / sizeof orders[0]; n++) {
        struct memory memory;
        struct xsc *x = new_session(&memory);
        struct outcome o[3] = {0};
        struct message m[3];

        for (int i = 0; i < 3; i++) {
            (void)submit(x, XSC_OP_READ, "/a", &o[i]);
            m[i] = expect(x, XSC_OP_READ, 0, "/a");
        }
        for (int i = 0; i < 3; i++) {
            int which = orders[n][i];

            assert_int_equal(answer(x, &m[which], values[which], strlen(values[which])), 0);
            assert_completed(&o[which], 0);
            assert_string_equal(o[which].data, values[which]);
            assert_int_equal(xsc_pending(x), (size_t)(2 - i));
        }
        end_session(x, &memory);
    }
}

static void test_error_answers_carry_the_servers_word(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *word;
        int error;
    } cases[] = {{"ENOENT", 7, "ENOENT", -ENOENT}, {"EACCES", 6, "EACCES", -EACCES},
                 {"EQUOTA", 7, "EQUOTA", -EDQUOT}, {"EFANCY", 7, "EFANCY", -EREMOTEIO},
                 {"", 1, "", -EREMOTEIO},          {"", 0, "", -EREMOTEIO},
                 {"EIO\0more", 9, "EIO", -EIO},    {"E2BIG", 6, "E2BIG", -E2BIG},
                 {"EAGAIN", 7, "EAGAIN", -EAGAIN}};
    struct memory memory;
    struct xsc *x = new_session(&memory);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outcome o = {0};
        struct message m;

        (void)submit(x, XSC_OP_WRITE, "/a", &o);
        m = expect(x, XSC_OP_WRITE, 0, "/a");
        assert_int_equal(feed_message(x, XSC_OP_ERROR, m.id, cases[i].bytes, cases[i].len), 0);
        assert_completed(&o, cases[i].error);
        assert_string_equal(o.word, cases[i].word);
    }
    end_session(x, &memory);
}

static void test_a_call_without_a_completion_is_answered_silently(void **state)
{
    struct xsc_call call = {.op = XSC_OP_RM, .path = "/a"};
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct message m;

    (void)state;
    assert_int_equal(xsc_submit(x, &call, (struct xsc_completion){0}), 0);
    m = expect(x, XSC_OP_RM, 0, "/a");
    assert_int_equal(answer_ok(x, &m), 0);
    assert_int_equal(xsc_pending(x), 0);
    end_session(x, &memory);
}

static void test_a_window_holds_requests_back_until_answers_come(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct outcome o[5] = {0};
    struct message m[5];

    (void)state;
    xsc_set_window(x, 2);
    for (int i = 0; i < 5; i++)
        assert_int_equal(submit(x, XSC_OP_READ, "/a", &o[i]), 0);
    assert_true(take_message(x, &m[0]));
    assert_true(take_message(x, &m[1]));
    assert_false(xsc_wants_write(x));
    assert_false(take_message(x, &m[2]));
    for (int i = 2; i < 5; i++) {
        assert_int_equal(answer_ok(x, &m[i - 2]), 0);
        assert_completed(&o[i - 2], 0);
        assert_true(xsc_wants_write(x));
        assert_true(take_message(x, &m[i]));
        assert_false(xsc_wants_write(x));
    }
    end_session(x, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_header_path_and_value),
        cmocka_unit_test(test_calls_go_out_in_order_each_with_its_own_id),
        cmocka_unit_test(test_a_call_that_is_not_allowed_is_only_released),
        cmocka_unit_test(test_a_request_may_fill_a_message_exactly),
        cmocka_unit_test(test_operations_without_a_path_carry_any_text),
        cmocka_unit_test(test_output_may_be_sent_in_any_pieces),
        cmocka_unit_test(test_a_slice_ends_where_its_message_ends),
        cmocka_unit_test(test_a_refused_message_completes_its_call_alone),
        cmocka_unit_test(test_a_dialogue_cut_at_every_byte),
        cmocka_unit_test(test_a_dialogue_in_pieces_of_every_size),
        cmocka_unit_test(test_answers_may_come_in_any_order),
        cmocka_unit_test(test_error_answers_carry_the_servers_word),
        cmocka_unit_test(test_a_call_without_a_completion_is_answered_silently),
        cmocka_unit_test(test_a_window_holds_requests_back_until_answers_come),
    };

    return cmocka_run_group_tests_name("xsc_session", tests, NULL, NULL);
}
