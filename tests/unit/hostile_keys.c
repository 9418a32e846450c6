/* hostile_keys.c - misdeeds with what a front writes before it connects: each key empty, huge,
 * negative, binary, missing and long; rings and ports named twice or not its own; queues that are
 * not there; keys that change while they are read. Rows for test_hostile_guest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hostile.h"

static bool is_four_or_five(void *arg)
{
    struct hostile *h = arg;
    char *state = stage_read(h->s, back_key(HOSTILE, "state"));
    bool there = state != NULL && (state[0] == '4' || state[0] == '5');

    free(state);
    return there;
}

static void front_number(struct hostile *h, const char *key, uint32_t n)
{
    char value[16];

    (void)snprintf(value, sizeof value, "%u", n);
    stage_write(h->s, front_key(HOSTILE, key), value);
}

static uint32_t ring_grant(const struct hostile *h, unsigned page)
{
    return SIM_FIRST_GRANT + h->front.ring_page + page;
}

/* --- rings --- */

static void one_page_for_the_whole_ring(struct hostile *h)
{
    hostile_prepare(h);
    for (unsigned i = 1; i < 4; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "ring-ref%u", i);
        front_number(h, key, ring_grant(h, 0));
    }
    hostile_go(h);
    h->front.req_prod += h->front.size;
    (void)hostile_answers(h, &h->front);
}

static void read_only_ring(struct hostile *h)
{
    hostile_prepare(h);
    (void)sim_grant(h->s->sim, h->front.ring_page, true);
    hostile_state(h, "3");
}

static void revoked_ring(struct hostile *h)
{
    hostile_prepare(h);
    sim_revoke(h->s->sim, ring_grant(h, 0));
    hostile_state(h, "3");
}

static void ring_of_another_domain(struct hostile *h)
{
    hostile_prepare(h);
    front_number(h, "ring-ref", sim_grant(h->s->other, STRANGE + 1, false));
    hostile_state(h, "3");
}

static void last_page_of_the_ring_revoked(struct hostile *h)
{
    hostile_prepare(h);
    sim_revoke(h->s->sim, ring_grant(h, 3));
    hostile_state(h, "3");
}

static void last_page_of_the_ring_missing(struct hostile *h)
{
    hostile_prepare(h);
    stage_remove(h->s, front_key(HOSTILE, "ring-ref3"));
    hostile_state(h, "3");
}

/* --- ports --- */

static void port_taken_by_another(struct hostile *h)
{
    struct vbd_event_channel *taken;
    const struct vbd_hypervisor *seam = &h->s->sim->seam;

    hostile_prepare(h);
    assert_int_equal(seam->bind(seam->ctx, STAGE_GUEST, HOSTILE_PORT, &taken), 0);
    hostile_state(h, "3");
    stage_expect(h->s, back_key(HOSTILE, "state"), "5");
    seam->unbind(seam->ctx, taken);
}

/* --- queues --- */

static void queue_number(struct hostile *h, unsigned queue, const char *key, uint32_t n)
{
    char below[40];

    (void)snprintf(below, sizeof below, "queue-%u/%s", queue, key);
    front_number(h, below, n);
}

static void say_queues(struct hostile *h, const char *queues)
{
    hostile_prepare(h);
    stage_remove(h->s, front_key(HOSTILE, "ring-ref"));
    stage_remove(h->s, front_key(HOSTILE, "event-channel"));
    stage_write(h->s, front_key(HOSTILE, "multi-queue-num-queues"), queues);
    queue_number(h, 0, "ring-ref", ring_grant(h, 0));
    queue_number(h, 0, "event-channel", HOSTILE_PORT);
}

static void second_queue_missing(struct hostile *h)
{
    say_queues(h, "2");
    hostile_state(h, "3");
}

static void second_queue_without_ring(struct hostile *h)
{
    say_queues(h, "2");
    queue_number(h, 1, "event-channel", OTHER_PORT);
    hostile_state(h, "3");
}

static void second_queue_without_port(struct hostile *h)
{
    say_queues(h, "2");
    queue_number(h, 1, "ring-ref", sim_grant(h->s->sim, OTHER_PORT * 32, false));
    hostile_state(h, "3");
}

