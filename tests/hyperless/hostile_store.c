/* hostile_store.c - clients of a guest's "xenstore" socket that keep to no rule, guests that break
 * their ring, and unikernels that let go of it. Run by tests/hyperless/hostile as the command of a
 * machine.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#include <cmocka.h>

#include "hyperless/end.h"
#include "machine.h"

static int open_store(uint32_t domid)
{
    int s = raw_connect(domid, HL_XENSTORE, SOCK_STREAM);

    assert_true(s >= 0);
    return s;
}

/* --- clients --- */

enum { REFUSED_WATCHES = 2000, TOKEN = 3900, GROWTH_KB = 2048 };

/* A watch with a long token: what it was answered with. */
static int watch(int s, int n, char *payload)
{
    int path = snprintf(payload, 32, "data/%d", n) + 1, answer;

    memset(payload + path, 't', TOKEN);
    payload[path + TOKEN] = '\0';
    store_send(s, XS_WATCH, 0, payload, (uint32_t)(path + TOKEN + 1));
    do { /* a new watch fires at once */
        answer = store_receive(s, NULL, 0);
    } while (answer == XS_WATCH_EVENT);
    return answer;
}

static void watches_that_the_server_refuses_are_not_kept(void **state)
{
    int s = open_store(GUEST), n = 0, answer = XS_WATCH;
    char payload[TOKEN + 64];
    long memory;

    (void)state;
    while (answer != XS_ERROR && n < 4096) /* until its quota is used up */
        answer = watch(s, n++, payload);
    assert_int_equal(answer, XS_ERROR);
    memory = machine_memory_kb();
    for (int i = 0; i < REFUSED_WATCHES; i++)
        assert_int_equal(watch(s, n + i, payload), XS_ERROR);
    assert_true(machine_memory_kb() < memory + GROWTH_KB);
    (void)close(s);
    assert_true(store_answers(GUEST));
}

static void a_domain_s_store_clients_are_limited_and_no_other_s(void **state)
{
    static struct pollfd clients[700];
    struct rlimit limit;
    nfds_t count = sizeof clients / sizeof clients[0];
    int closed = 0;

    (void)state;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < 4096)
        skip();
    for (nfds_t i = 0; i < count; i++)
        clients[i] = (struct pollfd){.fd = open_store(GUEST), .events = POLLIN};
    (void)close(raw_open(0, HL_OPEN_EVTCHN, NULL));
    assert_true(store_answers(OTHER));
    for (nfds_t i = 0; i < count; i++) { /* those that were accepted answer, in turn */
        store_send(clients[i].fd, XS_READ, 0, "domid", sizeof "domid");
        closed += store_receive(clients[i].fd, NULL, 0) == RAW_CLOSED;
    }
    assert_int_equal(closed, count - 512);
    for (nfds_t i = 0; i < count; i++)
        (void)close(clients[i].fd);
}

static void a_client_that_reads_no_answer_is_cut_off(void **state)
{
    int s = open_store(GUEST);
    char value[2000] = "data/v";
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    struct xsd_sockmsg header = {.type = XS_READ, .len = sizeof "data/v"};
    char message[sizeof header + sizeof "data/v"];
    ssize_t n = 1;

    (void)state;
    memset(value + sizeof "data/v", 'v', sizeof value - sizeof "data/v");
    store_send(s, XS_WRITE, 0, value, sizeof value);
    assert_int_equal(store_receive(s, NULL, 0), XS_WRITE);
    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, "data/v", sizeof "data/v");
    (void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    for (int i = 0; i < 100000 && n > 0; i++)
        n = send(s, message, sizeof message, MSG_NOSIGNAL);
    assert_true(n < 0 && (errno == EPIPE || errno == ECONNRESET));
    (void)close(s);
    assert_true(store_answers(GUEST));
}

static void a_client_that_breaks_the_protocol_is_cut_off(void **state)
{
    static const uint32_t lengths[] = {XENSTORE_PAYLOAD_MAX + 1, 65536, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct xsd_sockmsg header = {.type = XS_READ, .len = lengths[i]};
        int s = open_store(GUEST);

        assert_int_equal(send(s, &header, sizeof header, MSG_NOSIGNAL), sizeof header);
        assert_int_equal(store_receive(s, NULL, 0), RAW_CLOSED);
        (void)close(s);
    }
    assert_true(store_answers(GUEST));
}

/* Orders with the number of strings that they take: C xenstored 4.17 itself ends, by an assertion,
 * over some of those that have one too few. */
