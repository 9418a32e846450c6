/* test_xsc_queue.c - proves queues of watch events, against a real xenstored: events with their
 * tokens, a limit that ends in a rescan, watches that go, and connections that are lost. Run it
 * under tests/support/with-xenstored. */
#include <errno.h>

#include "xsc_support.h"

#define TOP "data/xsc-queue"

struct setup {
    struct xsc_client *c;
    struct xsc_queue *q;
};

static void setup_open(struct setup *s, size_t limit)
{
    s->c = live_open();
    put(s->c, TOP, "");
    assert_int_equal(xsc_queue_new(s->c, limit, &s->q), 0);
}

static void setup_close(struct setup *s)
{
    assert_null(xsc_queue_free(s->q));
    remove_node(s->c, TOP);
    xsc_client_close(s->c);
}

/* The next event must be this one. */
static void expect_event(struct xsc_queue *q, const char *path, const char *token)
{
    struct xsc_event e = {0};

    assert_int_equal(xsc_queue_next(q, PATIENCE_MS, &e), 0);
    assert_false(e.rescan);
    assert_string_equal(e.path, path);
    assert_string_equal(e.token, token);
    xsc_event_clear(&e);
    assert_null(e.path);
}

static void expect_rescan(struct xsc_queue *q)
{
    struct xsc_event e = {0};

    assert_int_equal(xsc_queue_next(q, PATIENCE_MS, &e), 0);
    assert_true(e.rescan);
    assert_null(e.path);
    assert_null(e.token);
    xsc_event_clear(&e);
}

static void expect_nothing(struct xsc_client *c, struct xsc_queue *q)
{
    struct xsc_event e = {0};

    put(c, "data/xsc-queue-elsewhere", ""); /* what is on its way comes before this is answered */
    remove_node(c, "data/xsc-queue-elsewhere");
    assert_int_equal(xsc_queue_next(q, 0, &e), -ETIMEDOUT);
    assert_null(e.path);
}

static void test_events_carry_path_and_token(void **state)
{
    static const char *const tokens[] = {"t", "", "with space", "0.1", "a/b", "1.1"};
    struct setup s;

    (void)state;
    setup_open(&s, 100);
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        assert_int_equal(xsc_watch(s.q, TOP, tokens[i], NULL), 0);
        expect_event(s.q, TOP, tokens[i]);
        put(s.c, TOP "/below", "v");
        expect_event(s.q, TOP "/below", tokens[i]);
        assert_int_equal(xsc_unwatch(s.q, TOP, tokens[i]), 0);
    }
    setup_close(&s);
}

static void test_events_stop_when_unwatched(void **state)
{
    struct setup s;

    (void)state;
    setup_open(&s, 100);
    assert_int_equal(xsc_watch(s.q, TOP, "t", NULL), 0);
    expect_event(s.q, TOP, "t");
    assert_int_equal(xsc_unwatch(s.q, TOP, "t"), 0);
    put(s.c, TOP, "changed");
    expect_nothing(s.c, s.q);
    setup_close(&s);
}

static void test_a_pair_of_path_and_token_is_there_once(void **state)
{
    struct vbd_error why = {""};
    struct setup s;

    (void)state;
    setup_open(&s, 100);
    assert_int_equal(xsc_unwatch(s.q, TOP, "t"), -ENOENT);
    assert_int_equal(xsc_watch(s.q, TOP, "t", &why), 0);
    assert_int_equal(xsc_watch(s.q, TOP, "t", &why), -EEXIST);
    assert_non_null(strstr(why.text, "watch " TOP));
    assert_int_equal(xsc_watch(s.q, TOP, "u", NULL), 0);
    assert_int_equal(xsc_watch(s.q, TOP "/x", "t", NULL), 0);
    assert_int_equal(xsc_unwatch(s.q, TOP, "t"), 0);
    assert_int_equal(xsc_unwatch(s.q, TOP, "t"), -ENOENT);
    assert_int_equal(xsc_unwatch(s.q, TOP "/x", "u"), -ENOENT);
    assert_int_equal(xsc_watch(s.q, TOP, "t", NULL), 0);
    setup_close(&s);
}

