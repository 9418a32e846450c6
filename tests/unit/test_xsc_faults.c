/* test_xsc_faults.c - proves, from a table of operations, how each ends when the server's side of
 * the dialogue is cut, lost, answered out of order, twice, with an id, a type or a length that is
 * wrong, or when the session is freed: in a state that is defined here, once, and without a leak.
 */
#include <errno.h>

#include "xsc_support.h"

/* How an operation ended: `done` of each kind of completion is counted here. */
struct end {
    struct memory memory;
    struct xsc *x;
    struct xsc_batch *b;
    struct xsc_watch *watch;
    int done, error;
    bool released;
};

static void done_reply(void *ctx, const struct xsc_reply *reply)
{
    struct end *e = ctx;

    e->done++;
    e->error = reply->error;
}

static void done_error(void *ctx, int error)
{
    struct end *e = ctx;

    e->done++;
    e->error = error;
}

static void done_batch(void *ctx, struct xsc_batch *b, int error)
{
    (void)b;
    done_error(ctx, error);
}

static void released(void *ctx)
{
    struct end *e = ctx;

    assert_false(e->released);
    e->released = true;
}

static void fired(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
}

/* --- the operations --- */

static struct xsc_completion completion(struct end *e)
{
    return (struct xsc_completion){done_reply, e, released};
}

static int start_read(struct end *e)
{
    struct xsc_call call = {.op = XSC_OP_READ, .path = "/a"};

    return xsc_submit(e->x, &call, completion(e));
}

static int start_list(struct end *e)
{
    return xsc_list(e->x, 0, "/a", completion(e));
}

static int start_watch(struct end *e)
{
    return xsc_watch_add(e->x, "/a", fired, e, completion(e), &e->watch);
}

static int start_batch_of(struct end *e, enum xsc_batch_kind kind, bool at_once)
{
    int r = xsc_batch_new(e->x, kind, &e->b);

    if (r < 0)
        return r;
    (void)xsc_batch_add(e->b, XSC_OP_READ, "/a", NULL, 0);
    (void)xsc_batch_add(e->b, XSC_OP_WRITE, "/b", "v", 1);
    xsc_batch_commit_at_once(e->b, at_once);
    return xsc_batch_submit(e->b, done_batch, e);
}

static int start_plain(struct end *e)
{
    return start_batch_of(e, XSC_BATCH_PLAIN, false);
}

static int start_transaction(struct end *e)
{
    return start_batch_of(e, XSC_BATCH_TRANSACTION, false);
}

static int start_at_once(struct end *e)
{
    return start_batch_of(e, XSC_BATCH_TRANSACTION, true);
}

/* A watch is set and to be cancelled, a request is under way. */
static int start_suspend(struct end *e)
{
    struct xsc_call call = {.op = XSC_OP_READ, .path = "/a"};
    int r = xsc_watch_add(e->x, "/w", fired, e, (struct xsc_completion){0}, &e->watch);

    if (r == 0)
        r = xsc_submit(e->x, &call, (struct xsc_completion){0});
    return r < 0 ? r : xsc_suspend(e->x, done_error, e);
}

/* What each must end with: well, when the connection is lost, when the session is freed. A batch
 * goes with its session, and may say so or not (0: it may). */
static const struct operation {
    const char *name;
    int (*start)(struct end *e);
    int freed;
    bool releases;
} operations[] = {
    {"read", start_read, -ECANCELED, true},
    {"list", start_list, -ECANCELED, true},
    {"watch", start_watch, -ECANCELED, true},
    {"plain batch", start_plain, 0, false},
    {"transaction", start_transaction, 0, false},
    {"transaction committed at once", start_at_once, 0, false},
    {"suspend", start_suspend, -ECANCELED, false},
};
enum { OPERATIONS = sizeof operations / sizeof operations[0], STREAM_MAX = 4096 };

/* --- the server --- */

static size_t put_answer(char *to, const struct message *m)
{
    if (m->type == XSC_OP_TRANSACTION_START)
        return put_message(to, m->type, m->id, "3", 2);
    if (m->type == XSC_OP_DIRECTORY)
        return put_message(to, XSC_OP_ERROR, m->id, "E2BIG", 6);
    if (m->type == XSC_OP_DIRECTORY_PART && m->payload[sizeof "/a"] == '0')
        return put_message(to, m->type, m->id, "9\0one\0", 6);
    if (m->type == XSC_OP_DIRECTORY_PART)
        return put_message(to, m->type, m->id, "9\0two\0", 7);
    return put_message(to, m->type, m->id, "OK", 3);
}