static void send_nonsense(int s, unsigned *seed)
{
    enum { ONE = sizeof "data/a", TWO = sizeof "data/a\0token" };
    static const struct {
        uint32_t op, len;
    } orders[] = {{XS_DIRECTORY, ONE},
                  {XS_READ, ONE},
                  {XS_GET_PERMS, ONE},
                  {XS_WATCH, TWO},
                  {XS_WATCH, TWO},
                  {XS_UNWATCH, TWO},
                  {XS_TRANSACTION_START, 1},
                  {XS_WRITE, TWO},
                  {XS_MKDIR, ONE},
                  {XS_TRANSACTION_END, ONE},
                  {XS_RESET_WATCHES, 1},
                  {22, ONE},
                  {99, TWO},
                  {XS_INTRODUCE, ONE}};
    static const char payload[] = "data/a\0token";
    unsigned i = (unsigned)rand_r(seed) % (sizeof orders / sizeof orders[0]);
    struct xsd_sockmsg header = {.type = orders[i].op,
                                 .tx_id = rand_r(seed) % 4 ? 0 : (uint32_t)rand_r(seed) % 40,
                                 .len = orders[i].len};
    char message[sizeof header + sizeof payload];
    size_t len = sizeof header + header.len;

    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, header.len == 1 ? "" : payload, header.len);
    if (rand_r(seed) % 20 == 0) /* broken off in the middle */
        len = sizeof header / 2;
    (void)send(s, message, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (len == sizeof header / 2)
        (void)shutdown(s, SHUT_WR);
}

