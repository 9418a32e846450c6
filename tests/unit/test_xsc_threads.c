/* test_xsc_threads.c - proves one client used by many threads at once: each gets its own answer, in
 * any order of answers; transactions that conflict lose nothing; a lost connection and a deadline
 * of one thread leave no other waiting. Build it with the thread sanitizer as well, and run it
 * under tests/support/with-xenstored. */
#include <errno.h>

#include "xsc_support.h"

#define TOP "data/xsc-threads"

enum { THREADS = 20, ROUNDS = 40, COUNTERS = 8, INCREMENTS = 15 };

struct worker {
    struct xsc_client *c;
    pthread_t thread;
    int number, result, wrong;
    int *finished; /* counted up at the end, when not NULL */
    char path[64], value[64];
};

static void workers_start(struct worker *w, int count, struct xsc_client *c, void *(*body)(void *))
{
    for (int i = 0; i < count; i++) {
        w[i] = (struct worker){.c = c, .number = i, .result = 1};
        (void)snprintf(w[i].path, sizeof w[i].path, TOP "/%d", i);
        assert_int_equal(pthread_create(&w[i].thread, NULL, body, &w[i]), 0);
    }
}

static void workers_join(struct worker *w, int count)
{
    for (int i = 0; i < count; i++)
        assert_true(joined(w[i].thread));
}

/* --- many threads on one client ------------------------------------------------------------------
 */

static int write_and_read_own(struct xsc_handle *h, void *arg)
{
    struct worker *w = arg;
    struct node n = {.path = w->path, .value = w->value};
    int r = node_write(h, &n);

    if (r == 0)
        r = node_read(h, &n);
    if (r == 0 && strcmp(n.data, w->value) != 0)
        w->wrong++;
    free(n.data);
    return r;
}

static void *write_and_read(void *arg)
{
    struct worker *w = arg;

    w->result = 0;
    for (int i = 0; i < ROUNDS && w->result == 0; i++) {
        (void)snprintf(w->value, sizeof w->value, "%d of thread %d", i, w->number);
        w->result = xsc_immediate(w->c, write_and_read_own, w, NULL);
    }
    return NULL;
}

static void test_each_of_many_threads_gets_its_own_answers(void **state)
{
    struct xsc_client *c = live_open();
    struct worker w[THREADS];

    (void)state;
    workers_start(w, THREADS, c, write_and_read);
    workers_join(w, THREADS);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(w[i].result, 0);
        assert_int_equal(w[i].wrong, 0);
        assert_node(c, w[i].path, w[i].value);
    }
    remove_node(c, TOP);
    xsc_client_close(c);
}

static int increment(struct xsc_handle *h, void *arg)
{
    struct node n = {.path = TOP "/counter"};
    char value[16];
    int r = node_read(h, &n);

    (void)arg;
    if (r < 0)
        return r;
    (void)snprintf(value, sizeof value, "%d", atoi(n.data) + 1);
    free(n.data);
    n.value = value;
    return node_write(h, &n);
}

static void *count_up(void *arg)
{
    struct worker *w = arg;

    w->result = 0;
    for (int i = 0; i < INCREMENTS && w->result == 0; i++)
        do
            w->result = xsc_transaction(w->c, increment, NULL, NULL);
        while (w->result == -EAGAIN); /* allowed: all of its tries were lost to others */
    return NULL;
}

