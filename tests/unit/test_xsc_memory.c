/* test_xsc_memory.c - proves that memory may run out anywhere: one scenario of calls, watches,
 * plain batches and transactions is played again and again, each time with the next allocation
 * failing. Whatever fails, every completion comes as promised and nothing leaks. */
#include <errno.h>

#include "xsc_support.h"

enum { CALLS = 3, BATCHES = 3 };

/* One play: what was asked for, and what became of it. */
struct play {
    struct memory memory;
    struct xsc *x;
    struct outcome calls[CALLS], set;
    int submitted[CALLS], added;
    struct xsc_watch *watch;
    struct message watch_request;
    int fired;
    struct xsc_batch *batches[BATCHES];
    int sent[BATCHES], done[BATCHES], error[BATCHES];
    int commits; /* seen by the server; the first of a play conflicts */
};

static void note_fired(void *ctx, const char *path)
{
    assert_string_equal(path, "/w");
    ++*(int *)ctx;
}

static void note_done(void *ctx, struct xsc_batch *b, int error)
{
    struct play *p = ctx;

    for (int i = 0; i < BATCHES; i++)
        if (p->batches[i] == b) {
            p->done[i]++;
            p->error[i] = error;
        }
}

static int add_one(void *ctx, struct xsc_batch *b)
{
    (void)ctx;
    (void)xsc_batch_add_key(b, XSC_OP_WRITE, "/more", "key", "value");
    return 0;
}

static void play_calls(struct play *p)
{
    static const enum xsc_op ops[CALLS] = {XSC_OP_READ, XSC_OP_DIRECTORY, XSC_OP_RM};

    for (int i = 0; i < CALLS; i++)
        p->submitted[i] = submit(p->x, ops[i], "/a", &p->calls[i]);
    p->added = xsc_watch_add(p->x, "/w", note_fired, &p->fired, into(&p->set), &p->watch);
}

static void play_batches(struct play *p)
{
    for (int i = 0; i < BATCHES; i++) {
        enum xsc_batch_kind kind = i == 0 ? XSC_BATCH_PLAIN : XSC_BATCH_TRANSACTION;

        p->sent[i] = xsc_batch_new(p->x, kind, &p->batches[i]);
        if (p->sent[i] < 0)
            continue;
        (void)xsc_batch_add(p->batches[i], XSC_OP_READ, "/a", NULL, 0);
        (void)xsc_batch_add(p->batches[i], XSC_OP_WRITE, "/b", "v", 1);
        if (i < 2)
            xsc_batch_then(p->batches[i], add_one);
        p->sent[i] = xsc_batch_submit(p->batches[i], note_done, p);
    }
}

static int serve_one(struct play *p, const struct message *m)
{
    static char big[5000];

    switch (m->type) {
    case XSC_OP_DIRECTORY:
        return answer(p->x, m, big, sizeof big);
    case XSC_OP_TRANSACTION_START:
        return answer(p->x, m, "33", 3);
    case XSC_OP_TRANSACTION_END:
        if (m->payload[0] == 'T' && p->commits++ == 0)
            return answer_error(p->x, m, "EAGAIN");
        return answer_ok(p->x, m);
    case XSC_OP_WATCH:
        p->watch_request = *m;
        return answer_ok(p->x, m) < 0 ? -1 : fire(p->x, m, "/w");
    default:
        return answer_ok(p->x, m);
    }
}

static void serve_all(struct play *p)
{
    struct message m;

    while (take_message(p->x, &m))
        (void)serve_one(p, &m); /* it fails when the session ran out of memory */
}

/* Plays all with the fail_at-th allocation failing; false when there was no session at all. */
static bool play(struct play *p, unsigned long fail_at)
{
    memset(p, 0, sizeof *p);
    memory_init(&p->memory, fail_at);
    if (xsc_new(&p->memory.allocator, &p->x) < 0)
        return false;
    play_calls(p);
    play_batches(p);
    serve_all(p);
    xsc_watch_remove(p->added == 0 ? p->watch : NULL);
    serve_all(p);
    return true;
}

static void play_end(struct play *p)
{
    for (int i = 0; i < BATCHES; i++)
        xsc_batch_free(p->batches[i]);
    end_session(p->x, &p->memory);
}

static void check_promises(const struct play *p)
{
    for (int i = 0; i < CALLS; i++)
        if (p->submitted[i] < 0)
            assert_released_only(&p->calls[i]);
        else
            assert_completed(&p->calls[i], p->calls[i].error);
    if (p->added < 0)
        assert_released_only(&p->set);
    else
        assert_completed(&p->set, p->set.error);
    for (int i = 0; i < BATCHES; i++)
        assert_int_equal(p->done[i], p->sent[i] == 0);
}

