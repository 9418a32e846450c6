/* test_xsc_suspend_live.c - proves suspend, continue and resume under load, against a real
 * xenstored: 16 threads work while the connection ends and begins again beneath them, and lose
 * nothing; queues are told to look again, waits wake, an open transaction is waited for; a
 * connection that is lost. Run it under tests/support/with-xenstored. */
#include <semaphore.h>

#include "xsc_support.h"

#define TOP "data/xsc-suspend"

enum { CALLERS = 16, CYCLES = 40 };

/* How a suspended client goes on, in turns: with the connection it has, or with a new one. */
static void go_on(struct xsc_client *c, int turn)
{
    struct vbd_error why = {""};
    int r =
        turn % 2 == 0 || in_cell(RING) ? xsc_client_continue(c) : xsc_client_resume(c, NULL, &why);

    if (r < 0)
        fail_msg("turn %d: %d %s", turn, r, why.text);
}

static void suspend(struct xsc_client *c)
{
    struct vbd_error why = {""};

    if (xsc_client_suspend(c, PATIENCE_MS, &why) < 0)
        fail_msg("%s", why.text);
    xsc_client_lock(c);
    assert_true(xsc_is_suspended(xsc_client_session(c)));
    xsc_client_unlock(c);
}

/* --- under load ----------------------------------------------------------------------------------
 */

struct caller {
    struct xsc_client *c;
    pthread_t thread;
    int number, own, shared, waited, result; /* what it has counted up, and how it ended */
    int *stop;
    sem_t *room;
    struct vbd_error why;
    char path[40], go[40];
};

static int add_one(struct xsc_handle *h, const char *path)
{
    char *data = NULL, value[16];
    size_t len;
    int r = xsc_read(h, path, &data, &len);

    if (r < 0)
        return r;
    (void)snprintf(value, sizeof value, "%d", atoi(data) + 1);
    free(data);
    return xsc_write(h, path, value, strlen(value));
}

/* The own counter has the value that this thread has given it, no other: nothing was lost, and
 * nothing was done twice. */
static int count_own(struct xsc_handle *h, void *arg)
{
    struct caller *k = arg;
    char *data = NULL;
    size_t len;
    int r = xsc_read(h, k->path, &data, &len);

    if (r == 0 && atoi(data) != k->own)
        r = -EBADMSG;
    free(data);
    if (r == 0)
        r = add_one(h, k->path);
    k->own += r == 0;
    return r;
}

static int count_shared(struct xsc_handle *h, void *arg)
{
    (void)arg;
    return add_one(h, TOP "/shared");
}

/* A guest may have ten transactions at once, other users of its domain's included. */
static int count_shared_in_turn(struct caller *k)
{
    int r;

    do {
        (void)sem_wait(k->room);
        r = xsc_transaction(k->c, count_shared, k, &k->why);
        (void)sem_post(k->room);
    } while (r == -EAGAIN); /* allowed: all of its tries were lost to others */
    k->shared += r == 0;
    return r;
}

/* Its own write, of its first run, is what it waits for. */
static int wait_for_own(struct xsc_handle *h, void *arg)
{
    struct caller *k = arg;
    char *data = NULL, value[16];
    size_t len;
    bool there;
    int r = xsc_read(h, k->go, &data, &len);

    if (r < 0 && r != -ENOENT)
        return r;
    there = r == 0 && atoi(data) == k->waited + 1;
    free(data);
    (void)snprintf(value, sizeof value, "%d", k->waited + 1);
    if (there)
        return 0;
    r = xsc_write(h, k->go, value, strlen(value));
    return r < 0 ? r : -EAGAIN;
}

static void *work(void *arg)
{
    struct caller *k = arg;
    int r = 0;

    /* Each of the three at least once, however busy the machine is. */
    for (int i = k->number;
         r == 0 && (i < k->number + 3 || __atomic_load_n(k->stop, __ATOMIC_SEQ_CST) == 0); i++)
        if (i % 3 == 0) {
            r = xsc_immediate(k->c, count_own, k, &k->why);
        } else if (i % 3 == 1) {
            r = count_shared_in_turn(k);
        } else {
            r = xsc_wait(k->c, PATIENCE_MS, wait_for_own, k, &k->why);
            k->waited += r == 0;
        }
    k->result = r;
    return NULL;
}

static void assert_number(struct xsc_client *c, const char *path, int number)
{
    char value[16];

    (void)snprintf(value, sizeof value, "%d", number);
    assert_node(c, path, value);
}

