/* test_xsc_hung.c - proves that calls that block end in order when what they count on fails them:
 * no memory at the end of a transaction, and servers that do not answer. The servers are the test's
 * own. */
#include "unit/xsc_script.h"

#include "linux/xsc_client.h"
#include "xenstore/session.h"

/* --- a transaction whose end can't be queued
 * ------------------------------------------------------
 */

struct starved {
    struct xsc_client *c;
    struct vbd_allocator allocator;
    int failures; /* of the next allocations */
    int hunger;   /* failures at the end */
    bool later;   /* what it writes */
};

static void *starved_alloc(void *ctx, size_t size)
{
    struct starved *s = ctx;

    if (s->failures == 0)
        return calloc(1, size);
    s->failures--;
    return NULL;
}

static void starved_free(void *ctx, void *p)
{
    (void)ctx;
    free(p);
}

static struct xsc_client *starved_start(struct starved *s, struct script *script,
                                        int (*says)(const struct message *, char *))
{
    s->c = script_start(script, says);
    s->allocator = (struct vbd_allocator){s, starved_alloc, starved_free};
    s->c->x->allocator = &s->allocator; /* calloc and free, as before */
    return s->c;
}

static void starved_end(struct starved *s, struct script *script)
{
    s->c->x->allocator = &vbd_libc_allocator;
    script_end(script, s->c);
}

static int says_transaction(const struct message *m, char payload[64])
{
    if (m->type != XSC_OP_TRANSACTION_START)
        return script_ok(m, payload);
    memcpy(payload, "7", 2);
    return 2;
}

/* The next allocation after its write is the request that ends the transaction. */
static int write_and_starve(struct xsc_handle *h, void *arg)
{
    struct starved *s = arg;
    int r = s->later ? xsc_write_later(h, "/a", "v", 1) : xsc_write(h, "/a", "v", 1);

    s->failures = s->hunger;
    return r;
}

static void transact_starved(struct starved *s)
{
    struct xsc_transaction_options options = *xsc_transaction_defaults();
    struct vbd_error why = {""};

    options.commit_at_once = s->later;
    assert_int_equal(xsc_transaction_with(s->c, &options, write_and_starve, s, &why), -ENOMEM);
    assert_int_equal(xsc_pending(s->c->x), 0); /* nothing still refers to the handle */
    assert_string_equal(why.text, "transaction end T: Cannot allocate memory");
}

static void test_an_end_without_memory_abandons_the_transaction(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        struct starved s = {.hunger = 1, .later = later == 1};
        struct script script;
        struct message last;

        (void)starved_start(&s, &script, says_transaction);
        transact_starved(&s);
        last = script_last(&script);
        assert_int_equal(last.type, XSC_OP_TRANSACTION_END);
        assert_string_equal(last.payload, "F");
        assert_string_equal(xsc_why(s.c->x), "");
        starved_end(&s, &script);
    }
}

static void test_without_any_memory_the_connection_is_given_up_for_it(void **state)
{
    (void)state;
    for (int later = 0; later < 2; later++) {
        struct starved s = {.hunger = 2, .later = later == 1};
        struct script script;

        (void)starved_start(&s, &script, says_transaction);
        transact_starved(&s);
        assert_non_null(strstr(xsc_why(s.c->x), "Cannot allocate memory"));
        starved_end(&s, &script);
    }
}

/* --- a server that answers nothing ---------------------------------------------------------------
 */

/* What a waiting function does first; each asks the server something. */
enum question { READ, LIST, READ_MANY, WRITE, QUESTIONS };

struct asker {
    struct xsc_client *c;
    struct xsc_wait_options options;
    enum question question;
    pthread_t thread;
    int result;
    struct vbd_error why;
};

static int ask(struct xsc_handle *h, void *arg)
{
    struct xsc_item items[] = {{.path = "/a"}, {.path = "/b"}};
    struct asker *a = arg;
    char *data = NULL, **names = NULL;
    size_t n;
    int r;

    switch (a->question) {
    case READ:
        r = xsc_read(h, "/a", &data, &n);
        break;
    case LIST:
        r = xsc_directory(h, "/a", &names, &n);
        break;
    case READ_MANY:
        r = xsc_read_many(h, items, 2);
        free(items[0].data);
        free(items[1].data);
        break;
    default:
        r = xsc_write(h, "/a", "v", 1);
        break;
    }
    free(data);
    free(names);
    return r;
}

