/* test_text.c - the portable text helpers: bounds, numbers, comparison. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void test_a_text_never_leaves_its_buffer(void **state)
{
    char buffer[12];
    struct vbd_text t;

    (void)state;
    memset(buffer, 'x', sizeof buffer);
    t = vbd_text_on(buffer, 8);
    vbd_text_u64(vbd_text_str(&t, "abc"), 1234);
    assert_false(t.cut);
    assert_string_equal(buffer, "abc1234");
    vbd_text_str(&t, "!");
    assert_true(t.cut);
    assert_string_equal(buffer, "abc1234");
    assert_int_equal(buffer[8], 'x');
    assert_false(vbd_text_join(buffer, 4, "ab", "cd", NULL));
    assert_string_equal(buffer, "abc");
    assert_true(vbd_text_join(buffer, 5, "ab", "cd", NULL));
}

static void test_numbers_at_their_limits(void **state)
{
    uint64_t n = 7;
    char buffer[32];
    struct vbd_text t = vbd_text_on(buffer, sizeof buffer);

    (void)state;
    vbd_text_u64(&t, UINT64_MAX);
    assert_string_equal(buffer, "18446744073709551615");
    assert_true(vbd_parse_u64(buffer, t.len, UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    n = 7;
    assert_false(vbd_parse_u64("18446744073709551616", 20, UINT64_MAX, &n));
    assert_false(vbd_parse_u64("11", 2, 10, &n));
    assert_false(vbd_parse_u64("", 0, 10, &n));
    assert_false(vbd_parse_u64("+1", 2, 10, &n));
    assert_false(vbd_parse_u64("1\0", 2, 10, &n));
    assert_int_equal(n, 7);
    assert_true(vbd_parse_u64("0010", 4, 10, &n));
    assert_int_equal(n, 10);
}

static void test_comparisons(void **state)
{
    (void)state;
    assert_true(vbd_str_eq("", ""));
    assert_false(vbd_str_eq("a", "ab"));
    assert_true(vbd_str_starts("abc", ""));
    assert_true(vbd_str_starts("abc", "ab"));
    assert_false(vbd_str_starts("ab", "abc"));
    assert_null(vbd_bytes_find("abc", 2, 'c'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_never_leaves_its_buffer),
        cmocka_unit_test(test_numbers_at_their_limits),
        cmocka_unit_test(test_comparisons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
