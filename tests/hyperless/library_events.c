/* library_events.c - honest programs on libxenevtchn in corners where something once went wrong:
 * out of descriptors, other programs killed or stalled at a bad moment. Run by
 * tests/hyperless/hostile as the command of a machine, with HYPERLESS_FAULTS=event:2=delay:250.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include <cmocka.h>

#include "hyperless/end.h"
#include "machine.h"

/* --- events --- */

/* The port of the next event, unmasked again; -1 when none came before the deadline. */
static int next_event(xenevtchn_handle *h)
{
    struct pollfd p = {.fd = xenevtchn_fd(h), .events = POLLIN};
    int port = poll(&p, 1, PATIENCE_MS) == 1 ? (int)xenevtchn_pending(h) : -1;

    if (port >= 0)
        (void)xenevtchn_unmask(h, (evtchn_port_t)port);
    return port;
}

static bool is_quiet(xenevtchn_handle *h)
{
    struct pollfd p = {.fd = xenevtchn_fd(h), .events = POLLIN};

    return poll(&p, 1, 0) == 0;
}

static xenevtchn_handle *open_events(void)
{
    xenevtchn_handle *h = xenevtchn_open(NULL, 0);

    assert_non_null(h);
    return h;
}

struct ends {
    xenevtchn_handle *a, *b;
    int p, q; /* a's port, b's */
};

static struct ends bound_ends(void)
{
    struct ends e = {.a = open_events(), .b = open_events()};

    e.p = xenevtchn_bind_unbound_port(e.a, 0);
    e.q = xenevtchn_bind_interdomain(e.b, 0, (evtchn_port_t)e.p);
    assert_true(e.p >= 0 && e.q >= 0);
    assert_int_equal(next_event(e.b), e.q); /* each binding brings one */
    return e;
}

static void close_ends(struct ends *e)
{
    (void)xenevtchn_close(e->a);
    (void)xenevtchn_close(e->b);
}

/* Lets the process open `more` descriptors and no other. */
static struct rlimit leave_room(int more)
{
    int lowest = dup(STDERR_FILENO);
    struct rlimit limit, old;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    (void)close(lowest);
    limit = old;
    limit.rlim_cur = (rlim_t)(lowest + more);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return old;
}

static void restore(const struct rlimit *old)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, old), 0);
}

static void notify_without_a_descriptor_left_fails_and_loses_no_later_event(void **state)
{
    struct ends e = bound_ends();
    struct rlimit old = leave_room(0);
    int r = xenevtchn_notify(e.a, (evtchn_port_t)e.p), error = errno;

    (void)state;
    restore(&old);
    assert_int_equal(r, -1);
    assert_int_equal(error, EMFILE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(xenevtchn_notify(e.a, (evtchn_port_t)e.p), 0);
        assert_int_equal(next_event(e.b), e.q);
    }
    close_ends(&e);
}

static void bind_without_a_descriptor_left_fails_and_keeps_no_port(void **state)
{
    xenevtchn_handle *a = open_events(), *b = open_events();
    int p = xenevtchn_bind_unbound_port(a, 0);
    struct rlimit old = leave_room(0);
    int r = xenevtchn_bind_interdomain(b, 0, (evtchn_port_t)p), error = errno;

    (void)state;
    restore(&old);
    assert_int_equal(r, -1);
    assert_int_equal(error, EMFILE);
    assert_true(xenevtchn_bind_interdomain(b, 0, (evtchn_port_t)p) >= 0); /* the end is free */
    (void)xenevtchn_close(a);
    (void)xenevtchn_close(b);
}

enum { LATE_MS = 250 };

static int sending; /* atomic */

static bool is_sending(const void *arg)
{
    (void)arg;
    return __atomic_load_n(&sending, __ATOMIC_SEQ_CST);
}

static void *notify_late(void *arg)
{
    const struct ends *e = arg;

    __atomic_store_n(&sending, 1, __ATOMIC_SEQ_CST);
    return xenevtchn_notify(e->a, (evtchn_port_t)e->p) == 0 ? arg : NULL;
}

/* The second event of this process is a slow one, and on its way to b when b ends and c is bound in
 * its place. */
static void an_event_that_is_late_for_one_leaves_the_next_not_deaf(void **state)
{
    struct ends e = bound_ends();
    double begin = machine_now();
    xenevtchn_handle *c;
    pthread_t thread;
    void *sent;
    int q;

    (void)state;
    assert_int_equal(xenevtchn_notify(e.a, (evtchn_port_t)e.p), 0);
    assert_int_equal(next_event(e.b), e.q);
    assert_int_equal(pthread_create(&thread, NULL, notify_late, &e), 0);
    assert_true(machine_eventually(is_sending, NULL));
    (void)xenevtchn_close(e.b);
    c = open_events();
    q = xenevtchn_bind_interdomain(c, 0, (evtchn_port_t)e.p);
    assert_int_equal(next_event(c), q);
    assert_int_equal(pthread_join(thread, &sent), 0);
    assert_non_null(sent);
    assert_true(machine_now() - begin > LATE_MS / 1e3); /* it was told to be late */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(xenevtchn_notify(e.a, (evtchn_port_t)e.p), 0);
        assert_int_equal(next_event(c), q);
    }
    e.b = c;
    close_ends(&e);
}

