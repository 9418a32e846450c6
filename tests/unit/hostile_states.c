/* hostile_states.c - misdeeds with states and directories, by the front and by a confused
 * toolstack: states in odd orders, flapping, garbage; directories that vanish; images and options
 * that are none; a daemon that goes and comes back to something else. Rows for
 * test_hostile_guest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hostile.h"

/* --- the front's state --- */

static const char *const good_states[] = {"1", "2", "3", "4", "5", "6"};
static const char *const odd_states[] = {"4", "",  "x",  "7",        "-1", "8",          "99",
                                         "2", " ", "0",  "\x04\xff", "4x", "4294967300", "6",
                                         "5", "3", "44", "\n4",      "1"};

static void flap(struct hostile *h, const char *state)
{
    char path[80];

    (void)snprintf(path, sizeof path, "/local/domain/5/device/vbd/%u/state", HOSTILE);
    hostile_write(h->client, path, state, strlen(state));
}

static void flap_good(struct hostile *h, unsigned n)
{
    flap(h, good_states[n % 6]);
}

static void flap_odd(struct hostile *h, unsigned n)
{
    flap(h, odd_states[n % (sizeof odd_states / sizeof odd_states[0])]);
}

static bool acted_enough(void *arg)
{
    struct hostile *h = arg;

    return atomic_load(&h->acts) >= 300;
}

static void flap_and_come_back(struct hostile *h, void (*act)(struct hostile *h, unsigned n))
{
    hostile_thread(h, act);
    assert_true(stage_wait(h->s, acted_enough, h));
    hostile_neighbours(h);
    hostile_join(h);
    hostile_reconnect(h);
}

static void states_flap(struct hostile *h)
{
    flap_and_come_back(h, flap_good);
}

static void odd_states_flap(struct hostile *h)
{
    flap_and_come_back(h, flap_odd);
}

static void states_flap_with_keys(struct hostile *h)
{
    hostile_prepare(h);
    flap_and_come_back(h, flap_good);
}

/* The row's value is the state. */
static void state_of_row(struct hostile *h)
{
    const struct misdeed *row = h->row;

    hostile_write(h->s->client, front_key(HOSTILE, "state"), row->value, strlen(row->value));
    hostile_turns(h, 2);
}

static void straight_to_connected(struct hostile *h)
{
    hostile_prepare(h);
    hostile_state(h, "4");
    stage_expect(h->s, back_key(HOSTILE, "state"), "4");
}

static void connected_before_the_offer(struct hostile *h)
{
    stage_front(h->s, &h->front, HOSTILE, 1, HOSTILE_PORT, "4");
    h->back = stage_run(h->s, HOSTILE);
    stage_expect(h->s, back_key(HOSTILE, "state"), "4");
}

static void ready_without_keys(struct hostile *h)
{
    stage_expect(h->s, back_key(HOSTILE, "state"), "2");
    hostile_state(h, "3");
}

static void closed_then(struct hostile *h, const char *state)
{
    hostile_close(h);
    hostile_state(h, state);
    hostile_turns(h, 3);
}

static void closed_to_connected(struct hostile *h)
{
    closed_then(h, "4");
}

static void closed_to_initialised(struct hostile *h)
{
    closed_then(h, "3");
}

static void closed_to_closing(struct hostile *h)
{
    closed_then(h, "5");
}

static void begins_anew_while_connected(struct hostile *h)
{
    hostile_state(h, "1");
    hostile_prepare(h);
    hostile_go(h);
}

static void closing_after_a_refusal(struct hostile *h)
{
    hostile_prepare(h);
    stage_write(h->s, front_key(HOSTILE, "event-channel"), "x");
    hostile_state(h, "3");
    stage_expect(h->s, back_key(HOSTILE, "state"), "5");
    hostile_state(h, "5");
    hostile_turns(h, 2);
    hostile_state(h, "4");
    hostile_turns(h, 2);
}

static void ten_connections(struct hostile *h)
{
    for (int i = 0; i < 10; i++)
        hostile_reconnect(h);
}

/* --- directories --- */

static void remove_front(struct hostile *h)
{
    stage_remove(h->s, front_key(HOSTILE, ""));
}

static void front_removed_while_offered(struct hostile *h)
{
    stage_expect(h->s, back_key(HOSTILE, "state"), "2");
    remove_front(h);
    hostile_turns(h, 3);
}

static void front_removed_while_connecting(struct hostile *h)
{
    hostile_prepare(h);
    hostile_state(h, "3");
    remove_front(h);
    hostile_turns(h, 3);
}

static void front_removed_while_closing(struct hostile *h)
{
    assert_int_equal(stage_request_close(h->s, HOSTILE), 0);
    hostile_state(h, "5");
    stage_expect(h->s, back_key(HOSTILE, "state"), "5");
    remove_front(h);
}

static void front_removed_while_closed(struct hostile *h)
{
    hostile_close(h);
    remove_front(h);
    hostile_turns(h, 3);
}