/* The answers to all that is there to be sent; *ret_count says how many. */
static size_t answers(struct xsc *x, char *to, int *ret_count)
{
    struct message m;
    size_t len = 0;

    for (*ret_count = 0; take_message(x, &m); ++*ret_count)
        len += put_answer(to + len, &m);
    return len;
}

static void begin(struct end *e, const struct operation *op)
{
    memset(e, 0, sizeof *e);
    e->x = new_session(&e->memory);
    assert_int_equal(op->start(e), 0);
}

/* Nothing of it is left, it ended once, and that was it. */
static void finish(struct end *e, const struct operation *op)
{
    int done = e->done;

    xsc_batch_free(e->b);
    end_session(e->x, &e->memory);
    if (done == 1)
        assert_int_equal(e->done, 1);
    assert_int_equal(e->released, op->releases);
}

static void assert_lost(struct end *e, const struct operation *op)
{
    if (e->done != 1 || e->error != -ECONNRESET)
        fail_msg("%s: called %d times, with %d", op->name, e->done, e->error);
    assert_int_equal(xsc_pending(e->x), 0);
    assert_false(xsc_wants_write(e->x));
}

/* Feeds up to max bytes of the whole dialogue; returns how many there were. */
static size_t converse(struct end *e, size_t max)
{
    char bytes[STREAM_MAX];
    size_t len, fed = 0;
    int count;

    while (fed < max && (len = answers(e->x, bytes, &count)) > 0) {
        size_t part = len < max - fed ? len : max - fed;

        for (size_t i = 0; i < part; i++)
            assert_int_equal(xsc_feed(e->x, bytes + i, 1), 0);
        fed += part;
        if (part < len)
            break;
    }
    return fed;
}

static void test_each_ends_well_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct end e;

        begin(&e, &operations[i]);
        assert_in_range(converse(&e, SIZE_MAX), HEADER, STREAM_MAX);
        assert_int_equal(e.done, 1);
        assert_int_equal(e.error, 0);
        assert_int_equal(xsc_pending(e.x), 0);
        finish(&e, &operations[i]);
    }
}

/* --- cut at every byte --- */

static size_t dialogue_size(const struct operation *op)
{
    struct end e;
    size_t size;

    begin(&e, op);
    size = converse(&e, SIZE_MAX);
    finish(&e, op);
    return size;
}

static void test_the_connection_is_lost_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++)
        for (size_t cut = 0, size = dialogue_size(&operations[i]); cut < size; cut++) {
            struct end e;

            begin(&e, &operations[i]);
            assert_int_equal(converse(&e, cut), cut);
            assert_int_equal(e.done, 0);
            xsc_disconnected(e.x, "cut");
            assert_lost(&e, &operations[i]);
            xsc_disconnected(e.x, "again");
            finish(&e, &operations[i]);
        }
}

static void test_the_session_is_freed_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++)
        for (size_t cut = 0, size = dialogue_size(&operations[i]); cut < size; cut++) {
            struct end e;

            begin(&e, &operations[i]);
            assert_int_equal(converse(&e, cut), cut);
            end_session(e.x, &e.memory);
            if (operations[i].freed != 0)
                assert_int_equal(e.done, 1);
            assert_true(e.done == 0 || e.error == -ECANCELED);
            assert_int_equal(e.released, operations[i].releases);
        }
}

static void test_a_lost_session_is_resumed_and_nothing_old_comes(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++)
        for (size_t cut = 0, size = dialogue_size(&operations[i]); cut < size; cut += 5) {
            struct end e;

            begin(&e, &operations[i]);
            (void)converse(&e, cut);
            xsc_disconnected(e.x, "cut");
            assert_lost(&e, &operations[i]);
            assert_int_equal(xsc_resume(e.x, true), 0);
            (void)converse(&e, SIZE_MAX);
            assert_string_equal(xsc_why(e.x), "");
            assert_int_equal(xsc_pending(e.x), 0);
            finish(&e, &operations[i]);
        }
}

/* --- wrong answers, at each step --- */

enum fault { TWICE, WRONG_ID, ZERO_ID, WRONG_TYPE, NO_TYPE, OVERSIZED, FAULTS };