/* A sender by hand, so that it can stop between marking the other end and counting it up. */
struct sender {
    int handle;
    struct hl_end *other;
    struct hl_channel *channel;
    uint32_t port;
};

static struct sender bind_sender(int port)
{
    struct hl_request q = {.op = HL_BIND_INTERDOMAIN, .number = (uint32_t)port};
    struct sender s = {.handle = raw_open(0, HL_OPEN_EVTCHN, NULL)};
    struct hl_reply reply;
    int page;

    assert_int_equal(raw_ask(s.handle, &q, 0, &reply, &page), 0);
    s.channel = mmap(NULL, HL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    assert_ptr_not_equal(s.channel, MAP_FAILED);
    (void)close(page);
    s.other = &s.channel->ends[!reply.side];
    s.port = reply.number;
    return s;
}

static void a_sender_killed_in_mid_event_takes_no_event_of_others_along(void **state)
{
    xenevtchn_handle *r = open_events(), *other = open_events(), *next = open_events();
    int p1 = xenevtchn_bind_unbound_port(r, 0), p2 = xenevtchn_bind_unbound_port(r, 0);
    int q1 = xenevtchn_bind_interdomain(other, 0, (evtchn_port_t)p1), q2;
    struct sender s = bind_sender(p2);

    (void)state;
    assert_int_equal(xenevtchn_notify(other, (evtchn_port_t)q1), 0);
    assert_true(hl_end_raise(s.other));
    (void)close(s.handle); /* killed before its write */
    assert_int_equal(next_event(r) + next_event(r), p1 + p2);
    q2 = xenevtchn_bind_interdomain(next, 0, (evtchn_port_t)p2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(xenevtchn_notify(next, (evtchn_port_t)q2), 0);
        assert_int_equal(next_event(r), p2);
        assert_int_equal(xenevtchn_notify(other, (evtchn_port_t)q1), 0);
        assert_int_equal(next_event(r), p1);
    }
    (void)munmap(s.channel, HL_PAGE);
    (void)xenevtchn_close(r);
    (void)xenevtchn_close(other);
    (void)xenevtchn_close(next);
}

/* A sender that was stalled after marking, while the reader let go of the port: its count comes
 * with no port. */
static void a_count_without_a_port_is_an_event_and_holds_nobody_up(void **state)
{
    xenevtchn_handle *r = open_events();
    int kept = xenevtchn_bind_unbound_port(r, 0), gone = xenevtchn_bind_unbound_port(r, 0), peer;
    struct sender s = bind_sender(gone);
    struct hl_request q = {.op = HL_PEER, .number = s.port};
    uint64_t one = 1;

    (void)state;
    assert_int_equal(raw_ask(s.handle, &q, 0, NULL, &peer), 0);
    assert_true(hl_end_raise(s.other));
    assert_int_equal(xenevtchn_unbind(r, (evtchn_port_t)gone), 0);
    assert_int_equal(write(peer, &one, sizeof one), sizeof one);
    assert_int_equal(next_event(r), kept);
    assert_true(is_quiet(r));
    (void)munmap(s.channel, HL_PAGE);
    (void)close(peer);
    (void)close(s.handle);
    (void)xenevtchn_close(r);
}

static void a_virq_has_one_port_in_the_machine(void **state)
{
    xenevtchn_handle *a = open_events(), *b = open_events();
    int port = xenevtchn_bind_virq(a, VIRQ_TBUF);

    (void)state;
    assert_true(port >= 0);
    errno = 0;
    assert_int_equal(xenevtchn_bind_virq(b, VIRQ_DOM_EXC), -1); /* it is xenstored's */
    assert_int_equal(errno, EEXIST);
    assert_int_equal(xenevtchn_bind_virq(b, VIRQ_TBUF), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(xenevtchn_unbind(a, (evtchn_port_t)port), 0);
    assert_true(xenevtchn_bind_virq(b, VIRQ_TBUF) >= 0);
    (void)xenevtchn_close(a);
    (void)xenevtchn_close(b);
}

/* --- */

#define CASE(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(an_event_that_is_late_for_one_leaves_the_next_not_deaf), /* first: it counts events */
        CASE(notify_without_a_descriptor_left_fails_and_loses_no_later_event),
        CASE(bind_without_a_descriptor_left_fails_and_keeps_no_port),
        CASE(a_sender_killed_in_mid_event_takes_no_event_of_others_along),
        CASE(a_count_without_a_port_is_an_event_and_holds_nobody_up),
        CASE(a_virq_has_one_port_in_the_machine),
    };

    cmocka_set_test_filter(getenv("HYPERLESS_CASE"));
    return cmocka_run_group_tests(cases, machine_begin, NULL);
}
