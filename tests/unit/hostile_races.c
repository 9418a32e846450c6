/* hostile_races.c - misdeeds while the backend looks: a second thread changes slots, descriptors,
 * data, grants and indexes, in another view of guest memory. What is taken once and judged can't be
 * changed any more, so each request still has exactly one answer. Rows for test_hostile_guest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hostile.h"

enum { SLOT = 112, ROUNDS = 30, BURST = 16 };

/* --- slots --- */

static void flip(struct hostile *h, unsigned at, const void *bytes, size_t len)
{
    for (unsigned slot = 0; slot < h->front.size; slot++)
        memcpy(hostile_page(h, h->front.ring_page) + 64 + (size_t)slot * SLOT + at, bytes, len);
}

static void flip_counts(struct hostile *h, unsigned n)
{
    static const uint8_t counts[] = {1, 12, 255, 0, 11};

    flip(h, 1, &counts[n % 5], 1);
}

static void flip_operations(struct hostile *h, unsigned n)
{
    static const uint8_t operations[] = {0, 1, 2, 3, 4, 5, 6, 255};

    flip(h, 0, &operations[n % 8], 1);
}

static void flip_sectors(struct hostile *h, unsigned n)
{
    static const uint64_t sectors[] = {0, UINT64_MAX, DISK_SECTORS - 1, 1ull << 55};

    flip(h, 16, &sectors[n % 4], 8);
}

static void flip_ids(struct hostile *h, unsigned n)
{
    uint64_t id = n;

    flip(h, 8, &id, 8);
}

static void flip_first_and_last(struct hostile *h, unsigned n)
{
    static const uint8_t ends[][2] = {{0, 7}, {7, 0}, {0, 255}, {3, 3}};

    for (unsigned segment = 0; segment < 11; segment++)
        flip(h, 24 + segment * 8 + 4, ends[n % 4], 2);
}

static void flip_grants(struct hostile *h, unsigned n)
{
    const uint32_t grants[] = {SIM_FIRST_GRANT + DATA, 0, UINT32_MAX, SIM_FIRST_GRANT + STRANGE};

    for (unsigned segment = 0; segment < 11; segment++)
        flip(h, 24 + segment * 8, &grants[n % 4], 4);
}

/* Not the grants: with noise there, any of the guest's own pages may be written, the ring too. */
static void flip_everything(struct hostile *h, unsigned n)
{
    uint8_t noise[24];
    uint32_t state = n;

    for (unsigned i = 0; i < sizeof noise; i++) {
        state = state * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(state >> (24 + i % 2 * 3));
    }
    flip(h, 0, noise, sizeof noise);
}

static void bursts(struct hostile *h, uint8_t ops)
{
    for (unsigned i = 0; i < ROUNDS * BURST; i++) {
        struct hand_request r = hostile_pages(h, (uint8_t)(i % ops), i % 100 * 8, 1 + i % 11);

        handfront_put(&h->front, &r);
        if (i % BURST == BURST - 1)
            (void)hostile_answers(h, &h->front);
    }
}

static void bursts_beside(struct hostile *h, void (*act)(struct hostile *h, unsigned n))
{
    hostile_thread(h, act);
    bursts(h, 2);
    hostile_neighbours(h);
    hostile_join(h);
}

static void counts_change(struct hostile *h)
{
    bursts_beside(h, flip_counts);
}

static void operations_change(struct hostile *h)
{
    bursts_beside(h, flip_operations);
}

static void sectors_change(struct hostile *h)
{
    bursts_beside(h, flip_sectors);
}

static void ids_change(struct hostile *h)
{
    bursts_beside(h, flip_ids);
}

static void first_and_last_change(struct hostile *h)
{
    bursts_beside(h, flip_first_and_last);
}

static void grants_change(struct hostile *h)
{
    bursts_beside(h, flip_grants);
}

static void everything_changes(struct hostile *h)
{
    bursts_beside(h, flip_everything);
}

/* --- descriptors and data --- */

static void flip_descriptors(struct hostile *h, unsigned n)
{
    static const uint8_t lasts[] = {7, 8, 255, 0};

    for (unsigned i = 0; i < 256; i++)
        hostile_describe(h, i, SIM_FIRST_GRANT + (n % 2 ? DATA + i : STRANGE), n % 3 ? 0 : 9,
                         lasts[n % 4]);
}

static void descriptors_change(struct hostile *h)
{
    struct hand_indirect r = hostile_indirect(h, 1, 0, 256);

    hostile_thread(h, flip_descriptors);
    for (unsigned i = 0; i < ROUNDS; i++) {
        int16_t status;

        r.id = h->next_id++;
        r.inner = (uint8_t)(i % 2);
        status = hostile_ask_indirect(h, &r);
        assert_true(status == OKAY || status == FAULTY);
    }
    hostile_neighbours(h);
    hostile_join(h);
}

static void flip_data(struct hostile *h, unsigned n)
{
    for (unsigned i = 0; i < 11; i++)
        memset(hostile_page(h, DATA + i), (int)(n % 2 ? 0xff : 0x11), SIM_PAGE);
}

