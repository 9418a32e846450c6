/* hostile.c - clients of a domain's "hypercall" that keep to no rule: what the broker must bear.
 * Run by tests/hyperless/hostile as the command of a machine.
 *
 *   hostile                 the cases
 *   hostile SECONDS         with a longer try to fill a queue in the broker's face
 *   hostile leave COUNT     asks for that many domains and leaves the machine to end with them half
 * made
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/xen.h>

#include <cmocka.h>

#include "machine.h"

/* --- descriptors --- */

static void several_descriptors_beside_a_request_are_all_closed(void **state)
{
    struct hl_request q = {.op = HL_UNBIND, .number = 99};
    int s = raw_open(GUEST, HL_OPEN_EVTCHN, NULL), fds[] = {s, s, s};
    long count = machine_descriptors();

    (void)state;
    for (int i = 0; i < 200; i++) {
        assert_true(raw_send(s, &q, HL_REQUEST_BYTES(0), fds, (size_t)(i % 4)) > 0);
        assert_int_equal(raw_receive(s, NULL, NULL), -ENOTCONN);
    }
    assert_int_equal(machine_descriptors(), count);
    (void)close(s);
}

static void a_descriptor_beside_no_request_is_closed_with_the_handle(void **state)
{
    struct hl_request q = {.op = HL_UNBIND};

    (void)state;
    for (int i = 0; i < 100; i++) {
        int s = raw_connect(GUEST, HL_SOCKET, SOCK_SEQPACKET);

        assert_true(raw_send(s, &q, i % 4 + 1, (int[]){s, s}, (size_t)(i % 2) + 1) > 0);
        assert_int_equal(raw_receive(s, NULL, NULL), RAW_CLOSED);
        (void)close(s);
    }
}

/* Fills what the other side has not been asked to read; the broker sends no more than one answer
 * each. */
static void a_client_that_reads_no_answer_loses_its_handle(void **state)
{
    struct hl_request q = {.op = HL_DOMAINS, .count = 100};
    int s = raw_open(GUEST, HL_OPEN_GNTSHR, NULL);
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    ssize_t n = 1;

    (void)state;
    (void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    for (int i = 0; i < 100000 && n > 0; i++)
        n = raw_send(s, &q, HL_REQUEST_BYTES(0), NULL, 0);
    assert_true(n < 0 && errno == EPIPE);
    (void)close(s);
}

static void a_domain_s_handles_are_limited_and_no_other_s(void **state)
{
    static int s[1100];
    size_t count = sizeof s / sizeof s[0];
    struct hl_request q = {.op = HL_OPEN_EVTCHN};
    struct rlimit limit;
    int refused = 0;

    (void)state;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < 4096)
        skip(); /* the broker may have no more */
    for (size_t i = 0; i < count; i++) {
        s[i] = raw_connect(GUEST, HL_SOCKET, SOCK_SEQPACKET);
        assert_true(s[i] >= 0);
        refused += raw_ask(s[i], &q, 0, NULL, NULL) == RAW_CLOSED;
    }
    assert_int_equal(refused, count - 1024);
    (void)close(raw_open(0, HL_OPEN_EVTCHN, NULL));
    (void)close(raw_open(OTHER, HL_OPEN_EVTCHN, NULL));
    for (size_t i = 0; i < count; i++)
        (void)close(s[i]);
}

/* --- domains --- */

enum { BEGINNING = 7 };

/* Kills the domain as soon as anybody can reach it; and is killed with it. */
static int die_in_it(void)
{
    struct hl_request q = {.op = HL_DIE};
    double deadline = machine_now() + PATIENCE_MS / 1e3;
    struct pollfd p = {.fd = -1, .events = POLLIN};

    while (p.fd < 0 && machine_now() < deadline)
        p.fd = raw_connect(BEGINNING, HL_SOCKET, SOCK_SEQPACKET);
    (void)raw_send(p.fd, &q, HL_REQUEST_BYTES(0), NULL, 0);
    return poll(&p, 1, PATIENCE_MS) == 1 ? 0 : 1;
}

