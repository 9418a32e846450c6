/* test_vdev.c - device numbers of Xen's vbd-interface document, both ways. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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

/* --- the document's table of encodings, whole --- */

static const struct {
    const char *bus;
    uint32_t base, disk_shift;
    uint32_t first_disk, disks, partitions;
    uint32_t numbered_from; /* `base` holds this disk */
} table[] = {
    {"xvd", 1 << 28, 8, 16, 1 << 20, 256, 0}, /* disks 16 onwards */
    {"xvd", 202 << 8, 4, 0, 16, 16, 0},       {"sd", 8 << 8, 4, 0, 16, 16, 0},
    {"hd", 3 << 8, 6, 0, 2, 64, 0},           {"hd", 22 << 8, 6, 2, 4, 64, 2},
};

static size_t letters_of(uint32_t disk, char *to)
{
    size_t len = disk >= 26 ? letters_of(disk / 26 - 1, to) : 0;

    to[len++] = (char)('a' + disk % 26);
    return len;
}

static void both_ways(const char *bus, uint32_t disk, uint32_t partition, uint32_t expected)
{
    char letters[8] = "", name[32], back[24];
    uint32_t vdev = 0;

    letters[letters_of(disk, letters)] = '\0';
    (void)snprintf(name, sizeof name, partition > 0 ? "%s%s%u" : "%s%s", bus, letters, partition);
    if (vbd_vdev_parse(name, &vdev) < 0 || vdev != expected)
        fail_msg("%s is %u, not %u", name, vdev, expected);
    vbd_vdev_name(expected, back);
    assert_string_equal(back, name);
    (void)snprintf(name, sizeof name, "%u", expected);
    assert_int_equal(vbd_vdev_parse(name, &vdev), 0);
    assert_int_equal(vdev, expected);
}

/* All partitions; all disks, but for a million of them those at the ends and some between. */
static void test_every_row_of_the_document(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (uint32_t disk = table[i].first_disk; disk < table[i].disks;
             disk += disk < 1000 || disk > table[i].disks - 100 ? 1 : 997)
            for (uint32_t p = 0; p < table[i].partitions; p += disk < 1000 ? 1 : 51)
                both_ways(table[i].bus, disk, p,
                          table[i].base | (disk - table[i].numbered_from) << table[i].disk_shift |
                              p);
    for (uint32_t disk = 0; disk < 16; disk++) /* partitions 16 onwards */
        for (uint32_t p = 16; p < 256; p++)
            both_ways("xvd", disk, p, 1u << 28 | disk << 8 | p);
}

/* "hex, decimal or octal"; 2 << 28 onwards is reserved; what is below 1 << 28 and in no row names
 * no disk. */
static void test_numbers_of_the_document(void **state)
{
    static const char *const same[] = {"51712", "0xca00", "0XCA00", "0145000"};
    static const uint32_t nameless[] = {0,    767,  896,   2047,  2304,
                                        5631, 5760, 51711, 51968, 0xfffffff};
    uint32_t vdev = 0;
    char name[24], digits[24];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(vbd_vdev_parse(same[i], &vdev), 0);
        assert_int_equal(vdev, 51712);
    }
    assert_int_equal(vbd_vdev_parse("536870911", &vdev), 0);
    assert_int_equal(vdev, (2u << 28) - 1);
    assert_int_equal(vbd_vdev_parse("0x20000000", &vdev), -EINVAL);
    for (size_t i = 0; i < sizeof nameless / sizeof nameless[0]; i++) {
        vbd_vdev_name(nameless[i], name);
        (void)snprintf(digits, sizeof digits, "%u", nameless[i]);
        assert_string_equal(name, digits);
    }
}

static void test_what_is_no_device_is_refused(void **state)
{
    static const char *const names[] = {
        "",         "xvd",    "xvd1",       "xvda0",   "xvda01", "xvda256", "xvdA",
        "hde",      "hda64",  "sdq",        "sda16",   "vda",    "d",       "dp1",
        "d1p",      "d1p256", "d1048576",   "/dev/d0", "xvda-",  "xvda1x",  "-51712",
        "/dev/sr0", "51712x", "4294967296", "0x",      "08",     "0xg",     "536870912"};
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
        cmocka_unit_test(test_every_row_of_the_document),
        cmocka_unit_test(test_numbers_of_the_document),
        cmocka_unit_test(test_what_is_no_device_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
