/* hostile_ring.c - misdeeds with the ring's indexes and with events: what the front tells about its
 * requests and answers, and when. Rows for test_hostile_guest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "hostile.h"

static void put_reads(struct hostile *h, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct hand_request r = hostile_pages(h, 0, i % 64 * 8, 1);

        handfront_put(&h->front, &r);
    }
}

static void read_some(struct hostile *h, unsigned count)
{
    for (unsigned burst; count > 0; count -= burst) {
        burst = count < h->front.size ? count : h->front.size;
        put_reads(h, burst);
        assert_int_equal(hostile_answers(h, &h->front).status, OKAY);
    }
}

static void set_producer(struct hostile *h, uint32_t value)
{
    __atomic_store_n(handfront_req_prod(&h->front), value, __ATOMIC_RELEASE);
    sim_send(h->s->sim, HOSTILE_PORT);
}

/* --- the request producer --- */

static void producer_back_by_one(struct hostile *h)
{
    read_some(h, 3);
    set_producer(h, 2);
}

static void producer_back_to_zero(struct hostile *h)
{
    read_some(h, 40);
    set_producer(h, 0);
}

static void producer_ahead_by_the_ring_and_one(struct hostile *h)
{
    read_some(h, 5);
    set_producer(h, 5 + h->front.size + 1);
}

static void producer_ahead_by_two_rings(struct hostile *h)
{
    set_producer(h, h->front.size * 2);
}

static void producer_ahead_by_half_of_all(struct hostile *h)
{
    read_some(h, 1);
    set_producer(h, 1 + (1u << 31));
}

static void producer_wrapped(struct hostile *h)
{
    set_producer(h, UINT32_MAX);
}

static void producer_ahead_with_requests_in_flight(struct hostile *h)
{
    put_reads(h, h->front.size);
    (void)handfront_push(&h->front);
    sim_send(h->s->sim, HOSTILE_PORT);
    set_producer(h, h->front.size * 3);
}

/* Slots that were never written are read requests without segments. */
static void a_whole_ring_of_nothing(struct hostile *h)
{
    h->front.req_prod += h->front.size;
    assert_int_equal(hostile_answers(h, &h->front).status, FAULTY);
}

static void a_whole_ring_of_its_own_answers(struct hostile *h)
{
    read_some(h, h->front.size);
    h->front.req_prod += h->front.size;
    (void)hostile_answers(h, &h->front);
}

static void producer_ahead_before_connecting(struct hostile *h)
{
    hostile_prepare(h);
    *handfront_req_prod(&h->front) = h->front.size + 1;
    hostile_state(h, "3");
}

/* What a ring looks like that is taken up again after long use. */
static void indexes_that_wrap_in_use(struct hostile *h)
{
    hostile_prepare(h);
    h->front.req_prod = h->front.rsp_cons = UINT32_MAX - 15;
    *handfront_req_prod(&h->front) = *handfront_rsp_prod(&h->front) = h->front.req_prod;
    hostile_go(h);
    for (int i = 0; i < 8; i++)
        read_some(h, 8);
}

static void answers_ahead_of_requests_before_connecting(struct hostile *h)
{
    hostile_prepare(h);
    *handfront_rsp_prod(&h->front) = 7; /* with a request producer of 0 */
    hostile_state(h, "3");
}

/* --- the header's other words --- */

static void response_producer_scribbled(struct hostile *h)
{
    static const uint32_t values[] = {UINT32_MAX, 1u << 31, 12345, 0};

    for (unsigned i = 0; i < 4; i++) {
        read_some(h, 2);
        __atomic_store_n(handfront_rsp_prod(&h->front), values[i] + 500, __ATOMIC_RELEASE);
        read_some(h, 3);
    }
}

static void response_event_scribbled(struct hostile *h)
{
    static const uint32_t values[] = {UINT32_MAX, 1u << 31, 0, 2};

    for (unsigned i = 0; i < 4; i++) {
        __atomic_store_n(handfront_rsp_event(&h->front), values[i], __ATOMIC_RELEASE);
        put_reads(h, 2);
        (void)hostile_answers(h, &h->front);
    }
}

static void request_event_scribbled(struct hostile *h)
{
    for (uint32_t i = 0; i < 8; i++) {
        __atomic_store_n(handfront_req_event(&h->front), i * 0x20000001u, __ATOMIC_RELEASE);
        read_some(h, 2);
    }
}

static void header_of_ones(struct hostile *h)
{
    memset(hostile_page(h, h->front.ring_page), 0xff, 64);
    sim_send(h->s->sim, HOSTILE_PORT);
}

static void reserved_bytes_of_ones(struct hostile *h)
{
    memset(hostile_page(h, h->front.ring_page) + 16, 0xff, 48);
    read_some(h, 40);
}

static void ring_made_anew_in_use(struct hostile *h)
{
    read_some(h, 9);
    handfront_init(&h->front, h->s->sim, HAND_X86_64, h->front.ring_page, 1, HOSTILE_PORT);
    sim_send(h->s->sim, HOSTILE_PORT);
}

static void ring_page_of_ones(struct hostile *h)
{
    memset(hostile_page(h, h->front.ring_page), 0xff, SIM_PAGE);
    sim_send(h->s->sim, HOSTILE_PORT);
}

static void ring_revoked_in_use(struct hostile *h)
{
    sim_revoke(h->s->sim, SIM_FIRST_GRANT + h->front.ring_page);
    read_some(h, 40);
}

