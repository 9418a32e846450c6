/* test_xsc_waiting.c - proves how waits end: cancelled by another thread or by a callback, at their
 * own deadline, by any of the many nodes that they read; and that none leaves a watch behind, which
 * a guest's quota of watches would show. Run it under tests/support/with-xenstored.
 * $XSC_TEST_WAITS: how often the last one waits. */
#include "xsc_support.h"

#define TOP "data/xsc-waiting"

enum { WAITERS = 8 };

struct waiter {
    struct xsc_client *c;
    struct xsc_wait_options options;
    pthread_t thread;
    int result, runs;
    int64_t took;
    struct vbd_error why;
};

static void count_run(struct waiter *w)
{
    __atomic_add_fetch(&w->runs, 1, __ATOMIC_SEQ_CST);
}

/* Waits for two nodes, which it reads at once. */
static int both_there(struct xsc_handle *h, void *arg)
{
    struct xsc_item items[] = {{.path = TOP "/one"}, {.path = TOP "/two"}};
    int r = xsc_read_many(h, items, 2);

    count_run(arg);
    free(items[0].data);
    free(items[1].data);
    if (r == 0 && (items[0].error < 0 || items[1].error < 0))
        return -EAGAIN;
    return r;
}

static void *waits(void *arg)
{
    struct waiter *w = arg;
    int64_t begun = now_ms();

    w->result = xsc_wait_with(w->c, &w->options, both_there, w, &w->why);
    w->took = now_ms() - begun;
    return NULL;
}

static struct waiter waiter_of(struct xsc_client *c, int timeout_ms, struct xsc_cancel *cancel)
{
    return (struct waiter){
        .c = c, .options = {sizeof(struct xsc_wait_options), timeout_ms, cancel}, .result = 1};
}

/* Starts it and returns when it has set its watches and looked again. */
static void start(struct waiter *w)
{
    int64_t deadline = 0;

    assert_int_equal(pthread_create(&w->thread, NULL, waits, w), 0);
    while (patiently(&deadline, __atomic_load_n(&w->runs, __ATOMIC_SEQ_CST) < 2))
        ;
}

/* --- cancelled -----------------------------------------------------------------------------------
 */

static void test_another_thread_cancels_those_that_use_it_and_no_other(void **state)
{
    struct xsc_client *c = live_open();
    struct waiter w[WAITERS], other = waiter_of(c, PATIENCE_MS, NULL);
    struct xsc_cancel *cancel;

    (void)state;
    put(c, TOP, "");
    assert_int_equal(xsc_cancel_new(c, &cancel), 0);
    start(&other);
    for (int i = 0; i < WAITERS; i++) {
        w[i] = waiter_of(c, i % 2 ? -1 : PATIENCE_MS, cancel);
        start(&w[i]);
    }
    xsc_cancel(cancel);
    for (int i = 0; i < WAITERS; i++) {
        assert_true(joined(w[i].thread));
        assert_int_equal(w[i].result, -ECANCELED);
        assert_true(w[i].why.text[0] != '\0');
    }
    assert_int_equal(other.result, 1); /* still waits */
    put(c, TOP "/one", "");
    put(c, TOP "/two", "");
    assert_true(joined(other.thread));
    assert_int_equal(other.result, 0);
    assert_null(xsc_cancel_free(cancel));
    remove_node(c, TOP);
    xsc_client_close(c);
}

static void test_what_is_cancelled_stays_so(void **state)
{
    struct xsc_client *c = live_open();
    struct xsc_cancel *cancel;
    struct waiter w;

    (void)state;
    assert_int_equal(xsc_cancel_new(c, &cancel), 0);
    xsc_cancel(cancel);
    xsc_cancel(cancel);
    for (int i = 0; i < 3; i++) {
        w = waiter_of(c, -1, cancel);
        (void)waits(&w);
        assert_int_equal(w.result, -ECANCELED);
    }
    xsc_cancel_free(cancel);
    assert_null(xsc_cancel_free(NULL));
    xsc_client_close(c);
}

struct trigger {
    struct xsc_cancel *cancel;
    int fired;
};

static void cancel_at_second(void *ctx, const char *path)
{
    struct trigger *t = ctx;

    (void)path;
    if (++t->fired == 2)
        xsc_cancel(t->cancel);
}