static void test_two_queues_of_one_client_are_apart(void **state)
{
    struct xsc_queue *second;
    struct setup s;

    (void)state;
    setup_open(&s, 100);
    assert_int_equal(xsc_queue_new(s.c, 100, &second), 0);
    assert_int_equal(xsc_watch(s.q, TOP, "t", NULL), 0);
    assert_int_equal(xsc_watch(second, TOP, "t", NULL), 0);
    expect_event(s.q, TOP, "t");
    expect_event(second, TOP, "t");
    assert_null(xsc_queue_free(second));
    put(s.c, TOP "/still", "");
    expect_event(s.q, TOP "/still", "t");
    setup_close(&s);
}

static void test_a_path_that_is_not_allowed_is_not_watched(void **state)
{
    struct vbd_error why = {""};
    struct setup s;

    (void)state;
    setup_open(&s, 100);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(xsc_watch(s.q, TOP "//", "t", &why), -EINVAL);
        assert_non_null(strstr(why.text, "watch " TOP "//"));
        assert_int_equal(xsc_unwatch(s.q, TOP "//", "t"), -ENOENT);
    }
    setup_close(&s);
}

static void test_a_queue_without_room_is_refused(void **state)
{
    struct xsc_client *c = live_open();
    struct xsc_queue *q = NULL;

    (void)state;
    assert_int_equal(xsc_queue_new(c, 0, &q), -EINVAL);
    assert_null(q);
    assert_null(xsc_queue_free(NULL));
    xsc_client_close(c);
}

/* --- the limit -----------------------------------------------------------------------------------
 */

static void write_many(struct xsc_client *c, int count)
{
    char path[64];

    for (int i = 0; i < count; i++) {
        (void)snprintf(path, sizeof path, TOP "/n%d", i);
        put(c, path, "v");
    }
}

static void test_overflow_ends_in_a_rescan(void **state)
{
    struct setup s;

    (void)state;
    setup_open(&s, 4);
    assert_int_equal(xsc_watch(s.q, TOP, "t", NULL), 0);
    expect_event(s.q, TOP, "t");
    for (int round = 0; round < 3; round++) {
        write_many(s.c, 50);
        expect_event(s.q, TOP "/n0", "t");
        expect_event(s.q, TOP "/n1", "t");
        expect_event(s.q, TOP "/n2", "t");
        expect_event(s.q, TOP "/n3", "t");
        expect_rescan(s.q);
        expect_nothing(s.c, s.q);
        put(s.c, TOP "/after", "");
        expect_event(s.q, TOP "/after", "t");
    }
    setup_close(&s);
}

static void test_a_full_queue_is_no_overflow(void **state)
{
    struct setup s;

    (void)state;
    setup_open(&s, 4);
    assert_int_equal(xsc_watch(s.q, TOP, "t", NULL), 0);
    expect_event(s.q, TOP, "t");
    write_many(s.c, 4);
    for (int i = 0; i < 4; i++)
        expect_event(s.q, (const char *[]){TOP "/n0", TOP "/n1", TOP "/n2", TOP "/n3"}[i], "t");
    expect_nothing(s.c, s.q);
    setup_close(&s);
}

static void test_a_rescan_is_told_also_while_events_keep_coming(void **state)
{
    bool rescan = false;
    struct setup s;

    (void)state;
    setup_open(&s, 2);
    assert_int_equal(xsc_watch(s.q, TOP, "t", NULL), 0);
    write_many(s.c, 10);
    for (int i = 0; i < 100 && !rescan; i++) {
        struct xsc_event e;

        assert_int_equal(xsc_queue_next(s.q, PATIENCE_MS, &e), 0);
        rescan = e.rescan;
        xsc_event_clear(&e);
        put(s.c, TOP "/busy", "v"); /* one comes for each that is taken */
    }
    setup_close(&s);
    assert_true(rescan);
}

