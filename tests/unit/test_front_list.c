/* test_front_list.c - which vbds a domain has, and which one a person means: on the real xenstored.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/stage.h"
#include "vbdkit/front.h"

#define HOME "/local/domain/5/"

/* --- choosing --- */

static const struct vbd_front_device devices[] = {
    {51712, 0, "/b/51712", "/srv/root.img"},
    {51728, 0, "/b/51728", "/srv/data.img"},
    {51729, 0, "/b/51729", "aio:/var/twin.img"},
    {51744, 0, "/b/51744", "/srv/old/twin.img"},
    {51760, 0, "/b/51760", "51712"}, /* an image by that name is not the disk 51712 */
    {51776, 0, "/b/51776", ""},
};
static const struct vbd_front_list six = {6, devices};

static void test_one_is_chosen_by_number_name_or_image(void **state)
{
    static const struct {
        const char *name;
        uint32_t vdev;
    } rows[] = {{"51712", 51712},        {"0xca00", 51712},    {"xvda", 51712},
                {"/dev/xvdb", 51728},    {"d1p1", 51729},      {"/srv/data.img", 51728},
                {"data.img", 51728},     {"/root.img", 51712}, {"old/twin.img", 51744},
                {"/var/twin.img", 51729}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vbd_error why = {""};
        uint32_t vdev = 0;

        if (vbd_front_choose(&six, rows[i].name, &vdev, &why) < 0 || vdev != rows[i].vdev)
            fail_msg("%s: %u, %s", rows[i].name, vdev, why.text);
    }
}

static void test_what_may_be_several_lists_them(void **state)
{
    struct vbd_error why = {""};
    uint32_t vdev = 77;

    (void)state;
    assert_int_equal(vbd_front_choose(&six, "twin.img", &vdev, &why), -ENOTUNIQ);
    assert_string_equal(why.text, "\"twin.img\" may be any of: xvdb1 (51729, aio:/var/twin.img), "
                                  "xvdc (51744, /srv/old/twin.img)");
    assert_int_equal(vdev, 77);
}

static void test_what_is_none_lists_all(void **state)
{
    static const char *const names[] = {"", "xvdz", "sda", "hda", "a.img", "mg", "/srv", "\x1b[2J"};
    struct vbd_front_list none = {0, NULL};
    struct vbd_error why = {""};
    uint32_t vdev = 77;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(vbd_front_choose(&six, names[i], &vdev, &why), -ENODEV);
        assert_non_null(strstr(why.text, "xvda (51712, /srv/root.img), xvdb (51728, "));
        assert_null(strchr(why.text, '\x1b'));
    }
    assert_int_equal(vbd_front_choose(&none, "xvda", &vdev, &why), -ENODEV);
    assert_string_equal(why.text, "\"xvda\" is no vbd of this domain; there are: none");
    assert_int_equal(vbd_front_choose(&none, "xvda", &vdev, NULL), -ENODEV);
    assert_int_equal(vdev, 77);
}

/* --- enumerating --- */

struct outcome {
    bool done;
    int error;
    char text[512];
};

static void listed(void *ctx, int error, const struct vbd_front_list *list)
{
    struct outcome *o = ctx;
    size_t at = 0;

    assert_false(o->done);
    o->done = true;
    o->error = error;
    for (size_t i = 0; error == 0 && i < list->count; i++) {
        const struct vbd_front_device *d = &list->devices[i];

        at += (size_t)snprintf(o->text + at, sizeof o->text - at, "%u %u %s %s\n", d->vdev,
                               d->backend_domid, d->backend, d->params);
    }
}

static bool is_done(void *outcome)
{
    return ((struct outcome *)outcome)->done;
}

static struct outcome enumerate(struct stage *s, const char *home)
{
    struct outcome o = {0};

    assert_int_equal(
        vbd_front_enumerate(&vbd_libc_allocator, xsc_client_session(s->client), home, listed, &o),
        0);
    assert_true(stage_wait(s, is_done, &o));
    assert_int_equal(o.error, 0);
    return o;
}

static void test_vbds_are_listed_by_number(void **state)
{
    struct stage *s = *state;

    assert_string_equal(enumerate(s, "/local/domain/77/").text, ""); /* no device/vbd at all */
    assert_int_equal(stage_create(s, 51728, "/srv/b.img", false), 0);
    assert_int_equal(stage_create(s, 51712, "/srv/a.img", true), 0);
    assert_int_equal(stage_create(s, 51744, "gone", true), 0);
    stage_remove(s, back_key(51744, "params"));
    stage_write(s, HOME "device/vbd/51760/state", "1"); /* without a backend: none */
    stage_write(s, HOME "device/vbd/51776/backend", "/local/domain/0/nowhere");
    stage_write(s, HOME "device/vbd/51776/backend-id", "7");
    stage_write(s, HOME "device/vbd/51792/backend", "no//path");
    stage_write(s, HOME "device/vbd/51792/backend-id", "0");
    stage_write(s, HOME "device/vbd/51808/backend", "/local/domain/0/x");
    stage_write(s, HOME "device/vbd/51808/backend-id", "minus one");
    stage_write(s, HOME "device/vbd/what", "1");
    assert_string_equal(enumerate(s, HOME).text,
                        "51712 0 /local/domain/0/backend/vbd/5/51712 /srv/a.img\n"
                        "51728 0 /local/domain/0/backend/vbd/5/51728 /srv/b.img\n"
                        "51744 0 /local/domain/0/backend/vbd/5/51744 \n"
                        "51776 7 /local/domain/0/nowhere \n");
}

/* What is asked for and never answered, because the session ends, is told of all the same. */
static void test_an_end_of_the_session_is_told(void **state)
{
    struct outcome o = {0};
    struct xsc *x;
    char home[128];

    (void)state;
    assert_int_equal(xsc_new(&vbd_libc_allocator, &x), 0);
    memset(home, 'x', sizeof home - 1);
    home[sizeof home - 1] = '\0';
    assert_int_equal(vbd_front_enumerate(&vbd_libc_allocator, x, home, listed, &o), -EINVAL);
    assert_int_equal(vbd_front_enumerate(&vbd_libc_allocator, x, NULL, listed, &o), 0);
    assert_false(o.done);
    xsc_free(x);
    assert_true(o.done);
    assert_int_equal(o.error, -ECANCELED);
}

static void test_options_parse_as_a_whole_or_not_at_all(void **state)
{
    struct vbd_front_options o;
    struct vbd_error why = {""};

    (void)state;
    vbd_front_options_init(&o);
    assert_int_equal(o.pool, 256);
    assert_int_equal(vbd_front_options_parse("queues=2,trusted", &o, &why), 0);
    assert_int_equal(o.queues, 2);
    assert_int_equal(o.trusted, 1);
    assert_int_equal(vbd_front_options_parse("queues=5,in-order=1", &o, &why), -EINVAL);
    assert_string_equal(why.text, "\"in-order\" is no option of a frontend");
    assert_int_equal(o.queues, 2);
    assert_int_equal(vbd_front_options_parse("pool=15", &o, &why), -EINVAL);
    assert_string_equal(why.text, "\"pool=15\" is not in the option's range");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_is_chosen_by_number_name_or_image),
        cmocka_unit_test(test_what_may_be_several_lists_them),
        cmocka_unit_test(test_what_is_none_lists_all),
        cmocka_unit_test_setup_teardown(test_vbds_are_listed_by_number, stage_set_up,
                                        stage_tear_down),
        cmocka_unit_test(test_an_end_of_the_session_is_told),
        cmocka_unit_test(test_options_parse_as_a_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
