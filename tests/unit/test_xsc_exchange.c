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
    assert_true(xsc_client_fd(c) >= 0); /* whichever it is by now */
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

/* --- a suspension that is out of time ------------------------------------------------------------
 */

static void submit_to(struct xsc_client *c, enum xsc_op op, const char *path,
                      struct xsc_completion completion)
{
    struct xsc_call call = {.op = op, .path = path};

    assert_int_equal(xsc_submit(xsc_client_session(c), &call, completion), 0);
}

static struct message peer_expects(int peer, enum xsc_op op)
{
    struct message m = {0};
    struct pollfd p = {.fd = peer, .events = POLLIN};

    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_true(peer_takes(peer, &m));
    assert_int_equal(m.type, op);
    return m;
}

static void make_node(void *ctx, const struct xsc_reply *reply)
{
    (void)reply;
    submit_to(ctx, XSC_OP_MKDIR, "/kept", (struct xsc_completion){0});
}

static void test_what_was_kept_is_sent_when_the_time_is_over(void **state)
{
    struct xsc_client *c;
    struct message m;
    int peer;

    (void)state;
    c = paired_client(&peer);
    submit_to(c, XSC_OP_READ, "/a", (struct xsc_completion){.done = make_node, .ctx = c});
    submit_to(c, XSC_OP_READ, "/never", (struct xsc_completion){0});
    assert_int_equal(xsc_client_process(c), 0);
    m = peer_expects(peer, XSC_OP_READ);
    (void)peer_expects(peer, XSC_OP_READ);
    peer_sends(peer, m.type, m.id, "v", 1); /* its completion asks while suspending */
    assert_int_equal(xsc_client_suspend(c, 20, NULL), -ETIMEDOUT);
    (void)peer_expects(peer, XSC_OP_MKDIR); /* nobody calls the client meanwhile */
    assert_null(xsc_client_close(c));
    (void)close(peer);
}

static void ignore_event(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
}

/* The watch is cancelled already, and there is no memory to set it again. */
static void test_without_memory_to_go_on_the_suspension_stays(void **state)
{
    struct xsc_client *c;
    struct xsc_watch *watch;
    struct memory memory;
    struct message m;
    struct vbd_error why = {""};
    int peer;

    (void)state;
    c = paired_client(&peer);
    memory_init(&memory, 1);
    assert_int_equal(
        xsc_watch_add(c->x, "/a", ignore_event, NULL, (struct xsc_completion){0}, &watch), 0);
    assert_int_equal(xsc_client_process(c), 0);
    m = peer_expects(peer, XSC_OP_WATCH);
    peer_sends(peer, m.type, m.id, "OK", 3);
    assert_int_equal(xsc_client_process(c), 0);
    c->x->allocator = &memory.allocator; /* calloc and free as well */
    assert_int_equal(xsc_client_suspend(c, 20, &why), -ENOMEM);
    assert_non_null(strstr(why.text, "time"));
    m = peer_expects(peer, XSC_OP_UNWATCH);
    assert_int_equal(xsc_client_suspend(c, 20, NULL), -EBUSY);
    peer_sends(peer, m.type, m.id, "OK", 3);
    assert_int_equal(xsc_client_process(c), 0); /* nobody is told: he has left */
    assert_true(xsc_is_suspended(c->x));
    assert_int_equal(xsc_client_continue(c), 0);
    (void)peer_expects(peer, XSC_OP_WATCH);
    c->x->allocator = &vbd_libc_allocator;
    assert_null(xsc_client_close(c));
    (void)close(peer);
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
        cmocka_unit_test(test_what_was_kept_is_sent_when_the_time_is_over),
        cmocka_unit_test(test_without_memory_to_go_on_the_suspension_stays),
        cmocka_unit_test(test_a_callback_that_closes_another_client_is_still_one),
    };

    (void)alarm(100);
    return cmocka_run_group_tests_name("xsc_exchange", tests, NULL, NULL);
}
