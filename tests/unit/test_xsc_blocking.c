/* test_xsc_blocking.c - proves every operation of xsc_linux.h as a call that blocks, against a real
 * xenstored: values as bytes, errors as sentences, and which server is opened. Run it under
 * tests/support/with-xenstored. */
#include <errno.h>
#include <sys/un.h>

#include "xsc_support.h"

#define TOP "data/xsc-blocking"

/* Runs a test's body with a handle, and removes what it wrote. */
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

static int read_back(struct xsc_handle *h, const void *value, size_t len)
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
    return 0;
}

static int values_are_bytes(struct xsc_handle *h, void *arg)
{
    unsigned char all[3000];

    (void)arg;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    for (size_t len = 0; len <= 256; len++)
        (void)read_back(h, all, len);
    (void)read_back(h, all, sizeof all);
    (void)read_back(h, "\0", 1);
    (void)read_back(h, "a\0b\0", 4);
    return read_back(h, NULL, 0);
}

static void test_values_are_bytes(void **state)
{
    (void)state;
    with_handle(values_are_bytes);
}

static int directories(struct xsc_handle *h, void *arg)
{
    char **names = NULL;
    size_t count = 99;

    (void)arg;
    assert_int_equal(xsc_write(h, TOP "/a/b/c", "deep", 4), 0);
    assert_int_equal(xsc_write(h, TOP "/a/d", "", 0), 0);
    assert_int_equal(xsc_directory(h, TOP "/a", &names, &count), 0);
    assert_int_equal(count, 2);
    assert_true(strcmp(names[0], "b") == 0 || strcmp(names[1], "b") == 0);
    assert_true(strcmp(names[0], "d") == 0 || strcmp(names[1], "d") == 0);
    assert_null(names[2]);
    free(names);
    assert_int_equal(xsc_directory(h, TOP "/a/d", &names, &count), 0);
    assert_int_equal(count, 0);
    assert_null(names[0]);
    free(names);
    return 0;
}

static void test_directories_list_their_children(void **state)
{
    (void)state;
    with_handle(directories);
}

static int big_directory(struct xsc_handle *h, void *arg)
{
    char path[256], **names = NULL;
    size_t count = 7;
    int r;

    (void)arg;
    for (int i = 0; i < 45; i++) {
        (void)snprintf(path, sizeof path, TOP "/big/%0100d", i);
        assert_int_equal(xsc_mkdir(h, path), 0);
    }
    r = xsc_directory(h, TOP "/big", &names, &count);
    /* oxenstored sends more than a message to its socket alone, and knows no parts. */
    if (in_cell(OCAML) && in_cell(KERNEL)) {
        assert_int_equal(r, -E2BIG);
        assert_int_equal(count, 7);
        return 0;
    }
    assert_int_equal(r, 0);
    assert_int_equal(count, 45);
    for (int i = 0; i < 45; i++)
        assert_int_equal(strlen(names[i]), 100);
    free(names);
    return 0;
}

static void test_a_directory_over_one_message_comes_back_whole(void **state)
{
    (void)state;
    with_handle(big_directory);
}

static int mkdir_and_rm(struct xsc_handle *h, void *arg)
{
    char *data = NULL;
    size_t len;

    (void)arg;
    assert_int_equal(xsc_mkdir(h, TOP "/m/n"), 0);
    assert_int_equal(xsc_read(h, TOP "/m/n", &data, &len), 0);
    assert_int_equal(len, 0);
    free(data);
    assert_int_equal(xsc_write(h, TOP "/m/n", "kept", 4), 0);
    assert_int_equal(xsc_mkdir(h, TOP "/m/n"), 0);
    assert_int_equal(xsc_read(h, TOP "/m/n", &data, &len), 0);
    assert_string_equal(data, "kept");
    free(data);
    assert_int_equal(xsc_rm(h, TOP "/m"), 0);
    data = NULL;
    assert_int_equal(xsc_read(h, TOP "/m/n", &data, &len), -ENOENT);
    assert_null(data);
    assert_int_equal(xsc_rm(h, TOP "/m"), 0);
    assert_int_equal(xsc_rm(h, TOP "/missing/parent"), -ENOENT);
    return 0;
}

static void test_mkdir_keeps_and_rm_takes_all_below(void **state)
{
    (void)state;
    with_handle(mkdir_and_rm);
}

static int domain_paths(struct xsc_handle *h, void *arg)
{
    static const unsigned domids[] = {0, 1, 7, 32751};
    char *path, want[40];

    (void)arg;
    for (size_t i = 0; i < sizeof domids / sizeof domids[0]; i++) {
        assert_int_equal(xsc_get_domain_path(h, domids[i], &path), 0);
        (void)snprintf(want, sizeof want, "/local/domain/%u", domids[i]);
        assert_string_equal(path, want);
        free(path);
    }
    return 0;
}

static void test_domains_have_paths(void **state)
{
    (void)state;
    with_handle(domain_paths);
}

