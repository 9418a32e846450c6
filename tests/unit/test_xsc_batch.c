/* test_xsc_batch.c - proves plain batches without any I/O: calls that travel together, what may
 * miss, calls added on the way, and a batch that may be freed at any moment, also by its own
 * completion. The test plays the server. */
#include <errno.h>

#include "xsc_support.h"

/* --- plain --- */

static void test_a_plain_batch_sends_all_at_once_and_completes_once(void **state)
{
    struct xsc_slice slices[4];
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    assert_int_equal(xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0), 0);
    assert_int_equal(xsc_batch_add(o.b, XSC_OP_WRITE, "/b", "v\0w", 3), 1);
    assert_int_equal(xsc_batch_add_key(o.b, XSC_OP_READ, "/dir", "key", NULL), 2);
    assert_int_equal(owner_submit(&o), 0);
    assert_int_equal(xsc_output(o.x, slices, 4), 3);
    serve(&o, XSC_OP_READ, 0, "/a", "value");
    serve(&o, XSC_OP_WRITE, 0, "/b", "OK");
    assert_int_equal(o.done, 0);
    serve_error(&o, XSC_OP_READ, 0, "/dir/key", "ENOENT");
    assert_string_equal(xsc_batch_string(o.b, 0), "value");
    assert_int_equal(xsc_batch_reply(o.b, 1)->error, 0);
    assert_null(xsc_batch_string(o.b, 2));
    assert_int_equal(xsc_batch_reply(o.b, 2)->error, -ENOENT);
    assert_string_equal(xsc_batch_reply(o.b, 2)->error_name, "ENOENT");
    assert_string_equal(xsc_batch_why(o.b), "");
    owner_end(&o, 0);
}

static void test_paths_and_values_are_copied_when_added(void **state)
{
    char path[] = "/a", dir[] = "/d", key[] = "k", value[] = "v";
    struct owner o;
    struct message m;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    assert_int_equal(xsc_batch_add(o.b, XSC_OP_WRITE, path, value, 1), 0);
    assert_int_equal(xsc_batch_add_key(o.b, XSC_OP_WRITE, dir, key, value), 1);
    path[1] = dir[1] = key[0] = value[0] = '?';
    assert_int_equal(owner_submit(&o), 0);
    m = expect(o.x, XSC_OP_WRITE, 0, "/a");
    assert_int_equal(m.len, 4);
    assert_int_equal(m.payload[3], 'v');
    assert_int_equal(answer_ok(o.x, &m), 0);
    m = expect(o.x, XSC_OP_WRITE, 0, "/d/k");
    assert_int_equal(m.len, 6);
    assert_int_equal(m.payload[5], 'v');
    assert_int_equal(answer_ok(o.x, &m), 0);
    owner_end(&o, 0);
}

static void test_answers_as_strings(void **state)
{
    struct owner o;
    struct message m;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    for (int i = 0; i < 3; i++)
        assert_int_equal(xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0), i);
    assert_int_equal(owner_submit(&o), 0);
    m = expect(o.x, XSC_OP_READ, 0, "/a");
    assert_int_equal(answer(o.x, &m, "a\0b", 3), 0);
    assert_null(xsc_batch_string(o.b, 1)); /* not answered yet */
    serve(&o, XSC_OP_READ, 0, "/a", "");
    m = expect(o.x, XSC_OP_READ, 0, "/a");
    assert_int_equal(answer(o.x, &m, "end\0", 4), 0);
    assert_null(xsc_batch_string(o.b, 0));
    assert_int_equal(xsc_batch_reply(o.b, 0)->len, 3);
    assert_memory_equal(xsc_batch_reply(o.b, 0)->data, "a\0b", 4);
    assert_string_equal(xsc_batch_string(o.b, 1), "");
    assert_null(xsc_batch_string(o.b, 2));
    owner_end(&o, 0);
}

static void test_an_index_out_of_range_answers_einval(void **state)
{
    static const int indices[] = {-1, 1, 2, 1000, INT32_MIN, INT32_MAX};
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    assert_int_equal(xsc_batch_add(o.b, XSC_OP_RM, "/a", NULL, 0), 0);
    assert_int_equal(owner_submit(&o), 0);
    for (size_t i = 0; i < sizeof indices / sizeof indices[0]; i++) {
        assert_int_equal(xsc_batch_reply(o.b, indices[i])->error, -EINVAL);
        assert_null(xsc_batch_string(o.b, indices[i]));
    }
    serve(&o, XSC_OP_RM, 0, "/a", "OK");
    owner_end(&o, 0);
}

