/* test_xsc_retry.c - proves the functions that are run again, against a real xenstored:
 * transactions until they do not conflict, waits until what they read is as wished. Run it under
 * tests/support/with-xenstored. */
#include <errno.h>

#include "xsc_support.h"

#define TOP "data/xsc-retry"

struct run {
    struct xsc_client *other; /* who disturbs, or NULL */
    int runs, disturb_until;  /* runs that are disturbed */
    int result;
};

/* --- transactions ------------------------------------------------------------------------------
 */

static int write_two(struct xsc_handle *h, void *arg)
{
    struct run *run = arg;
    int r = xsc_write(h, TOP "/one", "1", 1);

    run->runs++;
    if (r == 0 && run->other != NULL)
        assert_no_node(run->other, TOP "/one"); /* not before the commit */
    return r < 0 ? r : xsc_write(h, TOP "/two", "2", 1);
}

static void test_a_transaction_is_seen_all_at_once(void **state)
{
    struct xsc_client *c = live_open();
    struct run run = {.other = live_open()};

    (void)state;
    assert_int_equal(xsc_transaction(c, write_two, &run, NULL), 0);
    assert_int_equal(run.runs, 1);
    assert_node(run.other, TOP "/one", "1");
    assert_node(run.other, TOP "/two", "2");
    remove_node(c, TOP);
    xsc_client_close(run.other);
    xsc_client_close(c);
}

static int write_and_fail(struct xsc_handle *h, void *arg)
{
    struct run *run = arg;
    struct node missing = {.path = TOP "/missing"};

    (void)write_two(h, run);
    (void)node_read(h, &missing);
    return run->result;
}

static void test_a_failing_transaction_leaves_nothing(void **state)
{
    static const int results[] = {-EBADMSG, -ENOENT, -EAGAIN};
    struct xsc_client *c = live_open();
    struct vbd_error why = {""};

    (void)state;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct run run = {.result = results[i]};

        assert_int_equal(xsc_transaction(c, write_and_fail, &run, &why), results[i]);
        assert_int_equal(run.runs, 1);
        assert_string_equal(why.text, "read " TOP "/missing: ENOENT");
        assert_no_node(c, TOP "/one");
        assert_no_node(c, TOP "/two");
    }
    xsc_client_close(c);
}

static int copy_while_disturbed(struct xsc_handle *h, void *arg)
{
    struct run *run = arg;
    struct node from = {.path = TOP "/from"};
    int r = node_read(h, &from);

    if (++run->runs <= run->disturb_until)
        put(run->other, TOP "/from", "disturbed");
    if (r == 0)
        r = xsc_write(h, TOP "/to", from.data, from.len);
    free(from.data);
    return r;
}

static void test_a_conflicting_transaction_is_run_again(void **state)
{
    struct xsc_client *c = live_open();
    struct run run = {.other = live_open(), .disturb_until = 3};

    (void)state;
    put(c, TOP "/from", "at first");
    assert_int_equal(xsc_transaction(c, copy_while_disturbed, &run, NULL), 0);
    assert_int_equal(run.runs, 4);
    assert_node(c, TOP "/to", "disturbed");
    remove_node(c, TOP);
    xsc_client_close(run.other);
    xsc_client_close(c);
}

static void test_a_transaction_that_always_conflicts_ends(void **state)
{
    struct xsc_client *c = live_open();
    struct run run = {.other = live_open(), .disturb_until = 1000000};
    struct vbd_error why = {""};

    (void)state;
    put(c, TOP "/from", "at first");
    assert_int_equal(xsc_transaction(c, copy_while_disturbed, &run, &why), -EAGAIN);
    assert_int_equal(run.runs, XSC_TRANSACTION_TRIES);
    assert_non_null(strstr(why.text, "EAGAIN"));
    assert_no_node(c, TOP "/to");
    remove_node(c, TOP);
    xsc_client_close(run.other);
    xsc_client_close(c);
}

/* --- waits ---------------------------------------------------------------------------------------
 */

/* A wait for a node with a value, on a thread of its own. */
struct waiter {
    struct xsc_client *c;
    pthread_t thread;
    int timeout_ms, result, runs;
    struct vbd_error why;
};

static int wait_for_go(struct xsc_handle *h, void *arg)
{
    struct waiter *w = arg;
    char *data, **names;
    size_t len;
    bool go;

    __atomic_add_fetch(&w->runs, 1, __ATOMIC_SEQ_CST);
    if (xsc_directory(h, TOP, &names, &len) == 0)
        free(names);
    if (xsc_read(h, TOP "/go", &data, &len) < 0)
        return -EAGAIN;
    go = strcmp(data, "go") == 0;
    free(data);
    return go ? 0 : -EAGAIN;
}

static void *waiting(void *arg)
{
    struct waiter *w = arg;

    w->result = xsc_wait(w->c, w->timeout_ms, wait_for_go, w, &w->why);
    return NULL;
}