static void test_enough_memory(void **state)
{
    static struct play p;

    (void)state;
    assert_true(play(&p, 0));
    check_promises(&p);
    assert_int_equal(p.calls[1].len, 5000);
    assert_int_equal(p.fired, 1);
    assert_int_equal(p.commits, 3);
    for (int i = 0; i < BATCHES; i++)
        assert_int_equal(p.error[i], 0);
    assert_string_equal(xsc_why(p.x), "");
    play_end(&p);
}

/* A failure is told as -ENOMEM, or as a lost connection when a server's message found no room. */
static void check_errors(const struct play *p)
{
    bool lost = xsc_why(p->x)[0] != '\0';

    for (int i = 0; i < CALLS; i++) {
        assert_true(p->submitted[i] == 0 || p->submitted[i] == -ENOMEM);
        assert_true(p->calls[i].error == 0 || (lost && p->calls[i].error == -ECONNRESET));
    }
    assert_true(p->added == 0 || p->added == -ENOMEM);
    for (int i = 0; i < BATCHES; i++) {
        assert_true(p->sent[i] == 0 || p->sent[i] == -ENOMEM);
        assert_true(p->error[i] == 0 || p->error[i] == -ENOMEM ||
                    (lost && (p->error[i] == -ECONNRESET || p->error[i] == -ENOTCONN)));
        assert_true(p->error[i] == 0 || xsc_batch_why(p->batches[i])[0] != '\0' || p->sent[i] < 0);
    }
}

static void test_every_allocation_failing_once(void **state)
{
    static struct play p;
    unsigned long failures = 0;

    (void)state;
    for (unsigned long at = 1;; at++) {
        bool failed;

        if (!play(&p, at)) {
            assert_int_equal(p.memory.live, 0);
            failures++;
            continue;
        }
        check_promises(&p);
        check_errors(&p);
        failed = p.memory.calls >= at;
        play_end(&p);
        if (!failed)
            break;
        failures++;
    }
    assert_in_range(failures, 30, 1000);
}

static void test_every_allocation_failing_and_the_session_freed_at_once(void **state)
{
    static struct play p;
    bool failed = true;

    (void)state;
    for (unsigned long at = 2; failed; at++) {
        memset(&p, 0, sizeof p);
        memory_init(&p.memory, at);
        assert_int_equal(xsc_new(&p.memory.allocator, &p.x), 0);
        play_calls(&p);
        play_batches(&p);
        failed = p.memory.calls >= at;
        for (int i = 0; i < BATCHES; i++) {
            xsc_batch_free(p.batches[i]);
            p.sent[i] = -ECANCELED; /* a freed batch does not complete */
        }
        end_session(p.x, &p.memory);
        check_promises(&p);
    }
}

static void test_a_transaction_without_memory_to_end_it_is_still_aborted(void **state)
{
    unsigned long before = 0;

    (void)state;
    for (int round = 0; round < 2; round++) {
        struct owner o;
        struct message m;

        owner_init(&o, XSC_BATCH_TRANSACTION);
        (void)xsc_batch_add(o.b, XSC_OP_RM, "/a", NULL, 0);
        assert_int_equal(owner_submit(&o), 0);
        serve(&o, XSC_OP_TRANSACTION_START, 0, "", "7");
        m = expect(o.x, XSC_OP_RM, 7, "/a");
        if (round == 1)
            o.memory.fail_at = before; /* what the first round needed for its end */
        assert_int_equal(answer_ok(o.x, &m), 0);
        if (round == 0)
            before = o.memory.calls;
        assert_true(take_message(o.x, &m)); /* else the server keeps the transaction open */
        assert_int_equal(m.type, XSC_OP_TRANSACTION_END);
        assert_int_equal(answer_ok(o.x, &m), 0);
        assert_int_equal(o.done, 1);
        xsc_batch_free(o.b);
        end_session(o.x, &o.memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enough_memory),
        cmocka_unit_test(test_every_allocation_failing_once),
        cmocka_unit_test(test_every_allocation_failing_and_the_session_freed_at_once),
        cmocka_unit_test(test_a_transaction_without_memory_to_end_it_is_still_aborted),
    };

    return cmocka_run_group_tests_name("xsc_memory", tests, NULL, NULL);
}
