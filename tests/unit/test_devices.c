/* test_devices.c - the daemon's finding of devices: one that is removed and made again while its
 * old back still finishes is served, and one that was there before the daemon is found. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/stage.h"
#include "vbdkit/server.h"

enum { VDEV = 51712, DATA = 1024 };

static int (*real_copy)(void *, unsigned, enum vbd_copy_direction, struct vbd_grant_copy *, size_t);
static int held, entered; /* atomic: between the queue's thread and the test */

/* Stands for storage that takes its time. */
static int slow_copy(void *ctx, unsigned domid, enum vbd_copy_direction direction,
                     struct vbd_grant_copy *pieces, size_t count)
{
    __atomic_store_n(&entered, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&held, __ATOMIC_SEQ_CST))
        ;
    return real_copy(ctx, domid, direction, pieces, count);
}

static bool has_entered(void *arg)
{
    (void)arg;
    return __atomic_load_n(&entered, __ATOMIC_SEQ_CST);
}

static bool all_ended(void *arg)
{
    return devices_all_ended(arg);
}

static struct devices *find_devices(struct stage *s)
{
    struct devices_config config = {.backend_class = "vbd",
                                    .only_guest = -1,
                                    .platform = vbd_linux_platform(s->platform),
                                    .x = xsc_client_session(s->devices)};
    struct devices *d;

    vbd_back_options_init(&config.options);
    assert_int_equal(devices_new(&config, &d), 0);
    return d;
}

static void end(struct stage *s, struct devices *d)
{
    assert_int_equal(stage_destroy(s, VDEV), 0);
    assert_true(stage_wait(s, all_ended, d));
    devices_free(d);
    stage_free(s);
}

static void test_a_device_that_was_there_before_is_found(void **state)
{
    struct stage *s = stage_new();
    struct devices *d;

    (void)state;
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    d = find_devices(s);
    stage_expect(s, back_key(VDEV, "state"), "2");
    end(s, d);
}

static void hold_a_request(struct stage *s, struct handfront *f)
{
    struct hand_request r = {
        .op = 1, .count = 1, .id = 1, .segments = {{sim_grant(s->sim, DATA, false), 0, 7}}};

    __atomic_store_n(&held, 1, __ATOMIC_SEQ_CST);
    handfront_put(f, &r);
    if (handfront_push(f))
        sim_send(s->sim, f->port);
    assert_true(stage_wait(s, has_entered, NULL));
}

static void test_a_device_made_again_while_the_old_one_finishes_is_served(void **state)
{
    struct stage *s = stage_new();
    struct devices *d = find_devices(s);
    struct handfront f;

    (void)state;
    real_copy = s->sim->seam.copy;
    s->sim->seam.copy = slow_copy;
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_front(s, &f, VDEV, 1, 3, "3");
    stage_expect(s, back_key(VDEV, "state"), "4");
    hold_a_request(s, &f);
    assert_int_equal(stage_destroy(s, VDEV), 0);
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_expect(s, back_key(VDEV, "state"), "1"); /* its events have come by now, or will */
    __atomic_store_n(&held, 0, __ATOMIC_SEQ_CST);
    stage_expect(s, back_key(VDEV, "state"), "2");
    end(s, d);
}

/* --- made anew before anybody looked --- */

static void write_nodes(struct stage *s, const char *image)
{
    const char *const nodes[][2] = {
        {back_key(VDEV, "frontend"), "/local/domain/5/device/vbd/51712"},
        {back_key(VDEV, "frontend-id"), "5"},
        {back_key(VDEV, "params"), image},
        {back_key(VDEV, "mode"), "w"}};

    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
        stage_write(s, nodes[i][0], nodes[i][1]);
    stage_write(s, front_key(VDEV, "state"), "1");
    stage_write(s, back_key(VDEV, "state"), "1");
}

/* The daemon does nothing meanwhile, and so never sees that the nodes were gone. */
static void make_anew(struct stage *s, const char *image)
{
    stage_remove(s, back_key(VDEV, ""));
    stage_remove(s, front_key(VDEV, ""));
    write_nodes(s, image);
}

static void test_a_device_made_anew_unseen_is_offered(void **state)
{
    struct stage *s = stage_new();
    struct devices *d = find_devices(s);
    char larger[128];

    (void)state;
    (void)snprintf(larger, sizeof larger, "%s/larger", s->dir);
    assert_int_equal(close(open(larger, O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(truncate(larger, 4096 * 512), 0);
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_expect(s, back_key(VDEV, "state"), "2");
    make_anew(s, larger); /* while it waits for a front */
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_expect(s, back_key(VDEV, "sectors"), "4096");
    make_anew(s, "/nonexistent");
    stage_expect(s, back_key(VDEV, "hotplug-status"), "error");
    stage_expect(s, back_key(VDEV, "state"), "5");
    make_anew(s, larger); /* after it failed */
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_expect(s, "/local/domain/0/error/backend/vbd/5/51712", NULL);
    assert_int_equal(unlink(larger), 0);
    end(s, d);
}

static void test_a_connected_device_made_anew_unseen_does_not_close_the_new_one(void **state)
{
    struct stage *s = stage_new();
    struct devices *d = find_devices(s);
    struct handfront f;

    (void)state;
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_connect(s, &f, VDEV, 1, 3);
    make_anew(s, s->image);
    stage_connect(s, &f, VDEV, 1, 3);
    assert_null(strstr(s->log, "closing"));
    end(s, d);
}

/* --- what is told of them --- */

static void test_each_queue_has_counters_and_latencies(void **state)
{
    struct stage *s = stage_new();
    struct devices *d = find_devices(s);
    json_object *document, *devices, *queues, *queue;
    struct handfront f;

    (void)state;
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_connect(s, &f, VDEV, 1, 3);
    document = devices_json(d);
    devices = json_object_object_get(document, "devices");
    queues = json_object_object_get(json_object_array_get_idx(devices, 0), "per_queue");
    assert_int_equal(json_object_array_length(queues), 1);
    queue = json_object_array_get_idx(queues, 0);
    assert_non_null(json_object_object_get(queue, "reads"));
    assert_non_null(json_object_object_get(json_object_object_get(queue, "latency"), "reads"));
    (void)json_object_put(document);
    end(s, d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_device_that_was_there_before_is_found),
        cmocka_unit_test(test_a_device_made_again_while_the_old_one_finishes_is_served),
        cmocka_unit_test(test_a_device_made_anew_unseen_is_offered),
        cmocka_unit_test(test_a_connected_device_made_anew_unseen_does_not_close_the_new_one),
        cmocka_unit_test(test_each_queue_has_counters_and_latencies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
