/* hostile_states.c - misdeeds with states and directories, by the front and by a confused
 * toolstack: states in odd orders, flapping, garbage; directories that vanish; images and options
 * that are none; a daemon that goes and comes back to something else. Rows for
 * test_hostile_guest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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
    hostile_neighbour(h);
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

static void a_hundred_connections(struct hostile *h)
{
    for (int i = 0; i < 25; i++)
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

/* --- the toolstack --- */

static void back_states(struct hostile *h, const char *const *states, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        stage_write(h->s, back_key(HOSTILE, "state"), states[i]);
        hostile_turns(h, 2);
    }
}

static void back_states_that_are_no_order(struct hostile *h)
{
    static const char *const states[] = {"1", "2", "3", "7", "8", "99", "", "x", "-1", "4"};

    back_states(h, states, 10);
}

static void back_told_to_close(struct hostile *h)
{
    static const char *const states[] = {"5", "4", "5", "2", "5"};

    back_states(h, states, 5);
}

static void back_told_that_it_is_closed(struct hostile *h)
{
    static const char *const states[] = {"6"};

    back_states(h, states, 1);
    hostile_mapped(h, 1);
}

static void back_told_everything(struct hostile *h)
{
    static const char *const states[] = {"6", "5", "4", "3", "2", "1", "6", "1", "6", "2", "5"};

    back_states(h, states, 11);
}

static void back_told_connected_while_offered(struct hostile *h)
{
    static const char *const states[] = {"4", "3", "4"};

    stage_expect(h->s, back_key(HOSTILE, "state"), "2");
    back_states(h, states, 3);
}

static void online_garbage(struct hostile *h)
{
    static const char *const values[] = {"", "x", "-1", "00", "1"};

    for (unsigned i = 0; i < 5; i++) {
        stage_write(h->s, back_key(HOSTILE, "online"), values[i]);
        stage_write(h->s, back_key(HOSTILE, "state"), "4");
        hostile_turns(h, 2);
    }
}

static void close_that_the_front_ignores(struct hostile *h)
{
    assert_int_equal(stage_request_close(h->s, HOSTILE), 0);
    hostile_turns(h, 3);
    hostile_neighbour(h);
}

static void force_after_a_close_ignored(struct hostile *h)
{
    close_that_the_front_ignores(h);
    assert_int_equal(stage_force_close(h->s, HOSTILE), 0);
}

static void run_with(struct hostile *h, const char *key)
{
    if (h->row->value == NULL)
        stage_remove(h->s, back_key(HOSTILE, key));
    else
        stage_write(h->s, back_key(HOSTILE, key), h->row->value);
    h->back = stage_run(h->s, HOSTILE);
}

static void params_of_row(struct hostile *h)
{
    run_with(h, "params");
}

static void frontend_of_row(struct hostile *h)
{
    run_with(h, "frontend");
}

static void frontend_id_of_row(struct hostile *h)
{
    run_with(h, "frontend-id");
}

static void params_rewritten_in_use(struct hostile *h)
{
    const char *const others[] = {h->guard, "/dev/null", "", "/", "\xff\xfe", h->disk};

    for (unsigned i = 0; i < 6; i++) {
        struct hand_request r = hostile_pages(h, 1, DISK_SECTORS - 8, 1);

        stage_write(h->s, back_key(HOSTILE, "params"), others[i]);
        hostile_turns(h, 2);
        assert_int_equal(hostile_ask(h, &r), OKAY);
        hostile_neighbour(h);
    }
    stage_remove(h->s, back_key(HOSTILE, "params"));
    hostile_turns(h, 2);
}

static void mode_flipped_in_use(struct hostile *h)
{
    static const char *const modes[] = {"r", "w", "", "x", "r"};

    for (unsigned i = 0; i < 5; i++) {
        stage_write(h->s, back_key(HOSTILE, "mode"), modes[i]);
        hostile_turns(h, 1);
    }
    if (h->row->read_only)
        stage_write(h->s, back_key(HOSTILE, "mode"), "w");
}

static void offer_scribbled_in_use(struct hostile *h)
{
    struct hand_request r = hostile_pages(h, 1, DISK_SECTORS, 1);

    stage_write(h->s, back_key(HOSTILE, "sectors"), "99999999");
    stage_write(h->s, back_key(HOSTILE, "feature-max-indirect-segments"), "4096");
    stage_write(h->s, back_key(HOSTILE, "vbdkit-parked"), "1");
    assert_int_equal(hostile_ask(h, &r), FAULTY);
}

/* --- a daemon goes, and another comes --- */

static void park(struct hostile *h)
{
    vbd_back_park(h->back);
    assert_true(stage_wait(h->s, stage_has_ended, h->s));
    assert_int_equal(h->s->last_end, VBD_BACK_PARKED);
    h->s->ended = 0;
}

static void parked_and_indexes_scribbled(struct hostile *h)
{
    park(h);
    *handfront_rsp_prod(&h->front) = 0x80000000u;
    h->back = stage_run(h->s, HOSTILE);
}

static void parked_and_ring_ref_changed(struct hostile *h)
{
    park(h);
    stage_write(h->s, front_key(HOSTILE, "ring-ref"), "0");
    h->back = stage_run(h->s, HOSTILE);
}

static void parked_and_front_removed(struct hostile *h)
{
    park(h);
    remove_front(h);
    h->back = stage_run(h->s, HOSTILE);
    hostile_turns(h, 3);
}

static void parked_and_ring_filled(struct hostile *h)
{
    park(h);
    h->front.req_prod += h->front.size;
    (void)handfront_push(&h->front);
    h->back = stage_run(h->s, HOSTILE);
    hostile_mapped(h, 2);
}