static void second_queue_on_the_same_port(struct hostile *h)
{
    say_queues(h, "2");
    queue_number(h, 1, "ring-ref", sim_grant(h->s->sim, OTHER_PORT * 32, false));
    queue_number(h, 1, "event-channel", HOSTILE_PORT);
    hostile_state(h, "3");
}

static void second_queue_on_the_neighbours_port(struct hostile *h)
{
    say_queues(h, "2");
    queue_number(h, 1, "ring-ref", sim_grant(h->s->sim, OTHER_PORT * 32, false));
    queue_number(h, 1, "event-channel", HONEST_PORT);
    hostile_state(h, "3");
}

static void only_queue_missing(struct hostile *h)
{
    say_queues(h, "1");
    stage_remove(h->s, front_key(HOSTILE, "queue-0"));
    hostile_state(h, "3");
}

static void queue_that_is_a_value(struct hostile *h)
{
    say_queues(h, "2");
    stage_write(h->s, front_key(HOSTILE, "queue-1"), "ring-ref=1,event-channel=5");
    hostile_state(h, "3");
}

/* Both threads take each request and write each answer; the front has what it asked for. */
static void two_queues_on_one_ring(struct hostile *h)
{
    say_queues(h, "2");
    queue_number(h, 1, "ring-ref", ring_grant(h, 0));
    queue_number(h, 1, "event-channel", OTHER_PORT);
    hostile_go(h);
    for (unsigned i = 0; i < 24; i++) {
        struct hand_request r = hostile_pages(h, (uint8_t)(i % 2), i * 8, 4);

        handfront_put(&h->front, &r);
        (void)handfront_push(&h->front);
        sim_send(h->s->sim, HOSTILE_PORT);
        sim_send(h->s->sim, OTHER_PORT);
    }
    hostile_neighbours(h);
}

static void one_of_four_queues_breaks(struct hostile *h)
{
    say_queues(h, "4");
    for (unsigned q = 1; q < 4; q++) {
        unsigned page = (OTHER_PORT + q) * 32;

        memset(hostile_page(h, page), 0, SIM_PAGE);
        queue_number(h, q, "ring-ref", sim_grant(h->s->sim, page, false));
        queue_number(h, q, "event-channel", OTHER_PORT + q);
    }
    hostile_go(h);
    *(uint32_t *)(void *)hostile_page(h, (OTHER_PORT + 2) * 32) = 1000;
    sim_send(h->s->sim, OTHER_PORT + 2);
}

/* --- changes --- */

static void connect_again_and_again(struct hostile *h, void (*act)(struct hostile *h, unsigned n))
{
    hostile_prepare(h);
    hostile_thread(h, act);
    for (int round = 0; round < 12; round++) {
        hostile_state(h, "3");
        assert_true(stage_wait(h->s, is_four_or_five, h));
        hostile_close(h);
        hostile_state(h, "1");
        stage_expect(h->s, back_key(HOSTILE, "state"), "2");
    }
    hostile_neighbours(h);
    hostile_join(h);
}

static void write_number(struct hostile *h, const char *key, uint32_t n)
{
    char path[160], value[16];

    (void)snprintf(path, sizeof path, "/local/domain/5/device/vbd/%u/%s", HOSTILE, key);
    (void)snprintf(value, sizeof value, "%u", n);
    hostile_write(h->client, path, value, strlen(value));
}

static void change_ring(struct hostile *h, unsigned n)
{
    write_number(h, "ring-ref", n % 2 ? ring_grant(h, 0) : SIM_FIRST_GRANT + STRANGE);
}

static void change_port(struct hostile *h, unsigned n)
{
    write_number(h, "event-channel", HOSTILE_PORT + n % 3);
}

static void change_numbers(struct hostile *h, unsigned n)
{
    write_number(h, "multi-queue-num-queues", n % 4);
    write_number(h, "ring-page-order", n % 3);
    write_number(h, "queue-1/event-channel", OTHER_PORT);
    write_number(h, "queue-1/ring-ref", ring_grant(h, 0));
}

static void ring_changes_while_read(struct hostile *h)
{
    connect_again_and_again(h, change_ring);
}

