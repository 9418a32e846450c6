/* test_xsc_loop.c - proves a client in an event loop, alone and together with threads that block,
 * and that calls which would block are refused inside a callback. Run it under
 * tests/support/with-xenstored; build it with the thread sanitizer as well. */
#include <errno.h>
#include <sys/wait.h>

#include "xsc_support.h"

#define TOP "data/xsc-loop"

/* One turn of an event loop: polls as the client wants, and lets it work. */
static int turn(struct xsc_client *c, int timeout_ms)
{
    struct pollfd p = {.fd = xsc_client_fd(c), .events = xsc_client_events(c)};

    return poll(&p, 1, timeout_ms) > 0 ? xsc_client_process(c) : 0;
}

static void turn_until_done(struct xsc_client *c, const int *done)
{
    int64_t until = now_ms() + PATIENCE_MS;

    while (*done == 0 && now_ms() < until)
        assert_int_equal(turn(c, 100), 0);
    assert_int_equal(*done, 1);
}

static void test_a_call_is_made_by_the_loop(void **state)
{
    struct xsc_client *c = live_open();
    struct outcome o = {0};

    (void)state;
    put(c, TOP, "seen by the loop");
    assert_int_equal(xsc_client_events(c), POLLIN);
    assert_int_equal(submit(xsc_client_session(c), XSC_OP_READ, TOP, &o), 0);
    /* /dev/xen/xenbus can't be polled for output, so there the question has written it. */
    assert_int_equal(xsc_client_events(c) & ~POLLOUT, POLLIN);
    assert_int_equal((xsc_client_events(c) & POLLOUT) != 0, xsc_wants_write(xsc_client_session(c)));
    turn_until_done(c, &o.done);
    assert_completed(&o, 0);
    assert_string_equal(o.data, "seen by the loop");
    assert_int_equal(xsc_client_events(c), POLLIN);
    remove_node(c, TOP);
    xsc_client_close(c);
}

static void done_flag(void *ctx, struct xsc_batch *b, int error)
{
    assert_int_equal(error, 0);
    xsc_batch_free(b);
    *(int *)ctx = 1;
}

static int nothing_more(void *ctx, struct xsc_batch *b)
{
    (void)ctx;
    return xsc_batch_add_key(b, XSC_OP_WRITE, TOP, "more", "yes") < 0 ? -ENOMEM : 0;
}

static void test_a_transaction_batch_on_a_real_server(void **state)
{
    struct xsc_client *c = live_open();
    struct xsc_batch *b;
    int done = 0;

    (void)state;
    assert_int_equal(xsc_batch_new(xsc_client_session(c), XSC_BATCH_TRANSACTION, &b), 0);
    for (int i = 0; i < 100; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(xsc_batch_add_key(b, XSC_OP_WRITE, TOP, key, key), i);
    }
    xsc_batch_then(b, nothing_more);
    assert_int_equal(xsc_batch_submit(b, done_flag, &done), 0);
    turn_until_done(c, &done);
    assert_node(c, TOP "/key0", "key0");
    assert_node(c, TOP "/key99", "key99");
    assert_node(c, TOP "/more", "yes");
    remove_node(c, TOP);
    xsc_client_close(c);
}

static void test_processing_a_lost_or_broken_connection(void **state)
{
    (void)state;
    for (int broken = 0; broken < 2; broken++) {
        int peer, r;
        struct xsc_client *c = paired_client(&peer);
        struct outcome o = {0};

        assert_int_equal(xsc_client_process(c), 0); /* nothing there: does not block */
        assert_int_equal(submit(xsc_client_session(c), XSC_OP_READ, "/a", &o), 0);
        assert_int_equal(xsc_client_process(c), 0);
        if (broken)
            peer_sends(peer, XSC_OP_READ, 12345, "v", 1);
        else
            close(peer);
        r = xsc_client_process(c);
        assert_true(broken ? r == -EPROTO : r < 0);
        assert_completed(&o, -ECONNRESET);
        assert_true(xsc_why(xsc_client_session(c))[0] != '\0');
        assert_int_equal(xsc_client_process(c), -ENOTCONN);
        if (broken)
            close(peer);
        xsc_client_close(c);
    }
}