static void *asks(void *arg)
{
    struct asker *a = arg;

    a->result = xsc_wait_with(a->c, &a->options, ask, a, &a->why);
    return NULL;
}

/* Answers what has come, when it no longer matters: as many watches as come, and the rest not. */
static void answer_watches(int peer, int watches)
{
    for (int i = 0; i < watches; i++) {
        struct message m;

        assert_true(peer_takes(peer, &m));
        assert_int_equal(m.type, XSC_OP_WATCH);
        peer_sends(peer, m.type, m.id, "OK", 3);
    }
}

static void answer_all(struct xsc_client *c, int peer)
{
    struct pollfd p = {.fd = peer, .events = POLLIN};
    struct message m;

    assert_int_equal(xsc_client_process(c), 0);
    while (poll(&p, 1, 0) == 1) {
        assert_true(peer_takes(peer, &m));
        peer_sends(peer, m.type, m.id, "late", 4);
        assert_int_equal(xsc_client_process(c), 0);
    }
    assert_int_equal(xsc_pending(c->x), 0);
}

static void start(struct asker *a, struct xsc_client *c, enum question question, int timeout_ms,
                  struct xsc_cancel *cancel)
{
    *a = (struct asker){.c = c, .question = question, .result = 1};
    a->options = (struct xsc_wait_options){
        .struct_size = sizeof a->options, .timeout_ms = timeout_ms, .cancel = cancel};
    assert_int_equal(pthread_create(&a->thread, NULL, asks, a), 0);
}

/* How many watches a question sets before it is asked. */
static int watches_of(enum question question)
{
    return question == READ_MANY ? 2 : question == WRITE ? 0 : 1;
}

/* Neither the watch's answer nor the operation's comes. */
static void test_a_wait_ends_in_time_though_the_server_hangs(void **state)
{
    (void)state;
    for (enum question q = READ; q < QUESTIONS; q++)
        for (int answered = 0; answered <= watches_of(q); answered++) {
            struct asker a;
            int peer;
            struct xsc_client *c = paired_client(&peer);

            start(&a, c, q, 100, NULL);
            answer_watches(peer, answered);
            assert_true(joined(a.thread));
            assert_int_equal(a.result, -ETIMEDOUT);
            assert_true(a.why.text[0] != '\0');
            answer_all(c, peer); /* what comes late finds nobody, and harms nobody */
            assert_null(xsc_client_close(c));
            (void)close(peer);
        }
}

static void test_a_wait_is_cancelled_though_the_server_hangs(void **state)
{
    (void)state;
    for (enum question q = READ; q < QUESTIONS; q++) {
        struct asker a;
        struct xsc_cancel *cancel;
        struct message m;
        int peer;
        struct xsc_client *c = paired_client(&peer);

        assert_int_equal(xsc_cancel_new(c, &cancel), 0);
        start(&a, c, q, -1, cancel);
        answer_watches(peer, watches_of(q));
        assert_true(peer_takes(peer, &m)); /* it waits for this one's answer */
        xsc_cancel(cancel);
        assert_true(joined(a.thread));
        assert_int_equal(a.result, -ECANCELED);
        peer_sends(peer, m.type, m.id, "late", 4);
        answer_all(c, peer);
        assert_null(xsc_cancel_free(cancel));
        assert_null(xsc_client_close(c));
        (void)close(peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_end_without_memory_abandons_the_transaction),
        cmocka_unit_test(test_without_any_memory_the_connection_is_given_up_for_it),
        cmocka_unit_test(test_a_wait_ends_in_time_though_the_server_hangs),
        cmocka_unit_test(test_a_wait_is_cancelled_though_the_server_hangs),
    };

    (void)alarm(100);
    return cmocka_run_group_tests_name("xsc_hung", tests, NULL, NULL);
}