static void callers_end(struct caller *k)
{
    int shared = 0;

    for (int i = 0; i < CALLERS; i++) {
        assert_true(joined(k[i].thread));
        if (k[i].result < 0)
            fail_msg("caller %d: %d %s", i, k[i].result, k[i].why.text);
        assert_number(k[i].c, k[i].path, k[i].own);
        shared += k[i].shared;
    }
    assert_number(k[0].c, TOP "/shared", shared);
    assert_true(shared > 0);
}

static void test_sixteen_callers_lose_nothing(void **state)
{
    struct xsc_client *c = live_open();
    struct caller k[CALLERS];
    sem_t room;
    int stop = 0;

    (void)state;
    assert_int_equal(sem_init(&room, 0, in_cell(UNPRIVILEGED) ? 5 : CALLERS), 0);
    put(c, TOP "/shared", "0");
    for (int i = 0; i < CALLERS; i++) {
        k[i] = (struct caller){.c = c, .number = i, .result = 1, .stop = &stop, .room = &room};
        (void)snprintf(k[i].path, sizeof k[i].path, TOP "/own%d", i);
        (void)snprintf(k[i].go, sizeof k[i].go, TOP "/go%d", i);
        put(c, k[i].path, "0");
        assert_int_equal(pthread_create(&k[i].thread, NULL, work, &k[i]), 0);
    }
    for (int i = 0; i < CYCLES; i++) {
        suspend(c);
        go_on(c, i);
        assert_no_node(c, TOP "/none");
    }
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    callers_end(k);
    (void)sem_destroy(&room);
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* --- who is told ---------------------------------------------------------------------------------
 */

static struct xsc_event next_event(struct xsc_queue *q)
{
    struct xsc_event e = {0};

    assert_int_equal(xsc_queue_next(q, PATIENCE_MS, &e), 0);
    return e;
}

static void expect_event(struct xsc_queue *q, const char *path)
{
    struct xsc_event e = next_event(q);

    assert_false(e.rescan);
    assert_string_equal(e.path, path);
    xsc_event_clear(&e);
}

/* What was set anew fires once by itself, before the rescan or after it. */
static void expect_rescan(struct xsc_client *c, struct xsc_queue *q)
{
    struct xsc_event e = {0};
    bool rescan = false;

    while (!rescan) {
        e = next_event(q);
        rescan = e.rescan;
        xsc_event_clear(&e);
    }
    assert_no_node(c, TOP "/none"); /* what is on its way comes first */
    while (xsc_queue_next(q, 0, &e) == 0) {
        assert_false(e.rescan);
        xsc_event_clear(&e);
    }
}

static void test_queues_are_told_to_look_again(void **state)
{
    struct xsc_client *c = live_open();
    struct xsc_queue *q;

    (void)state;
    put(c, TOP, "");
    assert_int_equal(xsc_queue_new(c, 10, &q), 0);
    assert_int_equal(xsc_watch(q, TOP, "t", NULL), 0);
    expect_event(q, TOP);
    for (int i = 0; i < 6; i++) {
        suspend(c);
        go_on(c, i);
        expect_rescan(c, q);
        put(c, TOP "/after", "v");
        expect_event(q, TOP "/after");
    }
    xsc_queue_free(q);
    remove_node(c, TOP);
    xsc_client_close(c);
}

struct waiter {
    struct xsc_client *c;
    pthread_t thread;
    int runs, result;
};

static int is_there(struct xsc_handle *h, void *arg)
{
    struct waiter *w = arg;
    char *data = NULL;
    size_t len;
    int r = xsc_read(h, TOP "/there", &data, &len);

    free(data);
    __atomic_add_fetch(&w->runs, 1, __ATOMIC_SEQ_CST);
    return r == -ENOENT ? -EAGAIN : r;
}

static void *wait_until_there(void *arg)
{
    struct waiter *w = arg;

    w->result = xsc_wait(w->c, -1, is_there, w, NULL);
    return NULL;
}

static void waiter_start(struct waiter *w, struct xsc_client *c)
{
    int64_t deadline = 0;

    *w = (struct waiter){.c = c, .result = 1};
    assert_int_equal(pthread_create(&w->thread, NULL, wait_until_there, w), 0);
    while (patiently(&deadline, __atomic_load_n(&w->runs, __ATOMIC_SEQ_CST) < 2))
        ;
}

static void test_a_wait_goes_on_and_is_woken(void **state)
{
    struct xsc_client *c = live_open();

    (void)state;
    for (int turn = 0; turn < 4; turn++) {
        struct waiter w;

        put(c, TOP, "");
        waiter_start(&w, c);
        suspend(c);
        go_on(c, turn);
        put(c, TOP "/there", "");
        assert_true(joined(w.thread));
        assert_int_equal(w.result, 0);
        remove_node(c, TOP);
    }
    xsc_client_close(c);
}

static void test_a_wait_sees_what_changed_meanwhile(void **state)
{
    struct xsc_client *c = live_open(), *other = live_open();

    (void)state;
    for (int turn = 0; turn < 4; turn++) {
        struct waiter w;

        put(c, TOP, "");
        waiter_start(&w, c);
        suspend(c);
        put(other, TOP "/there", "");
        go_on(c, turn);
        assert_true(joined(w.thread));
        assert_int_equal(w.result, 0);
        remove_node(c, TOP);
    }
    xsc_client_close(other);
    xsc_client_close(c);
}

/* --- an open transaction -------------------------------------------------------------------------
 */

struct open_transaction {
    struct xsc_client *c;
    pthread_t thread;
    int inside, leave, result;
};

static int stay_inside(struct xsc_handle *h, void *arg)
{
    struct open_transaction *t = arg;
    int64_t deadline = 0;
    int r = xsc_write(h, TOP "/inside", "v", 1);

    __atomic_store_n(&t->inside, 1, __ATOMIC_SEQ_CST);
    while (patiently(&deadline, __atomic_load_n(&t->leave, __ATOMIC_SEQ_CST) == 0))
        ;
    return r < 0 ? r : xsc_write(h, TOP "/inside2", "v", 1);
}

static void *transact(void *arg)
{
    struct open_transaction *t = arg;

    t->result = xsc_transaction(t->c, stay_inside, t, NULL);
    return NULL;
}

static void test_an_open_transaction_is_waited_for(void **state)
{
    struct xsc_client *c = live_open();
    struct open_transaction t = {.c = c, .result = 1};
    struct vbd_error why = {""};
    int64_t deadline = 0;

    (void)state;
    assert_int_equal(pthread_create(&t.thread, NULL, transact, &t), 0);
    while (patiently(&deadline, __atomic_load_n(&t.inside, __ATOMIC_SEQ_CST) == 0))
        ;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(xsc_client_suspend(c, 30, &why), -ETIMEDOUT);
        assert_true(why.text[0] != '\0');
        assert_no_node(c, TOP "/inside"); /* answered: all goes on */
    }
    __atomic_store_n(&t.leave, 1, __ATOMIC_SEQ_CST);
    suspend(c);
    go_on(c, 1);
    assert_true(joined(t.thread));
    assert_int_equal(t.result, 0);
    assert_node(c, TOP "/inside2", "v");
    remove_node(c, TOP);
    xsc_client_close(c);
}

