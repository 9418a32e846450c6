/* test_xsc_restart.c - proves that a client outlives its daemon: a real xenstored is killed beneath
 * callers of every kind, a second one with an empty store takes its place at another address, and
 * everything goes on there.
 *
 *   test_xsc_restart VBDKIT c|ocaml
 *
 * VBDKIT's hyperless runs the daemons, each in a machine of its own. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "xsc_support.h"

#define TOP "data/xsc-restart"

static const char *vbdkit, *kind;

struct daemon {
    FILE *machine; /* what its command prints */
    char address[160];
    int pid;
};

static void daemon_start(struct daemon *d)
{
    char command[512];

    /* Ends with its xenstored, and with this program: no machine stays behind. */
    (void)snprintf(
        command, sizeof command,
        "ASAN_OPTIONS=verify_asan_link_order=0 exec %s hyperless run --xenstored %s -- sh -c '"
        "echo \"$XENSTORED_PATH $(cat \"${XENSTORED_PATH%%/*}/pid\")\"; exec >&- 2>&-; "
        "while kill -0 %d; do sleep 0.2; done' 2>/dev/null",
        vbdkit, kind, getpid());
    d->machine = popen(command, "r");
    assert_non_null(d->machine);
    assert_int_equal(fscanf(d->machine, "%159s %d", d->address, &d->pid), 2);
}

static void daemon_kill(struct daemon *d)
{
    assert_int_equal(kill(d->pid, SIGKILL), 0);
    (void)pclose(d->machine); /* the machine ends with its xenstored */
}

/* --- callers that are inside a call when the daemon dies --- */

struct caller {
    struct xsc_client *c;
    pthread_t thread;
    int inside, killed, result;
    int (*call)(struct caller *k);
};

static void tell_inside(struct caller *k)
{
    __atomic_store_n(&k->inside, 1, __ATOMIC_SEQ_CST);
}

static int not_yet(struct xsc_handle *h, void *arg)
{
    char *data = NULL;
    size_t len;
    int r = xsc_read(h, TOP "/there", &data, &len);

    free(data);
    tell_inside(arg);
    return r == -ENOENT ? -EAGAIN : r;
}

static int call_wait(struct caller *k)
{
    return xsc_wait(k->c, -1, not_yet, k, NULL);
}

static int write_before_and_after(struct xsc_handle *h, void *arg)
{
    struct caller *k = arg;
    int64_t deadline = 0;
    int r = xsc_write(h, TOP "/transacted", "1", 1);

    tell_inside(k);
    while (patiently(&deadline, __atomic_load_n(&k->killed, __ATOMIC_SEQ_CST) == 0))
        ;
    return r < 0 ? r : xsc_write(h, TOP "/transacted", "2", 1);
}

static int call_transaction(struct caller *k)
{
    return xsc_transaction(k->c, write_before_and_after, k, NULL);
}

static int call_immediate(struct caller *k)
{
    struct node n = {.path = TOP, .value = "v"};
    int r = 0;

    while (r == 0) {
        r = xsc_immediate(k->c, node_write, &n, NULL);
        tell_inside(k);
    }
    return r;
}

static void *run(void *arg)
{
    struct caller *k = arg;

    k->result = k->call(k);
    return NULL;
}

static void callers_begin(struct caller *k, size_t n, struct xsc_client *c)
{
    static int (*const calls[])(struct caller *) = {call_wait, call_transaction, call_immediate};
    int64_t deadline = 0;

    for (size_t i = 0; i < n; i++) {
        k[i] = (struct caller){.c = c, .result = 1, .call = calls[i % 3]};
        assert_int_equal(pthread_create(&k[i].thread, NULL, run, &k[i]), 0);
        while (patiently(&deadline, __atomic_load_n(&k[i].inside, __ATOMIC_SEQ_CST) == 0))
            ;
    }
}

/* Each ends, with an error that says that the connection is gone. */
static void callers_end(struct caller *k, size_t n)
{
    for (size_t i = 0; i < n; i++)
        __atomic_store_n(&k[i].killed, 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < n; i++) {
        assert_true(joined(k[i].thread));
        if (k[i].result != -ECONNRESET && k[i].result != -ENOTCONN && k[i].result != -EPIPE)
            fail_msg("caller %zu ended with %d", i, k[i].result);
    }
}

/* --- the tests --- */

static void expect_change(struct xsc_queue *q, const char *path)
{
    struct xsc_event e = {0};

    assert_int_equal(xsc_queue_next(q, PATIENCE_MS, &e), 0);
    assert_false(e.rescan);
    assert_string_equal(e.path, path);
    xsc_event_clear(&e);
}

static void expect_rescan(struct xsc_queue *q)
{
    struct xsc_event e = {0};
    int r;

    do { /* what the last caller wrote before */
        xsc_event_clear(&e);
        r = xsc_queue_next(q, PATIENCE_MS, &e);
    } while (r == -ENOTCONN || (r == 0 && !e.rescan));
    assert_int_equal(r, 0);
    xsc_event_clear(&e);
}

static void test_a_second_daemon_takes_over(void **state)
{
    enum { CALLERS = 9 };
    struct caller k[CALLERS];
    struct daemon d[4];
    struct xsc_client *c;
    struct xsc_queue *q;

    (void)state;
    daemon_start(&d[0]);
    assert_int_equal(xsc_client_open(d[0].address, &c, NULL), 0);
    assert_int_equal(xsc_queue_new(c, 100, &q), 0);
    assert_int_equal(xsc_watch(q, TOP "/seen", "t", NULL), 0);
    expect_change(q, TOP "/seen");
    for (int i = 0; i < 3; i++) {
        callers_begin(k, CALLERS, c);
        daemon_kill(&d[i]);
        callers_end(k, CALLERS);
        daemon_start(&d[i + 1]);
        assert_int_equal(xsc_client_resume(c, d[i + 1].address, NULL), 0);
        expect_rescan(q);
        assert_no_node(c, TOP); /* another store */
        put(c, TOP "/seen", "v");
        expect_change(q, TOP "/seen"); /* the watch is the second daemon's now */
    }
    assert_null(xsc_queue_free(q));
    xsc_client_close(c);
    daemon_kill(&d[3]);
}

static void test_no_daemon_is_an_error_and_the_client_stays(void **state)
{
    struct vbd_error why = {""};
    struct daemon d, second;
    struct xsc_client *c;

    (void)state;
    daemon_start(&d);
    assert_int_equal(xsc_client_open(d.address, &c, NULL), 0);
    put(c, TOP, "v");
    daemon_kill(&d);
    for (int i = 0; i < 3; i++) {
        int r = xsc_client_resume(c, d.address, &why);

        assert_true(r == -ENOENT || r == -ECONNREFUSED || r == -EBUSY);
        assert_true(why.text[0] != '\0');
        r = xsc_immediate(c, node_write, &(struct node){.path = TOP, .value = "v"}, NULL);
        assert_true(r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE);
    }
    daemon_start(&second);
    assert_int_equal(xsc_client_resume(c, second.address, NULL), 0);
    put(c, TOP, "w");
    assert_node(c, TOP, "w");
    xsc_client_close(c);
    daemon_kill(&second);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_daemon_takes_over),
        cmocka_unit_test(test_no_daemon_is_an_error_and_the_client_stays),
    };

    if (argc != 3)
        return 2;
    vbdkit = argv[1];
    kind = argv[2];
    return cmocka_run_group_tests_name("xsc_restart", tests, NULL, NULL);
}
