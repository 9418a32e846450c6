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

/* An image that is missing: the daemon says so. */
static struct vbd_back *run_and_fail(struct stage *s, char away[128])
{
    struct vbd_back *back;

    (void)snprintf(away, 128, "%s.away", s->image);
    assert_int_equal(rename(s->image, away), 0);
    back = stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "hotplug-status"), "error");
    assert_int_equal(stage_count(s, error_node), 2);
    return back;
}

static void fail_and_park(struct stage *s, char away[128])
{
    park(s, run_and_fail(s, away));
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

/* --- what was offered --- */

/* A front that is connected when the daemon stops, and the options that the next one finds. */
static struct vbd_back *hand_over(struct stage *s, struct handfront *f, unsigned pages,
                                  const char *options)
{
    struct vbd_back *back;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    back = stage_run(s, VDEV);
    stage_write(s, front_key(VDEV, "feature-persistent"), "1"); /* as Linux does, always */
    stage_connect(s, f, VDEV, pages, PORT);
    assert_int_equal(read_sector(s, f, 0), 0);
    park(s, back);
    stage_write(s, back_key(VDEV, "vbdkit-options"), options);
    back = stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "vbdkit-parked"), NULL);
    return back;
}

struct taking {
    struct handfront *front;
    struct hand_response response;
};

static bool takes(void *arg)
{
    struct taking *t = arg;

    return handfront_take(t->front, &t->response);
}

/* Twelve segments: more than a plain request has. */
static int16_t read_indirect(struct stage *s, struct handfront *f)
{
    struct hand_indirect r = {
        .inner = 0, .count = 12, .id = 7, .grants = {sim_grant(s->sim, DESCRIPTORS, false)}};
    struct taking t = {.front = f};

    for (unsigned i = 0; i < 12; i++) {
        struct hand_segment segment = {sim_grant(s->sim, DATA + i, false), 0, 7};

        memcpy(sim_page(s->sim, DESCRIPTORS) + (size_t)i * 8, &segment, 8);
    }
    handfront_put_indirect(f, &r);
    if (handfront_push(f))
        sim_send(s->sim, f->port);
    assert_true(stage_wait(s, takes, &t));
    return t.response.status;
}

static void test_what_was_offered_stays_for_a_front_that_stays(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    hand_over(s, &f, 4, "ring-order=0,queues=1,indirect-segments=0,sector-size=4096");
    assert_int_equal(read_sector(s, &f, 5), 0);
    assert_int_equal(read_indirect(s, &f), 0);
    stage_expect(s, back_key(VDEV, "state"), "4");
    /* The next connection is by the new options. */
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_write(s, front_key(VDEV, "state"), "1");
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_expect(s, back_key(VDEV, "max-ring-page-order"), "0");
    stage_expect(s, back_key(VDEV, "sector-size"), "4096");
    stage_remove_device(s, VDEV);
}

/* The front takes its pages back after each request: a mapping that stays would break it. */
static void test_grants_are_kept_only_when_the_front_was_told(void **state)
{
    struct stage *s = *state;
    struct vbd_back_stats stats;
    struct vbd_back *back;
    struct handfront f;

    back = hand_over(s, &f, 1, "persistent=16");
    assert_int_equal(read_sector(s, &f, 1), 0);
    vbd_back_stats(back, &stats);
    assert_int_equal(stats.counters.reads, 1);
    assert_int_equal(stats.counters.grants_mapped, 0);
    stage_remove_device(s, VDEV);
}

/* --- the image --- */

static void test_another_size_is_told_by_the_next_daemon(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    struct vbd_back *back;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    back = stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, PORT);
    park(s, back);
    assert_int_equal(truncate(s->image, 2 * STAGE_DISK_BYTES), 0);
    back = stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "sectors"), "4096");
    assert_int_equal(read_sector(s, &f, 4095), 0);
    park(s, back);
    assert_int_equal(truncate(s->image, STAGE_DISK_BYTES / 2), 0);
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "sectors"), "1024");
    assert_int_equal(read_sector(s, &f, 1024), -1);
    stage_remove_device(s, VDEV);
}

/* A guest that waits for its image, parked, is not failed once it has it. */
static void test_an_image_that_came_back_is_no_error(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    char away[128];
    struct vbd_back *back;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    back = stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, PORT);
    park(s, back);
    fail_and_park(s, away);
    assert_int_equal(rename(away, s->image), 0);
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "hotplug-status"), "connected");
    stage_expect(s, back_key(VDEV, "hotplug-error"), NULL);
    assert_int_equal(stage_count(s, error_node), 0);
    assert_int_equal(read_sector(s, &f, 1), 0);
    stage_remove_device(s, VDEV);
}

/* The guest need not wait: it closes, and comes back to a disk that can be opened or not. */
static void test_a_guest_whose_image_is_gone_may_close(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    char away[128];
    struct vbd_back *back;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    back = stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, PORT);
    park(s, back);
    (void)run_and_fail(s, away);
    stage_expect(s, back_key(VDEV, "state"), "4");
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    assert_int_equal(rename(away, s->image), 0);
    stage_write(s, front_key(VDEV, "state"), "1");
    stage_connect(s, &f, VDEV, 1, PORT);
    assert_int_equal(read_sector(s, &f, 1), 0);
    stage_remove_device(s, VDEV);
}

int main(void)
{
#define HANDOVER(test) cmocka_unit_test_setup_teardown(test, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        HANDOVER(test_an_error_goes_when_a_later_daemon_serves),
        HANDOVER(test_an_error_goes_when_a_later_daemon_sees_the_device_removed),
        HANDOVER(test_what_was_offered_stays_for_a_front_that_stays),
        HANDOVER(test_grants_are_kept_only_when_the_front_was_told),
        HANDOVER(test_another_size_is_told_by_the_next_daemon),
        HANDOVER(test_an_image_that_came_back_is_no_error),
        HANDOVER(test_a_guest_whose_image_is_gone_may_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
