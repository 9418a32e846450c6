/* test_device_life.c - a back's whole life against the real xenstored, with real threads and files:
 * every path through the states, and what goes wrong is told and touches nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/stage.h"

enum {
    VDEV = 51712,
    OTHER = 51728,
    DATA = 1024 /* a guest page */
};

static bool all_answered(void *arg)
{
    struct handfront *f = arg;

    return __atomic_load_n(handfront_rsp_prod(f), __ATOMIC_ACQUIRE) == f->req_prod;
}

static bool both_done(void *arg)
{
    return ((struct stage *)arg)->ended == 2;
}

static struct hand_request page_request(struct stage *s, uint8_t op, uint64_t id, uint64_t sector,
                                        unsigned page)
{
    return (struct hand_request){.op = op,
                                 .count = op == 3 ? 0 : 1,
                                 .id = id,
                                 .sector = sector,
                                 .segments = {{sim_grant(s->sim, page, false), 0, 7}}};
}

/* Writes, flushes and reads one page, and finds it in the file. */
static void use_disk(struct stage *s, struct handfront *f, int pattern)
{
    struct hand_request write = page_request(s, 1, 1, 16, DATA);
    struct hand_request flush = page_request(s, 3, 2, 0, DATA);
    struct hand_request read = page_request(s, 0, 3, 16, DATA + 1);
    char in_file[SIM_PAGE];
    int fd = open(s->image, O_RDONLY);

    memset(sim_page(s->sim, DATA), pattern, SIM_PAGE);
    assert_int_equal(stage_request(s, f, &write), 0);
    assert_int_equal(stage_request(s, f, &flush), 0);
    assert_int_equal(stage_request(s, f, &read), 0);
    assert_memory_equal(sim_page(s->sim, DATA), sim_page(s->sim, DATA + 1), SIM_PAGE);
    assert_int_equal(pread(fd, in_file, SIM_PAGE, 16 * 512), SIM_PAGE);
    close(fd);
    assert_memory_equal(in_file, sim_page(s->sim, DATA), SIM_PAGE);
}

static void test_a_device_is_offered_used_closed_and_removed(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    int before = stage_count(s, "/local/domain");

    for (unsigned order = 0; order <= 4; order += 2) {
        assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
        stage_run(s, VDEV);
        stage_expect(s, back_key(VDEV, "sectors"), "2048");
        stage_expect(s, back_key(VDEV, "hotplug-status"), "connected");
        stage_connect(s, &f, VDEV, 1u << order, 3);
        use_disk(s, &f, 'a' + (int)order);
        assert_int_equal(stage_request_close(s, VDEV), 0);
        stage_write(s, front_key(VDEV, "state"), "5");
        stage_expect(s, back_key(VDEV, "state"), "5");
        stage_write(s, front_key(VDEV, "state"), "6");
        stage_expect(s, back_key(VDEV, "state"), "6");
        assert_int_equal(s->sim->mapped_pages, 0);
        stage_remove_device(s, VDEV);
    }
    /* Directories that xenstore made on the way may stay: device/vbd, backend/vbd. */
    assert_in_range(stage_count(s, "/local/domain"), before, before + 4);
}

static void test_a_front_may_go_straight_to_connected(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_front(s, &f, VDEV, 1, 3, "4");
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "state"), "4");
    use_disk(s, &f, 'c');
    stage_remove_device(s, VDEV);
}

static void test_a_front_that_closed_may_come_back(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    for (int round = 0; round < 3; round++) {
        stage_connect(s, &f, VDEV, 1, 3);
        use_disk(s, &f, 'r' + round);
        stage_write(s, front_key(VDEV, "state"), "6");
        stage_expect(s, back_key(VDEV, "state"), "6");
        stage_write(s, front_key(VDEV, "state"), "1");
    }
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_remove_device(s, VDEV);
}

static int image_descriptors(const struct stage *s)
{
    char link[64], target[256];
    int n = 0;

    for (int fd = 0; fd < 256; fd++) {
        ssize_t len;

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        len = readlink(link, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
        n += strcmp(target, s->image) == 0;
    }
    return n;
}

static void test_a_closed_device_lets_go_of_its_image(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, 3);
    assert_int_equal(image_descriptors(s), 1);
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    assert_int_equal(image_descriptors(s), 0);
    stage_remove_device(s, VDEV);
}