/* --- waiting -------------------------------------------------------------------------------------
 */

struct listener {
    struct xsc_queue *q;
    pthread_t thread;
    int timeout_ms, result;
    struct xsc_event event;
};

static void *listening(void *arg)
{
    struct listener *l = arg;

    l->result = xsc_queue_next(l->q, l->timeout_ms, &l->event);
    return NULL;
}

static void test_a_listener_is_woken_by_another_client(void **state)
{
    static const int timeouts[] = {-1, PATIENCE_MS};
    struct xsc_client *other = live_open();
    struct setup s;

    (void)state;
    setup_open(&s, 10);
    assert_int_equal(xsc_watch(s.q, TOP, "t", NULL), 0);
    expect_event(s.q, TOP, "t");
    for (size_t i = 0; i < 2; i++) {
        struct listener l = {.q = s.q, .timeout_ms = timeouts[i], .result = 1};

        assert_int_equal(pthread_create(&l.thread, NULL, listening, &l), 0);
        put(other, TOP "/wake", "v");
        assert_true(joined(l.thread));
        assert_int_equal(l.result, 0);
        assert_string_equal(l.event.path, TOP "/wake");
        xsc_event_clear(&l.event);
    }
    setup_close(&s);
    xsc_client_close(other);
}

static void test_a_listener_gives_up_at_its_deadline(void **state)
{
    static const int timeouts[] = {0, 1, 100};
    struct setup s;

    (void)state;
    setup_open(&s, 10);
    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        struct xsc_event e = {0};
        int64_t begun = now_ms();

        assert_int_equal(xsc_queue_next(s.q, timeouts[i], &e), -ETIMEDOUT);
        assert_in_range(now_ms() - begun, timeouts[i], PATIENCE_MS);
        assert_null(e.path);
    }
    setup_close(&s);
}

/* --- scripted servers
 * ------------------------------------------------------------------------------ */

/* Sends what the client may be too far gone to read. */
static void answer_if_wanted(int peer, uint32_t type, uint32_t id, const char *text)
{
    char wire[64];
    size_t len = put_message(wire, type, id, text, strlen(text) + 1);

    (void)!send(peer, wire, len, MSG_NOSIGNAL);
}

/* A scripted server: allows one watch, fires it peer[1] times and closes peer[0]. */
static void *serve_watch(void *arg)
{
    int *peer = arg;
    char wire[HEADER + XSC_PAYLOAD_MAX];
    struct message m;
    size_t len;

    if (peer_takes(peer[0], &m)) {
        answer_if_wanted(peer[0], XSC_OP_WATCH, m.id, "OK");
        len = put_event(wire, &m, "/w");
        for (int i = 0; i < peer[1]; i++)
            (void)!send(peer[0], wire, len, MSG_NOSIGNAL);
    }
    close(peer[0]);
    return NULL;
}

static void test_events_that_came_survive_the_connection(void **state)
{
    static const int waits[] = {PATIENCE_MS, -1, 0};
    int peer[2] = {-1, 2}, results[3];
    struct xsc_client *c = paired_client(&peer[0]);
    struct xsc_queue *q;
    struct xsc_event e;
    pthread_t server;

    (void)state;
    assert_int_equal(pthread_create(&server, NULL, serve_watch, peer), 0);
    assert_int_equal(xsc_queue_new(c, 10, &q), 0);
    assert_int_equal(xsc_watch(q, "/w", "t", NULL), 0);
    assert_true(joined(server));
    for (int i = 0; i < 10 && xsc_client_process(c) == 0; i++)
        ; /* until the loss is seen */
    expect_event(q, "/w", "t");
    expect_event(q, "/w", "t");
    assert_int_equal(xsc_watch(q, "/w", "u", NULL), -ENOTCONN);
    assert_int_equal(xsc_unwatch(q, "/w", "t"), 0);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        results[i] = xsc_queue_next(q, waits[i], &e);
    xsc_queue_free(q);
    xsc_client_close(c);
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        assert_int_equal(results[i], -ENOTCONN);
}

