/* test_xsc_watch.c - proves watches without any I/O: events find their watch by its token, late
 * ones for a removed watch find nothing, and a watch may go at any moment, also from its own event.
 */
#include <errno.h>

#include "xsc_support.h"

/* A watch as its owner and its server see it. */
struct watched {
    struct xsc_watch *watch;
    struct outcome o;
    struct message set; /* the WATCH request */
    int fired;
    char path[64];
};

static void remember(void *ctx, const char *path)
{
    struct watched *w = ctx;

    w->fired++;
    (void)snprintf(w->path, sizeof w->path, "%s", path);
}

static void watch_start(struct xsc *x, struct watched *w, const char *path)
{
    *w = (struct watched){0};
    assert_int_equal(xsc_watch_add(x, path, remember, w, into(&w->o), &w->watch), 0);
    w->set = expect(x, XSC_OP_WATCH, 0, path);
}

static void watch_set(struct xsc *x, struct watched *w, const char *path)
{
    watch_start(x, w, path);
    assert_int_equal(answer_ok(x, &w->set), 0);
    assert_completed(&w->o, 0);
}

static const char *token_in(const struct message *m)
{
    return m->payload + strlen(m->payload) + 1;
}

static void test_a_watch_is_set_fired_and_removed(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w;
    struct message unwatch;

    (void)state;
    watch_set(x, &w, "/a");
    assert_int_equal(w.set.len, strlen("/a") + 1 + strlen(token_in(&w.set)) + 1);
    assert_int_equal(fire(x, &w.set, "/a/b"), 0);
    assert_int_equal(w.fired, 1);
    assert_string_equal(w.path, "/a/b");
    xsc_watch_remove(w.watch);
    unwatch = expect(x, XSC_OP_UNWATCH, 0, "/a");
    assert_int_equal(unwatch.len, w.set.len);
    assert_memory_equal(unwatch.payload, w.set.payload, w.set.len);
    assert_int_equal(answer_ok(x, &unwatch), 0);
    assert_int_equal(xsc_pending(x), 0);
    xsc_watch_remove(NULL);
    end_session(x, &memory);
}

static void test_many_watches_on_one_path_have_tokens_of_their_own(void **state)
{
    enum { MANY = 50 };
    static struct watched w[MANY];
    struct memory memory;
    struct xsc *x = new_session(&memory);

    (void)state;
    for (int i = 0; i < MANY; i++) {
        watch_set(x, &w[i], "/same");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(token_in(&w[i].set), token_in(&w[j].set));
    }
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(fire(x, &w[i].set, "/same"), 0);
        for (int j = 0; j < MANY; j++)
            assert_int_equal(w[j].fired, j <= i);
    }
    end_session(x, &memory);
}

static void test_special_watches(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w;

    (void)state;
    watch_set(x, &w, "@releaseDomain");
    assert_int_equal(fire(x, &w.set, "@releaseDomain"), 0);
    assert_string_equal(w.path, "@releaseDomain");
    end_session(x, &memory);
}

static void test_an_event_before_the_answer_is_delivered(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w;

    (void)state;
    watch_start(x, &w, "/a");
    assert_int_equal(fire(x, &w.set, "/a"), 0);
    assert_int_equal(w.fired, 1);
    assert_waiting(&w.o);
    assert_int_equal(answer_ok(x, &w.set), 0);
    assert_completed(&w.o, 0);
    end_session(x, &memory);
}

static void test_late_events_for_a_removed_watch_are_ignored(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w;
    struct message unwatch;

    (void)state;
    watch_set(x, &w, "/a");
    xsc_watch_remove(w.watch);
    assert_int_equal(fire(x, &w.set, "/a"), 0);
    unwatch = expect(x, XSC_OP_UNWATCH, 0, "/a");
    assert_int_equal(fire(x, &w.set, "/a"), 0);
    assert_int_equal(answer_ok(x, &unwatch), 0);
    assert_int_equal(fire(x, &w.set, "/a"), 0);
    assert_int_equal(w.fired, 0);
    assert_string_equal(xsc_why(x), "");
    end_session(x, &memory);
}

static void test_late_events_do_not_reach_a_successor(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched old, successor;
    struct message unwatch;

    (void)state;
    for (int i = 0; i < 20; i++) {
        watch_set(x, &old, "/a");
        xsc_watch_remove(old.watch);
        unwatch = expect(x, XSC_OP_UNWATCH, 0, "/a");
        assert_int_equal(answer_ok(x, &unwatch), 0);
        watch_set(x, &successor, "/a");
        assert_int_equal(fire(x, &old.set, "/a"), 0);
        assert_int_equal(successor.fired, 0);
        assert_int_equal(fire(x, &successor.set, "/a"), 0);
        assert_int_equal(successor.fired, 1);
        assert_int_equal(old.fired, 0);
    }
    end_session(x, &memory);
}