static void waiter_start(struct waiter *w, struct xsc_client *c, int timeout_ms)
{
    int64_t deadline = 0;

    *w = (struct waiter){.c = c, .timeout_ms = timeout_ms, .result = 1};
    assert_int_equal(pthread_create(&w->thread, NULL, waiting, w), 0);
    while (patiently(&deadline, __atomic_load_n(&w->runs, __ATOMIC_SEQ_CST) < 2))
        ; /* the second run is that of the new watches' own first events */
}

/* After all that the client asked for: does the server still send events for a change of path? Asks
 * a question of its own on the client's connection, which must be the next thing answered. */
static bool still_watched(struct xsc_client *c, struct xsc_client *other, const char *path)
{
    char wire[HEADER + 2], payload[XSC_PAYLOAD_MAX];
    uint32_t header[4];
    bool event = false;

    assert_no_node(c, TOP "/drained"); /* all its earlier requests are answered */
    put(other, path, "changed");
    assert_int_equal(put_message(wire, XSC_OP_GET_DOMAIN_PATH, 0xabcdef, "0", 2), sizeof wire);
    assert_int_equal(write(xsc_client_fd(c), wire, sizeof wire), sizeof wire);
    do {
        assert_true(peer_bytes(xsc_client_fd(c), header, sizeof header));
        assert_in_range(header[3], 0, sizeof payload);
        assert_true(peer_bytes(xsc_client_fd(c), payload, header[3]));
        event |= header[0] == XSC_OP_WATCH_EVENT;
    } while (header[1] != 0xabcdef);
    return event;
}

static void test_a_wait_that_is_satisfied_runs_once(void **state)
{
    struct waiter w = {.c = live_open(), .timeout_ms = -1, .result = 1};

    (void)state;
    put(w.c, TOP "/go", "go");
    (void)waiting(&w);
    assert_int_equal(w.result, 0);
    assert_int_equal(w.runs, 1);
    remove_node(w.c, TOP);
    xsc_client_close(w.c);
}

static void test_a_wait_ends_at_its_deadline_without_spinning(void **state)
{
    static const int timeouts[] = {0, 1, 150};

    (void)state;
    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        struct waiter w = {.c = live_open(), .timeout_ms = timeouts[i], .result = 1};
        int64_t begun = now_ms();

        (void)waiting(&w);
        assert_int_equal(w.result, -ETIMEDOUT);
        assert_in_range(now_ms() - begun, timeouts[i], PATIENCE_MS);
        assert_in_range(w.runs, 1, 4);
        assert_true(w.why.text[0] != '\0');
        xsc_client_close(w.c);
    }
}

static void test_a_wait_is_woken_by_another_client(void **state)
{
    static const int timeouts[] = {-1, PATIENCE_MS};
    struct xsc_client *other = live_open();

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct waiter w;

        waiter_start(&w, live_open(), timeouts[i]);
        put(other, TOP "/go", "not yet");
        put(other, TOP "/go", "go");
        assert_true(joined(w.thread));
        assert_int_equal(w.result, 0);
        remove_node(other, TOP);
        xsc_client_close(w.c);
    }
    xsc_client_close(other);
}

static void test_the_watches_of_a_wait_are_gone_afterwards(void **state)
{
    struct xsc_client *other = live_open();
    struct waiter w;

    (void)state;
    waiter_start(&w, live_open(), PATIENCE_MS);
    put(other, TOP "/go", "go");
    assert_true(joined(w.thread));
    assert_int_equal(w.result, 0);
    assert_false(still_watched(w.c, other, TOP "/go"));
    xsc_client_close(w.c);
    remove_node(other, TOP);
    w = (struct waiter){.c = live_open(), .timeout_ms = 50};
    (void)waiting(&w);
    assert_int_equal(w.result, -ETIMEDOUT);
    assert_false(still_watched(w.c, other, TOP "/go"));
    xsc_client_close(w.c);
    remove_node(other, TOP);
    xsc_client_close(other);
}

static void ignore_event(void *ctx, const char *path)
{
    (void)ctx, (void)path;
}

static void test_a_watch_that_stays_would_be_seen(void **state)
{
    struct xsc_client *c = live_open(), *other = live_open();
    struct xsc_watch *watch;

    (void)state;
    xsc_client_lock(c);
    assert_int_equal(xsc_watch_add(xsc_client_session(c), TOP, ignore_event, NULL,
                                   (struct xsc_completion){0}, &watch),
                     0);
    xsc_client_unlock(c);
    assert_int_equal(xsc_client_process(c), 0);
    assert_true(still_watched(c, other, TOP "/go"));
    xsc_client_close(c);
    remove_node(other, TOP);
    xsc_client_close(other);
}