static int relative_paths(struct xsc_handle *h, void *arg)
{
    char *data;
    size_t len;

    (void)arg;
    assert_int_equal(xsc_write(h, "xsc-relative/x", "near", 4), 0);
    assert_int_equal(xsc_read(h, "/local/domain/0/xsc-relative/x", &data, &len), 0);
    assert_string_equal(data, "near");
    free(data);
    return xsc_rm(h, "xsc-relative");
}

static void test_relative_paths_are_the_own_domains(void **state)
{
    (void)state;
    with_handle(relative_paths);
}

/* --- permissions --- */

static int permissions(struct xsc_handle *h, void *arg)
{
    static const struct xsc_permission set[] = {{0, 'n'}, {1, 'r'}, {2, 'w'}, {3, 'b'}};
    struct xsc_permission *got;
    size_t count;

    (void)arg;
    for (size_t n = 1; n <= 4; n++) {
        assert_int_equal(xsc_set_perms(h, TOP, set, n), 0);
        assert_int_equal(xsc_get_perms(h, TOP, &got, &count), 0);
        assert_int_equal(count, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(got[i].domid, set[i].domid);
            assert_int_equal(got[i].access, set[i].access);
        }
        free(got);
    }
    return 0;
}

static void test_permissions_are_set_and_read(void **state)
{
    (void)state;
    with_handle(permissions);
}

static int bad_permissions(struct xsc_handle *h, void *arg)
{
    static const struct xsc_permission bad[] = {{0, 'x'},     {0, ' '},      {0, 'R'},
                                                {70000, 'r'}, {0x7ff5, 'r'}, {0, '\0'}};
    static struct xsc_permission many[2000];
    struct xsc_permission *got = NULL;
    size_t count = 5;

    (void)arg;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct xsc_permission two[] = {{0, 'n'}, bad[i]};

        assert_int_equal(xsc_set_perms(h, TOP, two, 2), -EINVAL);
        assert_string_equal(xsc_handle_why(h), "setperms " TOP ": entry 1 is no permission");
    }
    for (size_t i = 0; i < 2000; i++)
        many[i] = (struct xsc_permission){0, 'r'};
    assert_int_equal(xsc_set_perms(h, TOP, many, 2000), -E2BIG);
    assert_int_equal(xsc_get_perms(h, TOP "/missing", &got, &count), -ENOENT);
    assert_null(got);
    assert_int_equal(count, 5);
    return 0;
}

static void test_permissions_that_are_none_are_refused(void **state)
{
    (void)state;
    with_handle(bad_permissions);
}

/* --- errors --- */

static int error_sentences(struct xsc_handle *h, void *arg)
{
    static const char big[5000];
    char *data = NULL;
    size_t len = 3;

    (void)arg;
    assert_string_equal(xsc_handle_why(h), "");
    assert_int_equal(xsc_read(h, TOP "/nothing", &data, &len), -ENOENT);
    assert_string_equal(xsc_handle_why(h), "read " TOP "/nothing: ENOENT");
    assert_int_equal(xsc_write(h, TOP "/a b", "", 0), -EINVAL);
    assert_non_null(strstr(xsc_handle_why(h), "write " TOP "/a b: "));
    assert_int_equal(xsc_write(h, TOP "/v", big, sizeof big), -E2BIG);
    assert_non_null(strstr(xsc_handle_why(h), "write " TOP "/v: "));
    assert_int_equal(xsc_mkdir(h, ""), -EINVAL);
    assert_int_equal(xsc_directory(h, TOP "//", (char ***)&data, &len), -EINVAL);
    assert_int_equal(xsc_rm(h, "/"), -EINVAL);
    assert_string_equal(xsc_handle_why(h), "rm /: EINVAL");
    assert_null(data);
    assert_int_equal(len, 3);
    return 0;
}

static void test_errors_are_sentences_and_outputs_stay_untouched(void **state)
{
    (void)state;
    with_handle(error_sentences);
}

static int fail_own_way(struct xsc_handle *h, void *arg)
{
    struct node missing = {.path = TOP "/gone"};

    (void)arg;
    (void)node_read(h, &missing);
    return -EBADMSG;
}

