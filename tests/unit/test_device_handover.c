/* test_device_handover.c - what a daemon finds that takes a device over from an earlier one: errors
 * that were written, a disk that was offered otherwise, an image that has changed meanwhile. On the
 * real xenstored, with real threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/stage.h"

enum { VDEV = 51712, PORT = 3, DATA = 1024, DESCRIPTORS = 1100 };

static const char error_node[] = "/local/domain/0/error/backend/vbd/5/51712";

static int16_t read_sector(struct stage *s, struct handfront *f, uint64_t sector)
{
    struct hand_request r = {.op = 0,
                             .count = 1,
                             .id = sector,
                             .sector = sector,
                             .segments = {{sim_grant(s->sim, DATA, false), 0, 0}}};

    return stage_request(s, f, &r);
}

static void park(struct stage *s, struct vbd_back *back)
{
    s->ended = 0;
    vbd_back_park(back);
    assert_true(stage_wait(s, stage_has_ended, s));
    assert_int_equal(s->last_end, VBD_BACK_PARKED);
    s->ended = 0;
}

/* --- errors --- */

/* An image that is missing: the daemon says so, and is stopped. */
static void fail_and_park(struct stage *s, char away[128])
{
    struct vbd_back *back;

    (void)snprintf(away, 128, "%s.away", s->image);
    assert_int_equal(rename(s->image, away), 0);
    back = stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "hotplug-status"), "error");
    assert_true(stage_count(s, error_node) == 2);
    park(s, back);
}

static void test_an_error_goes_when_a_later_daemon_serves(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    char away[128];

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    fail_and_park(s, away);
    assert_int_equal(rename(away, s->image), 0);
    stage_run(s, VDEV);
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_write(s, front_key(VDEV, "state"), "1");
    stage_connect(s, &f, VDEV, 1, PORT);
    assert_int_equal(stage_count(s, error_node), 0);
    stage_remove_device(s, VDEV);
}

static void test_an_error_goes_when_a_later_daemon_sees_the_device_removed(void **state)
{
    struct stage *s = *state;
    char away[128];

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_write(s, back_key(VDEV, "script"), "/etc/xen/scripts/block-vbdkit");
    fail_and_park(s, away);
    stage_write(s, back_key(VDEV, "online"), "0");
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_remove_device(s, VDEV);
    stage_expect(s, error_node, NULL);
    assert_int_equal(rename(away, s->image), 0);
}

int main(void)
{
#define HANDOVER(test) cmocka_unit_test_setup_teardown(test, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        HANDOVER(test_an_error_goes_when_a_later_daemon_serves),
        HANDOVER(test_an_error_goes_when_a_later_daemon_sees_the_device_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
