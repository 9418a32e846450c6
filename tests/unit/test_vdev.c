/* test_vdev.c - device numbers of Xen's vbd-interface document, both ways. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vbdkit/vbd.h"

static const struct {
    const char *name;
    uint32_t vdev;
} rows[] = {
    {"xvda", 51712},     {"xvda1", 51713},     {"xvda15", 51727},   {"xvdb", 51728},
    {"xvdp", 51952},     {"xvdp15", 51967},    {"xvdq", 268439552}, {"xvda16", 268435472},
    {"xvdz", 268441856}, {"xvdaa", 268442112}, {"hda", 768},        {"hda1", 769},
    {"hdb", 832},        {"hdc", 5632},        {"hdd63", 5759},     {"sda", 2048},
    {"sda1", 2049},      {"sdp15", 2303},
};

static void test_names_and_numbers_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t vdev = 0;
        char name[24];

        assert_int_equal(vbd_vdev_parse(rows[i].name, &vdev), 0);
        assert_int_equal(vdev, rows[i].vdev);
        vbd_vdev_name(rows[i].vdev, name);
        assert_string_equal(name, rows[i].name);
    }
}

static void test_other_forms(void **state)
{
    uint32_t vdev = 0;
    char name[24];

    (void)state;
    assert_int_equal(vbd_vdev_parse("/dev/xvdb", &vdev), 0);
    assert_int_equal(vdev, 51728);
    assert_int_equal(vbd_vdev_parse("51712", &vdev), 0);
    assert_int_equal(vdev, 51712);
    assert_int_equal(vbd_vdev_parse("d0", &vdev), 0);
    assert_int_equal(vdev, 51712);
    assert_int_equal(vbd_vdev_parse("d0p0", &vdev), 0);
    assert_int_equal(vdev, 51712);
    assert_int_equal(vbd_vdev_parse("d1p2", &vdev), 0);
    assert_int_equal(vdev, 51730);
    assert_int_equal(vbd_vdev_parse("d536p37", &vdev), 0); /* xvdtq37 */
    assert_int_equal(vdev, 268435456 + 536 * 256 + 37);
    vbd_vdev_name(vdev, name);
    assert_string_equal(name, "xvdtq37");
    vbd_vdev_name(12345678, name);
    assert_string_equal(name, "12345678");
}

static void test_what_is_no_device_is_refused(void **state)
{
    static const char *const names[] = {
        "",         "xvd",     "xvd1",  "xvda0",  "xvda01", "xvda256",  "xvdA",   "hde",
        "hda64",    "sdq",     "sda16", "vda",    "d",      "dp1",      "d1p",    "d1p256",
        "d1048576", "/dev/d0", "xvda-", "xvda1x", "-51712", "/dev/sr0", "51712x", "4294967296"};
    uint32_t vdev = 77;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (vbd_vdev_parse(names[i], &vdev) != -EINVAL || vdev != 77)
            fail_msg("\"%s\"", names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_numbers_agree),
        cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_what_is_no_device_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
