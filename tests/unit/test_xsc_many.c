/* test_xsc_many.c - proves reads and writes of many nodes in one go and the options of
 * transactions, against a real xenstored in any cell. Run it under tests/support/with-xenstored. */
#include "xsc_support.h"

#define TOP "data/xsc-many"

enum { NODES = 100 };

static void free_items(struct xsc_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(items[i].data);
}

/* --- many nodes ----------------------------------------------------------------------------------
 */

static struct xsc_item writes(const char *path, const char *text)
{
    return (struct xsc_item){.path = path, .data = (char *)(uintptr_t)text, .len = strlen(text)};
}

static int write_in_order(struct xsc_handle *h, void *arg)
{
    struct xsc_item items[] = {writes(TOP "/a", "1"), writes(TOP "/b", ""), writes(TOP "/a", "2"),
                               writes(TOP "/a", "3")};

    (void)arg;
    items[1].data = (char *)(uintptr_t) "x\0y";
    items[1].len = 3;
    assert_int_equal(xsc_write_many(h, items, 4), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(items[i].error, 0);
    return 0;
}

static int read_in_order(struct xsc_handle *h, void *arg)
{
    struct xsc_item items[] = {
        {TOP "/a", NULL, 9, 9}, {TOP "/none", NULL, 9, 9}, {TOP "/b", NULL, 9, 9}};

    (void)arg;
    assert_int_equal(xsc_read_many(h, items, 3), 0);
    assert_int_equal(items[0].error, 0);
    assert_string_equal(items[0].data, "3");
    assert_int_equal(items[1].error, -ENOENT);
    assert_null(items[1].data);
    assert_int_equal(items[2].len, 3);
    assert_memory_equal(items[2].data, "x\0y", 4);
    free_items(items, 3);
    assert_int_equal(xsc_read_many(h, NULL, 0), 0);
    return xsc_write_many(h, NULL, 0);
}

static int write_then_read(struct xsc_handle *h, void *arg)
{
    int r = write_in_order(h, arg);

    return r < 0 ? r : read_in_order(h, arg);
}

static void test_many_nodes_are_written_and_read_in_order(void **state)
{
    struct xsc_client *c = live_open();

    (void)state;
    assert_int_equal(xsc_immediate(c, write_then_read, NULL, NULL), 0);
    remove_node(c, TOP);
    assert_int_equal(xsc_transaction(c, write_then_read, NULL, NULL), 0);
    assert_int_equal(xsc_immediate(c, read_in_order, NULL, NULL), 0);
    remove_node(c, TOP);
    xsc_client_close(c);
}

static int hundred(struct xsc_handle *h, void *arg)
{
    static char paths[NODES][40], values[NODES][8];
    struct xsc_item items[NODES];

    (void)arg;
    for (int i = 0; i < NODES; i++) {
        (void)snprintf(paths[i], sizeof paths[i], TOP "/n%d", i);
        (void)snprintf(values[i], sizeof values[i], "v%d", i);
        items[i] = writes(paths[i], values[i]);
    }
    assert_int_equal(xsc_write_many(h, items, NODES), 0);
    for (int i = 0; i < NODES; i++)
        items[i] = (struct xsc_item){.path = paths[NODES - 1 - i]};
    assert_int_equal(xsc_read_many(h, items, NODES), 0);
    for (int i = 0; i < NODES; i++)
        assert_string_equal(items[i].data, values[NODES - 1 - i]);
    free_items(items, NODES);
    return 0;
}

static void test_a_hundred_at_once(void **state)
{
    struct xsc_client *c = live_open();

    (void)state;
    assert_int_equal(xsc_immediate(c, hundred, NULL, NULL), 0);
    remove_node(c, TOP);
    assert_int_equal(xsc_transaction(c, hundred, NULL, NULL), 0);
    remove_node(c, TOP);
    xsc_client_close(c);
}

static int one_is_bad(struct xsc_handle *h, void *arg)
{
    struct xsc_item items[] = {writes(TOP "/a", "1"), writes(TOP "/b//", "2"),
                               writes(TOP "/c", "3")};
    struct xsc_item wanted[] = {{.path = TOP "/a"}, {.path = TOP "/b//"}, {.path = TOP "/c"}};
    int r = xsc_write_many(h, items, 3);

    (void)arg;
    assert_int_equal(r, -EINVAL);
    assert_int_equal(items[1].error, -EINVAL);
    assert_non_null(strstr(xsc_handle_why(h), TOP "/b//"));
    assert_int_equal(xsc_read_many(h, wanted, 3), -EINVAL);
    assert_int_equal(wanted[1].error, -EINVAL);
    assert_null(wanted[1].data);
    free_items(wanted, 3);
    return r;
}

static void test_one_that_is_refused_fails_them_and_a_transaction_whole(void **state)
{
    struct xsc_client *c = live_open();

    (void)state;
    put(c, TOP, "");
    assert_int_equal(xsc_transaction(c, one_is_bad, NULL, NULL), -EINVAL);
    assert_no_node(c, TOP "/a");
    assert_no_node(c, TOP "/c");
    assert_int_equal(xsc_immediate(c, one_is_bad, NULL, NULL), -EINVAL);
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* --- the options of transactions -----------------------------------------------------------------
 */

struct run {
    struct xsc_client *c;
    int runs, disturb; /* how many of the runs are disturbed */
    const char *refused;
};

/* Reads a node that somebody else then changes, each time to something new. */
static int disturbed(struct xsc_handle *h, void *arg)
{
    struct run *run = arg;
    struct node from = {.path = TOP "/from"};
    char value[16];
    int r = node_read(h, &from);

    (void)snprintf(value, sizeof value, "run %d", ++run->runs);
    if (run->runs <= run->disturb)
        put(run->c, TOP "/from", value);
    if (r == 0)
        r = xsc_write_later(h, TOP "/to", from.data, from.len);
    free(from.data);
    return r;
}

static struct xsc_transaction_options with_tries(unsigned tries)
{
    struct xsc_transaction_options o = *xsc_transaction_defaults();

    o.tries = tries;
    return o;
}

static void test_as_many_tries_as_were_asked_for(void **state)
{
    struct xsc_client *c = live_open();
    struct vbd_error why = {""};

    (void)state;
    for (unsigned tries = 1; tries <= 5; tries++)
        for (int at_once = 0; at_once < 2; at_once++) {
            struct run never = {.c = c, .disturb = 1000}, last = {.c = c, .disturb = tries - 1};
            struct xsc_transaction_options o = with_tries(tries);

            o.commit_at_once = at_once == 1;
            put(c, TOP "/from", "at first");
            assert_int_equal(xsc_transaction_with(c, &o, disturbed, &never, &why), -EAGAIN);
            assert_int_equal(never.runs, tries);
            assert_no_node(c, TOP "/to");
            assert_int_equal(xsc_transaction_with(c, &o, disturbed, &last, &why), 0);
            assert_int_equal(last.runs, tries);
            remove_node(c, TOP);
        }
    xsc_client_close(c);
}

static void test_options_that_are_none(void **state)
{
    struct xsc_client *c = live_open();
    struct xsc_transaction_options none = with_tries(0), small = with_tries(1);
    struct run run = {.c = c};

    (void)state;
    small.struct_size = 0;
    assert_int_equal(xsc_transaction_with(c, &none, disturbed, &run, NULL), -EINVAL);
    assert_int_equal(xsc_transaction_with(c, &small, disturbed, &run, NULL), -EINVAL);
    assert_int_equal(run.runs, 0);
    put(c, TOP "/from", "v");
    assert_int_equal(xsc_transaction_with(c, NULL, disturbed, &run, NULL), 0);
    assert_node(c, TOP "/to", "v");
    remove_node(c, TOP);
    xsc_client_close(c);
}

static int later(struct xsc_handle *h, void *arg)
{
    const struct run *run = arg;
    char path[40];
    int r = 0;

    for (int i = 0; i < 20 && r == 0; i++) {
        (void)snprintf(path, sizeof path, TOP "/l%d", i);
        r = xsc_write_later(h, path, path, strlen(path));
        if (i == 10 && run->refused != NULL)
            (void)xsc_write_later(h, run->refused, "v", 1);
    }
    return r;
}

static void test_writes_that_are_not_waited_for_are_all_there(void **state)
{
    struct xsc_client *c = live_open();
    struct xsc_transaction_options o = with_tries(1);
    struct run run = {.c = c};

    (void)state;
    for (int at_once = 0; at_once < 2; at_once++) {
        o.commit_at_once = at_once == 1;
        assert_int_equal(xsc_transaction_with(c, &o, later, &run, NULL), 0);
        assert_node(c, TOP "/l0", TOP "/l0");
        assert_node(c, TOP "/l19", TOP "/l19");
        remove_node(c, TOP);
    }
    assert_int_equal(xsc_immediate(c, later, &run, NULL), 0);
    assert_node(c, TOP "/l19", TOP "/l19");
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* Refused by the server: an unprivileged domain may not write there. */
static void test_a_write_that_is_refused_later_leaves_nothing(void **state)
{
    struct xsc_client *c = live_open();
    struct xsc_transaction_options o = with_tries(1);
    struct run run = {.c = c, .refused = "/local/domain/0/xsc-many"};
    struct vbd_error why = {""};

    (void)state;
    put(c, TOP, "");
    assert_int_equal(xsc_transaction_with(c, &o, later, &run, &why), -EACCES);
    assert_non_null(strstr(why.text, "EACCES"));
    assert_no_node(c, TOP "/l0");
    assert_no_node(c, TOP "/l19");
    o.commit_at_once = true;
    assert_int_equal(xsc_transaction_with(c, &o, later, &run, &why), -EACCES);
    assert_node(c, TOP "/l0", TOP "/l0");
    assert_node(c, TOP "/l19", TOP "/l19");
    remove_node(c, TOP);
    xsc_client_close(c);
}

static void test_a_write_that_is_refused_later_is_named(void **state)
{
    struct xsc_client *c = live_open();
    struct run run = {.c = c, .refused = "/local/domain/0/xsc-many"};
    struct vbd_error why = {""};

    (void)state;
    assert_int_equal(xsc_transaction(c, later, &run, &why), -EACCES);
    assert_string_equal(why.text, "write /local/domain/0/xsc-many: EACCES");
    xsc_client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_nodes_are_written_and_read_in_order),
        cmocka_unit_test(test_a_hundred_at_once),
        cmocka_unit_test(test_one_that_is_refused_fails_them_and_a_transaction_whole),
        cmocka_unit_test(test_as_many_tries_as_were_asked_for),
        cmocka_unit_test(test_options_that_are_none),
        cmocka_unit_test(test_writes_that_are_not_waited_for_are_all_there),
        cmocka_unit_test(test_a_write_that_is_refused_later_leaves_nothing),
        cmocka_unit_test(test_a_write_that_is_refused_later_is_named),
    };

    (void)alarm(120); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_many", tests, NULL, NULL);
}
