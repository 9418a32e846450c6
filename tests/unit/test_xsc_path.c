/* test_xsc_path.c - proves the words of the protocol: which paths are allowed, what a server's
 * error word means, what an operation is called. */
#include <errno.h>

#include "xsc_support.h"

static void assert_refused(const char *path)
{
    const char *why = NULL;

    assert_int_equal(xsc_check_path(path, &why), -EINVAL);
    assert_non_null(why);
    assert_true(why[0] != '\0');
}

static void assert_allowed(const char *path)
{
    const char *why = "untouched";

    assert_int_equal(xsc_check_path(path, &why), 0);
    assert_string_equal(why, "untouched");
}

static void test_good_paths_are_allowed(void **state)
{
    static const char *const good[] = {"/",
                                       "/a",
                                       "a",
                                       "a/b",
                                       "/local/domain/0/backend/vbd/1/51712",
                                       "/local/domain/0/device-model/x_y@z",
                                       "@introduceDomain",
                                       "@releaseDomain",
                                       "/-",
                                       "/A/Z/0/9"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_allowed(good[i]);
}

static void test_bad_paths_are_refused(void **state)
{
    static const char *const bad[] = {
        "",     "//",   "/a/",       "a/",   "/a//b", "a//b", "//a",   "/a b",  " /a",  "/a ",
        "/a\n", "/a.b", "/a:b",      "/a,b", "/a\\b", "/a*",  "/a~",   "/\x7f", "/a+b", "/a[0",
        "/a`b", "/a{b", "/\xc3\xa9", "/a?",  "/.",    "/..",  "/a/..", "/a\tb", "///"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i]);
}

static bool may_be_in_a_path(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '@' || c == '/';
}

static void test_every_byte_in_the_middle_of_a_path(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char path[] = "/ab/cd";

        path[2] = (char)c;
        if (may_be_in_a_path(c) && c != '/')
            assert_allowed(path);
        else
            assert_refused(path); /* a slash makes an empty component here */
    }
}

static void test_paths_up_to_their_limit(void **state)
{
    static const struct {
        char first;
        size_t len;
        bool allowed;
    } cases[] = {{'/', XSC_ABSOLUTE_PATH_MAX, true},
                 {'/', XSC_ABSOLUTE_PATH_MAX + 1, false},
                 {'a', XSC_RELATIVE_PATH_MAX, true},
                 {'a', XSC_RELATIVE_PATH_MAX + 1, false},
                 {'/', 100000, false},
                 {'a', 100000, false}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = malloc(cases[i].len + 1);

        assert_non_null(path);
        memset(path, 'x', cases[i].len);
        path[0] = cases[i].first;
        path[cases[i].len] = '\0';
        if (cases[i].allowed)
            assert_allowed(path);
        else
            assert_refused(path);
        free(path);
    }
}

static const struct {
    const char *word;
    int error;
} words[] = {{"EINVAL", EINVAL}, {"EACCES", EACCES}, {"EEXIST", EEXIST},   {"EISDIR", EISDIR},
             {"ENOENT", ENOENT}, {"ENOMEM", ENOMEM}, {"ENOSPC", ENOSPC},   {"EIO", EIO},
             {"EROFS", EROFS},   {"EBUSY", EBUSY},   {"ENOSYS", ENOSYS},   {"ENOTEMPTY", ENOTEMPTY},
             {"EAGAIN", EAGAIN}, {"E2BIG", E2BIG},   {"EISCONN", EISCONN}, {"EPERM", EPERM},
             {"EQUOTA", EDQUOT}};

static void test_error_words_of_the_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_int_equal(xsc_errno(words[i].word, strlen(words[i].word)), -words[i].error);
}

static void test_words_that_are_not_known(void **state)
{
    static const struct {
        const char *word;
        size_t len;
    } unknown[] = {{"", 0},        {"E", 1},     {"ENOEN", 5},  {"ENOENTX", 7},
                   {"enoent", 6},  {"EWHAT", 5}, {"ENOENT", 5}, {"ENOENT\0", 7},
                   {" ENOENT", 7}, {"2", 1},     {"EINVAL", 0}, {"\0EINVAL", 7}};

    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_int_equal(xsc_errno(unknown[i].word, unknown[i].len), -EREMOTEIO);
}

static void test_a_word_is_as_long_as_it_is_said_to_be(void **state)
{
    (void)state;
    assert_int_equal(xsc_errno("EIOxyz", 3), -EIO);
    assert_int_equal(xsc_errno("EACCES ", 6), -EACCES);
}

static void test_operations_have_names_in_lower_case(void **state)
{
    (void)state;
    for (int op = XSC_OP_CONTROL; op <= XSC_OP_ERROR; op++) {
        const char *name = xsc_op_name((enum xsc_op)op);

        assert_true(name[0] != '\0');
        for (const char *c = name; *c != '\0'; c++)
            assert_true(*c == ' ' || (*c >= 'a' && *c <= 'z'));
        for (int other = XSC_OP_CONTROL; other < op; other++)
            assert_string_not_equal(name, xsc_op_name((enum xsc_op)other));
    }
    assert_string_equal(xsc_op_name(XSC_OP_READ), "read");
    assert_string_equal(xsc_op_name(XSC_OP_WRITE), "write");
    assert_string_equal(xsc_op_name(XSC_OP_DIRECTORY), "directory");
    assert_string_equal(xsc_op_name(XSC_OP_RM), "rm");
}

static void test_an_operation_out_of_range_has_a_name_too(void **state)
{
    (void)state;
    assert_non_null(xsc_op_name((enum xsc_op)17));
    assert_non_null(xsc_op_name((enum xsc_op)0xffff));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_paths_are_allowed),
        cmocka_unit_test(test_bad_paths_are_refused),
        cmocka_unit_test(test_every_byte_in_the_middle_of_a_path),
        cmocka_unit_test(test_paths_up_to_their_limit),
        cmocka_unit_test(test_error_words_of_the_servers),
        cmocka_unit_test(test_words_that_are_not_known),
        cmocka_unit_test(test_a_word_is_as_long_as_it_is_said_to_be),
        cmocka_unit_test(test_operations_have_names_in_lower_case),
        cmocka_unit_test(test_an_operation_out_of_range_has_a_name_too),
    };

    return cmocka_run_group_tests_name("xsc_path", tests, NULL, NULL);
}