static int make_one_that_dies(void)
{
    pid_t child = machine_child(die_in_it);
    int r = machine_create(BEGINNING, 0);

    assert_int_not_equal(machine_reap(child), -1);
    if (r == 0) { /* it was quicker than its murderer */
        int again = machine_destroy(BEGINNING);

        assert_true(again == 0 || again == -ESRCH);
    }
    return r;
}

static void a_domain_that_dies_while_it_begins_is_refused_to_its_maker(void **state)
{
    int r = 0;

    (void)state;
    for (int i = 0; i < 100 && r == 0; i++)
        r = make_one_that_dies();
    assert_int_equal(r, -ECANCELED);
    assert_int_equal(machine_create(BEGINNING, 0), 0);
    assert_true(store_answers(BEGINNING));
    assert_int_equal(machine_destroy(BEGINNING), 0);
}

static void the_toolstack_s_requests_are_domain_0_s_alone(void **state)
{
    static const enum hl_op ops[] = {HL_CREATE, HL_HOLD, HL_DESTROY};

    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        struct hl_request q = {.op = ops[i], .domid = OTHER};
        int s = raw_connect(GUEST, HL_SOCKET, SOCK_SEQPACKET);

        assert_int_equal(raw_ask(s, &q, 0, NULL, NULL), -EPERM);
        (void)close(s);
    }
}

static void a_guest_binds_no_virq_and_maps_no_other_s_store(void **state)
{
    struct hl_request virq = {.op = HL_BIND_VIRQ, .number = VIRQ_DOM_EXC};
    struct hl_request map = {.op = HL_MAP_STORE, .domid = OTHER};
    int events = raw_open(GUEST, HL_OPEN_EVTCHN, NULL),
        pages = raw_open(GUEST, HL_OPEN_GNTSHR, NULL);

    (void)state;
    assert_int_equal(raw_ask(events, &virq, 0, NULL, NULL), -EINVAL);
    assert_int_equal(raw_ask(pages, &map, 0, NULL, NULL), -EPERM);
    (void)close(events);
    (void)close(pages);
}

/* --- notices --- */

struct pair {
    int here, there; /* handles of domain 0 and of the guest, the ports bound to each other */
    int queue;       /* of domain 0's */
    uint32_t port_here, port_there;
};

static struct pair bind_pair(void)
{
    struct pair p;
    struct hl_request offer = {.op = HL_BIND_UNBOUND, .domid = GUEST};
    struct hl_request bind = {.op = HL_BIND_INTERDOMAIN};
    struct hl_reply reply;

    p.here = raw_open(0, HL_OPEN_EVTCHN, &p.queue);
    p.there = raw_open(GUEST, HL_OPEN_EVTCHN, NULL);
    assert_int_equal(raw_ask(p.here, &offer, 0, &reply, NULL), 0);
    p.port_here = bind.number = reply.number;
    assert_int_equal(raw_ask(p.there, &bind, 0, &reply, NULL), 0);
    p.port_there = reply.number;
    return p;
}

static void close_pair(const struct pair *p)
{
    (void)close(p->queue);
    (void)close(p->here);
    (void)close(p->there);
}

static uint32_t share_to_guest(int s)
{
    struct hl_request q = {.op = HL_SHARE, .domid = GUEST, .count = 1, .flags = HL_WRITABLE};
    struct hl_reply reply;

    assert_int_equal(raw_ask(s, &q, 0, &reply, NULL), 0);
    return reply.refs[0];
}

static uint32_t map_of_zero(int s, uint32_t ref)
{
    struct hl_request q = {.op = HL_MAP, .count = 1, .grants = {{0, ref}}};
    struct hl_reply reply;

    assert_int_equal(raw_ask(s, &q, 1, &reply, NULL), 0);
    return reply.pages[0].pin;
}

