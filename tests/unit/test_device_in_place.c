/* test_device_in_place.c - which reads of a device go straight into the guest's pages: the front
 * keeps its grants, the hypervisor and the storage allow it, and segments are of the storage's
 * units. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/stage.h"

enum { VDEV = 51712, PORT = 1, DATA = 1024 };

/* What the image has at a sector: 512 bytes of its number. */
static void fill_image(const struct stage *s)
{
    int fd = open(s->image, O_WRONLY | O_CLOEXEC);
    char sector[512];

    assert_true(fd >= 0);
    for (int i = 0; i < 64; i++) {
        memset(sector, i + 1, sizeof sector);
        assert_int_equal(pwrite(fd, sector, sizeof sector, (off_t)i * 512), sizeof sector);
    }
    (void)close(fd);
}

static struct vbd_back *connected(struct stage *s, struct handfront *f, const char *options)
{
    struct vbd_back *back;

    fill_image(s);
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    stage_write(s, back_key(VDEV, "vbdkit-options"), options);
    back = stage_run(s, VDEV);
    stage_write(s, front_key(VDEV, "feature-persistent"), "1");
    stage_connect(s, f, VDEV, 1, PORT);
    return back;
}

/* Reads sectors `first` to `last` of a page from the disk's sector 8 on, and looks at them. */
static void read_part(struct stage *s, struct handfront *f, uint8_t first, uint8_t last)
{
    struct hand_request r = {.op = 0,
                             .count = 1,
                             .id = 1,
                             .sector = 8,
                             .segments = {{sim_grant(s->sim, DATA, false), first, last}}};
    const char *page = sim_page(s->sim, DATA);

    assert_int_equal(stage_request(s, f, &r), 0);
    for (int i = first; i <= last; i++) {
        assert_int_equal(page[i * 512], 9 + i - first);
        assert_int_equal(page[i * 512 + 511], 9 + i - first);
    }
}

static struct vbd_counters counters_of(const struct vbd_back *back)
{
    struct vbd_back_stats stats;

    vbd_back_stats(back, &stats);
    return stats.counters;
}

static void test_reads_go_in_place(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    struct vbd_back *back = connected(s, &f, "persistent=16");

    read_part(s, &f, 0, 7);
    read_part(s, &f, 3, 5); /* 512 bytes are the storage's unit */
    assert_int_equal(counters_of(back).in_place, 2);
    assert_int_equal(counters_of(back).grants_mapped, 1);
    stage_remove_device(s, VDEV);
}

static void test_reads_are_copied_where_the_hypervisor_minds(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    struct vbd_back *back;

    s->sim->seam.in_place = false;
    back = connected(s, &f, "persistent=16");
    read_part(s, &f, 0, 7);
    assert_int_equal(counters_of(back).in_place, 0);
    assert_int_equal(counters_of(back).grants_mapped, 1);
    stage_remove_device(s, VDEV);
}

static void test_reads_are_copied_without_persistent_grants(void **state)
{
    struct stage *s = *state;
    struct handfront f;
    struct vbd_back *back = connected(s, &f, "persistent=0");

    read_part(s, &f, 0, 7);
    assert_int_equal(counters_of(back).in_place, 0);
    assert_int_equal(counters_of(back).grants_mapped, 0);
    assert_int_equal(s->sim->own_mappings, 0);
    stage_remove_device(s, VDEV);
}

/* The device ends while its pages are mapped: none is left. */
static void test_a_device_that_goes_leaves_no_page_mapped(void **state)
{
    struct stage *s = *state;
    struct handfront f;

    (void)connected(s, &f, "persistent=16");
    read_part(s, &f, 0, 7);
    assert_int_equal(s->sim->own_mappings, 1);
    stage_write(s, front_key(VDEV, "state"), "6");
    stage_expect(s, back_key(VDEV, "state"), "6");
    assert_int_equal(s->sim->mapped_pages, 0);
    assert_int_equal(s->sim->own_mappings, 0);
    stage_remove_device(s, VDEV);
}

int main(void)
{
#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_set_up, stage_tear_down)
    const struct CMUnitTest tests[] = {
        STAGED(test_reads_go_in_place),
        STAGED(test_reads_are_copied_where_the_hypervisor_minds),
        STAGED(test_reads_are_copied_without_persistent_grants),
        STAGED(test_a_device_that_goes_leaves_no_page_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
