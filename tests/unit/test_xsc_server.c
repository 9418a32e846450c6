/* test_xsc_server.c - proves the calls that block against servers that answer what they should not:
 * transactions without a number, watches that are refused, results that are no permissions. Needs
 * no xenstored; a thread plays the server on a socket pair. */
#include <errno.h>

#include "xsc_support.h"

/* Answers every request alike, but for one operation, which gets `type` and `text`. */
struct server {
    struct xsc_client *c;
    pthread_t thread;
    int peer;
    enum xsc_op special;
    uint32_t type;
    const char *text;
    size_t len;
    int seen[XSC_OP_ERROR + 1]; /* requests by operation; read after server_end */
};

static void *serving(void *arg)
{
    struct server *s = arg;
    char wire[HEADER + 64];
    struct message m;

    while (peer_takes(s->peer, &m) && m.type < XSC_OP_ERROR) {
        size_t size = m.type == s->special ? put_message(wire, s->type, m.id, s->text, s->len)
                                           : put_message(wire, m.type, m.id, "7", 1);

        s->seen[m.type]++;
        (void)!send(s->peer, wire, size, MSG_NOSIGNAL);
    }
    close(s->peer);
    return NULL;
}

static void server_start(struct server *s, enum xsc_op special, uint32_t type, const char *text,
                         size_t len)
{
    *s = (struct server){.special = special, .type = type, .text = text, .len = len};
    s->c = paired_client(&s->peer);
    assert_int_equal(pthread_create(&s->thread, NULL, serving, s), 0);
}

static void server_end(struct server *s)
{
    xsc_client_close(s->c);
    assert_true(joined(s->thread));
}

static int write_in_transaction(struct xsc_handle *h, void *arg)
{
    ++*(int *)arg;
    return xsc_write(h, "/a", "v", 1);
}

static void test_a_transaction_needs_a_number(void **state)
{
    static const char *const bad[] = {"", "x", "0", "1x", "-1", " 1", "4294967296"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vbd_error why = {""};
        struct server s;
        int runs = 0, r;

        server_start(&s, XSC_OP_TRANSACTION_START, XSC_OP_TRANSACTION_START, bad[i],
                     strlen(bad[i]) + 1);
        r = xsc_transaction(s.c, write_in_transaction, &runs, &why);
        server_end(&s);
        assert_int_equal(r, -EPROTO);
        assert_int_equal(runs, 0);
        assert_int_equal(s.seen[XSC_OP_WRITE], 0);
        assert_non_null(strstr(why.text, "transaction start"));
    }
}

static void test_a_transaction_with_a_number_is_committed(void **state)
{
    struct server s;
    int runs = 0, r;

    (void)state;
    server_start(&s, XSC_OP_TRANSACTION_START, XSC_OP_TRANSACTION_START, "4294967295", 11);
    r = xsc_transaction(s.c, write_in_transaction, &runs, NULL);
    server_end(&s);
    assert_int_equal(r, 0);
    assert_int_equal(runs, 1);
    assert_int_equal(s.seen[XSC_OP_TRANSACTION_END], 1);
}

static int read_twice(struct xsc_handle *h, void *arg)
{
    struct node n = {.path = "/a"};
    int *results = arg;

    for (int i = 0; i < 2; i++) {
        results[i] = node_read(h, &n);
        free(n.data);
        n.data = NULL;
    }
    return -EBADMSG;
}

/* Read without a watch, the node could change and nobody would wake the wait. */
static void test_a_wait_reads_nothing_that_it_may_not_watch(void **state)
{
    struct server s;
    int results[2] = {1, 1}, r;

    (void)state;
    server_start(&s, XSC_OP_WATCH, XSC_OP_ERROR, "EQUOTA", 7);
    r = xsc_wait(s.c, PATIENCE_MS, read_twice, results, NULL);
    server_end(&s);
    assert_int_equal(r, -EBADMSG);
    assert_int_equal(results[0], -EDQUOT);
    assert_int_equal(results[1], -EDQUOT);
    assert_int_equal(s.seen[XSC_OP_READ], 0);
}

static int get_permissions(struct xsc_handle *h, void *arg)
{
    struct xsc_permission *perms = NULL;
    size_t count = 9;
    int r = xsc_get_perms(h, "/a", &perms, &count);

    *(int *)arg = perms == NULL && count == 9;
    free(perms);
    return r;
}

static void test_permissions_must_look_like_some(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        int result;
    } cases[] = {{"n0", 3, 0},         {"n0\0r1", 6, 0},       {"n0\0r1", 5, 0},
                 {"x0", 3, -EPROTO},   {"n", 2, -EPROTO},      {"n0x", 4, -EPROTO},
                 {"\0", 1, -EPROTO},   {"n0\0\0", 4, -EPROTO}, {"0", 2, -EPROTO},
                 {"n0\0r", 5, -EPROTO}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server s;
        int untouched, r;

        server_start(&s, XSC_OP_GET_PERMS, XSC_OP_GET_PERMS, cases[i].text, cases[i].len);
        r = xsc_immediate(s.c, get_permissions, &untouched, NULL);
        server_end(&s);
        assert_int_equal(r, cases[i].result);
        assert_int_equal(untouched, r < 0);
    }
}

static int list_children(struct xsc_handle *h, void *arg)
{
    char **names;
    int r = xsc_directory(h, "/a", &names, arg);

    if (r == 0) {
        for (size_t i = 0; i < *(size_t *)arg; i++)
            assert_non_null(names[i]);
        assert_null(names[*(size_t *)arg]);
        free(names);
    }
    return r;
}

static void test_directories_of_any_form_are_split(void **state)
{
    static const struct {
        const char *text;
        size_t len, count;
    } cases[] = {{"", 0, 0},      {"a", 1, 1},     {"a", 2, 1},
                 {"a\0bc", 4, 2}, {"a\0bc", 5, 2}, {"\0", 1, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server s;
        size_t count = 99;
        int r;

        server_start(&s, XSC_OP_DIRECTORY, XSC_OP_DIRECTORY, cases[i].text, cases[i].len);
        r = xsc_immediate(s.c, list_children, &count, NULL);
        server_end(&s);
        assert_int_equal(r, 0);
        assert_int_equal(count, cases[i].count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_transaction_needs_a_number),
        cmocka_unit_test(test_a_transaction_with_a_number_is_committed),
        cmocka_unit_test(test_a_wait_reads_nothing_that_it_may_not_watch),
        cmocka_unit_test(test_permissions_must_look_like_some),
        cmocka_unit_test(test_directories_of_any_form_are_split),
    };

    (void)alarm(120); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_server", tests, NULL, NULL);
}