static void test_suspending_twice_and_continuing_at_will(void **state)
{
    struct xsc_client *c = live_open();

    (void)state;
    suspend(c);
    assert_int_equal(xsc_client_suspend(c, 10, NULL), -EBUSY);
    go_on(c, 0);
    put(c, TOP, "");
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* --- a connection that is lost -------------------------------------------------------------------
 */

static void test_a_lost_connection_is_opened_anew(void **state)
{
    struct xsc_client *c = live_open();
    struct node n = {.path = TOP, .value = "v"};
    struct xsc_event e = {0};
    struct xsc_queue *q;
    int r;

    (void)state;
    put(c, TOP, "");
    assert_int_equal(xsc_queue_new(c, 10, &q), 0);
    assert_int_equal(xsc_watch(q, TOP, "t", NULL), 0);
    expect_event(q, TOP);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(xsc_client_resume(c, NULL, NULL), -EBUSY); /* there is nothing to mend */
        assert_int_equal(shutdown(xsc_client_fd(c), SHUT_RDWR), 0); /* as if the daemon had died */
        r = xsc_immediate(c, node_write, &n, NULL);
        assert_true(r == -ECONNRESET || r == -ENOTCONN);
        assert_int_equal(xsc_queue_next(q, PATIENCE_MS, &e), -ENOTCONN);
        assert_int_equal(xsc_client_continue(c), -ENOTCONN);
        assert_true(xsc_client_resume(c, "/nonexistent/socket", NULL) < 0);
        assert_int_equal(xsc_client_resume(c, NULL, NULL), 0);
        expect_rescan(c, q);
        put(c, TOP "/after", "v");
        expect_event(q, TOP "/after");
    }
    xsc_queue_free(q);
    remove_node(c, TOP);
    xsc_client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sixteen_callers_lose_nothing),
        cmocka_unit_test(test_queues_are_told_to_look_again),
        cmocka_unit_test(test_a_wait_goes_on_and_is_woken),
        cmocka_unit_test(test_a_wait_sees_what_changed_meanwhile),
        cmocka_unit_test(test_an_open_transaction_is_waited_for),
        cmocka_unit_test(test_suspending_twice_and_continuing_at_will),
        cmocka_unit_test(test_a_lost_connection_is_opened_anew),
    };

    (void)alarm(180); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_suspend_live", tests, NULL, NULL);
}