static void port_changes_while_read(struct hostile *h)
{
    connect_again_and_again(h, change_port);
}

static void numbers_change_while_read(struct hostile *h)
{
    connect_again_and_again(h, change_numbers);
}

static void keys_rewritten_in_use(struct hostile *h)
{
    front_number(h, "ring-ref", SIM_FIRST_GRANT + STRANGE);
    front_number(h, "event-channel", HONEST_PORT);
    stage_write(h->s, front_key(HOSTILE, "protocol"), "x86_32-abi");
    stage_write(h->s, front_key(HOSTILE, "backend"), "/local/domain/0/backend/vbd/5/51728");
    stage_write(h->s, front_key(HOSTILE, "backend-id"), "7");
}

#define HUGE "340282366920938463463374607431768211457"
#define BINARY "\x01\x80\xff\x7f"
#define NUL_AMID "1\0002"

#define BAD(what, which, contents, sentence)                                                       \
    {                                                                                              \
        .name = what, .commit = NULL, .end = ENDS_REFUSED, .says = sentence, .key = which,         \
        .value = contents                                                                          \
    }
#define BAD_LENGTH(what, which, contents, length, sentence)                                        \
    {                                                                                              \
        .name = what, .commit = NULL, .end = ENDS_REFUSED, .says = sentence, .key = which,         \
        .value = contents, .value_length = length                                                  \
    }
#define ALSO_GOOD(what, which, contents)                                                           \
    {                                                                                              \
        .name = what, .commit = NULL, .end = ENDS_SERVED, .options = "persistent=4", .key = which, \
        .value = contents                                                                          \
    }
#define SIX_WAYS(key)                                                                              \
    BAD(key ": empty", key, "", key ": \"\" is "),                                                 \
        BAD(key ": huge", key, HUGE, key ": \"" HUGE "\" is "),                                    \
        BAD(key ": negative", key, "-1", key ": \"-1\" is "),                                      \
        BAD(key ": binary", key, BINARY, key ": \""),                                              \
        BAD(key ": words", key, "0x1", key ": \"0x1\" is "),                                       \
        BAD(key ": 4 KiB", key, LONG, key ": \"11111")
#define MISSING "the frontend did not write this key"
#define FRONT(what, how, sentence)                                                                 \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_REFUSED, .says = sentence,                        \
        .begin = BEGINS_OFFERED                                                                    \
    }
#define RACE(what, how)                                                                            \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_EITHER, .begin = BEGINS_OFFERED                   \
    }