static void test_the_first_error_is_reported_and_the_rest_still_answered(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            xsc_batch_add(o.b, XSC_OP_RM, (const char *[]){"/a", "/b", "/c"}[i], NULL, 0), i);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_RM, 0, "/a", "OK");
    serve_error(&o, XSC_OP_RM, 0, "/b", "EQUOTA");
    assert_int_equal(o.done, 0);
    serve_error(&o, XSC_OP_RM, 0, "/c", "EACCES");
    assert_non_null(strstr(xsc_batch_why(o.b), "rm"));
    assert_non_null(strstr(xsc_batch_why(o.b), "/b"));
    assert_non_null(strstr(xsc_batch_why(o.b), "EQUOTA"));
    owner_end(&o, -EDQUOT);
}

static void test_what_may_miss_and_what_may_not(void **state)
{
    static const struct {
        enum xsc_op op;
        int may; /* -1: as it is by default */
        const char *word;
        int error;
    } cases[] = {
        {XSC_OP_READ, -1, "ENOENT", 0},
        {XSC_OP_READ, 0, "ENOENT", -ENOENT},
        {XSC_OP_READ, 1, "ENOENT", 0},
        {XSC_OP_READ, -1, "EACCES", 0}, /* another domain's node that was removed */
        {XSC_OP_READ, 0, "EACCES", -EACCES},
        {XSC_OP_RM, 1, "EACCES", -EACCES},
        {XSC_OP_RM, -1, "ENOENT", -ENOENT},
        {XSC_OP_RM, 1, "ENOENT", 0},
        {XSC_OP_RM, 1, "EINVAL", -EINVAL},
        {XSC_OP_DIRECTORY, -1, "ENOENT", -ENOENT},
        {XSC_OP_DIRECTORY, 1, "ENOENT", 0},
        {XSC_OP_WRITE, -1, "ENOENT", -ENOENT},
        {XSC_OP_GET_PERMS, -1, "ENOENT", -ENOENT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct owner o;

        owner_init(&o, XSC_BATCH_PLAIN);
        assert_int_equal(xsc_batch_add(o.b, cases[i].op, "/a", NULL, 0), 0);
        if (cases[i].may >= 0)
            xsc_batch_may_miss(o.b, cases[i].may != 0);
        assert_int_equal(owner_submit(&o), 0);
        serve_error(&o, cases[i].op, 0, "/a", cases[i].word);
        assert_int_equal(xsc_batch_why(o.b)[0] != '\0', cases[i].error != 0);
        owner_end(&o, cases[i].error);
    }
}

static void test_may_miss_is_about_the_last_call_only(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    xsc_batch_may_miss(o.b, true); /* nothing was added yet */
    (void)xsc_batch_add(o.b, XSC_OP_RM, "/a", NULL, 0);
    (void)xsc_batch_add(o.b, XSC_OP_RM, "/b", NULL, 0);
    xsc_batch_may_miss(o.b, true);
    assert_int_equal(owner_submit(&o), 0);
    serve_error(&o, XSC_OP_RM, 0, "/a", "ENOENT");
    serve_error(&o, XSC_OP_RM, 0, "/b", "ENOENT");
    assert_non_null(strstr(xsc_batch_why(o.b), "/a"));
    owner_end(&o, -ENOENT);
}

static void test_an_add_that_fails_is_reported_by_submit_and_nothing_is_sent(void **state)
{
    static const char big[XSC_PAYLOAD_MAX + 1];
    static const struct {
        const char *path;
        size_t value_len;
        int error;
    } cases[] = {{"/a b", 0, -EINVAL},
                 {"", 0, -EINVAL},
                 {"/a/", 1, -EINVAL},
                 {"/a", XSC_PAYLOAD_MAX + 1, -E2BIG},
                 {"/a", XSC_PAYLOAD_MAX - 2, -E2BIG},
                 {"/a", 1, -ENOMEM}};

    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        size_t n = i / 2;
        struct owner o;

        owner_init(&o, i % 2 == 0 ? XSC_BATCH_PLAIN : XSC_BATCH_TRANSACTION);
        assert_int_equal(xsc_batch_add(o.b, XSC_OP_WRITE, "/first", "v", 1), 0);
        if (cases[n].error == -ENOMEM)
            o.memory.fail_at = o.memory.calls + 1;
        assert_int_equal(xsc_batch_add(o.b, XSC_OP_WRITE, cases[n].path, big, cases[n].value_len),
                         cases[n].error);
        assert_int_equal(xsc_batch_add(o.b, XSC_OP_WRITE, "/last", "v", 1), 1);
        assert_int_equal(owner_submit(&o), cases[n].error);
        assert_false(xsc_wants_write(o.x));
        assert_true(xsc_batch_why(o.b)[0] != '\0');
        assert_int_equal(o.done, 0);
        xsc_batch_free(o.b);
        end_session(o.x, &o.memory);
    }
}