/* Reads one node until it is there, and from then on only another. */
static int follow(struct xsc_handle *h, void *arg)
{
    struct waiter *w = arg;
    struct node first = {.path = TOP "/first"}, second = {.path = TOP "/second"};
    bool saw_first = w->timeout_ms == 0;
    int r;

    __atomic_add_fetch(&w->runs, 1, __ATOMIC_SEQ_CST);
    if (!saw_first) {
        r = node_read(h, &first);
        free(first.data);
        if (r == 0)
            w->timeout_ms = 0;
        return -EAGAIN;
    }
    r = node_read(h, &second);
    free(second.data);
    return r == 0 ? 0 : -EAGAIN;
}

static void *following(void *arg)
{
    struct waiter *w = arg;

    w->result = xsc_wait(w->c, PATIENCE_MS, follow, w, &w->why);
    return NULL;
}

static void test_a_wait_follows_what_its_function_reads(void **state)
{
    struct xsc_client *other = live_open();
    struct waiter w = {.c = live_open(), .timeout_ms = -1};
    int64_t deadline = 0;

    (void)state;
    put(other, TOP, "");
    assert_int_equal(pthread_create(&w.thread, NULL, following, &w), 0);
    while (patiently(&deadline, __atomic_load_n(&w.runs, __ATOMIC_SEQ_CST) < 2))
        ;
    put(other, TOP "/first", "");
    put(other, TOP "/first", "again"); /* what wakes it to read the second */
    deadline = 0;
    while (patiently(&deadline, __atomic_load_n(&w.runs, __ATOMIC_SEQ_CST) < 4))
        put(other, TOP "/first", "and again");
    put(other, TOP "/second", "");
    assert_true(joined(w.thread));
    assert_int_equal(w.result, 0);
    assert_false(still_watched(w.c, other, TOP "/first"));
    xsc_client_close(w.c);
    remove_node(other, TOP);
    xsc_client_close(other);
}

static int wait_for_permission(struct xsc_handle *h, void *arg)
{
    struct waiter *w = arg;
    struct xsc_permission *perms;
    size_t count;
    int r = xsc_get_perms(h, TOP, &perms, &count);

    __atomic_add_fetch(&w->runs, 1, __ATOMIC_SEQ_CST);
    if (r < 0)
        return r;
    free(perms);
    return count > 1 ? 0 : -EAGAIN;
}

static void *waiting_for_permission(void *arg)
{
    struct waiter *w = arg;

    w->result = xsc_wait(w->c, PATIENCE_MS, wait_for_permission, w, &w->why);
    return NULL;
}

static int grant(struct xsc_handle *h, void *arg)
{
    static const struct xsc_permission perms[] = {{0, 'n'}, {5, 'r'}};

    (void)arg;
    return xsc_set_perms(h, TOP, perms, 2);
}

static void test_a_wait_is_woken_by_changed_permissions(void **state)
{
    struct xsc_client *other = live_open();
    struct waiter w = {.c = live_open()};
    int64_t deadline = 0;

    (void)state;
    put(other, TOP, "");
    assert_int_equal(pthread_create(&w.thread, NULL, waiting_for_permission, &w), 0);
    while (patiently(&deadline, __atomic_load_n(&w.runs, __ATOMIC_SEQ_CST) < 2))
        ;
    assert_int_equal(xsc_immediate(other, grant, NULL, NULL), 0);
    assert_true(joined(w.thread));
    assert_int_equal(w.result, 0);
    remove_node(other, TOP);
    xsc_client_close(w.c);
    xsc_client_close(other);
}

static void test_an_error_ends_a_wait_at_once(void **state)
{
    struct waiter w = {.c = live_open()};

    (void)state;
    (void)waiting_for_permission(&w);
    assert_int_equal(w.result, -ENOENT);
    assert_int_equal(w.runs, 1);
    assert_string_equal(w.why.text, "getperms " TOP ": ENOENT");
    xsc_client_close(w.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_transaction_is_seen_all_at_once),
        cmocka_unit_test(test_a_failing_transaction_leaves_nothing),
        cmocka_unit_test(test_a_conflicting_transaction_is_run_again),
        cmocka_unit_test(test_a_transaction_that_always_conflicts_ends),
        cmocka_unit_test(test_a_wait_that_is_satisfied_runs_once),
        cmocka_unit_test(test_a_wait_ends_at_its_deadline_without_spinning),
        cmocka_unit_test(test_a_wait_is_woken_by_another_client),
        cmocka_unit_test(test_the_watches_of_a_wait_are_gone_afterwards),
        cmocka_unit_test(test_a_watch_that_stays_would_be_seen),
        cmocka_unit_test(test_a_wait_follows_what_its_function_reads),
        cmocka_unit_test(test_a_wait_is_woken_by_changed_permissions),
        cmocka_unit_test(test_an_error_ends_a_wait_at_once),
    };

    (void)alarm(120); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_retry", tests, NULL, NULL);
}
