/* hostile_toolstack.c - a guest has a toolstack that is confused, or that it has confused: orders
 * in odd order, images, modes and options that are none or change while they are in use, and a
 * daemon that comes back to something else than it left. Rows for test_hostile_guest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hostile.h"

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
    hostile_mapped(h, 2);
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
    hostile_neighbours(h);
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
        hostile_neighbours(h);
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

static void parked_and_indexes_scribbled(struct hostile *h)
{
    hostile_park(h);
    *handfront_rsp_prod(&h->front) = 0x80000000u;
    h->back = stage_run(h->s, HOSTILE);
}

static void parked_and_ring_ref_changed(struct hostile *h)
{
    hostile_park(h);
    stage_write(h->s, front_key(HOSTILE, "ring-ref"), "0");
    h->back = stage_run(h->s, HOSTILE);
}

static void parked_and_front_removed(struct hostile *h)
{
    hostile_park(h);
    stage_remove(h->s, front_key(HOSTILE, ""));
    h->back = stage_run(h->s, HOSTILE);
    hostile_turns(h, 3);
}

static void parked_and_ring_filled(struct hostile *h)
{
    hostile_park(h);
    h->front.req_prod += h->front.size;
    (void)handfront_push(&h->front);
    h->back = stage_run(h->s, HOSTILE);
    hostile_mapped(h, 3);
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
    NODE("frontend: another guest's", frontend_of_row, "/local/domain/4/device/vbd/51744",
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
};

const struct misdeeds misdeeds_of_toolstack = {rows, sizeof rows / sizeof rows[0]};
