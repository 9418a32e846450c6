/* test_device_change.c - what changes while a guest is connected: the size of its disk, the medium
 * of its drive; and what a device's own options say. On the real xenstored, with real threads. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/stage.h"

enum { VDEV = 51712, PORT = 3, DATA = 100 };

static int16_t read_sector(struct stage *s, struct handfront *f, uint64_t sector)
{
    struct hand_request r = {.op = 0,
                             .count = 1,
                             .id = sector,
                             .sector = sector,
                             .segments = {{sim_grant(s->sim, DATA, false), 0, 0}}};

    memset(sim_page(s->sim, DATA), 0xee, SIM_PAGE);
    return stage_request(s, f, &r);
}

static void make_image(const char *path, char pattern, size_t bytes)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    for (size_t i = 0; i < bytes; i++)
        (void)fputc(pattern, f);
    assert_int_equal(fclose(f), 0);
}

/* --- size --- */

static void test_a_disk_grows_and_shrinks_under_a_guest(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, PORT);
    stage_expect(s, back_key(VDEV, "sectors"), "2048");
    assert_int_equal(read_sector(s, &f, 2048), -1);
    assert_int_equal(truncate(s->image, 2 * STAGE_DISK_BYTES), 0);
    stage_write(s, back_key(VDEV, "params"), s->image);
    stage_expect(s, back_key(VDEV, "sectors"), "4096");
    stage_expect(s, back_key(VDEV, "state"), "4");
    assert_int_equal(read_sector(s, &f, 4095), 0);
    assert_int_equal(truncate(s->image, STAGE_DISK_BYTES / 2), 0);
    stage_write(s, back_key(VDEV, "params"), s->image);
    stage_expect(s, back_key(VDEV, "sectors"), "1024");
    assert_int_equal(read_sector(s, &f, 1023), 0);
    assert_int_equal(read_sector(s, &f, 1024), -1);
    stage_remove_device(s, VDEV);
}

static void test_another_image_for_a_disk_changes_nothing(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, PORT);
    stage_write(s, back_key(VDEV, "params"), "/etc/passwd");
    assert_int_equal(read_sector(s, &f, 7), 0);
    stage_expect(s, back_key(VDEV, "sectors"), "2048");
    stage_remove_device(s, VDEV);
}

/* --- medium --- */

static void create_cdrom(struct stage *s, const char *params)
{
    assert_int_equal(stage_create(s, VDEV, params, true), 0);
    stage_write(s, back_key(VDEV, "device-type"), "cdrom");
    stage_write(s, back_key(VDEV, "removable"), "1");
    stage_run(s, VDEV);
}

static void expect_byte(struct stage *s, struct handfront *f, uint64_t sector, char pattern)
{
    assert_int_equal(read_sector(s, f, sector), 0);
    assert_int_equal(sim_page(s->sim, DATA)[511], pattern);
}

static void test_a_drive_gets_and_loses_its_medium_under_a_guest(void **state)
{
    struct stage *s = *state;
    char one[128], two[128];
    struct handfront f;

    (void)snprintf(one, sizeof one, "%s/one.iso", s->dir);
    (void)snprintf(two, sizeof two, "%s/two.iso", s->dir);
    make_image(one, 'a', 8192);
    make_image(two, 'b', 4096);
    create_cdrom(s, "");
    stage_connect(s, &f, VDEV, 1, PORT);
    stage_expect(s, back_key(VDEV, "sectors"), "0");
    stage_expect(s, back_key(VDEV, "info"), "7");
    assert_int_equal(read_sector(s, &f, 0), -1);
    stage_write(s, back_key(VDEV, "params"), one);
    stage_expect(s, back_key(VDEV, "sectors"), "16");
    expect_byte(s, &f, 15, 'a');
    stage_write(s, back_key(VDEV, "params"), two);
    stage_expect(s, back_key(VDEV, "sectors"), "8");
    expect_byte(s, &f, 7, 'b');
    assert_int_equal(read_sector(s, &f, 8), -1);
    stage_write(s, back_key(VDEV, "params"), "/nowhere/at/all");
    stage_expect(s, back_key(VDEV, "sectors"), "0");
    stage_write(s, back_key(VDEV, "params"), one);
    stage_expect(s, back_key(VDEV, "sectors"), "16");
    stage_write(s, back_key(VDEV, "params"), "");
    stage_expect(s, back_key(VDEV, "sectors"), "0");
    assert_int_equal(read_sector(s, &f, 0), -1);
    stage_remove_device(s, VDEV);
    (void)unlink(one);
    (void)unlink(two);
}

static bool has_emptied(void *stage)
{
    return strstr(((struct stage *)stage)->log, "the drive is empty now") != NULL;
}