static void test_a_key_that_is_too_long_is_reported(void **state)
{
    char key[XSC_ABSOLUTE_PATH_MAX];
    struct owner o;

    (void)state;
    memset(key, 'k', sizeof key);
    key[sizeof key - 1] = '\0';
    owner_init(&o, XSC_BATCH_PLAIN);
    assert_true(xsc_batch_add_key(o.b, XSC_OP_READ, "/dir", key, NULL) < 0);
    assert_true(owner_submit(&o) < 0);
    xsc_batch_free(o.b);
    end_session(o.x, &o.memory);
}

static void test_a_batch_on_a_lost_session_is_refused(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct owner o;

        owner_init(&o, kind == 0 ? XSC_BATCH_PLAIN : XSC_BATCH_TRANSACTION);
        (void)xsc_batch_add(o.b, XSC_OP_RM, "/a", NULL, 0);
        xsc_disconnected(o.x, "gone");
        assert_int_equal(owner_submit(&o), -ENOTCONN);
        assert_int_equal(o.done, 0);
        xsc_batch_free(o.b);
        end_session(o.x, &o.memory);
    }
}

/* --- calls added on the way --- */

static void test_calls_added_on_the_way_are_made_too(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    xsc_batch_then(o.b, add_more);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_READ, 0, "/a", "seen");
    assert_int_equal(o.asked, 1);
    serve(&o, XSC_OP_WRITE, 0, "/more", "OK");
    serve(&o, XSC_OP_READ, 0, "/more2", "late");
    assert_int_equal(o.asked, 1);
    assert_string_equal(xsc_batch_string(o.b, 2), "late");
    owner_end(&o, 0);
}

static void test_the_owner_may_refuse_on_the_way(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    o.refusal = -EBADMSG;
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    xsc_batch_then(o.b, add_more);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_READ, 0, "/a", "seen");
    assert_int_equal(o.asked, 1);
    owner_end(&o, -EBADMSG);
}

static void test_the_owner_is_not_asked_when_a_call_failed(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    xsc_batch_then(o.b, add_more);
    assert_int_equal(owner_submit(&o), 0);
    serve_error(&o, XSC_OP_READ, 0, "/a", "EIO");
    assert_int_equal(o.asked, 0);
    owner_end(&o, -EIO);
}

/* --- freed and cut off --- */

static void test_a_plain_batch_freed_while_it_runs_ends_silently(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/b", NULL, 0);
    xsc_batch_then(o.b, add_more);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_READ, 0, "/a", "seen");
    xsc_batch_free(o.b);
    serve(&o, XSC_OP_READ, 0, "/b", "late");
    assert_int_equal(o.done + o.asked, 0);
    assert_false(xsc_wants_write(o.x));
    end_session(o.x, &o.memory);
}

static int free_on_the_way(void *ctx, struct xsc_batch *b)
{
    struct owner *o = ctx;

    o->asked++;
    xsc_batch_free(b);
    return 0;
}

static void test_a_batch_may_be_freed_on_the_way(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    xsc_batch_then(o.b, free_on_the_way);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_READ, 0, "/a", "seen");
    assert_int_equal(o.asked, 1);
    assert_int_equal(o.done, 0);
    end_session(o.x, &o.memory);
}

static void test_a_batch_may_be_freed_by_its_own_completion(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    o.free_when_done = true;
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    (void)xsc_batch_add(o.b, XSC_OP_RM, "/b", NULL, 0);
    assert_int_equal(owner_submit(&o), 0);
    serve(&o, XSC_OP_READ, 0, "/a", "v");
    serve_error(&o, XSC_OP_RM, 0, "/b", "EACCES");
    owner_end(&o, -EACCES);
}

static void test_a_batch_that_was_never_sent_is_freed(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_TRANSACTION);
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    xsc_batch_free(o.b);
    xsc_batch_free(NULL);
    end_session(o.x, &o.memory);
}

