/* test_xsc_operations.c - proves what each real xenstored answers to the operations that depend on
 * who asks and which daemon it is: toolstack calls, the server's own, quotas, depths; and what
 * libxsc makes of a server that grants more. In an unprivileged domain what needs privilege is
 * refused with EACCES. Run it under tests/support/with-xenstored. */
#include <sys/wait.h>

#include "xsc_script.h"

#define TOP "data/xsc-operations"

static void with_handle(xsc_handle_fn *body)
{
    struct xsc_client *c = live_open();
    struct vbd_error why = {""};

    put(c, TOP, "");
    if (xsc_immediate(c, body, c, &why) < 0)
        fail_msg("%s", why.text);
    remove_node(c, TOP);
    assert_null(xsc_client_close(c));
}

static void assert_why(struct xsc_handle *h, const char *part)
{
    if (strstr(xsc_handle_why(h), part) == NULL)
        fail_msg("no \"%s\" in \"%s\"", part, xsc_handle_why(h));
}

/* What the daemons' domain 0 is allowed and all others are not. */
static void assert_allowed(struct xsc_handle *h, int result, int in_domain_0)
{
    if (in_cell(UNPRIVILEGED) && result != -EACCES)
        fail_msg("%d, not EACCES: %s", result, xsc_handle_why(h));
    if (!in_cell(UNPRIVILEGED) && result != in_domain_0)
        fail_msg("%d, not %d: %s", result, in_domain_0, xsc_handle_why(h));
}

/* --- values, paths, permissions ------------------------------------------------------------------
 */

static void write_and_compare(struct xsc_handle *h, const void *value, size_t len)
{
    char *data = NULL;
    size_t got = 0;

    assert_int_equal(xsc_write(h, TOP "/value", value, len), 0);
    assert_int_equal(xsc_read(h, TOP "/value", &data, &got), 0);
    assert_int_equal(got, len);
    if (len > 0)
        assert_memory_equal(data, value, len);
    assert_int_equal(data[len], '\0');
    free(data);
}

static int values(struct xsc_handle *h, void *arg)
{
    unsigned char all[1900];

    (void)arg;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    for (size_t len = 0; len <= 257; len++)
        write_and_compare(h, all, len);
    write_and_compare(h, all, sizeof all);
    write_and_compare(h, "\0\0\0", 3);
    write_and_compare(h, "a\0b\0", 4);
    write_and_compare(h, NULL, 0);
    return 0;
}

static void test_values_that_a_guest_may_write_are_bytes(void **state)
{
    (void)state;
    with_handle(values);
}

static int big_value(struct xsc_handle *h, void *arg)
{
    static const char big[3000];
    int want = in_cell(OCAML) ? -E2BIG : in_cell(UNPRIVILEGED) ? -ENOSPC : 0;

    (void)arg;
    assert_int_equal(xsc_write(h, TOP "/big", big, sizeof big), want);
    if (want < 0)
        assert_why(h, "write " TOP "/big: E");
    return 0;
}

static void test_a_value_over_2048_bytes_is_the_servers_to_refuse(void **state)
{
    (void)state;
    with_handle(big_value);
}

/* The own domain is who owns what it made. */
static unsigned own_domid(struct xsc_handle *h)
{
    struct xsc_permission *perms;
    size_t count;
    unsigned domid;

    assert_int_equal(xsc_get_perms(h, TOP, &perms, &count), 0);
    domid = perms[0].domid;
    free(perms);
    return domid;
}

static int own_path(struct xsc_handle *h, void *arg)
{
    char *home, path[200], *data;
    size_t len;

    (void)arg;
    assert_int_equal(in_cell(UNPRIVILEGED), own_domid(h) != 0);
    assert_int_equal(xsc_get_domain_path(h, own_domid(h), &home), 0);
    (void)snprintf(path, sizeof path, "%s/" TOP "/near", home);
    free(home);
    assert_int_equal(xsc_write(h, path, "near", 4), 0);
    assert_int_equal(xsc_read(h, TOP "/near", &data, &len), 0);
    assert_string_equal(data, "near");
    free(data);
    return 0;
}