/* Takes a count that is there. */
static bool take_count(int queue)
{
    uint64_t count = 0;
    struct pollfd p = {.fd = queue, .events = POLLIN};

    return poll(&p, 1, 0) == 1 && read(queue, &count, sizeof count) == sizeof count;
}

/* The second notice takes the first one's place: with it the port is referred to once, so that it
 * is gone, and can be bound anew, when its handle lets go of it. */
static void a_notice_set_many_times_is_given_once_and_holds_its_port_once(void **state)
{
    struct pair p = bind_pair();
    int pages = raw_open(0, HL_OPEN_GNTSHR, NULL), maps = raw_open(GUEST, HL_OPEN_GNTTAB, NULL);
    uint32_t pin = map_of_zero(maps, share_to_guest(pages));
    struct hl_request notify = {.op = HL_NOTIFY_ON_UNMAP,
                                .number = pin,
                                .flags = HL_NOTIFY_EVENT,
                                .notify_port = p.port_there};
    struct hl_request unmap = {.op = HL_UNMAP, .count = 1, .grants = {{.ref = pin}}};
    struct hl_request unbind = {.op = HL_UNBIND, .number = p.port_there};
    struct hl_request bind = {.op = HL_BIND_INTERDOMAIN, .number = p.port_here};

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(raw_ask(maps, &notify, 0, NULL, NULL), 0);
    assert_int_equal(raw_ask(maps, &unmap, 1, NULL, NULL), 0);
    assert_true(take_count(p.queue));
    assert_false(take_count(p.queue));
    assert_int_equal(raw_ask(p.there, &unbind, 0, NULL, NULL), 0);
    assert_int_equal(raw_ask(p.there, &bind, 0, NULL, NULL), 0);
    close_pair(&p);
    (void)close(maps);
    (void)close(pages);
}

/* The handle of the port goes first, then the page: the notice still goes through the port, and the
 * port with it. */
static void a_notice_outlives_its_port_s_handle(void **state)
{
    struct pair p = bind_pair();
    int pages = raw_open(0, HL_OPEN_GNTSHR, NULL), maps = raw_open(GUEST, HL_OPEN_GNTTAB, NULL);
    uint32_t pin = map_of_zero(maps, share_to_guest(pages));
    struct hl_request notify = {.op = HL_NOTIFY_ON_UNMAP,
                                .number = pin,
                                .flags = HL_NOTIFY_EVENT,
                                .notify_port = p.port_there};
    struct hl_request unbind = {.op = HL_UNBIND, .number = p.port_there};
    struct hl_request bind = {.op = HL_BIND_INTERDOMAIN, .number = p.port_here};
    struct pollfd event = {.fd = p.queue, .events = POLLIN};

    (void)state;
    assert_int_equal(raw_ask(maps, &notify, 0, NULL, NULL), 0);
    assert_int_equal(raw_ask(p.there, &unbind, 0, NULL, NULL), 0);
    assert_int_equal(raw_ask(p.there, &bind, 0, NULL, NULL), -EINVAL); /* it is taken still */
    assert_int_equal(poll(&event, 1, 0), 0);
    (void)close(maps);
    assert_int_equal(poll(&event, 1, PATIENCE_MS), 1);
    assert_int_equal(raw_ask(p.there, &bind, 0, NULL, NULL), 0);
    close_pair(&p);
    (void)close(pages);
}

/* --- queues --- */

static double stuffing_seconds = 0.3;

static int stuffed; /* an eventfd that its owner keeps full */
static unsigned long
    asked_for; /* atomic: the broker is about to write to it once more; 0: no more */

static void dawdle(unsigned turns)
{
    for (volatile unsigned i = 0; i < turns; i++)
        ;
}

/* Makes room for a moment, at some time after each request: now and then the broker sees room
 * there, and finds none when it writes. */
