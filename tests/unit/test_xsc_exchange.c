/* test_xsc_exchange.c - proves what happens at the edges of a client's connection: one client
 * closed inside another's callback. The servers are the test's own. */
#include "unit/xsc_script.h"

#include "linux/xsc_client.h"
#include "xenstore/session.h"

/* --- one client inside another's callback --------------------------------------------------------
 */

struct nest {
    struct xsc_client *outer, *inner;
    int processed;
};

static void close_inner(void *ctx, const struct xsc_reply *reply)
{
    struct nest *n = ctx;

    (void)reply;
    n->inner = xsc_client_close(n->inner);
    n->processed = xsc_client_process(n->outer);
}

static void test_a_callback_that_closes_another_client_is_still_one(void **state)
{
    struct xsc_call call = {.op = XSC_OP_READ, .path = "/a"};
    struct nest n = {0};
    int peers[2];

    (void)state;
    n.outer = paired_client(&peers[0]);
    n.inner = paired_client(&peers[1]);
    assert_int_equal(xsc_submit(xsc_client_session(n.outer), &call,
                                (struct xsc_completion){.done = close_inner, .ctx = &n}),
                     0);
    (void)close(peers[0]);
    assert_true(xsc_client_process(n.outer) < 0);
    assert_null(n.inner);
    assert_int_equal(n.processed, -EDEADLK);
    assert_null(xsc_client_close(n.outer));
    (void)close(peers[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_callback_that_closes_another_client_is_still_one),
    };

    (void)alarm(100);
    return cmocka_run_group_tests_name("xsc_exchange", tests, NULL, NULL);
}