static void test_relative_paths_are_the_own(void **state)
{
    (void)state;
    with_handle(own_path);
}

static int others_nodes(struct xsc_handle *h, void *arg)
{
    char *data = NULL, **names = NULL;
    size_t n = 0;

    (void)arg;
    assert_allowed(h, xsc_write(h, "/xsc-elsewhere", "v", 1), 0);
    assert_allowed(h, xsc_write(h, "/local/domain/0/xsc-elsewhere", "v", 1), 0);
    assert_allowed(h, xsc_mkdir(h, "/local/domain/0/xsc-elsewhere/a"), 0);
    if (in_cell(UNPRIVILEGED)) { /* oxenstored looks first, and asks for rights then */
        int want = in_cell(OCAML) ? -ENOENT : -EACCES;

        assert_int_equal(xsc_read(h, "/local/domain/0/xsc-elsewhere", &data, &n), want);
        assert_int_equal(xsc_directory(h, "/local/domain/0/xsc-elsewhere", &names, &n), want);
        return 0;
    }
    assert_int_equal(xsc_rm(h, "/local/domain/0/xsc-elsewhere"), 0);
    return xsc_rm(h, "/xsc-elsewhere");
}

static void test_nodes_of_others_are_for_domain_0(void **state)
{
    (void)state;
    with_handle(others_nodes);
}