static void test_writing_to_a_closed_connection_raises_no_signal(void **state)
{
    int peer;
    struct xsc_client *c = paired_client(&peer);
    struct node n = {.path = "/a", .value = "v"};

    (void)state;
    close(peer); /* SIGPIPE would end this program */
    assert_int_equal(xsc_immediate(c, node_write, &n, NULL), -ECONNRESET);
    assert_int_equal(xsc_immediate(c, node_write, &n, NULL), -ENOTCONN);
    xsc_client_close(c);
}

static void test_closing_cancels_what_waits(void **state)
{
    int peer;
    struct xsc_client *c = paired_client(&peer);
    struct outcome o = {0};
    struct xsc_watch *watch;
    int fired = 0;

    (void)state;
    assert_int_equal(submit(xsc_client_session(c), XSC_OP_READ, "/a", &o), 0);
    assert_int_equal(xsc_watch_add(xsc_client_session(c), "/a", NULL, &fired,
                                   (struct xsc_completion){0}, &watch),
                     0);
    xsc_client_close(c);
    assert_completed(&o, -ECANCELED);
    close(peer);
}

/* --- together with threads that block
 * ------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 60 };

struct mixed {
    struct xsc_client *c;
    int fired, answered, failed; /* under the client's lock */
    int running, numbers;        /* threads, and nodes they have written; atomic */
};

static void note_fired(void *ctx, const char *path)
{
    struct mixed *m = ctx;

    (void)path;
    m->fired++;
}

static void note_answer(void *ctx, const struct xsc_reply *reply)
{
    struct mixed *m = ctx;

    m->answered++;
    m->failed += reply->error != 0;
}

/* Each write has a path of its own: the server joins events that are alike. */
static void number_path(char path[64], const char *kind, int number)
{
    (void)snprintf(path, 64, TOP "/%s/%d", kind, number);
}