/* Spoils the message at `bytes`; returns its new size. */
static size_t spoil(char *bytes, size_t size, enum fault fault)
{
    uint32_t header[4];

    memcpy(header, bytes, HEADER);
    if (fault == TWICE) {
        memcpy(bytes + size, bytes, size);
        return 2 * size;
    }
    if (fault == WRONG_ID)
        header[1] += 1000;
    if (fault == ZERO_ID)
        header[1] = 0;
    if (fault == WRONG_TYPE)
        header[0] = XSC_OP_MKDIR;
    if (fault == NO_TYPE)
        header[0] = 0xffffffff;
    if (fault == OVERSIZED)
        header[3] = XSC_REPLY_MAX + 1;
    memcpy(bytes, header, HEADER);
    return size;
}

/* Answers in order; the step-th answer is spoiled. False when there is no such step. */
static bool converse_with_fault(struct end *e, enum fault fault, int step)
{
    char bytes[STREAM_MAX];
    struct message m;

    for (int i = 0; take_message(e->x, &m); i++) {
        size_t size = put_answer(bytes, &m);

        if (i == step) {
            size = spoil(bytes, size, fault);
            assert_int_equal(xsc_feed(e->x, bytes, size), -EPROTO);
            return true;
        }
        assert_int_equal(xsc_feed(e->x, bytes, size), 0);
    }
    return false;
}

/* The session is lost; the operation is too, unless it had just ended, by the first of two. */
static void test_a_wrong_answer_at_each_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS * FAULTS; i++) {
        const struct operation *op = &operations[i / FAULTS];
        bool more = true;
        int step = 0;

        for (; more; step++) {
            struct end e;

            begin(&e, op);
            more = converse_with_fault(&e, (enum fault)(i % FAULTS), step);
            if (more && !(i % FAULTS == TWICE && e.done == 1 && e.error == 0))
                assert_lost(&e, op);
            assert_int_equal(e.done, 1);
            assert_int_equal(xsc_why(e.x)[0] != '\0', more);
            finish(&e, op);
        }
        assert_in_range(step, 2, 10);
    }
}

/* --- out of order --- */

/* Answers all that is there, the last first. False when the session took it for a broken one. */
static bool answer_backwards(struct end *e)
{
    char bytes[STREAM_MAX];
    struct message m[8];
    int n = 0;

    while (n < 8 && take_message(e->x, &m[n]))
        n++;
    while (n-- > 0)
        if (xsc_feed(e->x, bytes, put_answer(bytes, &m[n])) < 0)
            return false;
    return true;
}

/* Ids say what is answered, so either it ends well, or the session is lost. */
static void test_answers_out_of_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct end e;

        begin(&e, &operations[i]);
        while (xsc_wants_write(e.x) && answer_backwards(&e))
            ;
        assert_int_equal(e.done, 1);
        assert_int_equal(e.error, xsc_why(e.x)[0] == '\0' ? 0 : -ECONNRESET);
        assert_int_equal(xsc_pending(e.x), 0);
        finish(&e, &operations[i]);
    }
}

/* Brings a new watch to where it is asked for; asked for again after a loss; or being cancelled and
 * asked for again, as a suspension is given up. */
static void ask_again(struct end *e, int round)
{
    if (round > 0)
        (void)converse(e, SIZE_MAX);
    if (round == 1)
        xsc_disconnected(e->x, "gone");
    if (round == 2)
        assert_int_equal(xsc_suspend(e->x, NULL, NULL), 0);
    if (round > 0)
        assert_int_equal(xsc_resume(e->x, round == 1), 0);
}

/* It is removed, and the removal is answered first. */
static void test_a_watch_removed_and_answered_out_of_order(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct end e;

        begin(&e, &operations[2]);
        ask_again(&e, round);
        xsc_watch_remove(e.watch);
        assert_int_equal(e.done, 1);
        while (xsc_wants_write(e.x) && answer_backwards(&e))
            ;
        assert_int_equal(xsc_pending(e.x), 0);
        finish(&e, &operations[2]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_ends_well_byte_by_byte),
        cmocka_unit_test(test_the_connection_is_lost_at_every_byte),
        cmocka_unit_test(test_the_session_is_freed_at_every_byte),
        cmocka_unit_test(test_a_lost_session_is_resumed_and_nothing_old_comes),
        cmocka_unit_test(test_a_wrong_answer_at_each_step),
        cmocka_unit_test(test_answers_out_of_order),
        cmocka_unit_test(test_a_watch_removed_and_answered_out_of_order),
    };

    return cmocka_run_group_tests_name("xsc_faults", tests, NULL, NULL);
}
