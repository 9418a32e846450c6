/* hostile_grants.c - misdeeds with the pages that requests name: not granted, taken back,
 * read-only, the ring itself; copied, and kept mapped. Rows for test_hostile_guest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "hostile.h"

/* Each of these does one thing to a request's segment, then reads and writes. */

static int16_t ask_with(struct hostile *h, uint8_t op, unsigned segment, uint32_t grant)
{
    struct hand_request r = hostile_pages(h, op, 0, 11);

    for (unsigned i = 0; i < 11; i++)
        memset(hostile_page(h, DATA + i), 0xee, SIM_PAGE);
    r.segments[segment].grant = grant;
    return hostile_ask(h, &r);
}

static void neither_way(struct hostile *h, uint32_t grant)
{
    for (unsigned segment = 0; segment < 11; segment += 5)
        for (uint8_t op = 0; op <= 2; op++)
            assert_int_equal(ask_with(h, op, segment, grant), FAULTY);
}

static void grant_zero(struct hostile *h)
{
    neither_way(h, 0);
}

static void grant_of_all_ones(struct hostile *h)
{
    neither_way(h, UINT32_MAX);
}

static void grant_past_the_table(struct hostile *h)
{
    neither_way(h, SIM_FIRST_GRANT + SIM_PAGES);
}

static void grant_of_no_page(struct hostile *h)
{
    neither_way(h, SIM_FIRST_GRANT + STRANGE);
}

static void grant_of_another_domain(struct hostile *h)
{
    char *page = sim_page(h->s->other, STRANGE);

    memset(page, 0x5a, SIM_PAGE);
    neither_way(h, sim_grant(h->s->other, STRANGE, false));
    assert_int_equal(page[0], 0x5a);
    assert_memory_equal(page, page + 1, SIM_PAGE - 1);
}

static void grant_taken_back(struct hostile *h)
{
    uint32_t grant = sim_grant(h->s->sim, STRANGE + 1, false);

    sim_revoke(h->s->sim, grant);
    neither_way(h, grant);
}

static void read_into_a_read_only_grant(struct hostile *h)
{
    memset(hostile_page(h, STRANGE + 2), 0x5a, SIM_PAGE);
    for (unsigned segment = 0; segment < 11; segment++)
        assert_int_equal(ask_with(h, 0, segment, sim_grant(h->s->sim, STRANGE + 2, true)), FAULTY);
    assert_int_equal(hostile_page(h, STRANGE + 2)[0], 0x5a);
    assert_int_equal(hostile_page(h, STRANGE + 2)[4095], 0x5a);
}

static void write_from_a_read_only_grant(struct hostile *h)
{
    assert_int_equal(ask_with(h, 1, 10, sim_grant(h->s->sim, STRANGE + 2, true)), OKAY);
}

static void one_page_for_all_segments(struct hostile *h)
{
    for (uint8_t op = 0; op <= 1; op++) {
        struct hand_request r = hostile_pages(h, op, 0, 11);

        for (unsigned i = 1; i < 11; i++)
            r.segments[i].grant = r.segments[0].grant;
        assert_int_equal(hostile_ask(h, &r), OKAY);
    }
}

/* Of neighbours on the disk that go to the storage as one, one can't be fetched. */
static void one_of_many_neighbours_not_granted(struct hostile *h)
{
    for (unsigned i = 0; i < 32; i++) {
        struct hand_request r = hostile_pages(h, 1, 128 + i * 8, 1);

        if (i % 8 == 5)
            r.segments[0].grant = SIM_FIRST_GRANT + STRANGE;
        handfront_put(&h->front, &r);
    }
    (void)hostile_answers(h, &h->front);
}

/* --- the ring as a page of data --- */

static uint32_t ring_grant(struct hostile *h)
{
    return sim_grant(h->s->sim, h->front.ring_page, false);
}

/* The header becomes zero, so the producer seems to run back. */
static void read_into_the_rings_header(struct hostile *h)
{
    struct hand_request r = hostile_pages(h, 0, 0, 1);

    r.segments[0].grant = ring_grant(h);
    for (int i = 0; i < 3; i++)
        handfront_put(&h->front, &r);
    (void)handfront_push(&h->front);
    sim_send(h->s->sim, HOSTILE_PORT);
}

static void read_into_the_rings_slots(struct hostile *h)
{
    for (int round = 0; round < 8; round++) {
        struct hand_request r = hostile_pages(h, 0, 0, 1);

        r.segments[0] = (struct hand_segment){ring_grant(h), 1, 7};
        for (int i = 0; i < 20; i++)
            handfront_put(&h->front, &r);
        (void)hostile_answers(h, &h->front);
    }
}

static void write_from_the_ring(struct hostile *h)
{
    assert_int_equal(ask_with(h, 1, 0, ring_grant(h)), OKAY);
}

/* A request that holds the answer to be: what the disk holds is delivered over the slots, which
 * then are requests that the guest never wrote. */
static void requests_read_from_the_disk(struct hostile *h)
{
    struct hand_request r = hostile_pages(h, 1, 0, 1);

    memset(hostile_page(h, DATA), 0x01, SIM_PAGE);
    assert_int_equal(hostile_ask(h, &r), OKAY);
    r = hostile_pages(h, 0, 0, 1);
    r.segments[0] = (struct hand_segment){ring_grant(h), 1, 7};
    handfront_put(&h->front, &r);
    (void)hostile_answers(h, &h->front);
    h->front.req_prod += 30; /* what is there now */
    (void)hostile_answers(h, &h->front);
}

