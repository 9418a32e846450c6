/* test_device_orders.c - the orders in which toolstack, front and daemons may act on one device
 * that a review found handled wrongly: each must end as the side that waits expects. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/stage.h"

enum { VDEV = 51712, DATA = 1024 };

static void read_once(struct stage *s, struct handfront *f, uint64_t id)
{
    struct hand_request r = {
        .op = 0, .count = 1, .id = id, .segments = {{sim_grant(s->sim, DATA, false), 0, 7}}};

    assert_int_equal(stage_request(s, f, &r), 0);
}

static void park(struct stage *s, struct vbd_back *back)
{
    s->ended = 0;
    vbd_back_park(back);
    assert_true(stage_wait(s, stage_has_ended, s));
    s->ended = 0;
}

/* Linux before 5.13 answers a request to close a mounted disk with Closing, and goes on using it
 * until it is unmounted. */
static void test_a_front_in_closing_is_still_served(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, 3);
    assert_int_equal(stage_request_close(s, VDEV), 0);
    stage_write(s, front_key(VDEV, "state"), "5");
    stage_expect(s, back_key(VDEV, "state"), "5");
    for (uint64_t id = 0; id < 50; id++)
        read_once(s, &f, id);
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_remove_device(s, VDEV);
}

static void test_a_front_in_closing_is_picked_up_too(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    struct vbd_back *back;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    back = stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, 3);
    assert_int_equal(stage_request_close(s, VDEV), 0);
    stage_write(s, front_key(VDEV, "state"), "5");
    stage_expect(s, back_key(VDEV, "state"), "5");
    park(s, back);
    stage_run(s, VDEV);
    read_once(s, &f, 1);
    stage_expect(s, back_key(VDEV, "state"), "5");
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_remove_device(s, VDEV);
}

/* A daemon died, the next one said so; none after it may guess, until the front begins anew. */
static void no_later_daemon_guesses(struct stage *s, const char *script, const char *left_as)
{
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    if (script != NULL)
        stage_write(s, back_key(VDEV, "script"), script);
    stage_front(s, &f, VDEV, 1, 3, "4");
    stage_write(s, back_key(VDEV, "state"), left_as);
    for (int daemons = 0; daemons < 3; daemons++) {
        struct vbd_back *back = stage_run(s, VDEV);

        stage_expect(s, back_key(VDEV, "hotplug-status"), "error");
        stage_expect(s, back_key(VDEV, "vbdkit-lost"), "1");
        stage_expect(s, back_key(VDEV, "state"), "5");
        stage_remove(s, back_key(VDEV, "hotplug-status"));
        park(s, back);
    }
    stage_run(s, VDEV);
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_write(s, front_key(VDEV, "state"), "1");
    stage_connect(s, &f, VDEV, 1, 3);
    stage_expect(s, back_key(VDEV, "vbdkit-lost"), NULL);
    stage_expect(s, back_key(VDEV, "hotplug-error"), NULL);
    read_once(s, &f, 1);
    stage_remove_device(s, VDEV);
}

static void test_no_later_daemon_guesses(void **state)
{
    no_later_daemon_guesses(*state, NULL, "4");
}

static void test_no_later_daemon_guesses_with_a_script(void **state)
{
    no_later_daemon_guesses(*state, "/etc/xen/scripts/block-vbdkit", "4");
}

static void test_a_death_after_a_request_to_close_is_not_guessed_away(void **state)
{
    no_later_daemon_guesses(*state, NULL, "5");
}

static void test_a_request_to_close_outlives_a_restart(void **state)
{
    struct stage *s = *state;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    assert_int_equal(stage_request_close(s, VDEV), 0);
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_remove_device(s, VDEV);
}

static struct stage *opening; /* NULL once the request has been made */

/* Once: the device is offered again after it has closed, and by then its nodes may be gone. */
static int close_while_opening(void *ctx, const struct vbd_image *image, struct vbd_storage **ret,
                               struct vbd_error *why)
{
    (void)ctx;
    if (opening != NULL)
        stage_write(opening, back_key(VDEV, "state"), "5");
    opening = NULL;
    return vbd_file_open(image->params, image->read_only, ret, why);
}