static void test_a_lost_connection_completes_a_batch_once(void **state)
{
    (void)state;
    for (int sent = 0; sent < 3; sent++) {
        struct owner o;
        struct message m;

        owner_init(&o, XSC_BATCH_PLAIN);
        (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
        (void)xsc_batch_add(o.b, XSC_OP_READ, "/b", NULL, 0);
        assert_int_equal(owner_submit(&o), 0);
        for (int i = 0; i < sent; i++)
            assert_true(take_message(o.x, &m));
        xsc_disconnected(o.x, "gone");
        assert_true(xsc_batch_why(o.b)[0] != '\0');
        owner_end(&o, -ECONNRESET);
    }
}

static void test_a_refused_request_is_named_with_its_errno(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    (void)xsc_batch_add(o.b, XSC_OP_WRITE, "/a", "v", 1);
    assert_int_equal(owner_submit(&o), 0);
    xsc_output_refused(o.x, -E2BIG);
    assert_non_null(strstr(xsc_batch_why(o.b), "write /a"));
    assert_null(strstr(xsc_batch_why(o.b), "connection was lost")); /* it is still there */
    owner_end(&o, -E2BIG);
}

static void test_a_running_batch_freed_right_before_its_session(void **state)
{
    (void)state;
    for (int sent = 0; sent < 2; sent++) {
        struct owner o;

        owner_init(&o, XSC_BATCH_PLAIN);
        (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
        assert_int_equal(owner_submit(&o), 0);
        if (sent)
            (void)expect(o.x, XSC_OP_READ, 0, "/a");
        xsc_batch_free(o.b);
        end_session(o.x, &o.memory);
        assert_int_equal(o.done, 0);
    }
}

static void test_freeing_a_session_frees_its_batches(void **state)
{
    (void)state;
    for (int running = 0; running < 2; running++) {
        struct owner o;

        owner_init(&o, XSC_BATCH_PLAIN);
        (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
        if (running)
            assert_int_equal(owner_submit(&o), 0);
        end_session(o.x, &o.memory);
        assert_int_equal(o.done, running);
    }
}

static void test_a_batch_freed_when_its_session_ends_is_freed_once(void **state)
{
    struct owner o;

    (void)state;
    owner_init(&o, XSC_BATCH_PLAIN);
    o.free_when_done = true;
    (void)xsc_batch_add(o.b, XSC_OP_READ, "/a", NULL, 0);
    assert_int_equal(owner_submit(&o), 0);
    end_session(o.x, &o.memory);
    assert_int_equal(o.done, 1);
    assert_int_equal(o.error, -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_batch_sends_all_at_once_and_completes_once),
        cmocka_unit_test(test_paths_and_values_are_copied_when_added),
        cmocka_unit_test(test_answers_as_strings),
        cmocka_unit_test(test_an_index_out_of_range_answers_einval),
        cmocka_unit_test(test_the_first_error_is_reported_and_the_rest_still_answered),
        cmocka_unit_test(test_what_may_miss_and_what_may_not),
        cmocka_unit_test(test_may_miss_is_about_the_last_call_only),
        cmocka_unit_test(test_an_add_that_fails_is_reported_by_submit_and_nothing_is_sent),
        cmocka_unit_test(test_a_key_that_is_too_long_is_reported),
        cmocka_unit_test(test_a_batch_on_a_lost_session_is_refused),
        cmocka_unit_test(test_calls_added_on_the_way_are_made_too),
        cmocka_unit_test(test_the_owner_may_refuse_on_the_way),
        cmocka_unit_test(test_the_owner_is_not_asked_when_a_call_failed),
        cmocka_unit_test(test_a_plain_batch_freed_while_it_runs_ends_silently),
        cmocka_unit_test(test_a_batch_may_be_freed_on_the_way),
        cmocka_unit_test(test_a_batch_may_be_freed_by_its_own_completion),
        cmocka_unit_test(test_a_batch_that_was_never_sent_is_freed),
        cmocka_unit_test(test_a_lost_connection_completes_a_batch_once),
        cmocka_unit_test(test_a_refused_request_is_named_with_its_errno),
        cmocka_unit_test(test_a_running_batch_freed_right_before_its_session),
        cmocka_unit_test(test_freeing_a_session_frees_its_batches),
        cmocka_unit_test(test_a_batch_freed_when_its_session_ends_is_freed_once),
    };

    return cmocka_run_group_tests_name("xsc_batch", tests, NULL, NULL);
}