/* --- grants that stay mapped --- */

static void more_grants_than_the_limit(struct hostile *h)
{
    for (unsigned i = 0; i < 128; i++) {
        struct hand_request r = hostile_pages(h, (uint8_t)(i % 2), i * 8, 11);

        for (unsigned k = 0; k < 11; k++)
            r.segments[k].grant = sim_grant(h->s->sim, DATA + (i * 11 + k) % 500, false);
        assert_int_equal(hostile_ask(h, &r), OKAY);
        assert_in_range(__atomic_load_n(&h->s->sim->mapped_pages, __ATOMIC_RELAXED), 3, 7);
    }
}

static void more_described_grants_than_the_limit(struct hostile *h)
{
    for (uint8_t op = 0; op < 4; op++) {
        struct hand_indirect r = hostile_indirect(h, op % 2, 0, 256);

        assert_int_equal(hostile_ask_indirect(h, &r), OKAY);
    }
}

/* On Xen the mapping outlives the guest's wish; here it does too. */
static void revoked_while_mapped(struct hostile *h)
{
    struct hand_request r = hostile_pages(h, 1, 0, 4);

    assert_int_equal(hostile_ask(h, &r), OKAY);
    for (unsigned i = 0; i < 4; i++)
        sim_revoke(h->s->sim, r.segments[i].grant);
    r.op = 0;
    assert_int_equal(hostile_ask(h, &r), OKAY);
}

/* Whether these four, or some, are not mapped: they were copied. */
static bool asks_by_copy(struct hostile *h)
{
    int before = __atomic_load_n(&h->s->sim->copy_calls, __ATOMIC_RELAXED);

    for (unsigned i = 0; i < 4; i++) {
        struct hand_request r = {.op = 1, .count = 1, .id = h->next_id++};

        r.segments[0] = (struct hand_segment){sim_grant(h->s->sim, DATA + 20 + i, 0), 0, 7};
        assert_int_equal(hostile_ask(h, &r), OKAY);
    }
    return __atomic_load_n(&h->s->sim->copy_calls, __ATOMIC_RELAXED) != before;
}

static void revoked_and_forgotten(struct hostile *h)
{
    struct hand_request r = hostile_pages(h, 1, 0, 4);
    time_t deadline = time(NULL) + 20;

    assert_int_equal(hostile_ask(h, &r), OKAY);
    for (unsigned i = 0; i < 11; i++)
        sim_revoke(h->s->sim, r.segments[i].grant);
    while (asks_by_copy(h)) /* others take the four places, once those were idle */
        assert_true(time(NULL) < deadline);
    assert_int_equal(hostile_ask(h, &r), FAULTY);
}

static const struct misdeed rows[] = {
    UNTOUCHED("grant 0", grant_zero),
    UNTOUCHED("grant 0xffffffff", grant_of_all_ones),
    UNTOUCHED("grant past the table", grant_past_the_table),
    UNTOUCHED("grant of no page", grant_of_no_page),
    UNTOUCHED("grant of another domain", grant_of_another_domain),
    UNTOUCHED("grant taken back", grant_taken_back),
    UNTOUCHED("read into a read-only grant", read_into_a_read_only_grant),
    SERVED("write from a read-only grant", write_from_a_read_only_grant),
    SERVED("one page for all segments", one_page_for_all_segments),
    SERVED("one of many neighbours not granted", one_of_many_neighbours_not_granted),
    {.name = "read into the ring's header",
     .commit = read_into_the_rings_header,
     .end = ENDS_REFUSED,
     .says = BROKEN},
    UNTOUCHED("read into the ring's slots", read_into_the_rings_slots),
    SERVED("write from the ring", write_from_the_ring),
    SERVED("requests read from the disk into the ring", requests_read_from_the_disk),
    KEEPS("kept: more grants than the limit", more_grants_than_the_limit, ENDS_SERVED),
    KEEPS("kept: more described grants than the limit", more_described_grants_than_the_limit,
          ENDS_SERVED),
    KEEPS("kept: revoked while mapped", revoked_while_mapped, ENDS_SERVED),
    KEEPS("kept: revoked and dropped", revoked_and_forgotten, ENDS_SERVED),
    KEEPS("kept: grant 0", grant_zero, ENDS_UNTOUCHED),
    KEEPS("kept: grant 0xffffffff", grant_of_all_ones, ENDS_UNTOUCHED),
    KEEPS("kept: grant of no page", grant_of_no_page, ENDS_UNTOUCHED),
    KEEPS("kept: grant of another domain", grant_of_another_domain, ENDS_UNTOUCHED),
    KEEPS("kept: grant taken back", grant_taken_back, ENDS_UNTOUCHED),
    KEEPS("kept: read into a read-only grant", read_into_a_read_only_grant, ENDS_UNTOUCHED),
    KEEPS("kept: write from a read-only grant", write_from_a_read_only_grant, ENDS_SERVED),
    KEEPS("kept: one page for all segments", one_page_for_all_segments, ENDS_SERVED),
    {.name = "kept: read into the ring's header",
     .commit = read_into_the_rings_header,
     .end = ENDS_REFUSED,
     .says = BROKEN,
     KEPT},
    KEEPS("kept: read into the ring's slots", read_into_the_rings_slots, ENDS_UNTOUCHED),
};

const struct misdeeds misdeeds_of_grants = {rows, sizeof rows / sizeof rows[0]};