static void ended_back(void *ctx, struct vbd_back *back, enum vbd_back_end end)
{
    (void)end;
    ((struct stage *)ctx)->ended++;
    vbd_back_free(back);
}

static void test_a_request_to_close_while_opening_is_not_overwritten(void **state)
{
    struct stage *s = opening = *state;
    struct vbd_back_config config = {
        .id = {.backend_class = "vbd", .domid = STAGE_GUEST, .vdev = VDEV},
        .source = {.open = close_while_opening},
        .ended = ended_back,
        .ctx = s};
    struct vbd_back *back;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    assert_int_equal(vbd_back_run(vbd_linux_platform(s->platform), xsc_client_session(s->devices),
                                  &config, &back),
                     0);
    stage_expect(s, back_key(VDEV, "state"), "6"); /* also without online=0 */
    stage_remove_device(s, VDEV);
}

/* A daemon killed while the mark is there and requests are taken would leave "whole" on a ring that
 * is not. */
static int (*real_bind)(void *, unsigned, uint32_t, struct vbd_event_channel **);
static bool mark_at_bind;

static int bind_looks(void *ctx, unsigned domid, uint32_t port, struct vbd_event_channel **ret)
{
    char *mark = stage_read(opening, back_key(VDEV, "vbdkit-parked"));

    mark_at_bind = mark != NULL;
    free(mark);
    return real_bind(ctx, domid, port, ret);
}

static void test_the_parked_mark_goes_before_requests_are_taken(void **state)
{
    struct stage *s = opening = *state;
    struct handfront f;
    struct vbd_back *back;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    back = stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, 3);
    park(s, back);
    stage_expect(s, back_key(VDEV, "vbdkit-parked"), "1");
    real_bind = s->sim->seam.bind;
    s->sim->seam.bind = bind_looks;
    mark_at_bind = true;
    stage_run(s, VDEV);
    read_once(s, &f, 1);
    assert_false(mark_at_bind);
    stage_remove_device(s, VDEV);
}

static void test_a_parked_guest_waits_for_its_image(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    struct vbd_back *back;
    char away[128];

    (void)snprintf(away, sizeof away, "%s.away", s->image);
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    back = stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, 3);
    park(s, back);
    assert_int_equal(rename(s->image, away), 0);
    back = stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "hotplug-status"), "error");
    stage_expect(s, back_key(VDEV, "state"), "4"); /* the guest has not heard of it */
    park(s, back);
    assert_int_equal(rename(away, s->image), 0);
    stage_run(s, VDEV);
    read_once(s, &f, 1);
    stage_expect(s, "/local/domain/0/error/backend/vbd/5/51712", NULL); /* that was long ago */
    stage_remove_device(s, VDEV);
}

static void test_a_guest_cannot_write_lines_into_the_log(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_front(s, &f, VDEV, 1, 3, "1");
    stage_write(s, front_key(VDEV, "protocol"), "x\n<3>dom9/vbd-1: forged\x1b[2J");
    stage_write(s, front_key(VDEV, "state"), "3");
    stage_expect(s, back_key(VDEV, "state"), "5");
    assert_null(strstr(s->log, "\n<3>"));
    assert_null(strchr(s->log, '\x1b'));
    assert_non_null(strstr(s->log, "protocol: \"x?<3>dom9"));
    stage_remove_device(s, VDEV);
}

static void test_closing_over_closed_is_answered(void **state)
{
    struct stage *s = *state;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_write(s, back_key(VDEV, "state"), "5");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_remove_device(s, VDEV);
}

int main(void)
{
#define ORDER(test) cmocka_unit_test_setup_teardown(test, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        ORDER(test_a_front_in_closing_is_still_served),
        ORDER(test_a_front_in_closing_is_picked_up_too),
        ORDER(test_no_later_daemon_guesses),
        ORDER(test_no_later_daemon_guesses_with_a_script),
        ORDER(test_a_death_after_a_request_to_close_is_not_guessed_away),
        ORDER(test_a_request_to_close_outlives_a_restart),
        ORDER(test_a_request_to_close_while_opening_is_not_overwritten),
        ORDER(test_the_parked_mark_goes_before_requests_are_taken),
        ORDER(test_a_parked_guest_waits_for_its_image),
        ORDER(test_a_guest_cannot_write_lines_into_the_log),
        ORDER(test_closing_over_closed_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