static void *write_blocking(void *arg)
{
    struct mixed *m = arg;
    char path[64];
    struct node n = {.path = path, .value = "v"};

    for (int i = 0; i < ROUNDS; i++) {
        number_path(path, "blocking", __atomic_add_fetch(&m->numbers, 1, __ATOMIC_SEQ_CST));
        if (xsc_immediate(m->c, node_write, &n, NULL) < 0) {
            xsc_client_lock(m->c);
            m->failed++;
            xsc_client_unlock(m->c);
        }
    }
    (void)__atomic_sub_fetch(&m->running, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static int snapshot(struct mixed *m, const int *field)
{
    int value;

    xsc_client_lock(m->c);
    value = *field;
    xsc_client_unlock(m->c);
    return value;
}

/* Submits a call in each turn while the threads run, and goes on until all is answered. */
static void loop_beside_threads(struct mixed *m)
{
    char path[64];
    struct xsc_call call = {.op = XSC_OP_WRITE, .path = path, .value = "v", .value_len = 1};
    int64_t until = now_ms() + PATIENCE_MS;
    int submitted = 0, threads, answered, fired;

    do {
        threads = __atomic_load_n(&m->running, __ATOMIC_SEQ_CST);
        if (threads > 0 && submitted < 1000) {
            number_path(path, "loop", submitted);
            xsc_client_lock(m->c);
            submitted += xsc_submit(xsc_client_session(m->c), &call,
                                    (struct xsc_completion){note_answer, m, NULL}) == 0;
            xsc_client_unlock(m->c);
        }
        assert_int_equal(turn(m->c, 1), 0);
        answered = snapshot(m, &m->answered);
        fired = snapshot(m, &m->fired);
    } while (now_ms() < until &&
             (threads > 0 || answered < submitted || fired < 1 + submitted + THREADS * ROUNDS));
    assert_int_equal(answered, submitted);
    assert_int_equal(fired, 1 + submitted + THREADS * ROUNDS); /* 1: its own first */
}

static void test_a_loop_and_blocking_threads_share_a_client(void **state)
{
    struct mixed m = {.c = live_open(), .running = THREADS};
    struct xsc_watch *watch;
    pthread_t threads[THREADS];

    (void)state;
    put(m.c, TOP "/blocking", "");
    put(m.c, TOP "/loop", "");
    assert_int_equal(xsc_watch_add(xsc_client_session(m.c), TOP, note_fired, &m,
                                   (struct xsc_completion){0}, &watch),
                     0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_blocking, &m), 0);
    loop_beside_threads(&m);
    for (int i = 0; i < THREADS; i++)
        assert_true(joined(threads[i]));
    assert_int_equal(m.failed, 0);
    xsc_client_lock(m.c);
    xsc_watch_remove(watch);
    xsc_client_unlock(m.c);
    remove_node(m.c, TOP);
    xsc_client_close(m.c);
}

/* --- calls that would block inside a callback
 * ---------------------------------------------------------- */

struct inside {
    struct xsc_client *c;
    struct xsc_queue *q;
    int (*call)(struct inside *);
    int done, result;
};

static int all_operations(struct xsc_handle *h, void *arg)
{
    static const struct xsc_permission perms[] = {{0, 'n'}};
    void *out;
    size_t n;

    (void)arg;
    if (xsc_read(h, TOP, (char **)&out, &n) != -EDEADLK || xsc_write(h, TOP, "v", 1) != -EDEADLK ||
        xsc_directory(h, TOP, (char ***)&out, &n) != -EDEADLK ||
        xsc_get_domain_path(h, 0, (char **)&out) != -EDEADLK ||
        xsc_get_perms(h, TOP, (struct xsc_permission **)&out, &n) != -EDEADLK ||
        xsc_set_perms(h, TOP, perms, 1) != -EDEADLK || xsc_rm(h, TOP) != -EDEADLK)
        return -EBADMSG;
    return xsc_mkdir(h, TOP);
}

static int immediate_inside(struct inside *i)
{
    return xsc_immediate(i->c, all_operations, NULL, NULL);
}

static int transaction_inside(struct inside *i)
{
    return xsc_transaction(i->c, all_operations, NULL, NULL);
}

static int wait_inside(struct inside *i)
{
    return xsc_wait(i->c, 100, all_operations, NULL, NULL);
}

static int watch_inside(struct inside *i)
{
    return xsc_watch(i->q, TOP, "t", NULL);
}

static int next_inside(struct inside *i)
{
    struct xsc_event e;

    return xsc_queue_next(i->q, 100, &e);
}

static void call_inside(void *ctx, const struct xsc_reply *reply)
{
    struct inside *i = ctx;

    (void)reply;
    i->result = i->call(i);
    i->done = 1;
}

static int result_inside(int (*function)(struct inside *))
{
    struct inside i = {.c = live_open(), .call = function};
    struct xsc_call call = {.op = XSC_OP_READ, .path = "/"};

    assert_int_equal(xsc_queue_new(i.c, 4, &i.q), 0);
    assert_int_equal(
        xsc_submit(xsc_client_session(i.c), &call, (struct xsc_completion){call_inside, &i, NULL}),
        0);
    turn_until_done(i.c, &i.done);
    xsc_queue_free(i.q);
    xsc_client_close(i.c);
    return i.result;
}

static void test_operations_inside_a_callback_are_refused(void **state)
{
    (void)state;
    assert_int_equal(result_inside(immediate_inside), -EDEADLK);
    assert_int_equal(result_inside(transaction_inside), -EDEADLK);
}

static void test_operations_after_a_callback_are_not(void **state)
{
    struct xsc_client *c = live_open();

    (void)state;
    assert_int_equal(result_inside(immediate_inside), -EDEADLK);
    put(c, TOP, "v");
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* In a child, which a call that locks the client once more would hold for ever. */
static bool refused_in_a_child(int (*function)(struct inside *))
{
    pid_t child = fork();
    int status = -1;

    assert_true(child >= 0);
    if (child == 0) {
        (void)alarm(2);
        _exit(result_inside(function) == -EDEADLK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_waiting_inside_a_callback_is_refused(void **state)
{
    (void)state;
    assert_true(refused_in_a_child(wait_inside));
}

static void test_a_queue_inside_a_callback_is_refused(void **state)
{
    (void)state;
    assert_true(refused_in_a_child(watch_inside));
    assert_true(refused_in_a_child(next_inside));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_is_made_by_the_loop),
        cmocka_unit_test(test_a_transaction_batch_on_a_real_server),
        cmocka_unit_test(test_processing_a_lost_or_broken_connection),
        cmocka_unit_test(test_writing_to_a_closed_connection_raises_no_signal),
        cmocka_unit_test(test_closing_cancels_what_waits),
        cmocka_unit_test(test_a_loop_and_blocking_threads_share_a_client),
        cmocka_unit_test(test_operations_inside_a_callback_are_refused),
        cmocka_unit_test(test_operations_after_a_callback_are_not),
        cmocka_unit_test(test_waiting_inside_a_callback_is_refused),
        cmocka_unit_test(test_a_queue_inside_a_callback_is_refused),
    };

    (void)alarm(180); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_loop", tests, NULL, NULL);
}