/* What is on the disk is some mixture, but it is one. */
static void data_changes_during_writes(struct hostile *h)
{
    struct hand_request read = hostile_pages(h, 0, 0, 11);

    hostile_thread(h, flip_data);
    bursts(h, 2);
    hostile_join(h);
    for (unsigned i = 0; i < 11; i++)
        read.segments[i].grant = sim_grant(h->s->sim, DATA + 100 + i, false);
    assert_int_equal(hostile_ask(h, &read), OKAY);
    for (unsigned i = 0; i < 11; i++)
        read.segments[i].grant = sim_grant(h->s->sim, DATA + 200 + i, false);
    assert_int_equal(hostile_ask(h, &read), OKAY);
    assert_memory_equal(hostile_page(h, DATA + 100), hostile_page(h, DATA + 200), 11 * SIM_PAGE);
}

/* --- grants --- */

static void flip_validity(struct hostile *h, unsigned n)
{
    for (unsigned i = 0; i < 11; i++) {
        if (n % 3 == 0)
            sim_revoke(h->s->sim, SIM_FIRST_GRANT + DATA + i);
        else
            (void)sim_grant(h->s->sim, DATA + i, n % 3 == 1);
    }
}

static void grants_come_and_go(struct hostile *h)
{
    struct hand_request r = hostile_pages(h, 0, 0, 11);

    hostile_thread(h, flip_validity);
    for (unsigned i = 0; i < 4 * ROUNDS; i++) {
        int16_t status;

        r.id = h->next_id++;
        r.op = (uint8_t)(i % 3);
        status = hostile_ask(h, &r);
        assert_true(status == OKAY || status == FAULTY);
    }
    hostile_neighbours(h);
    hostile_join(h);
}

/* --- indexes --- */

static uint32_t *ring_word(struct hostile *h, unsigned i)
{
    return (uint32_t *)(void *)hostile_page(h, h->front.ring_page) + i;
}

static void scribble_producer(struct hostile *h, unsigned n)
{
    __atomic_store_n(ring_word(h, 0), n * 2654435761u, __ATOMIC_RELAXED);
    sim_send(h->s->sim, HOSTILE_PORT);
}

static void producer_never_rests(struct hostile *h)
{
    bool closing = false;

    hostile_thread(h, scribble_producer);
    for (int i = 0; i < 100 && !closing; i++) {
        char *state;

        hostile_turns(h, 2);
        state = stage_read(h->s, back_key(HOSTILE, "state"));
        closing = state != NULL && strcmp(state, "5") == 0;
        free(state);
    }
    hostile_neighbours(h);
    hostile_join(h);
    assert_true(closing);
}

/* Never what a response producer can be here. */
static void scribble_the_others(struct hostile *h, unsigned n)
{
    for (unsigned i = 1; i < 4; i++)
        __atomic_store_n(ring_word(h, i), 0x40000000u + n * i, __ATOMIC_RELAXED);
}

static void other_words_never_rest(struct hostile *h)
{
    for (int round = 0; round < 20; round++) {
        struct hand_request r = hostile_pages(h, 0, 0, 1);

        hostile_thread(h, scribble_the_others);
        for (unsigned i = 0; i < 8; i++)
            handfront_put(&h->front, &r);
        (void)handfront_push(&h->front);
        sim_send(h->s->sim, HOSTILE_PORT);
        if (round == 10)
            hostile_neighbours(h);
        hostile_join(h);
        handfront_put(&h->front, &r); /* by its answer the producer is right again */
        (void)hostile_answers(h, &h->front);
    }
}

static void flood(struct hostile *h, unsigned n)
{
    uint32_t answered = __atomic_load_n(ring_word(h, 2), __ATOMIC_ACQUIRE);

    __atomic_store_n(ring_word(h, 0), answered + n % 16, __ATOMIC_RELEASE);
    sim_send(h->s->sim, HOSTILE_PORT);
}

static bool is_five_or_six(void *arg)
{
    struct hostile *h = arg;
    char *state = stage_read(h->s, back_key(HOSTILE, "state"));
    bool there = state != NULL && (state[0] == '5' || state[0] == '6');

    free(state);
    return there;
}

static void flood_while_closing(struct hostile *h)
{
    hostile_thread(h, flood);
    hostile_turns(h, 3);
    hostile_state(h, "5");
    assert_true(stage_wait(h->s, is_five_or_six, h));
    hostile_close(h);
    hostile_neighbours(h);
    hostile_join(h);
}

static const struct misdeed rows[] = {
    SERVED("segment counts change while read", counts_change),
    SERVED("operations change while read", operations_change),
    SERVED("sectors change while read", sectors_change),
    SERVED("ids change while read", ids_change),
    SERVED("first and last change while read", first_and_last_change),
    SERVED("grants change while read", grants_change),
    SERVED("whole slots change while read", everything_changes),
    SERVED("descriptors change while read", descriptors_change),
    KEEPS("kept: descriptors change while read", descriptors_change, ENDS_SERVED),
    SERVED("data changes during writes", data_changes_during_writes),
    KEEPS("kept: data changes during writes", data_changes_during_writes, ENDS_SERVED),
    SERVED("grants come and go", grants_come_and_go),
    KEEPS("kept: grants come and go", grants_come_and_go, ENDS_SERVED),
    {.name = "producer never rests",
     .commit = producer_never_rests,
     .end = ENDS_REFUSED,
     .says = "the guest broke its ring"},
    SERVED("the header's other words never rest", other_words_never_rest),
    {.name = "flood of requests while closing", .commit = flood_while_closing, .end = ENDS_CLOSED},
};

const struct misdeeds misdeeds_of_races = {rows, sizeof rows / sizeof rows[0]};