static void other_layout_than_promised(struct hostile *h)
{
    h->front.layout = HAND_X86_32;
    for (unsigned i = 0; i < 20; i++) {
        struct hand_request r = hostile_pages(h, (uint8_t)(i % 2), i * 8, 1);

        handfront_put(&h->front, &r);
    }
    (void)hostile_answers(h, &h->front);
    h->front.layout = HAND_X86_64;
}

/* --- answers and events --- */

static void answers_never_taken(struct hostile *h)
{
    for (int round = 0; round < 20; round++) {
        uint32_t taken = h->front.rsp_cons;

        put_reads(h, h->front.size);
        (void)hostile_answers(h, &h->front);
        h->front.rsp_cons = taken;
    }
}

static void events_never_sent(struct hostile *h)
{
    put_reads(h, 8);
    (void)handfront_push(&h->front);
    hostile_turns(h, 3);
    hostile_neighbours(h);
}

static void closed_without_an_event(struct hostile *h)
{
    put_reads(h, h->front.size);
    (void)handfront_push(&h->front);
    hostile_state(h, "6");
}

static void closed_with_a_full_ring(struct hostile *h)
{
    put_reads(h, h->front.size);
    (void)handfront_push(&h->front);
    sim_send(h->s->sim, HOSTILE_PORT);
    hostile_state(h, "6");
}

static void send_event(struct hostile *h, unsigned n)
{
    (void)n;
    sim_send(h->s->sim, HOSTILE_PORT);
}

static void storm(struct hostile *h, unsigned events)
{
    for (unsigned i = 0; i < events; i++)
        send_event(h, i);
}

static void event_storm_without_requests(struct hostile *h)
{
    hostile_thread(h, send_event);
    storm(h, 2000);
    hostile_neighbours(h);
    storm(h, 2000);
    hostile_join(h);
}

static void event_storm_in_use(struct hostile *h)
{
    hostile_thread(h, send_event);
    for (int i = 0; i < 20; i++)
        read_some(h, 8);
    hostile_neighbours(h);
    hostile_join(h);
}

static void event_storm_while_closed(struct hostile *h)
{
    hostile_close(h);
    storm(h, 3000);
    hostile_neighbours(h);
    hostile_state(h, "1");
    hostile_prepare(h);
    hostile_go(h);
}

static void event_storm_while_closing(struct hostile *h)
{
    hostile_thread(h, send_event);
    for (int i = 0; i < 3; i++)
        hostile_reconnect(h);
    hostile_join(h);
}

static void event_storm_before_connecting(struct hostile *h)
{
    storm(h, 3000);
    hostile_prepare(h);
    hostile_go(h);
}

#define REFUSED(what, how)                                                                         \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_REFUSED, .says = BROKEN                           \
    }

static const struct misdeed rows[] = {
    REFUSED("producer runs back by one", producer_back_by_one),
    REFUSED("producer runs back to zero", producer_back_to_zero),
    REFUSED("producer ahead by the ring's size and one", producer_ahead_by_the_ring_and_one),
    REFUSED("producer ahead by two rings", producer_ahead_by_two_rings),
    REFUSED("producer ahead by 2^31", producer_ahead_by_half_of_all),
    REFUSED("producer of 2^32 - 1", producer_wrapped),
    REFUSED("producer ahead with requests in flight", producer_ahead_with_requests_in_flight),
    {.name = "a whole ring of slots never written",
     .commit = a_whole_ring_of_nothing,
     .end = ENDS_UNTOUCHED},
    SERVED("a whole ring of the backend's own answers", a_whole_ring_of_its_own_answers),
    {.name = "producer ahead before connecting",
     .commit = producer_ahead_before_connecting,
     .end = ENDS_REFUSED,
     .says = BROKEN,
     .begin = BEGINS_OFFERED},
    {.name = "indexes that wrap in use",
     .commit = indexes_that_wrap_in_use,
     .end = ENDS_SERVED,
     .begin = BEGINS_OFFERED},
    {.name = "answers ahead of requests before connecting",
     .commit = answers_ahead_of_requests_before_connecting,
     .end = ENDS_REFUSED,
     .says = BROKEN,
     .begin = BEGINS_OFFERED},
    SERVED("response producer scribbled", response_producer_scribbled),
    SERVED("response event scribbled", response_event_scribbled),
    SERVED("request event scribbled", request_event_scribbled),
    REFUSED("header of ones", header_of_ones),
    SERVED("reserved bytes of ones", reserved_bytes_of_ones),
    REFUSED("ring made anew while connected", ring_made_anew_in_use),
    REFUSED("ring page of ones", ring_page_of_ones),
    SERVED("ring revoked while mapped", ring_revoked_in_use),
    SERVED("slots in another layout than promised", other_layout_than_promised),
    SERVED("answers never taken", answers_never_taken),
    SERVED("events never sent", events_never_sent),
    {.name = "closed with requests and no event",
     .commit = closed_without_an_event,
     .end = ENDS_CLOSED},
    {.name = "closed with a full ring", .commit = closed_with_a_full_ring, .end = ENDS_CLOSED},
    SERVED("event storm without requests", event_storm_without_requests),
    SERVED("event storm in use", event_storm_in_use),
    SERVED("event storm while closed", event_storm_while_closed),
    SERVED("event storm while closing and connecting", event_storm_while_closing),
    {.name = "event storm before connecting",
     .commit = event_storm_before_connecting,
     .end = ENDS_SERVED,
     .begin = BEGINS_OFFERED},
};

const struct misdeeds misdeeds_of_ring = {rows, sizeof rows / sizeof rows[0]};