/* The same words again, once they name something. */
static void test_a_drive_takes_a_medium_that_was_not_there_before(void **state)
{
    struct stage *s = *state;
    char late[128];
    struct handfront f;

    (void)snprintf(late, sizeof late, "%s/late.iso", s->dir);
    create_cdrom(s, "");
    stage_connect(s, &f, VDEV, 1, PORT);
    stage_write(s, back_key(VDEV, "params"), late);
    assert_true(stage_wait(s, has_emptied, s));
    make_image(late, 'l', 4096);
    stage_write(s, back_key(VDEV, "params"), late);
    stage_expect(s, back_key(VDEV, "sectors"), "8");
    expect_byte(s, &f, 7, 'l');
    stage_remove_device(s, VDEV);
    (void)unlink(late);
}

static void test_a_disk_without_an_image_is_refused(void **state)
{
    struct stage *s = *state;

    assert_int_equal(stage_create(s, VDEV, "", false), 0);
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "hotplug-status"), "error");
    stage_remove_device(s, VDEV);
}

/* --- options --- */

static void test_a_devices_own_options_are_offered(void **state)
{
    struct stage *s = *state;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_write(s, back_key(VDEV, "vbdkit-options"),
                "ring-order=2,queues=3,indirect-segments=0,persistent=77,discard=0,barrier=0,"
                "sector-size=4096,physical-sector-size=16384");
    stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_expect(s, back_key(VDEV, "max-ring-page-order"), "2");
    stage_expect(s, back_key(VDEV, "max-ring-pages"), "4");
    stage_expect(s, back_key(VDEV, "multi-queue-max-queues"), "3");
    stage_expect(s, back_key(VDEV, "feature-max-indirect-segments"), NULL);
    stage_expect(s, back_key(VDEV, "feature-persistent"), "1");
    stage_expect(s, back_key(VDEV, "feature-discard"), "0");
    stage_expect(s, back_key(VDEV, "feature-barrier"), "0");
    stage_expect(s, back_key(VDEV, "sector-size"), "4096");
    stage_expect(s, back_key(VDEV, "physical-sector-size"), "16384");
    stage_remove_device(s, VDEV);
}

static void test_odd_options_are_told_by_name(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"quues=3", "vbdkit-options: \"quues\" is no option of a backend"},
        {"queues=17", "vbdkit-options: \"queues=17\" is not in the option's range"},
        {"queues=", "vbdkit-options: \"queues=\" is not in the option's range"},
        {"in-flight=0", "vbdkit-options: \"in-flight=0\" is not in the option's range"},
        {"sector-size=1024", "vbdkit-options: \"sector-size=1024\" is neither 512 nor 4096"},
    };
    struct stage *s = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
        stage_write(s, back_key(VDEV, "vbdkit-options"), cases[i].text);
        stage_run(s, VDEV);
        stage_expect(s, back_key(VDEV, "hotplug-error"), cases[i].says);
        stage_remove_device(s, VDEV);
    }
}

static void test_options_parse_as_a_whole_or_not_at_all(void **state)
{
    struct vbd_back_options o;
    struct vbd_error why = {""};

    (void)state;
    vbd_back_options_init(&o);
    assert_int_equal(o.in_flight, 128);
    assert_int_equal(vbd_back_options_parse("queues=2,in-order", &o, &why), 0);
    assert_int_equal(o.queues, 2);
    assert_int_equal(o.in_order, 1);
    assert_int_equal(vbd_back_options_parse("queues=5,nonsense=1", &o, &why), -EINVAL);
    assert_int_equal(o.queues, 2);
    assert_int_equal(vbd_back_options_parse("", &o, &why), 0);
    assert_int_equal(vbd_back_options_parse("persistent=99999999999999999999", &o, &why), -EINVAL);
}

/* --- queues --- */

static void write_queue(struct stage *s, struct handfront *f, unsigned n, unsigned page,
                        uint32_t port)
{
    char key[64], value[16];

    handfront_init(f, s->sim, HAND_X86_64, page, 1, port);
    (void)snprintf(key, sizeof key, "queue-%u/ring-ref", n);
    (void)snprintf(value, sizeof value, "%u", sim_grant(s->sim, page, false));
    stage_write(s, front_key(VDEV, key), value);
    (void)snprintf(key, sizeof key, "queue-%u/event-channel", n);
    (void)snprintf(value, sizeof value, "%u", port);
    stage_write(s, front_key(VDEV, key), value);
}