static void test_counting_in_transactions_loses_nothing(void **state)
{
    struct xsc_client *c = live_open();
    struct worker w[COUNTERS];
    char sum[16];

    (void)state;
    put(c, TOP "/counter", "0");
    workers_start(w, COUNTERS, c, count_up);
    workers_join(w, COUNTERS);
    for (int i = 0; i < COUNTERS; i++)
        assert_int_equal(w[i].result, 0);
    (void)snprintf(sum, sizeof sum, "%d", COUNTERS * INCREMENTS);
    assert_node(c, TOP "/counter", sum);
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* --- a scripted server
 * ------------------------------------------------------------------------------ */

static void *read_once(void *arg)
{
    struct worker *w = arg;
    struct node n = {.path = w->path};

    w->result = xsc_immediate(w->c, node_read, &n, NULL);
    if (w->result == 0)
        (void)snprintf(w->value, sizeof w->value, "%s", n.data);
    free(n.data);
    if (w->finished != NULL)
        (void)__atomic_add_fetch(w->finished, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* The requests of `count` threads, which all wait for their answers now. */
static void take_requests(int peer, struct message *m, int count)
{
    for (int i = 0; i < count; i++)
        assert_true(peer_takes(peer, &m[i]));
}

static void test_answers_in_reverse_order_find_their_threads(void **state)
{
    static struct message m[THREADS];
    struct worker w[THREADS];
    int peer;
    struct xsc_client *c = paired_client(&peer);

    (void)state;
    workers_start(w, THREADS, c, read_once);
    take_requests(peer, m, THREADS);
    for (int i = THREADS - 1; i >= 0; i--)
        peer_sends(peer, XSC_OP_READ, m[i].id, m[i].payload, m[i].len - 1); /* its own path */
    workers_join(w, THREADS);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(w[i].result, 0);
        assert_string_equal(w[i].value, w[i].path);
    }
    xsc_client_close(c);
    close(peer);
}

struct event_listener {
    struct xsc_queue *q;
    pthread_t thread;
    int timeout_ms, result;
};

static void *next_event(void *arg)
{
    struct event_listener *l = arg;
    struct xsc_event e = {0};

    l->result = xsc_queue_next(l->q, l->timeout_ms, &e);
    xsc_event_clear(&e);
    return NULL;
}

static void test_a_closed_connection_leaves_no_thread_waiting(void **state)
{
    static struct message m[THREADS];
    struct worker w[THREADS], late = {.path = "/late"};
    struct event_listener l = {.timeout_ms = -1};
    int peer;
    struct xsc_client *c = paired_client(&peer);

    (void)state;
    late.c = c;
    assert_int_equal(xsc_queue_new(c, 1, &l.q), 0);
    assert_int_equal(pthread_create(&l.thread, NULL, next_event, &l), 0);
    workers_start(w, THREADS, c, read_once);
    take_requests(peer, m, THREADS);
    close(peer);
    workers_join(w, THREADS);
    assert_true(joined(l.thread));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(w[i].result, -ECONNRESET);
    assert_int_equal(l.result, -ENOTCONN);
    assert_true(xsc_why(xsc_client_session(c))[0] != '\0');
    (void)read_once(&late);
    assert_int_equal(late.result, -ENOTCONN);
    xsc_queue_free(l.q);
    xsc_client_close(c);
}

static void test_a_server_that_breaks_the_protocol_leaves_no_thread_waiting(void **state)
{
    static struct message m[THREADS];
    struct worker w[THREADS];
    int peer;
    struct xsc_client *c = paired_client(&peer);

    (void)state;
    workers_start(w, THREADS, c, read_once);
    take_requests(peer, m, THREADS);
    peer_sends(peer, XSC_OP_RM, m[0].id, "OK", 3);
    workers_join(w, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(w[i].result, -ECONNRESET);
    xsc_client_close(c);
    close(peer);
}

static void test_a_thread_whose_deadline_comes_hands_on_the_reading(void **state)
{
    struct worker w[2];
    struct message m[2];
    struct event_listener l = {.timeout_ms = 60};
    int peer;
    struct xsc_client *c = paired_client(&peer);

    (void)state;
    assert_int_equal(xsc_queue_new(c, 1, &l.q), 0);
    assert_int_equal(pthread_create(&l.thread, NULL, next_event, &l), 0);
    workers_start(w, 2, c, read_once);
    take_requests(peer, m, 2);
    assert_true(joined(l.thread));
    assert_int_equal(l.result, -ETIMEDOUT);
    peer_sends(peer, XSC_OP_READ, m[1].id, "one", 3);
    peer_sends(peer, XSC_OP_READ, m[0].id, "two", 3);
    workers_join(w, 2);
    assert_int_equal(w[0].result + w[1].result, 0);
    xsc_queue_free(l.q);
    xsc_client_close(c);
    close(peer);
}

/* The first thread polls for input when the second finds that nothing can be written any more. */
static void test_a_connection_lost_for_writing_leaves_no_reader_waiting(void **state)
{
    struct worker w[2];
    struct message m;
    int64_t deadline = now_ms() + 3000;
    int peer, finished = 0;
    bool hangs;
    struct xsc_client *c = paired_client(&peer);

    (void)state;
    w[0] = w[1] = (struct worker){.c = c, .path = "/a", .result = 1, .finished = &finished};
    assert_int_equal(pthread_create(&w[0].thread, NULL, read_once, &w[0]), 0);
    assert_true(peer_takes(peer, &m));
    assert_int_equal(shutdown(peer, SHUT_RD), 0);
    assert_int_equal(pthread_create(&w[1].thread, NULL, read_once, &w[1]), 0);
    while (patiently(&deadline, __atomic_load_n(&finished, __ATOMIC_SEQ_CST) < 2))
        ;
    hangs = __atomic_load_n(&finished, __ATOMIC_SEQ_CST) < 2;
    close(peer); /* wakes it in any case */
    assert_true(joined(w[0].thread) && joined(w[1].thread));
    assert_int_equal(w[0].result, -ECONNRESET);
    assert_int_equal(w[1].result, -ECONNRESET);
    xsc_client_close(c);
    assert_false(hangs);
}

/* --- many bytes
 * ------------------------------------------------------------------------------------- */

static int write_big(struct xsc_handle *h, void *arg)
{
    static const char big[4000];
    struct worker *w = arg;

    return xsc_write(h, w->path, big, sizeof big);
}

static void *write_big_once(void *arg)
{
    struct worker *w = arg;

    w->result = xsc_immediate(w->c, write_big, w, NULL);
    return NULL;
}

/* The socket holds a few of the requests only; the server reads none before all were made. */
static void test_output_that_did_not_fit_is_written_later(void **state)
{
    struct worker w[THREADS];
    struct message m;
    int64_t deadline = 0;
    int peer, size = 4096;
    struct xsc_client *c = paired_client(&peer);
    size_t pending;

    (void)state;
    assert_int_equal(setsockopt(xsc_client_fd(c), SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    workers_start(w, THREADS, c, write_big_once);
    do {
        xsc_client_lock(c);
        pending = xsc_pending(xsc_client_session(c));
        xsc_client_unlock(c);
    } while (patiently(&deadline, pending < THREADS));
    assert_int_equal(pending, THREADS);
    assert_true(xsc_client_events(c) & POLLOUT);
    for (int i = 0; i < THREADS; i++) {
        assert_true(peer_takes(peer, &m));
        peer_sends(peer, XSC_OP_WRITE, m.id, "OK", 3);
    }
    workers_join(w, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(w[i].result, 0);
    xsc_client_close(c);
    close(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_of_many_threads_gets_its_own_answers),
        cmocka_unit_test(test_counting_in_transactions_loses_nothing),
        cmocka_unit_test(test_answers_in_reverse_order_find_their_threads),
        cmocka_unit_test(test_a_closed_connection_leaves_no_thread_waiting),
        cmocka_unit_test(test_a_server_that_breaks_the_protocol_leaves_no_thread_waiting),
        cmocka_unit_test(test_a_thread_whose_deadline_comes_hands_on_the_reading),
        cmocka_unit_test(test_a_connection_lost_for_writing_leaves_no_reader_waiting),
        cmocka_unit_test(test_output_that_did_not_fit_is_written_later),
    };

    (void)alarm(180); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_threads", tests, NULL, NULL);
}
