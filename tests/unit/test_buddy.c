/* test_buddy.c - runs of pages: no page is in two, all come back, and an empty region is whole. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buddy.h"
#include "vbdkit/xsc_linux.h"

enum { PAGES = 256, ROUNDS = 100000 };

static void test_orders_hold_their_pages(void **state)
{
    (void)state;
    assert_int_equal(vbd_buddy_order(1), 0);
    assert_int_equal(vbd_buddy_order(2), 1);
    assert_int_equal(vbd_buddy_order(3), 2);
    assert_int_equal(vbd_buddy_order(11), 4);
    assert_int_equal(vbd_buddy_order(256), 8);
    assert_int_equal(vbd_buddy_order(257), 9);
}

static void test_odd_regions_are_refused(void **state)
{
    struct vbd_buddy b;

    (void)state;
    assert_int_equal(vbd_buddy_init(&b, &vbd_libc_allocator, 0), -EINVAL);
    assert_int_equal(vbd_buddy_init(&b, &vbd_libc_allocator, 3), -EINVAL);
}

struct run {
    int64_t page;
    unsigned order;
};

static void mark(unsigned char *used, struct run r, unsigned char was, unsigned char is)
{
    for (uint32_t i = 0; i < 1u << r.order; i++) {
        assert_int_equal(used[r.page + i], was);
        used[r.page + i] = is;
    }
}

static void test_runs_never_overlap_and_all_come_back(void **state)
{
    unsigned char used[PAGES] = {0};
    struct run runs[64];
    unsigned seed = 7, count = 0;
    struct vbd_buddy b;

    (void)state;
    assert_int_equal(vbd_buddy_init(&b, &vbd_libc_allocator, PAGES), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct run r = {.order = (unsigned)rand_r(&seed) % 6};

        if (count < 64 && rand_r(&seed) % 2 == 0) {
            r.page = vbd_buddy_take(&b, r.order);
            if (r.page < 0)
                continue;
            assert_int_equal(r.page % (1 << r.order), 0);
            mark(used, r, 0, 1);
            runs[count++] = r;
        } else if (count > 0) {
            unsigned at = (unsigned)rand_r(&seed) % count;

            mark(used, runs[at], 1, 0);
            vbd_buddy_give(&b, (uint32_t)runs[at].page, runs[at].order);
            runs[at] = runs[--count];
        }
    }
    while (count > 0) {
        count--;
        vbd_buddy_give(&b, (uint32_t)runs[count].page, runs[count].order);
    }
    assert_int_equal(b.taken, 0);
    assert_int_equal(vbd_buddy_take(&b, 8), 0); /* all of it at once */
    assert_int_equal(vbd_buddy_take(&b, 0), VBD_BUDDY_NONE);
    vbd_buddy_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_hold_their_pages),
        cmocka_unit_test(test_odd_regions_are_refused),
        cmocka_unit_test(test_runs_never_overlap_and_all_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