static const struct misdeed rows[] = {
    SIX_WAYS("event-channel"),
    BAD("event-channel: missing", "event-channel", NULL, "event-channel: " MISSING),
    BAD_LENGTH("event-channel: a NUL amid", "event-channel", NUL_AMID, 3, "event-channel: "),
    BAD("event-channel: the neighbour's", "event-channel", "4", "cannot bind to the frontend's"),
    BAD("event-channel: of no channel", "event-channel", "4294967295", "cannot bind"),
    SIX_WAYS("ring-ref"),
    BAD("ring-ref: missing", "ring-ref", NULL, "ring-ref: " MISSING),
    BAD_LENGTH("ring-ref: a NUL amid", "ring-ref", NUL_AMID, 3, "ring-ref: "),
    BAD("ring-ref: 0", "ring-ref", "0", "cannot map the frontend's grant 0"),
    BAD("ring-ref: never granted", "ring-ref", "1608", "cannot map the frontend's grant 1608"),
    BAD("ring-ref: 2^32 - 1", "ring-ref", "4294967295", "cannot map the frontend's grant 4294967"),
    SIX_WAYS("ring-page-order"),
    BAD("ring-page-order: 5", "ring-page-order", "5", "ring-page-order: \"5\" is not"),
    BAD("ring-page-order: 31", "ring-page-order", "31", "ring-page-order: \"31\" is not"),
    BAD("ring-page-order: more than rings", "ring-page-order", "4", "ring-ref0: " MISSING),
    {.name = "ring-page-order: missing",
     .commit = NULL,
     .end = ENDS_SERVED,
     .pages = 4,
     .key = "ring-page-order"},
    SIX_WAYS("num-ring-pages"),
    BAD("num-ring-pages: 0", "num-ring-pages", "0", "num-ring-pages: \"0\" is not a power"),
    BAD("num-ring-pages: 3", "num-ring-pages", "3", "num-ring-pages: \"3\" is not a power"),
    BAD("num-ring-pages: 32", "num-ring-pages", "32", "num-ring-pages: \"32\" is not"),
    {.name = "num-ring-pages: beside an order",
     .commit = NULL,
     .end = ENDS_SERVED,
     .pages = 4,
     .key = "num-ring-pages",
     .value = "1"},
    SIX_WAYS("protocol"),
    ALSO_GOOD("protocol: missing", "protocol", NULL),
    SIX_WAYS("multi-queue-num-queues"),
    BAD("multi-queue-num-queues: 0", "multi-queue-num-queues", "0", "is no number of queues"),
    BAD("multi-queue-num-queues: 5 of 4", "multi-queue-num-queues", "5", "\"5\" is not"),
    BAD("multi-queue-num-queues: 2 without", "multi-queue-num-queues", "2", "event-channel: "),
    ALSO_GOOD("multi-queue-num-queues: missing", "multi-queue-num-queues", NULL),
    ALSO_GOOD("feature-persistent: empty", "feature-persistent", ""),
    ALSO_GOOD("feature-persistent: huge", "feature-persistent", HUGE),
    ALSO_GOOD("feature-persistent: negative", "feature-persistent", "-1"),
    ALSO_GOOD("feature-persistent: binary", "feature-persistent", BINARY),
    ALSO_GOOD("feature-persistent: 4 KiB", "feature-persistent", LONG),
    {.name = "feature-persistent: not offered",
     .commit = NULL,
     .end = ENDS_SERVED,
     .key = "feature-persistent",
     .value = "1"},
    {.name = "one page for the whole ring",
     .commit = one_page_for_the_whole_ring,
     .end = ENDS_EITHER,
     .begin = BEGINS_OFFERED,
     .pages = 4},
    FRONT("read-only ring", read_only_ring, "ring-ref: cannot map"),
    FRONT("revoked ring", revoked_ring, "ring-ref: cannot map"),
    FRONT("ring of another domain", ring_of_another_domain, "ring-ref: cannot map"),
    {.name = "last page of the ring revoked",
     .commit = last_page_of_the_ring_revoked,
     .end = ENDS_REFUSED,
     .says = "ring-ref: cannot map",
     .begin = BEGINS_OFFERED,
     .pages = 4},
    {.name = "last page of the ring missing",
     .commit = last_page_of_the_ring_missing,
     .end = ENDS_REFUSED,
     .says = "ring-ref3: " MISSING,
     .begin = BEGINS_OFFERED,
     .pages = 4},
    FRONT("port taken by another", port_taken_by_another, "event-channel: cannot bind"),
    FRONT("second queue missing", second_queue_missing, "event-channel: " MISSING),
    FRONT("second queue without ring", second_queue_without_ring, "ring-ref: " MISSING),
    FRONT("second queue without port", second_queue_without_port, "event-channel: " MISSING),
    FRONT("second queue on the neighbour's port", second_queue_on_the_neighbours_port,
          "event-channel: cannot bind to the frontend's port 4"),
    FRONT("only queue missing", only_queue_missing, "event-channel: " MISSING),
    FRONT("queue that is a value", queue_that_is_a_value, "event-channel: " MISSING),
    FRONT("second queue on the same port", second_queue_on_the_same_port,
          "event-channel: cannot bind to the frontend's port 3"),
    RACE("two queues on one ring", two_queues_on_one_ring),
    FRONT("one of four queues breaks", one_of_four_queues_breaks, "the guest broke its ring"),
    RACE("ring-ref changes while read", ring_changes_while_read),
    RACE("event-channel changes while read", port_changes_while_read),
    RACE("numbers of rings and queues change while read", numbers_change_while_read),
    {.name = "keys rewritten while connected", .commit = keys_rewritten_in_use, .end = ENDS_SERVED},
};

const struct misdeeds misdeeds_of_keys = {rows, sizeof rows / sizeof rows[0]};