/* Threads of queues that are so much nicer than this one. */
static int queue_threads(int nicer)
{
    int wanted = getpriority(PRIO_PROCESS, 0) + nicer, count = 0;
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[300], name[32] = "";
        int tid = atoi(entry->d_name);
        FILE *file;

        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        file = tid > 0 ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        if (fgets(name, sizeof name, file) != NULL && strcmp(name, "vbd-queue\n") == 0 &&
            getpriority(PRIO_PROCESS, (id_t)tid) == wanted)
            count++;
        (void)fclose(file);
    }
    (void)closedir(dir);
    return count;
}

static void test_a_device_with_one_queue_has_a_whole_share(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_run(s, VDEV);
    stage_connect(s, &f, VDEV, 1, PORT);
    assert_int_equal(read_sector(s, &f, 0), 0);
    assert_int_equal(queue_threads(0), 1);
    stage_remove_device(s, VDEV);
}

static void expect_one_read_each(const struct vbd_back *back, unsigned queues)
{
    struct vbd_counters counters;
    struct vbd_latency latency;

    for (unsigned q = 0; q < queues; q++) {
        uint64_t timed = 0;

        assert_int_equal(vbd_back_queue_stats(back, q, &counters, &latency), 0);
        for (unsigned i = 0; i < VBD_LATENCY_RANGES; i++)
            timed += latency.reads[i];
        assert_int_equal(counters.reads, 1);
        assert_int_equal(timed, 1);
    }
    assert_int_equal(vbd_back_queue_stats(back, queues, &counters, &latency), -ENOENT);
}

static void test_each_queue_is_served_and_a_broken_one_closes_all(void **state)
{
    struct stage *s = *state;
    struct vbd_back *back;
    struct handfront f[3];

    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    back = stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "state"), "2");
    stage_write(s, front_key(VDEV, "multi-queue-num-queues"), "3");
    for (unsigned i = 0; i < 3; i++)
        write_queue(s, &f[i], i, 10 + i, PORT + i);
    stage_write(s, front_key(VDEV, "state"), "3");
    stage_expect(s, back_key(VDEV, "state"), "4");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(read_sector(s, &f[i], i), 0);
    expect_one_read_each(back, 3);
    assert_int_equal(queue_threads(5), 3); /* a third of a share each */
    *handfront_req_prod(&f[1]) += 1000;
    sim_send(s->sim, f[1].port);
    stage_expect(s, back_key(VDEV, "state"), "5");
    stage_remove_device(s, VDEV);
}

/* --- limits of time --- */

struct looking {
    struct vbd_back *back;
    uint64_t looks;
};

/* The last change was looked at, or the next look has to wait. */
static bool has_looked_or_waits(void *arg)
{
    struct looking *l = arg;
    struct vbd_back_stats stats;

    vbd_back_stats(l->back, &stats);
    return stats.looks > l->looks || stats.looks_held > 0;
}

static void test_a_guest_that_flaps_its_state_is_held_back(void **state)
{
    struct stage *s = *state;
    struct vbd_back_stats stats;
    struct looking l;

    s->tells_time = true;
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_write(s, back_key(VDEV, "vbdkit-options"), "looks=10,log-lines=1");
    l.back = stage_run(s, VDEV);
    stage_expect(s, back_key(VDEV, "state"), "2");
    for (int i = 0; i < 100; i++) {
        vbd_back_stats(l.back, &stats);
        l.looks = stats.looks;
        stage_write(s, front_key(VDEV, "state"), i % 2 == 0 ? "3" : "1");
        assert_true(stage_wait(s, has_looked_or_waits, &l));
    }
    vbd_back_stats(l.back, &stats);
    assert_true(stats.looks_held > 0);
    stage_write(s, front_key(VDEV, "state"), "6"); /* and is heard in the end */
    stage_expect(s, back_key(VDEV, "state"), "6");
    vbd_back_stats(l.back, &stats);
    assert_true(stats.log_dropped > 0);
    stage_remove_device(s, VDEV);
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        STAGED(test_a_disk_grows_and_shrinks_under_a_guest),
        STAGED(test_another_image_for_a_disk_changes_nothing),
        STAGED(test_a_drive_gets_and_loses_its_medium_under_a_guest),
        STAGED(test_a_drive_takes_a_medium_that_was_not_there_before),
        STAGED(test_a_disk_without_an_image_is_refused),
        STAGED(test_a_devices_own_options_are_offered),
        STAGED(test_odd_options_are_told_by_name),
        cmocka_unit_test(test_options_parse_as_a_whole_or_not_at_all),
        STAGED(test_a_guest_that_flaps_its_state_is_held_back),
        STAGED(test_a_device_with_one_queue_has_a_whole_share),
        STAGED(test_each_queue_is_served_and_a_broken_one_closes_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