static void test_removal_before_the_answer(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w;
    struct message unwatch;

    (void)state;
    watch_start(x, &w, "/a");
    xsc_watch_remove(w.watch);
    assert_completed(&w.o, -ECANCELED);
    assert_int_equal(answer_ok(x, &w.set), 0);
    assert_completed(&w.o, -ECANCELED); /* and not again */
    assert_int_equal(fire(x, &w.set, "/a"), 0);
    assert_int_equal(w.fired, 0);
    unwatch = expect(x, XSC_OP_UNWATCH, 0, "/a");
    assert_int_equal(answer_ok(x, &unwatch), 0);
    end_session(x, &memory);
}

static void test_removal_before_the_request_is_even_written(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w = {0};
    struct message m;

    (void)state;
    assert_int_equal(xsc_watch_add(x, "/a", remember, &w, into(&w.o), &w.watch), 0);
    xsc_watch_remove(w.watch);
    while (take_message(x, &m))
        assert_int_equal(answer_ok(x, &m), 0);
    assert_completed(&w.o, -ECANCELED);
    assert_int_equal(m.type, XSC_OP_UNWATCH);
    assert_int_equal(xsc_pending(x), 0);
    end_session(x, &memory);
}

static void test_a_refused_watch_is_removed_like_any_other(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w;
    struct message unwatch;

    (void)state;
    watch_start(x, &w, "/a");
    assert_int_equal(answer_error(x, &w.set, "EQUOTA"), 0);
    assert_completed(&w.o, -EDQUOT);
    xsc_watch_remove(w.watch);
    unwatch = expect(x, XSC_OP_UNWATCH, 0, "/a");
    assert_int_equal(answer_error(x, &unwatch, "ENOENT"), 0);
    assert_string_equal(xsc_why(x), "");
    assert_int_equal(xsc_pending(x), 0);
    end_session(x, &memory);
}

static void test_a_path_that_is_not_allowed_is_only_released(void **state)
{
    static const char *const bad[] = {"", "/a/", "/a b", "//"};
    struct memory memory;
    struct xsc *x = new_session(&memory);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct watched w = {0};

        assert_int_equal(xsc_watch_add(x, bad[i], remember, &w, into(&w.o), &w.watch), -EINVAL);
        assert_released_only(&w.o);
        assert_null(w.watch);
    }
    assert_false(xsc_wants_write(x));
    end_session(x, &memory);
}

static void test_events_that_are_not_ours_are_ignored(void **state)
{
    static const struct {
        const char *payload;
        size_t len;
    } cases[] = {
        {"", 0},           {"", 1},         {"/a", 2},         {"/a\0", 3},
        {"/a\0x", 5},      {"/a\0.", 5},    {"/a\0007.1", 7},  {"/a\0-1.1", 8},
        {"/a\0000.", 6},   {"/a\0.1", 6},   {"/a\0000.99", 8}, {"/a\00099999999999999999999.1", 26},
        {"/a\0000.1x", 8}, {"/a\0 0.1", 8}, {"/a\0000..1", 8}, {"\0\0\0", 3},
    };
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w;

    (void)state;
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            assert_int_equal(feed_message(x, XSC_OP_WATCH_EVENT, 0, cases[i].payload, cases[i].len),
                             0);
        if (round == 0)
            watch_set(x, &w, "/a"); /* the second round has a watch to hit */
    }
    assert_int_equal(w.fired, 0);
    assert_string_equal(xsc_why(x), "");
    end_session(x, &memory);
}

/* --- from inside callbacks --- */

struct chain {
    struct xsc *x;
    struct xsc_watch *watch, *added[40];
    struct watched other;
    int fired;
};

static void remove_self(void *ctx, const char *path)
{
    struct chain *c = ctx;

    (void)path;
    c->fired++;
    xsc_watch_remove(c->watch);
}

static void test_a_watch_may_remove_itself_when_fired(void **state)
{
    struct memory memory;
    struct chain c = {.x = new_session(&memory)};
    struct message set, unwatch;

    (void)state;
    assert_int_equal(
        xsc_watch_add(c.x, "/a", remove_self, &c, (struct xsc_completion){0}, &c.watch), 0);
    set = expect(c.x, XSC_OP_WATCH, 0, "/a");
    assert_int_equal(answer_ok(c.x, &set), 0);
    assert_int_equal(fire(c.x, &set, "/a"), 0);
    assert_int_equal(fire(c.x, &set, "/a"), 0);
    assert_int_equal(c.fired, 1);
    unwatch = expect(c.x, XSC_OP_UNWATCH, 0, "/a");
    assert_int_equal(answer_ok(c.x, &unwatch), 0);
    end_session(c.x, &memory);
}

static void remove_other_and_add_many(void *ctx, const char *path)
{
    struct chain *c = ctx;

    (void)path;
    c->fired++;
    xsc_watch_remove(c->other.watch);
    for (int i = 0; i < 40; i++)
        assert_int_equal(xsc_watch_add(c->x, "/b", remember, &c->other, (struct xsc_completion){0},
                                       &c->added[i]),
                         0);
}

