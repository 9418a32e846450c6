/* test_xsc_hung.c - proves that calls that block end in order when what they count on fails them:
 * no memory at the end of a transaction. The servers are the test's own. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_end_without_memory_abandons_the_transaction),
        cmocka_unit_test(test_without_any_memory_the_connection_is_given_up_for_it),
    };

    (void)alarm(100);
    return cmocka_run_group_tests_name("xsc_hung", tests, NULL, NULL);
}