static void many_clients_that_send_nonsense_hold_nobody_up(void **state)
{
    enum { CLIENTS = 20, MESSAGES = 4000 };
    unsigned seed = 417;
    char answers[8192];
    int s[CLIENTS];

    (void)state;
    for (int i = 0; i < CLIENTS; i++)
        s[i] = open_store(GUEST);
    for (int n = 0; n < MESSAGES; n++) {
        int i = rand_r(&seed) % CLIENTS;

        send_nonsense(s[i], &seed);
        if (rand_r(&seed) % 3)
            (void)recv(s[i], answers, sizeof answers, MSG_DONTWAIT);
        if (rand_r(&seed) % 20 == 0) {
            (void)close(s[i]);
            s[i] = open_store(GUEST);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        (void)close(s[i]);
    assert_true(store_answers(GUEST));
}

/* --- the ring --- */

static struct xenstore_domain_interface *map_ring(uint32_t domid, uint32_t *ret_port)
{
    struct hl_request q = {.op = HL_STORE};
    int s = raw_open(domid, HL_OPEN_GNTSHR, NULL), fd;
    struct hl_reply reply;
    void *ring;

    assert_int_equal(raw_ask(s, &q, 0, &reply, &fd), 0);
    if (ret_port != NULL)
        *ret_port = reply.number;
    ring = mmap(NULL, HL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(ring, MAP_FAILED);
    (void)close(fd);
    (void)close(s);
    return ring;
}

/* After it there is no store for the guest; the broker keeps nothing of what is still sent. */
static void a_guest_that_breaks_its_ring_has_no_store_and_costs_no_memory(void **state)
{
    struct xenstore_domain_interface *ring = map_ring(GUEST, NULL);
    static const char requests[HL_PAGE];
    int s = open_store(GUEST);
    long memory = machine_memory_kb();
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    ssize_t n = 1;

    (void)state;
    ring->rsp_prod = 0xffffff00;
    ring->rsp_cons = 5;
    (void)setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    for (int i = 0; i < 10000 && n > 0; i++)
        n = send(s, requests, sizeof requests, MSG_NOSIGNAL);
    assert_true(n < 0 && (errno == EPIPE || errno == ECONNRESET));
    (void)close(s);
    assert_true(machine_memory_kb() < memory + GROWTH_KB);
    assert_false(store_answers(GUEST));
    (void)munmap(ring, HL_PAGE);
}

/* --- unikernels --- */

struct unikernel {
    struct xenstore_domain_interface *ring;
    struct hl_channel *channel;
    uint32_t port, side;
    int events, queue, peer;
};

/* Whether an event comes, and it lets the next one in. */
static bool event_comes(struct unikernel *u)
{
    struct pollfd p = {.fd = u->queue, .events = POLLIN};
    struct hl_end *own = &u->channel->ends[u->side];
    uint64_t count;

    if (poll(&p, 1, PATIENCE_MS) != 1 || read(u->queue, &count, sizeof count) != sizeof count)
        return false;
    (void)hl_end_take(own);
    if (hl_end_unmask(own))
        (void)!write(u->queue, &(uint64_t){1}, sizeof(uint64_t));
    return true;
}

static void take_port(struct unikernel *u)
{
    struct hl_request bind = {.op = HL_BIND_INTERDOMAIN, .domid = GUEST, .number = u->port};
    struct hl_reply reply;
    int page;
    double deadline = machine_now() + PATIENCE_MS / 1e3;
    int r;

    do { /* it is free when the broker has seen the end of the last handle */
        r = raw_ask(u->events, &bind, 0, &reply, &page);
    } while (r == -EINVAL && machine_now() < deadline);
    assert_int_equal(r, 0);
    assert_int_equal(reply.number, u->port);
    u->side = reply.side;
    u->channel = mmap(NULL, HL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    assert_ptr_not_equal(u->channel, MAP_FAILED);
    (void)close(page);
    assert_true(event_comes(u)); /* binding brings one */
}

static struct unikernel start_unikernel(void)
{
    struct unikernel u = {.peer = -1};

    u.ring = map_ring(GUEST, &u.port);
    u.events = raw_open(GUEST, HL_OPEN_EVTCHN, &u.queue);
    take_port(&u);
    return u;
}

static void stop_unikernel(struct unikernel *u)
{
    (void)munmap(u->ring, HL_PAGE);
    (void)munmap(u->channel, HL_PAGE);
    (void)close(u->queue);
    (void)close(u->events);
}

static void notify_xenstored(const struct unikernel *u)
{
    struct hl_request q = {.op = HL_PEER, .number = u->port};
    uint64_t one = 1;
    int peer;

    assert_int_equal(raw_ask(u->events, &q, 0, NULL, &peer), 0);
    assert_true(peer >= 0);
    if (hl_end_raise(&u->channel->ends[!u->side]))
        assert_int_equal(write(peer, &one, sizeof one), sizeof one);
    (void)close(peer);
}

/* One request on the ring; the answer must come, and an event with it. */
static void exchange(struct unikernel *u)
{
    struct xsd_sockmsg header = {.type = XS_READ, .len = sizeof "domid"};
    char message[sizeof header + sizeof "domid"];
    uint32_t at = u->ring->req_prod;

    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, "domid", sizeof "domid");
    for (size_t i = 0; i < sizeof message; i++)
        u->ring->req[MASK_XENSTORE_IDX(at + i)] = message[i];
    __atomic_store_n(&u->ring->req_prod, at + (uint32_t)sizeof message, __ATOMIC_SEQ_CST);
    notify_xenstored(u);
    do {
        assert_true(event_comes(u));
    } while (__atomic_load_n(&u->ring->rsp_prod, __ATOMIC_SEQ_CST) == u->ring->rsp_cons);
    u->ring->rsp_cons = __atomic_load_n(&u->ring->rsp_prod, __ATOMIC_SEQ_CST);
}

static void a_unikernel_that_unbinds_its_store_port_gets_it_again(void **state)
{
    struct hl_request unbind = {.op = HL_UNBIND};
    struct unikernel u;

    (void)state;
    u = start_unikernel();
    unbind.number = u.port;
    for (int i = 0; i < 3; i++) {
        exchange(&u);
        exchange(&u);
        assert_int_equal(raw_ask(u.events, &unbind, 0, NULL, NULL), 0);
        assert_int_equal(raw_ask(u.events, &unbind, 0, NULL, NULL), -ENOTCONN);
        (void)munmap(u.channel, HL_PAGE);
        take_port(&u);
    }
    stop_unikernel(&u);
}

static void a_unikernel_s_next_kernel_takes_the_store_over(void **state)
{
    struct unikernel u;

    (void)state;
    for (int i = 0; i < 3; i++) { /* the first ends in mid-event, with its end masked */
        u = start_unikernel();
        exchange(&u);
        exchange(&u);
        (void)hl_end_raise(&u.channel->ends[u.side]);
        stop_unikernel(&u);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)
#define UNIKERNEL_CASE(name)                                                                       \
    cmocka_unit_test_setup_teardown(name, machine_setup_unikernel, machine_teardown)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(watches_that_the_server_refuses_are_not_kept),
        CASE(a_domain_s_store_clients_are_limited_and_no_other_s),
        CASE(a_client_that_reads_no_answer_is_cut_off),
        CASE(a_client_that_breaks_the_protocol_is_cut_off),
        CASE(many_clients_that_send_nonsense_hold_nobody_up),
        CASE(a_guest_that_breaks_its_ring_has_no_store_and_costs_no_memory),
        UNIKERNEL_CASE(a_unikernel_that_unbinds_its_store_port_gets_it_again),
        UNIKERNEL_CASE(a_unikernel_s_next_kernel_takes_the_store_over),
    };

    cmocka_set_test_filter(getenv("HYPERLESS_CASE"));
    return cmocka_run_group_tests(cases, machine_begin, NULL);
}