static void test_a_parked_device_is_picked_up_again(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    struct hand_request waiting;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    vbd_back_park(stage_run(s, VDEV)); /* before it did anything */
    assert_true(stage_wait(s, stage_has_ended, s));
    for (int round = 0; round < 3; round++) {
        struct vbd_back *back = stage_run(s, VDEV);

        if (round == 0)
            stage_connect(s, &f, VDEV, 1, 3);
        stage_expect(s, back_key(VDEV, "vbdkit-parked"), NULL);
        use_disk(s, &f, 'p' + round);
        s->ended = 0;
        vbd_back_park(back);
        assert_true(stage_wait(s, stage_has_ended, s));
        assert_int_equal(s->last_end, VBD_BACK_PARKED);
        assert_int_equal(s->sim->mapped_pages + s->sim->bound_ports, 0);
        stage_expect(s, back_key(VDEV, "state"), "4");
    }
    waiting = page_request(s, 0, 9, 16, DATA);
    handfront_put(&f, &waiting); /* while nobody serves */
    handfront_push(&f);
    stage_run(s, VDEV);
    waiting.id = 10;
    handfront_put(&f, &waiting);
    handfront_push(&f);
    sim_send(s->sim, 3);
    assert_true(stage_wait(s, all_answered, &f));
    s->ended = 0;
    stage_remove_device(s, VDEV);
}

static void test_a_daemon_that_died_is_not_taken_for_parked(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_front(s, &f, VDEV, 1, 3, "4");
    stage_write(s, back_key(VDEV, "state"), "4");
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "hotplug-status"), "error");
    stage_expect(s, back_key(VDEV, "state"), "5");
    stage_remove_device(s, VDEV);
}

/* Each bad image, with what the toolstack is told. */
static void test_bad_images_are_told_and_touch_no_other_device(void **state)
{
    static const struct {
        const char *name; /* below the stage's directory; "" is the directory itself */
        long size;        /* made so long; negative: not made */
        mode_t mode;
        const char *says;
    } cases[] = {
        {"missing", -1, 0, "No such file or directory"},           {"", -1, 0, "is a directory"},
        {"odd", 513, 0600, "513 bytes, is not a multiple of 512"}, {"empty", 0, 0600, "is empty"},
        {"garbage\\x", -1, 0, "No such file or directory"},
    };
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, OTHER, s->image, false), 0);
    stage_run(s, OTHER);
    stage_connect(s, &f, OTHER, 1, 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[128], *error, *node;

        (void)snprintf(path, sizeof path, "%s/%s", s->dir, cases[i].name);
        if (cases[i].size >= 0) {
            int fd = open(path, O_CREAT | O_WRONLY, cases[i].mode);

            assert_true(fd >= 0 && ftruncate(fd, cases[i].size) == 0);
            close(fd);
        }
        assert_int_equal(stage_create(s, VDEV, path, false), 0);
        stage_run(s, VDEV);
        stage_expect(s, back_key(VDEV, "hotplug-status"), "error");
        stage_expect(s, back_key(VDEV, "state"), "5");
        error = stage_read(s, back_key(VDEV, "hotplug-error"));
        node = stage_read(s, "/local/domain/0/error/backend/vbd/5/51712/error");
        if (error == NULL || strstr(error, cases[i].says) == NULL || strstr(error, s->dir) == NULL)
            fail_msg("%s: %s", cases[i].says, error);
        assert_string_equal(error, node);
        free(error);
        free(node);
        stage_remove_device(s, VDEV);
        stage_expect(s, "/local/domain/0/error/backend/vbd/5/51712", NULL);
        use_disk(s, &f, 'i' + (int)i);
        if (cases[i].size >= 0)
            unlink(path);
    }
    assert_non_null(strstr(s->log, "dom5/vbd-51712: params: cannot open"));
    stage_remove_device(s, OTHER);
}

static void test_with_a_hotplug_script_the_script_hears_of_the_error(void **state)
{
    struct stage *s = *state;

    assert_int_equal(stage_create(s, VDEV, "/nonexistent", false), 0);
    stage_write(s, back_key(VDEV, "script"), "/etc/xen/scripts/block-vbdkit");
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "hotplug-status"), "error");
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_write(s, back_key(VDEV, "online"), "0");
    stage_write(s, back_key(VDEV, "state"), "5");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_remove_device(s, VDEV);
}

static void test_a_read_only_disk_refuses_writes(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    struct hand_request write = page_request(s, 1, 1, 0, DATA);
    struct hand_request read = page_request(s, 0, 2, 0, DATA);

    assert_int_equal(stage_create(s, VDEV, s->image, true), 0);
    stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, 3);
    stage_expect(s, back_key(VDEV, "info"), "4");
    assert_int_equal(stage_request(s, &f, &write), -1);
    assert_int_equal(stage_request(s, &f, &read), 0);
    stage_remove_device(s, VDEV);
}