static void front_removed_in_use(struct hostile *h)
{
    for (unsigned i = 0; i < h->front.size; i++) {
        struct hand_request r = hostile_pages(h, 1, i * 8, 1);

        handfront_put(&h->front, &r);
    }
    (void)handfront_push(&h->front);
    sim_send(h->s->sim, HOSTILE_PORT);
    remove_front(h);
}

static void back_ends(struct hostile *h)
{
    assert_true(stage_wait(h->s, stage_has_ended, h->s));
    assert_int_equal(h->s->last_end, VBD_BACK_REMOVED);
    h->s->ended = 0;
}

static void back_removed_in_use(struct hostile *h)
{
    stage_remove(h->s, back_key(HOSTILE, ""));
    back_ends(h);
    assert_int_equal(stage_destroy(h->s, HOSTILE), 0);
    assert_int_equal(stage_create(h->s, HOSTILE, h->disk, false), 0);
    h->back = stage_run(h->s, HOSTILE);
    hostile_prepare(h);
    hostile_go(h);
}

static void back_state_removed_in_use(struct hostile *h)
{
    stage_remove(h->s, back_key(HOSTILE, "state"));
    back_ends(h);
    stage_write(h->s, back_key(HOSTILE, "state"), "1");
    hostile_state(h, "1");
    h->back = stage_run(h->s, HOSTILE);
    hostile_prepare(h);
    hostile_go(h);
}

/* --- a daemon goes, and another comes --- */

static void parked_while_flapping(struct hostile *h)
{
    hostile_thread(h, flap_odd);
    for (int i = 0; i < 4; i++) {
        hostile_turns(h, 3);
        hostile_park(h);
        h->back = stage_run(h->s, HOSTILE);
    }
    hostile_turns(h, 3);
    hostile_join(h);
    hostile_turns(h, 3);
}

#define STATE(what, contents, ending, from)                                                        \
    {                                                                                              \
        .name = what, .commit = state_of_row, .end = ending, .begin = from, .value = contents      \
    }

static const struct misdeed rows[] = {
    SERVED("states flap", states_flap),
    SERVED("odd states flap", odd_states_flap),
    OFFERED("states flap while offered", states_flap_with_keys, ENDS_SERVED),
    STATE("state: empty", "", ENDS_CLOSED, BEGINS_CONNECTED),
    STATE("state: a word", "Connected", ENDS_CLOSED, BEGINS_CONNECTED),
    STATE("state: negative", "-4", ENDS_CLOSED, BEGINS_CONNECTED),
    STATE("state: huge", "4294967300", ENDS_CLOSED, BEGINS_CONNECTED),
    STATE("state: binary", "\x04\xff\x80", ENDS_CLOSED, BEGINS_CONNECTED),
    STATE("state: 4 KiB", LONG, ENDS_CLOSED, BEGINS_CONNECTED),
    STATE("state: InitWait while connected", "2", ENDS_SERVED, BEGINS_CONNECTED),
    STATE("state: Initialised while connected", "3", ENDS_SERVED, BEGINS_CONNECTED),
    STATE("state: Closing while connected", "5", ENDS_SERVED, BEGINS_CONNECTED),
    STATE("state: Closed while connected", "6", ENDS_CLOSED, BEGINS_CONNECTED),
    STATE("state: Reconfiguring while connected", "7", ENDS_SERVED, BEGINS_CONNECTED),
    STATE("state: Closing while offered", "5", ENDS_CLOSED, BEGINS_OFFERED),
    STATE("state: Closed while offered", "6", ENDS_CLOSED, BEGINS_OFFERED),
    STATE("state: 4 KiB while offered", LONG, ENDS_EITHER, BEGINS_OFFERED),
    OFFERED("straight to Connected", straight_to_connected, ENDS_SERVED),
    {.name = "Connected before the offer",
     .commit = connected_before_the_offer,
     .end = ENDS_SERVED,
     .begin = BEGINS_CREATED},
    {.name = "ready without any key",
     .commit = ready_without_keys,
     .end = ENDS_REFUSED,
     .says = "did not write this key",
     .begin = BEGINS_OFFERED},
    CLOSED("Closed to Connected", closed_to_connected),
    CLOSED("Closed to Initialised", closed_to_initialised),
    CLOSED("Closed to Closing", closed_to_closing),
    SERVED("begins anew while connected", begins_anew_while_connected),
    {.name = "Closing and Connected after a refusal",
     .commit = closing_after_a_refusal,
     .end = ENDS_REFUSED,
     .says = "event-channel: \"x\"",
     .begin = BEGINS_OFFERED},
    SERVED("connects again and again", ten_connections),
    OFFERED("front removed while offered", front_removed_while_offered, ENDS_EITHER),
    OFFERED("front removed while connecting", front_removed_while_connecting, ENDS_EITHER),
    CLOSED("front removed while closing", front_removed_while_closing),
    CLOSED("front removed while closed", front_removed_while_closed),
    CLOSED("front removed in use", front_removed_in_use),
    SERVED("backend removed in use", back_removed_in_use),
    SERVED("backend's state removed in use", back_state_removed_in_use),
    EITHER("parked while flapping", parked_while_flapping),
};

const struct misdeeds misdeeds_of_states = {rows, sizeof rows / sizeof rows[0]};
