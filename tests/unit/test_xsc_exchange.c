/* test_xsc_exchange.c - proves what happens at the edges of a client's connection: two threads that
 * resume it at once, a suspension that ends for want of time or memory, one client closed inside
 * another's callback. The servers are the test's own. */
#include "unit/xsc_script.h"

#include <sys/un.h>

#include "linux/xsc_client.h"
#include "xenstore/session.h"

/* --- a server that is connected to anew ----------------------------------------------------------
 */

enum { CONNECTIONS = 64, CYCLES = 20 };

struct house {
    char dir[40], address[60];
    int listener, opened;
    pthread_t thread;
    struct script rooms[CONNECTIONS];
};

static void *house_run(void *arg)
{
    struct house *h = arg;
    int fd;

    while (h->opened < CONNECTIONS && (fd = accept(h->listener, NULL, NULL)) >= 0) {
        struct script *s = &h->rooms[h->opened];

        *s = (struct script){.peer = fd, .says = script_ok, .lock = PTHREAD_MUTEX_INITIALIZER};
        if (pthread_create(&s->thread, NULL, script_run, s) != 0)
            break;
        h->opened++;
    }
    return NULL;
}

static void house_open(struct house *h)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    memset(h, 0, sizeof *h);
    (void)snprintf(h->dir, sizeof h->dir, "/tmp/xsc-exchange-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    (void)snprintf(h->address, sizeof h->address, "%s/socket", h->dir);
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s", h->address);
    h->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(h->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(h->listener, CONNECTIONS), 0);
    assert_int_equal(pthread_create(&h->thread, NULL, house_run, h), 0);
}

static void house_close(struct house *h)
{
    assert_int_equal(shutdown(h->listener, SHUT_RDWR), 0); /* ends accept */
    assert_true(joined(h->thread));
    for (int i = 0; i < h->opened; i++)
        assert_true(joined(h->rooms[i].thread));
    (void)close(h->listener);
    (void)unlink(h->address);
    (void)rmdir(h->dir);
}

/* --- resumed twice at once -----------------------------------------------------------------------
 */

struct resumer {
    struct xsc_client *c;
    const char *address;
    pthread_barrier_t *together;
    pthread_t thread;
    int result;
};

static void *resumes(void *arg)
{
    struct resumer *r = arg;

    (void)pthread_barrier_wait(r->together);
    r->result = xsc_client_resume(r->c, r->address, NULL);
    return NULL;
}

static void *takes_events(void *arg)
{
    struct xsc_event e;

    while (xsc_queue_next(arg, -1, &e) == 0)
        xsc_event_clear(&e);
    return NULL;
}

/* Both find the client suspended and its reader at work. */
static void resume_twice(struct xsc_client *c, const struct house *h)
{
    pthread_barrier_t together;
    struct resumer r[2];
    int good = 0;

    assert_int_equal(pthread_barrier_init(&together, NULL, 2), 0);
    for (int i = 0; i < 2; i++) {
        r[i] = (struct resumer){.c = c, .address = h->address, .together = &together};
        assert_int_equal(pthread_create(&r[i].thread, NULL, resumes, &r[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_true(joined(r[i].thread));
        good += r[i].result == 0;
        assert_true(r[i].result == 0 || r[i].result == -EBUSY);
    }
    assert_int_equal(good, 1);
    (void)pthread_barrier_destroy(&together);
}

static void test_of_two_that_resume_one_does(void **state)
{
    struct xsc_client *c = NULL;
    struct xsc_queue *q;
    pthread_t reader;
    struct house h;

    (void)state;
    house_open(&h);
    assert_int_equal(xsc_client_open(h.address, &c, NULL), 0);
    assert_int_equal(xsc_queue_new(c, 4, &q), 0);
    assert_int_equal(pthread_create(&reader, NULL, takes_events, q), 0);
    for (int i = 0; i < CYCLES; i++) {
        assert_int_equal(xsc_client_suspend(c, PATIENCE_MS, NULL), 0);
        resume_twice(c, &h);
        put(c, "/a", "v");
    }
    (void)shutdown(xsc_client_fd(c), SHUT_RDWR); /* ends the reader */
    assert_true(joined(reader));
    assert_null(xsc_queue_free(q));
    assert_null(xsc_client_close(c));
    house_close(&h);
}

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
        cmocka_unit_test(test_of_two_that_resume_one_does),
        cmocka_unit_test(test_a_callback_that_closes_another_client_is_still_one),
    };

    (void)alarm(100);
    return cmocka_run_group_tests_name("xsc_exchange", tests, NULL, NULL);
}