/* Refuses the first WATCH it is asked for and allows the second; answers all else. */
static void *refuse_first_watch(void *arg)
{
    const int *peer = arg;
    struct message m;
    int watches = 0;

    while (peer_takes(*peer, &m))
        if (m.type == XSC_OP_WATCH && watches++ == 0)
            answer_if_wanted(*peer, XSC_OP_ERROR, m.id, "EQUOTA");
        else
            answer_if_wanted(*peer, m.type, m.id, "OK");
    close(*peer);
    return NULL;
}

static void test_a_watch_that_is_refused_can_be_asked_for_again(void **state)
{
    struct vbd_error why = {""};
    struct xsc_client *c;
    struct xsc_queue *q;
    pthread_t server;
    short events;
    int peer;

    (void)state;
    c = paired_client(&peer);
    assert_int_equal(xsc_queue_new(c, 10, &q), 0);
    assert_int_equal(pthread_create(&server, NULL, refuse_first_watch, &peer), 0);
    assert_int_equal(xsc_watch(q, "/w", "t", &why), -EDQUOT);
    assert_string_equal(why.text, "watch /w: EQUOTA");
    events = xsc_client_events(c);
    assert_int_equal(xsc_unwatch(q, "/w", "t"), -ENOENT);
    assert_int_equal(xsc_watch(q, "/w", "t", &why), 0);
    xsc_queue_free(q);
    xsc_client_close(c);
    assert_true(joined(server));
    assert_int_equal(events, POLLIN); /* a call that blocks leaves nothing unsent behind */
}

static void *watch_once(void *arg)
{
    struct listener *l = arg;

    l->result = xsc_watch(l->q, "/w", "t", NULL);
    return NULL;
}

static void test_a_watch_may_be_ended_by_another_thread_before_its_answer(void **state)
{
    struct listener l = {.result = 1};
    struct message m;
    int peer, ended;
    struct xsc_client *c = paired_client(&peer);

    (void)state;
    assert_int_equal(xsc_queue_new(c, 10, &l.q), 0);
    assert_int_equal(pthread_create(&l.thread, NULL, watch_once, &l), 0);
    assert_true(peer_takes(peer, &m));
    ended = xsc_unwatch(l.q, "/w", "t");
    close(peer);
    assert_true(joined(l.thread));
    assert_true(ended == 0 || ended == -ENOENT);
    assert_int_equal(l.result, -ECONNRESET);
    xsc_queue_free(l.q);
    xsc_client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_carry_path_and_token),
        cmocka_unit_test(test_events_stop_when_unwatched),
        cmocka_unit_test(test_a_pair_of_path_and_token_is_there_once),
        cmocka_unit_test(test_two_queues_of_one_client_are_apart),
        cmocka_unit_test(test_a_path_that_is_not_allowed_is_not_watched),
        cmocka_unit_test(test_a_queue_without_room_is_refused),
        cmocka_unit_test(test_overflow_ends_in_a_rescan),
        cmocka_unit_test(test_a_full_queue_is_no_overflow),
        cmocka_unit_test(test_a_rescan_is_told_also_while_events_keep_coming),
        cmocka_unit_test(test_a_listener_is_woken_by_another_client),
        cmocka_unit_test(test_a_listener_gives_up_at_its_deadline),
        cmocka_unit_test(test_events_that_came_survive_the_connection),
        cmocka_unit_test(test_a_watch_that_is_refused_can_be_asked_for_again),
        cmocka_unit_test(test_a_watch_may_be_ended_by_another_thread_before_its_answer),
    };

    (void)alarm(120); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_queue", tests, NULL, NULL);
}