static void test_a_callback_cancels(void **state)
{
    struct xsc_client *c = live_open();
    struct xsc_watch *watch;
    struct trigger t = {0};
    struct waiter w;

    (void)state;
    put(c, TOP, "");
    assert_int_equal(xsc_cancel_new(c, &t.cancel), 0);
    xsc_client_lock(c);
    assert_int_equal(xsc_watch_add(xsc_client_session(c), TOP "/stop", cancel_at_second, &t,
                                   (struct xsc_completion){0}, &watch),
                     0);
    xsc_client_unlock(c);
    w = waiter_of(c, -1, t.cancel);
    start(&w);
    put(c, TOP "/stop", "");
    assert_true(joined(w.thread));
    assert_int_equal(w.result, -ECANCELED);
    xsc_client_lock(c);
    xsc_watch_remove(watch);
    xsc_client_unlock(c);
    xsc_cancel_free(t.cancel);
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* --- ends by themselves --------------------------------------------------------------------------
 */

static void test_each_waits_until_its_own_deadline(void **state)
{
    struct xsc_client *c = live_open();
    struct waiter w[WAITERS];

    (void)state;
    for (int i = 0; i < WAITERS; i++) {
        w[i] = waiter_of(c, 40 * (WAITERS - i), NULL);
        assert_int_equal(pthread_create(&w[i].thread, NULL, waits, &w[i]), 0);
    }
    for (int i = 0; i < WAITERS; i++) {
        assert_true(joined(w[i].thread));
        assert_int_equal(w[i].result, -ETIMEDOUT);
        assert_in_range(w[i].took, 40 * (WAITERS - i), PATIENCE_MS);
        assert_in_range(w[i].runs, 1, 4);
    }
    xsc_client_close(c);
}

static void test_options_that_are_none(void **state)
{
    struct xsc_client *c = live_open();
    struct waiter w = waiter_of(c, -1, NULL);

    (void)state;
    w.options.struct_size = 0;
    (void)waits(&w);
    assert_int_equal(w.result, -EINVAL);
    assert_int_equal(w.runs, 0);
    xsc_client_close(c);
}

static void test_each_of_many_nodes_wakes(void **state)
{
    static const char *const orders[][2] = {{TOP "/one", TOP "/two"}, {TOP "/two", TOP "/one"}};
    struct xsc_client *c = live_open();

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct waiter w = waiter_of(c, PATIENCE_MS, NULL);

        put(c, TOP, "");
        start(&w);
        put(c, orders[i][0], "");
        put(c, orders[i][1], "");
        assert_true(joined(w.thread));
        assert_int_equal(w.result, 0);
        remove_node(c, TOP);
    }
    xsc_client_close(c);
}

/* --- leaves nothing ------------------------------------------------------------------------------
 */

/* Satisfied at its second run, which the new watch's own first event brings. */
static int second_time(struct xsc_handle *h, void *arg)
{
    int *runs = arg;
    char *data = NULL;
    size_t len;
    int r = xsc_read(h, TOP, &data, &len);

    free(data);
    return r < 0 ? r : ++*runs < 2 ? -EAGAIN : 0;
}

static int long_count(void)
{
    const char *text = getenv("XSC_TEST_WAITS");

    return text == NULL ? 1000 : atoi(text);
}

static void test_many_waits_leave_no_watch(void **state)
{
    struct xsc_client *c = live_open();
    struct vbd_error why = {""};

    (void)state;
    put(c, TOP, "");
    for (int i = 0; i < long_count(); i++) {
        int runs = 0;

        if (xsc_wait(c, PATIENCE_MS, second_time, &runs, &why) < 0)
            fail_msg("wait %d: %s", i, why.text);
        assert_in_range(runs, 2, 3);
    }
    remove_node(c, TOP);
    xsc_client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_thread_cancels_those_that_use_it_and_no_other),
        cmocka_unit_test(test_what_is_cancelled_stays_so),
        cmocka_unit_test(test_a_callback_cancels),
        cmocka_unit_test(test_each_waits_until_its_own_deadline),
        cmocka_unit_test(test_options_that_are_none),
        cmocka_unit_test(test_each_of_many_nodes_wakes),
        cmocka_unit_test(test_many_waits_leave_no_watch),
    };

    (void)alarm(getenv("XSC_TEST_WAITS") == NULL ? 120 : 900); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_waiting", tests, NULL, NULL);
}