static void test_a_fired_watch_may_remove_and_add_others(void **state)
{
    struct memory memory;
    struct chain c = {.x = new_session(&memory)};
    struct message set, m;
    char wire[512];
    size_t len;

    (void)state;
    watch_set(c.x, &c.other, "/other");
    assert_int_equal(xsc_watch_add(c.x, "/a", remove_other_and_add_many, &c,
                                   (struct xsc_completion){0}, &c.watch),
                     0);
    set = expect(c.x, XSC_OP_WATCH, 0, "/a");
    len = put_event(wire, &set, "/a");
    len += put_event(wire + len, &c.other.set, "/other"); /* in the same piece, and too late */
    assert_int_equal(xsc_feed(c.x, wire, len), 0);
    assert_int_equal(c.fired, 1);
    assert_int_equal(c.other.fired, 0);
    (void)expect(c.x, XSC_OP_UNWATCH, 0, "/other");
    for (int i = 0; i < 40; i++) {
        m = expect(c.x, XSC_OP_WATCH, 0, "/b");
        assert_int_equal(fire(c.x, &m, "/b"), 0);
        assert_int_equal(c.other.fired, i + 1);
    }
    end_session(c.x, &memory);
}

/* --- the end of the connection --- */

static void test_watches_of_a_lost_session_can_still_be_removed(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched set, unanswered, going;

    (void)state;
    watch_set(x, &set, "/set");
    watch_start(x, &unanswered, "/unanswered");
    watch_set(x, &going, "/going");
    xsc_watch_remove(going.watch);
    xsc_disconnected(x, "gone");
    assert_completed(&unanswered.o, -ECONNRESET);
    xsc_watch_remove(set.watch);
    xsc_watch_remove(unanswered.watch);
    assert_false(xsc_wants_write(x));
    end_session(x, &memory);
}

static void remove_when_answered(void *ctx, const struct xsc_reply *reply)
{
    struct watched *w = ctx;

    w->o.error = reply->error;
    xsc_watch_remove(w->watch);
}

static void test_a_watch_may_be_removed_by_its_own_answer(void **state)
{
    static const int ends[] = {0, -ECONNRESET, -ECANCELED};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct memory memory;
        struct xsc *x = new_session(&memory);
        struct watched w = {0};

        assert_int_equal(xsc_watch_add(x, "/a", remember, &w,
                                       (struct xsc_completion){remove_when_answered, &w, NULL},
                                       &w.watch),
                         0);
        w.set = expect(x, XSC_OP_WATCH, 0, "/a");
        if (ends[i] == 0)
            assert_int_equal(answer_ok(x, &w.set), 0);
        else if (ends[i] == -ECONNRESET)
            xsc_disconnected(x, "gone");
        end_session(x, &memory);
        assert_int_equal(w.o.error, ends[i]);
    }
}

static void test_freeing_a_session_frees_its_watches(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched set, unanswered, going;

    (void)state;
    watch_set(x, &set, "/set");
    watch_set(x, &going, "/going");
    watch_start(x, &unanswered, "/unanswered");
    xsc_watch_remove(going.watch);
    end_session(x, &memory);
    assert_completed(&unanswered.o, -ECANCELED);
    assert_int_equal(set.fired + going.fired + unanswered.fired, 0);
}

static void test_a_refused_unwatch_frees_the_watch(void **state)
{
    struct memory memory;
    struct xsc *x = new_session(&memory);
    struct watched w;
    long before;

    (void)state;
    watch_set(x, &w, "/a");
    xsc_watch_remove(w.watch);
    before = memory.live;
    xsc_output_refused(x, -EIO);
    assert_true(memory.live < before);
    assert_int_equal(xsc_pending(x), 0);
    end_session(x, &memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_watch_is_set_fired_and_removed),
        cmocka_unit_test(test_many_watches_on_one_path_have_tokens_of_their_own),
        cmocka_unit_test(test_special_watches),
        cmocka_unit_test(test_an_event_before_the_answer_is_delivered),
        cmocka_unit_test(test_late_events_for_a_removed_watch_are_ignored),
        cmocka_unit_test(test_late_events_do_not_reach_a_successor),
        cmocka_unit_test(test_removal_before_the_answer),
        cmocka_unit_test(test_removal_before_the_request_is_even_written),
        cmocka_unit_test(test_a_refused_watch_is_removed_like_any_other),
        cmocka_unit_test(test_a_path_that_is_not_allowed_is_only_released),
        cmocka_unit_test(test_events_that_are_not_ours_are_ignored),
        cmocka_unit_test(test_a_watch_may_remove_itself_when_fired),
        cmocka_unit_test(test_a_fired_watch_may_remove_and_add_others),
        cmocka_unit_test(test_watches_of_a_lost_session_can_still_be_removed),
        cmocka_unit_test(test_a_watch_may_be_removed_by_its_own_answer),
        cmocka_unit_test(test_freeing_a_session_frees_its_watches),
        cmocka_unit_test(test_a_refused_unwatch_frees_the_watch),
    };

    return cmocka_run_group_tests_name("xsc_watch", tests, NULL, NULL);
}