static void test_immediate_returns_what_its_function_did_and_the_last_sentence(void **state)
{
    struct xsc_client *c = live_open();
    struct vbd_error why = {"untouched"};
    struct node n = {.path = TOP "/x", .value = "v"};

    (void)state;
    assert_int_equal(xsc_immediate(c, node_write, &n, &why), 0);
    assert_string_equal(why.text, "untouched");
    assert_int_equal(xsc_immediate(c, fail_own_way, NULL, &why), -EBADMSG);
    assert_string_equal(why.text, "read " TOP "/gone: ENOENT");
    assert_int_equal(xsc_immediate(c, fail_own_way, NULL, NULL), -EBADMSG);
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* --- which server --- */

static void test_an_address_that_is_not_there_is_named(void **state)
{
    struct xsc_client *c = NULL;
    struct vbd_error why = {""};
    char path[300];

    (void)state;
    assert_int_equal(xsc_client_open("/nonexistent/socket", &c, &why), -ENOENT);
    assert_non_null(strstr(why.text, "/nonexistent/socket"));
    assert_int_equal(xsc_client_open("/proc/version", &c, &why), -ECONNREFUSED);
    assert_non_null(strstr(why.text, "/proc/version"));
    memset(path, 'p', sizeof path);
    memcpy(path, "/tmp/", 5);
    path[sizeof path - 1] = '\0';
    assert_true(xsc_client_open(path, &c, &why) < 0);
    assert_true(xsc_client_open("", &c, NULL) < 0);
    assert_null(c);
}

static void test_an_address_may_be_given(void **state)
{
    struct xsc_client *c = NULL;

    (void)state;
    assert_int_equal(xsc_client_open(getenv("XENSTORED_PATH"), &c, NULL), 0);
    put(c, TOP, "by address");
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* Opens the default while XENSTORED_PATH and XENSTORED_RUNDIR are these. */
static int open_with(const char *whole, const char *rundir, struct vbd_error *why)
{
    char *real = strdup(getenv("XENSTORED_PATH"));
    struct xsc_client *c = NULL;
    int r;

    if (whole != NULL)
        setenv("XENSTORED_PATH", whole, 1);
    else
        unsetenv("XENSTORED_PATH");
    setenv("XENSTORED_RUNDIR", rundir, 1);
    r = xsc_client_open(NULL, &c, why);
    xsc_client_close(c);
    unsetenv("XENSTORED_RUNDIR");
    setenv("XENSTORED_PATH", real, 1);
    free(real);
    return r;
}

static void test_the_default_address_is_looked_for_where_libxenstore_looks(void **state)
{
    const char *real = getenv("XENSTORED_PATH");
    struct vbd_error why = {""};
    char *rundir = strdup(real);

    (void)state;
    *strrchr(rundir, '/') = '\0';
    assert_int_equal(open_with(NULL, rundir, &why), 0);
    assert_int_equal(open_with(real, "/nonexistent", &why), 0);
    free(rundir);
    /* An address that was named is the only one. */
    assert_true(open_with("/nonexistent/store", "/unused", &why) < 0);
    assert_non_null(strstr(why.text, "/nonexistent/store"));
    if (access("/dev/xen/xenbus", F_OK) == 0 || access("/proc/xen/xenbus", F_OK) == 0)
        return; /* there is another server to be found */
    assert_true(open_with(NULL, "/nonexistent/run", &why) < 0);
    assert_non_null(strstr(why.text, "/nonexistent/run/socket"));
    assert_non_null(strstr(why.text, "/dev/xen/xenbus"));
}

/* A name that does not fit must not be cut to the name of another socket. */
static void test_a_default_address_that_is_too_long_is_not_cut(void **state)
{
    char dir[] = "/tmp/xsc-long-XXXXXX", longer[200];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    (void)state;
    assert_non_null(mkdtemp(dir));
    memset(address.sun_path, 's', sizeof address.sun_path - 1);
    memcpy(address.sun_path, dir, strlen(dir));
    address.sun_path[strlen(dir)] = '/';
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(open_with(address.sun_path, "/unused", NULL), 0);
    (void)snprintf(longer, sizeof longer, "%s-another", address.sun_path);
    r = open_with(longer, "/unused", NULL);
    close(listener);
    unlink(address.sun_path);
    rmdir(dir);
    assert_true(r < 0);
}

static void test_a_descriptor_that_is_none_is_refused(void **state)
{
    struct xsc_client *c = NULL;

    (void)state;
    assert_int_equal(xsc_client_adopt(-1, &c), -EBADF);
    assert_null(c);
    assert_null(xsc_client_close(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_bytes),
        cmocka_unit_test(test_directories_list_their_children),
        cmocka_unit_test(test_a_directory_over_one_message_comes_back_whole),
        cmocka_unit_test(test_mkdir_keeps_and_rm_takes_all_below),
        cmocka_unit_test(test_domains_have_paths),
        cmocka_unit_test(test_relative_paths_are_the_own_domains),
        cmocka_unit_test(test_permissions_are_set_and_read),
        cmocka_unit_test(test_permissions_that_are_none_are_refused),
        cmocka_unit_test(test_errors_are_sentences_and_outputs_stay_untouched),
        cmocka_unit_test(test_immediate_returns_what_its_function_did_and_the_last_sentence),
        cmocka_unit_test(test_an_address_that_is_not_there_is_named),
        cmocka_unit_test(test_an_address_may_be_given),
        cmocka_unit_test(test_the_default_address_is_looked_for_where_libxenstore_looks),
        cmocka_unit_test(test_a_default_address_that_is_too_long_is_not_cut),
        cmocka_unit_test(test_a_descriptor_that_is_none_is_refused),
    };

    (void)alarm(120); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_blocking", tests, NULL, NULL);
}