static int permissions(struct xsc_handle *h, void *arg)
{
    const struct xsc_permission own[] = {{own_domid(h), 'n'}, {0, 'r'}, {own_domid(h), 'b'}};
    const struct xsc_permission given[] = {{own_domid(h) == 0 ? 5 : 0, 'n'}};
    struct xsc_permission *got;
    size_t count;
    int r;

    (void)arg;
    assert_int_equal(xsc_set_perms(h, TOP, own, 2), 0);
    assert_int_equal(xsc_get_perms(h, TOP, &got, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(got[0].domid, own[0].domid);
    assert_int_equal(got[1].access, 'r');
    free(got);
    r = xsc_set_perms(h, TOP, given, 1);
    /* Giving a node away: the C daemon's word for it is EPERM. */
    assert_true(in_cell(UNPRIVILEGED) ? r == -EACCES || r == -EPERM : r == 0 || r == -ENOENT);
    return 0;
}

static void test_permissions_are_the_owners_and_owners_stay(void **state)
{
    (void)state;
    with_handle(permissions);
}

/* --- toolstack calls -----------------------------------------------------------------------------
 */

/* There is no such domain: refused in domain 0 with one of the daemons' words, EACCES elsewhere. */
static void assert_no_domain(struct xsc_handle *h, int result, const char *operation)
{
    assert_allowed(h, result, result == -ENOENT || result == -EINVAL ? result : -ENOENT);
    assert_why(h, operation);
}

static int domain_calls(struct xsc_handle *h, void *arg)
{
    bool there = false;

    (void)arg;
    assert_allowed(h, xsc_is_introduced(h, 0, &there), 0);
    assert_int_equal(there, !in_cell(UNPRIVILEGED));
    there = in_cell(DOM0);
    assert_allowed(h, xsc_is_introduced(h, 30001, &there), 0);
    assert_false(there);
    assert_no_domain(h, xsc_release(h, 30001), "release");
    assert_no_domain(h, xsc_resume_domain(h, 30001), "resume");
    assert_no_domain(h, xsc_set_target(h, 30001, 30002), "set");
    assert_no_domain(h, xsc_introduce(h, 30001, 1, 1), "introduce");
    return 0;
}

static void test_toolstack_calls_are_for_domain_0_and_domains_that_are(void **state)
{
    (void)state;
    with_handle(domain_calls);
}

/* --- the server's own ----------------------------------------------------------------------------
 */

static int absent(struct xsc_handle *h, void *arg)
{
    uint32_t value = 77;

    (void)arg;
    assert_int_equal(xsc_restrict(h, 5), -ENOSYS);
    assert_why(h, "restrict");
    assert_int_equal(xsc_get_features(h, 4, &value), -ENOSYS);
    assert_why(h, "feature");
    assert_int_equal(xsc_set_features(h, 4, 1), -ENOSYS);
    assert_why(h, "feature");
    assert_int_equal(xsc_get_quota(h, -1, "nodes", &value), -ENOSYS);
    assert_why(h, "quota");
    assert_int_equal(xsc_set_quota(h, 4, "nodes", 5), -ENOSYS);
    assert_why(h, "quota");
    assert_why(h, "ENOSYS");
    assert_int_equal(value, 77);
    return xsc_write(h, TOP "/goes", "on", 2);
}

static void test_what_the_server_has_not_is_named(void **state)
{
    (void)state;
    with_handle(absent);
}

static int without_words(struct xsc_handle *h, void *arg)
{
    uint32_t value;
    char *names;

    (void)arg;
    if (xsc_get_features(h, -1, &value) != -ENOSYS || xsc_quota_names(h, &names) != -ENOSYS)
        return -EBADMSG;
    return 0;
}

/* oxenstored does not answer a request of no bytes before more come. In a child, which a call that
 * is never answered would hold for ever. */
static void test_questions_without_words_are_answered(void **state)
{
    pid_t child = fork();
    int status = -1;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        (void)alarm(5);
        _exit(xsc_immediate(live_open(), without_words, NULL, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int control(struct xsc_handle *h, void *arg)
{
    static const char *const words[] = {"print", "of test_xsc_operations"};
    char *answer = NULL;
    size_t len = 0;
    int r = xsc_control(h, words, 2, &answer, &len);

    (void)arg;
    if (in_cell(C_GUEST | C_RING)) {
        assert_int_equal(r, -EACCES);
        assert_why(h, "control");
        assert_null(answer);
        return 0;
    }
    assert_int_equal(r, 0);
    assert_int_equal(answer[len], '\0');
    free(answer);
    return 0;
}

static void test_control_is_answered_as_the_daemon_does(void **state)
{
    (void)state;
    with_handle(control);
}

static int reset(struct xsc_handle *h, void *arg)
{
    (void)arg;
    return xsc_reset_watches(h);
}

static void test_reset_watches_ends_them_all(void **state)
{
    struct xsc_client *c = live_open();
    struct xsc_queue *q;
    struct xsc_event e;

    (void)state;
    put(c, TOP, "");
    assert_int_equal(xsc_queue_new(c, 10, &q), 0);
    assert_int_equal(xsc_watch(q, TOP, "t", NULL), 0);
    assert_int_equal(xsc_queue_next(q, PATIENCE_MS, &e), 0);
    xsc_event_clear(&e);
    assert_int_equal(xsc_immediate(c, reset, NULL, NULL), 0);
    put(c, TOP, "changed");
    assert_node(c, TOP, "changed"); /* an event would be here by now */
    assert_int_equal(xsc_queue_next(q, 0, &e), -ETIMEDOUT);
    xsc_queue_free(q);
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* --- depths and quotas ---------------------------------------------------------------------------
 */

static void test_a_depth_is_refused_by_the_daemons_of_today(void **state)
{
    struct xsc_client *c = live_open();
    struct vbd_error why = {""};
    struct xsc_queue *q;

    (void)state;
    put(c, TOP, "");
    assert_int_equal(xsc_queue_new(c, 10, &q), 0);
    assert_int_equal(xsc_watch_depth(q, TOP, "t", 1, &why), -EINVAL);
    assert_non_null(strstr(why.text, "watch " TOP));
    assert_int_equal(xsc_watch_depth(q, TOP, "t", XSC_DEPTH_ALL, &why), 0);
    xsc_queue_free(q);
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* A guest's watches end at a quota; the word is the daemon's own, and room that is made is there.
 */
static void test_a_quota_keeps_its_name(void **state)
{
    struct xsc_client *c = live_open();
    struct vbd_error why = {""};
    struct xsc_queue *q;
    char token[16];
    int n = 0, r;

    (void)state;
    assert_int_equal(xsc_queue_new(c, 1000, &q), 0);
    do {
        (void)snprintf(token, sizeof token, "%d", n);
        r = xsc_watch(q, TOP, token, &why);
    } while (r == 0 && ++n < 300);
    if (in_cell(KERNEL)) { /* which has an errno for a word, EINVAL for those it does not know */
        assert_int_equal(r, in_cell(OCAML) ? -EINVAL : -E2BIG);
    } else {
        assert_int_equal(r, in_cell(OCAML) ? -EDQUOT : -E2BIG);
        assert_non_null(strstr(why.text, in_cell(OCAML) ? "EQUOTA" : "E2BIG"));
    }
    assert_in_range(n, 20, 200);
    assert_int_equal(xsc_unwatch(q, TOP, "0"), 0);
    assert_int_equal(xsc_watch(q, TOP, token, &why), 0);
    xsc_queue_free(q);
    xsc_client_close(c);
}

/* --- a server that grants more -------------------------------------------------------------------
 */

static int grant_more(const struct message *m, char payload[64])
{
    switch (m->type) {
    case XSC_OP_GET_FEATURE:
    case XSC_OP_GET_QUOTA:
        return snprintf(payload, 64, "%s", m->payload[0] == '\0' ? "nodes watches" : "7") + 1;
    case XSC_OP_READ:
        return snprintf(payload, 64, "EACCES") < 0 ? 0 : -1;
    default:
        return script_ok(m, payload);
    }
}

static int restricted(struct xsc_handle *h, void *arg)
{
    char *data = NULL;
    uint32_t value = 0;
    struct message last;
    size_t len;

    assert_int_equal(xsc_restrict(h, 5), 0);
    last = script_last(arg);
    assert_int_equal(last.type, XSC_OP_RESTRICT);
    assert_string_equal(last.payload, "5");
    assert_int_equal(xsc_read(h, "/secret", &data, &len), -EACCES);
    assert_int_equal(xsc_get_features(h, 5, &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(xsc_set_features(h, 5, 1), 0);
    assert_int_equal(xsc_get_quota(h, 5, "nodes", &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(xsc_set_quota(h, -1, "nodes", 9), 0);
    return 0;
}

static void test_a_server_that_restricts_is_believed(void **state)
{
    struct script s;
    struct xsc_client *c = script_start(&s, grant_more);

    (void)state;
    assert_int_equal(xsc_immediate(c, restricted, &s, NULL), 0);
    script_end(&s, c);
}

static void test_a_server_that_knows_depths_is_told_them(void **state)
{
    struct script s;
    struct xsc_client *c = script_start(&s, script_ok);
    struct xsc_queue *q;
    const char *token, *depth;
    struct message last;

    (void)state;
    assert_int_equal(xsc_queue_new(c, 10, &q), 0);
    assert_int_equal(xsc_watch_depth(q, "/w", "t", 1, NULL), 0);
    last = script_last(&s);
    assert_int_equal(last.type, XSC_OP_WATCH);
    token = last.payload + strlen(last.payload) + 1;
    depth = token + strlen(token) + 1;
    assert_true(depth < last.payload + last.len);
    assert_string_equal(depth, "1");
    xsc_queue_free(q);
    script_end(&s, c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_that_a_guest_may_write_are_bytes),
        cmocka_unit_test(test_a_value_over_2048_bytes_is_the_servers_to_refuse),
        cmocka_unit_test(test_relative_paths_are_the_own),
        cmocka_unit_test(test_nodes_of_others_are_for_domain_0),
        cmocka_unit_test(test_permissions_are_the_owners_and_owners_stay),
        cmocka_unit_test(test_toolstack_calls_are_for_domain_0_and_domains_that_are),
        cmocka_unit_test(test_what_the_server_has_not_is_named),
        cmocka_unit_test(test_questions_without_words_are_answered),
        cmocka_unit_test(test_control_is_answered_as_the_daemon_does),
        cmocka_unit_test(test_reset_watches_ends_them_all),
        cmocka_unit_test(test_a_depth_is_refused_by_the_daemons_of_today),
        cmocka_unit_test(test_a_quota_keeps_its_name),
        cmocka_unit_test(test_a_server_that_restricts_is_believed),
        cmocka_unit_test(test_a_server_that_knows_depths_is_told_them),
    };

    (void)alarm(120); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_operations", tests, NULL, NULL);
}