static void test_odd_front_keys_close_that_device_with_a_sentence(void **state)
{
    static const char *const cases[][3] = {
        {"ring-ref", "999999", "ring-ref: cannot map the frontend's grant 999999"},
        {"ring-ref", "", "ring-ref: \"\" is not a number in range"},
        {"event-channel", "15x", "event-channel: \"15x\" is not a number in range"},
        {"event-channel", "4000", "event-channel: cannot bind to the frontend's port 4000"},
        {"protocol", "vax-abi", "protocol: \"vax-abi\" is neither x86_64-abi nor x86_32-abi"},
        {"ring-page-order", "9", "ring-page-order: \"9\" is not a number in range"},
    };
    struct stage *s = *state;
    struct handfront f;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
        stage_run(s, VDEV);
        stage_expect(s, back_key(VDEV, "state"), "2");
        stage_front(s, &f, VDEV, 1, 3, "1");
        stage_write(s, front_key(VDEV, cases[i][0]), cases[i][1]);
        stage_write(s, front_key(VDEV, "state"), "3");
        stage_expect(s, "/local/domain/0/error/backend/vbd/5/51712/error", cases[i][2]);
        stage_expect(s, back_key(VDEV, "state"), "5");
        assert_int_equal(s->sim->mapped_pages + s->sim->bound_ports, 0);
        /* The front gives up, is mended, and comes again. */
        stage_write(s, front_key(VDEV, "state"), "6");
        stage_expect(s, back_key(VDEV, "state"), "6");
        stage_remove(s, front_key(VDEV, "ring-page-order"));
        stage_write(s, front_key(VDEV, "state"), "1");
        stage_connect(s, &f, VDEV, 1, 3);
        use_disk(s, &f, 'k' + (int)i);
        stage_remove_device(s, VDEV);
    }
}

static void test_a_broken_ring_closes_that_device_only(void **state)
{
    struct stage *s = *state;
    struct handfront f, other;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    assert_int_equal(stage_create(s, OTHER, s->image, false), 0);
    stage_run(s, VDEV);
    stage_run(s, OTHER);
    stage_connect(s, &f, VDEV, 1, 3);
    stage_connect(s, &other, OTHER, 1, 4);
    *handfront_req_prod(&f) = 0x7fffffff;
    sim_send(s->sim, 3);
    stage_expect(s, back_key(VDEV, "state"), "5");
    use_disk(s, &other, 'b');
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_remove_device(s, VDEV);
    stage_remove_device(s, OTHER);
}

static void test_a_guest_that_vanishes_leaves_nothing(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 4, 3);
    for (unsigned i = 0; i < 64; i++) {
        struct hand_request r = page_request(s, 1, i, i * 8, DATA + i);

        handfront_put(&f, &r);
    }
    handfront_push(&f);
    sim_send(s->sim, 3);
    stage_remove(s, "/local/domain/5/device");
    stage_expect(s, back_key(VDEV, "state"), "6");
    assert_int_equal(s->sim->mapped_pages + s->sim->bound_ports, 0);
    stage_remove_device(s, VDEV);
}

static void test_what_is_left_of_a_guest_that_is_gone_is_removed(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    assert_int_equal(stage_create(s, OTHER, "/nonexistent", false), 0);
    stage_run(s, VDEV);
    stage_run(s, OTHER);
    stage_connect(s, &f, VDEV, 1, 3);
    stage_expect(s, back_key(OTHER, "hotplug-status"), "error");
    stage_remove(s, "/local/domain/5/device"); /* as libxl does it: devices first */
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_remove(s, "/local/domain/5");
    stage_expect(s, "/local/domain/0/backend/vbd/5", NULL);
    assert_true(stage_wait(s, both_done, s));
    assert_int_equal(s->last_end, VBD_BACK_REMOVED);
}

static void test_a_forced_close_does_not_ask_the_guest(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, 3);
    assert_int_equal(stage_force_close(s, VDEV), 0);
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_expect(s, front_key(VDEV, ""), NULL);
    stage_remove_device(s, VDEV);
}

static void test_a_front_that_flaps_its_state_costs_nothing(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, 3);
    for (int i = 0; i < 500; i++) {
        static const char *const states[] = {"4", "7", "8", "2", "99", "", "x", "5", "6", "1", "3"};

        stage_write(s, front_key(VDEV, "state"), states[i % 11]);
    }
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    stage_write(s, front_key(VDEV, "state"), "1");
    stage_connect(s, &f, VDEV, 1, 3);
    use_disk(s, &f, 'f');
    stage_remove_device(s, VDEV);
}