static void parked_while_flapping(struct hostile *h)
{
    hostile_thread(h, flap_odd);
    for (int i = 0; i < 4; i++) {
        hostile_turns(h, 3);
        park(h);
        h->back = stage_run(h->s, HOSTILE);
    }
    hostile_turns(h, 3);
    hostile_join(h);
    hostile_turns(h, 3);
}

#define TEN(x) x x x x x x x x x x
#define LONG TEN(TEN(TEN("1") TEN("1") TEN("1") TEN("1"))) /* 4000 bytes */
#define SERVED(what, how)                                                                          \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_SERVED                                            \
    }
#define CLOSED(what, how)                                                                          \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_CLOSED                                            \
    }
#define EITHER(what, how)                                                                          \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_EITHER                                            \
    }
#define OFFERED(what, how, ending)                                                                 \
    {                                                                                              \
        .name = what, .commit = how, .end = ending, .begin = BEGINS_OFFERED                        \
    }
#define STATE(what, contents, ending, from)                                                        \
    {                                                                                              \
        .name = what, .commit = state_of_row, .end = ending, .begin = from, .value = contents      \
    }
#define NODE(what, how, contents, sentence)                                                        \
    {                                                                                              \
        .name = what, .commit = how, .end = ENDS_REFUSED, .says = sentence,                        \
        .begin = BEGINS_CREATED, .value = contents                                                 \
    }
#define OPTIONS(what, text, sentence)                                                              \
    {                                                                                              \
        .name = what, .commit = NULL, .end = ENDS_REFUSED, .says = "vbdkit-options: " sentence,    \
        .begin = BEGINS_OFFERED, .options = text                                                   \
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
    SERVED("connects again and again", a_hundred_connections),
    OFFERED("front removed while offered", front_removed_while_offered, ENDS_EITHER),
    OFFERED("front removed while connecting", front_removed_while_connecting, ENDS_EITHER),
    CLOSED("front removed while closing", front_removed_while_closing),
    CLOSED("front removed while closed", front_removed_while_closed),
    CLOSED("front removed in use", front_removed_in_use),
    SERVED("backend removed in use", back_removed_in_use),
    SERVED("backend's state removed in use", back_state_removed_in_use),
    SERVED("backend's state written, no order", back_states_that_are_no_order),
    SERVED("backend told to close, again and again", back_told_to_close),
    CLOSED("backend told that it is closed", back_told_that_it_is_closed),
    EITHER("backend told everything", back_told_everything),
    OFFERED("backend told that it is connected", back_told_connected_while_offered, ENDS_EITHER),
    SERVED("online: garbage", online_garbage),
    SERVED("close that the front ignores", close_that_the_front_ignores),
    CLOSED("force after a close ignored", force_after_a_close_ignored),
    NODE("params: missing", params_of_row, NULL, "params: the node is missing"),
    NODE("params: empty", params_of_row, "", "params: "),
    NODE("params: a directory", params_of_row, "/", "params: "),
    NODE("params: a device that is no disk", params_of_row, "/dev/null", "params: "),
    NODE("params: binary", params_of_row, "\x01\xff\x80", "params: "),
    NODE("params: 4 KiB", params_of_row, LONG, "params: "),
    NODE("frontend: the neighbour's", frontend_of_row, "/local/domain/5/device/vbd/51728",
         "frontend: "),
    NODE("frontend: missing", frontend_of_row, NULL, "frontend: "),
    NODE("frontend-id: another's", frontend_id_of_row, "4", "frontend-id: "),
    NODE("frontend-id: huge", frontend_id_of_row, "4294967301", "frontend-id: "),
    OPTIONS("vbdkit-options: a comma", ",", "\"\" is no option"),
    OPTIONS("vbdkit-options: unknown", "nonsense=1", "\"nonsense\" is no option"),
    OPTIONS("vbdkit-options: an empty value", "memory=", "\"memory=\" is not in"),
    OPTIONS("vbdkit-options: huge", "memory=99999999999999999999", "\"memory=9999"),
    OPTIONS("vbdkit-options: zero", "in-flight=0", "\"in-flight=0\" is not in"),
    OPTIONS("vbdkit-options: negative", "in-flight=-1", "\"in-flight=-1\" is not in"),
    OPTIONS("vbdkit-options: an odd sector", "sector-size=513", "\"sector-size=513\" is"),
    OPTIONS("vbdkit-options: binary", "\x01\xff=\x80", "\""),
    OPTIONS("vbdkit-options: 4 KiB", LONG, "\"11111"),
    SERVED("params rewritten in use", params_rewritten_in_use),
    SERVED("mode flipped in use", mode_flipped_in_use),
    {.name = "mode flipped in use, read-only",
     .commit = mode_flipped_in_use,
     .end = ENDS_UNTOUCHED,
     .read_only = true},
    SERVED("the offer scribbled in use", offer_scribbled_in_use),
    {.name = "parked, and indexes scribbled",
     .commit = parked_and_indexes_scribbled,
     .end = ENDS_REFUSED,
     .says = "the guest broke its ring"},
    {.name = "parked, and the ring changed",
     .commit = parked_and_ring_ref_changed,
     .end = ENDS_REFUSED,
     .says = "cannot map the frontend's grant 0"},
    EITHER("parked, and the front removed", parked_and_front_removed),
    SERVED("parked, and the ring filled", parked_and_ring_filled),
    EITHER("parked while flapping", parked_while_flapping),
};

const struct misdeeds misdeeds_of_states = {rows, sizeof rows / sizeof rows[0]};
