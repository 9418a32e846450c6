/* test_embedding.c - what an embedder hands in is looked at before anything is done with it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vbdkit/front.h"
#include "vbdkit/vbd.h"
#include "vbdkit/xsc_linux.h"

/* --- a backend's platform --- */

struct backend {
    struct vbd_hypervisor hypervisor;
    struct vbd_runner runner;
    struct vbd_back_options options;
};

static void make(struct backend *e)
{
    *e = (struct backend){.hypervisor = {.struct_size = sizeof e->hypervisor},
                          .runner = {.struct_size = sizeof e->runner}};
    vbd_back_options_init(&e->options);
}

static int run(const struct backend *e)
{
    const struct vbd_platform platform = {
        .allocator = &vbd_libc_allocator, .hypervisor = &e->hypervisor, .runner = &e->runner};
    const struct vbd_back_config config = {
        .id = {.backend_class = "vbd", .domid = 5, .vdev = 51712}, .options = &e->options};
    struct vbd_back *back;

    return vbd_back_run(&platform, NULL, &config, &back);
}

static void test_a_hypervisor_of_another_version_is_refused(void **state)
{
    struct backend e;

    (void)state;
    make(&e);
    e.hypervisor.struct_size = offsetof(struct vbd_hypervisor, open_mappings);
    assert_int_equal(run(&e), -EINVAL);
}

static void test_a_runner_of_another_version_is_refused(void **state)
{
    struct backend e;

    (void)state;
    make(&e);
    e.runner.struct_size += sizeof(void *);
    assert_int_equal(run(&e), -EINVAL);
}

static void test_a_backends_options_out_of_range_are_refused(void **state)
{
    struct backend e;

    (void)state;
    make(&e);
    e.options.queues = 0;
    assert_int_equal(run(&e), -EINVAL);
    make(&e);
    e.options.queues = 17;
    assert_int_equal(run(&e), -EINVAL);
    make(&e);
    e.options.sector_size = 513;
    assert_int_equal(run(&e), -EINVAL);
}

/* --- a frontend's --- */

static int connect_with(size_t struct_size, const struct vbd_front_options *options)
{
    const struct vbd_guest guest = {.struct_size = struct_size};
    const struct vbd_front_platform platform = {.allocator = &vbd_libc_allocator, .guest = &guest};
    const struct vbd_front_config config = {.vdev = 51712, .options = options};
    struct vbd_front *front;

    return vbd_front_connect(&platform, NULL, &config, &front);
}

static void test_a_guest_of_another_version_is_refused(void **state)
{
    (void)state;
    assert_int_equal(connect_with(0, NULL), -EINVAL);
}

static void test_a_frontends_options_out_of_range_are_refused(void **state)
{
    struct vbd_front_options options;

    (void)state;
    vbd_front_options_init(&options);
    options.ring_order = 5;
    assert_int_equal(connect_with(sizeof(struct vbd_guest), &options), -EINVAL);
    vbd_front_options_init(&options);
    options.pool = 0;
    assert_int_equal(connect_with(sizeof(struct vbd_guest), &options), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hypervisor_of_another_version_is_refused),
        cmocka_unit_test(test_a_runner_of_another_version_is_refused),
        cmocka_unit_test(test_a_backends_options_out_of_range_are_refused),
        cmocka_unit_test(test_a_guest_of_another_version_is_refused),
        cmocka_unit_test(test_a_frontends_options_out_of_range_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