static void test_a_lost_xenstore_ends_the_back_and_gives_everything_back(void **state)
{
    struct stage *s = *state;
    struct vbd_back *back;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    back = stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, 3);
    use_disk(s, &f, 'l');
    xsc_disconnected(xsc_client_session(s->devices), "the test cut it");
    vbd_back_park(back);
    assert_true(stage_wait(s, stage_has_ended, s));
    assert_int_equal(s->last_end, VBD_BACK_LOST);
    assert_int_equal(s->sim->mapped_pages + s->sim->bound_ports, 0);
}

/* The allocator of the C library, but the n-th request fails. */
static void *fail_alloc(void *ctx, size_t size)
{
    int *left = ctx;

    return *left > 0 && --*left == 0 ? NULL : calloc(1, size);
}

static void fail_free(void *ctx, void *memory)
{
    (void)ctx;
    free(memory);
}

struct settled {
    struct stage *s;
    const char *wanted; /* a state of the back */
};

/* The back has got somewhere: offered or connected as wanted, refused, or over. */
static bool has_settled(void *arg)
{
    struct settled *e = arg;
    char *state = stage_read(e->s, back_key(VDEV, "state"));
    bool there = e->s->ended > 0 ||
                 (state != NULL && (strcmp(state, e->wanted) == 0 || strcmp(state, "5") == 0));

    free(state);
    return there;
}

static void test_memory_that_fails_at_any_point_is_survived(void **state)
{
    struct stage *s = *state;
    struct vbd_platform platform = *vbd_linux_platform(s->platform);
    int left = 0, n = 0;
    struct vbd_allocator failing = {&left, fail_alloc, fail_free};

    platform.allocator = &failing;
    do {
        struct settled offered = {s, "2"}, connected = {s, "4"};
        struct handfront f;

        left = ++n;
        assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
        if (stage_run_on(s, &platform, VDEV) != NULL) {
            assert_true(stage_wait(s, has_settled, &offered));
            stage_front(s, &f, VDEV, 1, 3, "3");
            assert_true(stage_wait(s, has_settled, &connected));
            assert_int_equal(stage_destroy(s, VDEV), 0);
            assert_true(stage_wait(s, stage_has_ended, s));
            s->ended = 0;
        }
        (void)stage_destroy(s, VDEV);
        assert_int_equal(s->sim->mapped_pages + s->sim->bound_ports, 0);
    } while (left == 0); /* until no request was the failing one */
    assert_in_range(n, 4, 100);
}

static void test_the_toolstack_hears_what_is_wrong(void **state)
{
    struct stage *s = *state;

    assert_int_equal(stage_request_close(s, VDEV), -ENOENT);
    assert_int_equal(stage_force_close(s, VDEV), -ENOENT);
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    assert_int_equal(stage_create(s, VDEV, s->image, false), -EEXIST);
    assert_int_equal(stage_destroy(s, VDEV), 0);
    stage_expect(s, back_key(VDEV, ""), NULL);
    stage_expect(s, "/local/domain/0/backend/vbd/5", NULL);
    stage_remove(s, "/local/domain/5");
    assert_int_equal(stage_create(s, VDEV, s->image, false), -ENOENT);
}

int main(void)
{
#define LIFE(test) cmocka_unit_test_setup_teardown(test, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        LIFE(test_a_device_is_offered_used_closed_and_removed),
        LIFE(test_a_front_may_go_straight_to_connected),
        LIFE(test_a_front_that_closed_may_come_back),
        LIFE(test_a_closed_device_lets_go_of_its_image),
        LIFE(test_a_parked_device_is_picked_up_again),
        LIFE(test_a_daemon_that_died_is_not_taken_for_parked),
        LIFE(test_bad_images_are_told_and_touch_no_other_device),
        LIFE(test_with_a_hotplug_script_the_script_hears_of_the_error),
        LIFE(test_a_read_only_disk_refuses_writes),
        LIFE(test_odd_front_keys_close_that_device_with_a_sentence),
        LIFE(test_a_broken_ring_closes_that_device_only),
        LIFE(test_a_guest_that_vanishes_leaves_nothing),
        LIFE(test_what_is_left_of_a_guest_that_is_gone_is_removed),
        LIFE(test_a_forced_close_does_not_ask_the_guest),
        LIFE(test_a_front_that_flaps_its_state_costs_nothing),
        LIFE(test_a_lost_xenstore_ends_the_back_and_gives_everything_back),
        LIFE(test_memory_that_fails_at_any_point_is_survived),
        LIFE(test_the_toolstack_hears_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