static void *keep_full(void *arg)
{
    unsigned long last = 1, now;
    uint64_t one = 1, count;
    unsigned seed = 1;

    (void)arg;
    while ((now = __atomic_load_n(&asked_for, __ATOMIC_SEQ_CST)) != 0) {
        if (now == last)
            continue;
        last = now;
        dawdle((unsigned)rand_r(&seed) % 3000);
        if (read(stuffed, &count, sizeof count) != sizeof count)
            continue;
        dawdle((unsigned)rand_r(&seed) % 300);
        (void)!write(stuffed, &one, sizeof one);
    }
    return NULL;
}

static void bind_often(int a, int b)
{
    struct hl_request offer = {.op = HL_BIND_UNBOUND, .domid = GUEST};
    struct hl_request bind = {.op = HL_BIND_INTERDOMAIN, .domid = GUEST};
    struct hl_request unbind = {.op = HL_UNBIND};
    double end = machine_now() + stuffing_seconds;
    struct hl_reply reply;

    assert_int_equal(raw_ask(a, &offer, 0, &reply, NULL), 0);
    bind.number = reply.number;
    while (machine_now() < end) {
        (void)__atomic_add_fetch(&asked_for, 1, __ATOMIC_SEQ_CST);
        assert_int_equal(raw_ask(b, &bind, 0, &reply, NULL), 0);
        unbind.number = reply.number;
        assert_int_equal(raw_ask(b, &unbind, 0, NULL, NULL), 0);
    }
}

static void a_client_that_fills_its_own_queue_holds_nobody_up(void **state)
{
    int a = raw_open(GUEST, HL_OPEN_EVTCHN, NULL), b = raw_open(GUEST, HL_OPEN_EVTCHN, &stuffed);
    uint64_t full = UINT64_MAX - 1;
    pthread_t thread;

    (void)state;
    assert_int_equal(write(stuffed, &full, sizeof full), sizeof full);
    asked_for = 1;
    assert_int_equal(pthread_create(&thread, NULL, keep_full, NULL), 0);
    bind_often(a, b);
    __atomic_store_n(&asked_for, 0, __ATOMIC_SEQ_CST);
    (void)!read(stuffed, &full, sizeof full); /* it may be waiting in its write */
    (void)pthread_join(thread, NULL);
    (void)close(stuffed);
    (void)close(a);
    (void)close(b);
}

/* --- */

/* A daemon, so that the machine has to end it; its requests are under way then. */
static int leave(int count)
{
    int told[2];
    char done = 0;

    if (pipe(told) < 0)
        return 1;
    if (fork() == 0) {
        (void)setsid();
        for (int i = 0; i < count; i++) {
            struct hl_request q = {.op = HL_CREATE, .domid = 10 + (uint32_t)i};

            (void)raw_send(raw_connect(0, HL_SOCKET, SOCK_SEQPACKET), &q, HL_REQUEST_BYTES(0), NULL,
                           0);
        }
        (void)!write(told[1], "", 1);
        (void)pause();
    }
    (void)close(told[1]);
    return read(told[0], &done, 1) == 1 ? 0 : 1;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        CASE(several_descriptors_beside_a_request_are_all_closed),
        CASE(a_descriptor_beside_no_request_is_closed_with_the_handle),
        CASE(a_client_that_reads_no_answer_loses_its_handle),
        CASE(a_domain_s_handles_are_limited_and_no_other_s),
        CASE(a_domain_that_dies_while_it_begins_is_refused_to_its_maker),
        CASE(the_toolstack_s_requests_are_domain_0_s_alone),
        CASE(a_guest_binds_no_virq_and_maps_no_other_s_store),
        CASE(a_notice_set_many_times_is_given_once_and_holds_its_port_once),
        CASE(a_notice_outlives_its_port_s_handle),
        CASE(a_client_that_fills_its_own_queue_holds_nobody_up),
    };

    if (argc == 3 && strcmp(argv[1], "leave") == 0)
        return leave((int)strtol(argv[2], NULL, 10));
    if (argc == 2)
        stuffing_seconds = strtod(argv[1], NULL);
    cmocka_set_test_filter(getenv("HYPERLESS_CASE"));
    return cmocka_run_group_tests(cases, machine_begin, NULL);
}
