/* test_xenbus.c - strings in, decisions out: states, the life of a back, and what a front's keys
 * may say.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "xenbus/front_life.h"
#include "xenbus/keys.h"
#include "xenbus/lifecycle.h"
#include "xenbus/negotiate.h"

static void test_only_digits_of_a_state_are_a_state(void **state)
{
    const char *none[] = {NULL, "", "9", "-1", " 4", "4 ", "4x", "0x4", "44444444444444444444444"};

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_int_equal(vbd_state_parse(none[i]), VBD_STATE_UNKNOWN);
    assert_int_equal(vbd_state_parse("4"), VBD_STATE_CONNECTED);
    assert_string_equal(vbd_state_name(VBD_STATE_INIT_WAIT), "InitWait");
}

/* phase, back state as written, published, front, online -> step */
static const struct {
    const char *what;
    enum vbd_phase phase;
    struct vbd_view view;
    enum vbd_step step;
} lives[] = {
    {"a new device is offered", VBD_PHASE_OPENING, {false, true, 1, 1, 1, false}, VBD_STEP_OFFER},
    {"a removed device ends", VBD_PHASE_CONNECTED, {true, true, 0, 4, 4, false}, VBD_STEP_END},
    {"waiting, made anew", VBD_PHASE_WAITING, {false, true, 1, 1, 2, false}, VBD_STEP_END},
    {"connected, made anew", VBD_PHASE_CONNECTED, {false, true, 1, 1, 4, false}, VBD_STEP_END},
    {"a state that is no order", VBD_PHASE_CONNECTED, {false, true, 1, 4, 4, false}, VBD_STEP_NONE},
    {"nothing while the front starts",
     VBD_PHASE_WAITING,
     {false, true, 2, 1, 2, false},
     VBD_STEP_NONE},
    {"nothing before there is a front",
     VBD_PHASE_WAITING,
     {false, true, 2, 0, 2, false},
     VBD_STEP_NONE},
    {"Initialised connects", VBD_PHASE_WAITING, {false, true, 2, 3, 2, false}, VBD_STEP_CONNECT},
    {"straight to Connected too",
     VBD_PHASE_WAITING,
     {false, true, 2, 4, 2, false},
     VBD_STEP_CONNECT},
    {"a front that gives up", VBD_PHASE_WAITING, {false, true, 2, 6, 2, false}, VBD_STEP_CLOSED},
    {"asked to close before a front",
     VBD_PHASE_WAITING,
     {false, false, 5, 1, 2, false},
     VBD_STEP_CLOSED},
    {"connected and well", VBD_PHASE_CONNECTED, {false, true, 4, 4, 4, false}, VBD_STEP_NONE},
    {"the front closes", VBD_PHASE_CONNECTED, {false, true, 4, 5, 4, false}, VBD_STEP_CLOSING},
    {"the front is closing", VBD_PHASE_CONNECTED, {false, true, 5, 5, 5, false}, VBD_STEP_NONE},
    {"asked to close while opening",
     VBD_PHASE_OPENING,
     {false, true, 5, 1, 1, false},
     VBD_STEP_CLOSED},
    {"closing as it was found", VBD_PHASE_OPENING, {false, true, 5, 1, 5, false}, VBD_STEP_OFFER},
    {"offline and opening", VBD_PHASE_OPENING, {false, false, 5, 1, 5, false}, VBD_STEP_CLOSED},
    {"offline, and connected before",
     VBD_PHASE_OPENING,
     {false, false, 5, 4, 5, false},
     VBD_STEP_OFFER},
    {"closing over closed", VBD_PHASE_CLOSED, {false, false, 5, 6, 6, false}, VBD_STEP_CLOSED},
    {"the front has closed", VBD_PHASE_CONNECTED, {false, true, 4, 6, 4, false}, VBD_STEP_CLOSE},
    {"the front vanished", VBD_PHASE_CONNECTED, {false, true, 4, 0, 4, false}, VBD_STEP_CLOSE},
    {"the front restarted", VBD_PHASE_CONNECTED, {false, true, 4, 1, 4, false}, VBD_STEP_CLOSE},
    {"asked to close, the front decides",
     VBD_PHASE_CONNECTED,
     {false, false, 5, 4, 4, false},
     VBD_STEP_NONE},
    {"forced to close", VBD_PHASE_CONNECTED, {false, false, 6, 4, 4, false}, VBD_STEP_CLOSE},
    {"waits for the front to close",
     VBD_PHASE_CLOSING,
     {false, true, 5, 5, 5, false},
     VBD_STEP_NONE},
    {"front closed", VBD_PHASE_CLOSING, {false, true, 5, 6, 5, false}, VBD_STEP_CLOSED},
    {"front gone", VBD_PHASE_CLOSING, {false, true, 5, 0, 5, false}, VBD_STEP_CLOSED},
    {"closed for good", VBD_PHASE_CLOSED, {false, false, 6, 1, 6, false}, VBD_STEP_NONE},
    {"a front comes back", VBD_PHASE_CLOSED, {false, true, 6, 1, 6, false}, VBD_STEP_OFFER},
    {"stays closed", VBD_PHASE_CLOSED, {false, true, 6, 6, 6, false}, VBD_STEP_NONE},
    {"failed, and stays so", VBD_PHASE_FAILED, {false, true, 2, 3, 2, false}, VBD_STEP_NONE},
    {"failed, asked to close", VBD_PHASE_FAILED, {false, false, 5, 1, 2, false}, VBD_STEP_CLOSED},
    {"failed, offline", VBD_PHASE_FAILED, {false, false, 5, 1, 5, false}, VBD_STEP_CLOSED},
    {"failed, the front left", VBD_PHASE_FAILED, {false, true, 5, 6, 5, false}, VBD_STEP_CLOSED},
    {"failed, a parked front", VBD_PHASE_FAILED, {false, true, 4, 4, 4, false}, VBD_STEP_NONE},
    {"failed, it left", VBD_PHASE_FAILED, {false, true, 4, 6, 4, false}, VBD_STEP_CLOSED},
    {"closed, and no guest", VBD_PHASE_CLOSED, {false, true, 6, 0, 6, true}, VBD_STEP_REMOVE},
    {"waiting, and no guest", VBD_PHASE_WAITING, {false, true, 2, 0, 2, true}, VBD_STEP_REMOVE},
    {"connected, and no guest", VBD_PHASE_CONNECTED, {false, true, 4, 0, 4, true}, VBD_STEP_CLOSE},
    {"failed and closed", VBD_PHASE_FAILED, {false, false, 6, 6, 6, false}, VBD_STEP_NONE},
};

static void test_each_view_has_its_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lives / sizeof lives[0]; i++)
        if (vbd_next_step(lives[i].phase, &lives[i].view) != lives[i].step)
            fail_msg("%s", lives[i].what);
}

/* No view, however odd, leads nowhere: every step is one of the known ones. */
static void test_every_view_has_a_step(void **state)
{
    (void)state;
    for (int phase = VBD_PHASE_OPENING; phase <= VBD_PHASE_FAILED; phase++)
        for (unsigned n = 0; n < 2u * 2 * 9 * 9 * 9; n++) {
            struct vbd_view v = {n & 1,
                                 n & 2,
                                 (enum vbd_state)(n / 4 % 9),
                                 (enum vbd_state)(n / 36 % 9),
                                 (enum vbd_state)(n / 324 % 9),
                                 n % 5 == 0};

            assert_in_range(vbd_next_step((enum vbd_phase)phase, &v), VBD_STEP_NONE, VBD_STEP_END);
        }
}

struct keys {
    const char *values[VBD_FRONT_KEYS];
};

static struct keys simple(void)
{
    struct keys k = {{0}};

    k.values[VBD_FRONT_EVENT_CHANNEL] = "17";
    k.values[VBD_FRONT_RING_REF] = "8";
    return k;
}

static int negotiate(const struct keys *k, struct vbd_agreement *a, char why[128])
{
    static const struct vbd_negotiable offered = {VBD_PROTOCOL_X86_64, VBD_RING_ORDER_MAX, 4};
    struct vbd_text text = vbd_text_on(why, 128);
    int r = vbd_negotiate(k->values, &offered, a, &text);

    for (uint32_t i = 0; r == 0 && i < a->queue_count; i++)
        r = vbd_negotiate_queue(k->values, a, i, &text);
    return r;
}

static void test_a_plain_front_is_understood(void **state)
{
    struct keys k = simple();
    struct vbd_agreement a;
    char why[128];

    (void)state;
    assert_int_equal(negotiate(&k, &a, why), 0);
    assert_int_equal(a.ring_pages, 1);
    assert_int_equal(a.queues[0].ring_refs[0], 8);
    assert_int_equal(a.queues[0].remote_port, 17);
    assert_int_equal(a.protocol, VBD_PROTOCOL_X86_64);
    k.values[VBD_FRONT_PROTOCOL] = "x86_32-abi";
    assert_int_equal(negotiate(&k, &a, why), 0);
    assert_int_equal(a.protocol, VBD_PROTOCOL_X86_32);
    assert_int_equal(a.queue_count, 1);
    assert_false(a.persistent);
    k.values[VBD_FRONT_QUEUES] = "4";
    k.values[VBD_FRONT_PERSISTENT] = "1";
    assert_int_equal(negotiate(&k, &a, why), 0);
    assert_int_equal(a.queue_count, 4);
    assert_int_equal(a.queues[3].remote_port, 17);
    assert_true(a.persistent);
}

static void multi_page(enum vbd_front_key key, const char *value, uint32_t pages)
{
    struct keys k = simple();
    char refs[VBD_RING_PAGES_MAX][12];
    struct vbd_agreement a;
    char why[128];

    k.values[VBD_FRONT_RING_REF] = NULL;
    k.values[key] = value;
    for (uint32_t i = 0; i < pages; i++) {
        (void)snprintf(refs[i], sizeof refs[i], "%u", 100 + i);
        k.values[VBD_FRONT_RING_REF_0 + i] = refs[i];
    }
    assert_int_equal(negotiate(&k, &a, why), 0);
    assert_int_equal(a.ring_pages, pages);
    for (uint32_t i = 0; i < pages; i++)
        assert_int_equal(a.queues[0].ring_refs[i], 100 + i);
    k.values[VBD_FRONT_RING_REF_0 + pages - 1] = NULL;
    assert_int_equal(negotiate(&k, &a, why), -EINVAL);
}

static void test_both_schemes_of_large_rings(void **state)
{
    (void)state;
    multi_page(VBD_FRONT_RING_PAGE_ORDER, "0", 1);
    multi_page(VBD_FRONT_RING_PAGE_ORDER, "2", 4);
    multi_page(VBD_FRONT_RING_PAGE_ORDER, "4", 16);
    multi_page(VBD_FRONT_NUM_RING_PAGES, "1", 1);
    multi_page(VBD_FRONT_NUM_RING_PAGES, "8", 8);
    multi_page(VBD_FRONT_NUM_RING_PAGES, "16", 16);
}

static void test_odd_keys_are_refused_by_name(void **state)
{
    static const struct {
        enum vbd_front_key key;
        const char *value, *says;
    } cases[] = {
        {VBD_FRONT_EVENT_CHANNEL, NULL, "event-channel: the frontend did not write"},
        {VBD_FRONT_EVENT_CHANNEL, "", "event-channel: \"\" is not a number"},
        {VBD_FRONT_EVENT_CHANNEL, "-1", "event-channel"},
        {VBD_FRONT_EVENT_CHANNEL, "4294967296", "event-channel"},
        {VBD_FRONT_EVENT_CHANNEL, "99999999999999999999999999", "event-channel"},
        {VBD_FRONT_EVENT_CHANNEL, "1\n", "event-channel"},
        {VBD_FRONT_RING_REF, NULL, "ring-ref: the frontend did not write"},
        {VBD_FRONT_RING_REF, "0x8", "ring-ref: \"0x8\""},
        {VBD_FRONT_RING_PAGE_ORDER, "5", "ring-page-order: \"5\""},
        {VBD_FRONT_RING_PAGE_ORDER, "x", "ring-page-order"},
        {VBD_FRONT_NUM_RING_PAGES, "0", "num-ring-pages: \"0\""},
        {VBD_FRONT_NUM_RING_PAGES, "3", "num-ring-pages: \"3\" is not a power"},
        {VBD_FRONT_NUM_RING_PAGES, "32", "num-ring-pages: \"32\""},
        {VBD_FRONT_QUEUES, "0", "multi-queue-num-queues: \"0\" is no number"},
        {VBD_FRONT_QUEUES, "5", "multi-queue-num-queues: \"5\""},
        {VBD_FRONT_QUEUES, "", "multi-queue-num-queues: \"\""},
        {VBD_FRONT_PROTOCOL, "arm-abi", "protocol: \"arm-abi\" is neither"},
        {VBD_FRONT_PROTOCOL, "", "protocol"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct keys k = simple();
        struct vbd_agreement a;
        char why[128];

        k.values[cases[i].key] = cases[i].value;
        if (negotiate(&k, &a, why) != -EINVAL || strstr(why, cases[i].says) != why)
            fail_msg("%s: %s", cases[i].says, why);
    }
}

static void test_every_key_is_published(void **state)
{
    static const char *const wanted[] = {"max-ring-page-order",
                                         "max-ring-pages",
                                         "multi-queue-max-queues",
                                         "feature-flush-cache",
                                         "feature-barrier",
                                         "feature-persistent",
                                         "feature-discard",
                                         "discard-granularity",
                                         "discard-alignment",
                                         "discard-secure",
                                         "feature-max-indirect-segments",
                                         "sectors",
                                         "sector-size",
                                         "info",
                                         "physical-sector-size"};
    struct vbd_back_offer offer = {.sectors = 18014398509481984,
                                   .sector_size = 512,
                                   .physical_sector = 4096,
                                   .ring_order_max = 4,
                                   .queues_max = 4,
                                   .segments_indirect = 256,
                                   .flush = true,
                                   .discard = true,
                                   .discard_granularity = 4096,
                                   .read_only = true};
    struct vbd_back_key keys[VBD_BACK_KEYS];
    size_t n = vbd_back_keys(&offer, keys);

    (void)state;
    assert_int_equal(n, sizeof wanted / sizeof wanted[0]);
    for (size_t i = 0; i < n; i++) {
        size_t found = 0;

        for (size_t j = 0; j < n; j++)
            found += strcmp(wanted[i], keys[j].name) == 0;
        assert_int_equal(found, 1);
        if (strcmp(keys[i].name, "sectors") == 0)
            assert_string_equal(keys[i].value, "18014398509481984");
        if (strcmp(keys[i].name, "info") == 0)
            assert_string_equal(keys[i].value, "4");
    }
}

/* --- a front reads an offer --- */

static void read_back(const struct vbd_back_offer *offer, struct vbd_back_offer *ret)
{
    const char *values[VBD_OFFER_KEYS] = {NULL};
    struct vbd_back_key keys[VBD_BACK_KEYS];
    size_t n = vbd_back_keys(offer, keys);
    char sentence[100];
    struct vbd_text why = vbd_text_on(sentence, sizeof sentence);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < VBD_OFFER_KEYS; k++)
            if (strcmp(keys[i].name, vbd_offer_key_names[k]) == 0)
                values[k] = keys[i].value;
    assert_int_equal(vbd_back_offer_read(values, ret, &why), 0);
}

static void test_an_offer_is_read_as_it_was_published(void **state)
{
    static const struct vbd_back_offer offer = {.sectors = 18014398509481984,
                                                .sector_size = 4096,
                                                .physical_sector = 8192,
                                                .read_only = true,
                                                .removable = true,
                                                .ring_order_max = 3,
                                                .queues_max = 5,
                                                .segments_indirect = 77,
                                                .persistent = true,
                                                .flush = true,
                                                .discard = true,
                                                .discard_granularity = 65536,
                                                .discard_alignment = 512};
    struct vbd_back_offer read = {0};

    (void)state;
    read_back(&offer, &read);
    assert_memory_equal(&read, &offer, sizeof offer);
}

static void test_an_offer_of_anything_is_bounded(void **state)
{
    static const struct {
        enum vbd_offer_key key;
        const char *value;
        int result;
    } odd[] = {{VBD_OFFER_RING_ORDER, "4294967296", 0},
               {VBD_OFFER_RING_PAGES, "99999999", 0},
               {VBD_OFFER_QUEUES, "0", 0},
               {VBD_OFFER_QUEUES, "-1", 0},
               {VBD_OFFER_INDIRECT, "4294967295", 0},
               {VBD_OFFER_INDIRECT, "x", 0},
               {VBD_OFFER_SECTOR_SIZE, "513", -EINVAL},
               {VBD_OFFER_SECTOR_SIZE, "8192", -EINVAL},
               {VBD_OFFER_SECTOR_SIZE, "", 0},
               {VBD_OFFER_SECTORS, "36028797018963968", -EINVAL},
               {VBD_OFFER_PERSISTENT, "yes", 0},
               {VBD_OFFER_INFO, "\x01", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        const char *values[VBD_OFFER_KEYS] = {
            [VBD_OFFER_SECTORS] = "8", [VBD_OFFER_SECTOR_SIZE] = "512"};
        struct vbd_back_offer read = {0};
        char sentence[100];
        struct vbd_text why = vbd_text_on(sentence, sizeof sentence);

        values[odd[i].key] = odd[i].value;
        assert_int_equal(vbd_back_offer_read(values, &read, &why), odd[i].result);
        assert_true(read.ring_order_max <= 4 && read.queues_max <= 16);
        assert_true(odd[i].result < 0 || read.queues_max >= 1);
        assert_true(read.segments_indirect <= 4096 && !read.persistent && !read.read_only);
        assert_int_equal(why.len > 0, odd[i].result < 0);
    }
}

static void test_a_front_takes_the_next_step(void **state)
{
    static const struct {
        enum vbd_front_phase phase;
        struct vbd_front_view view;
        enum vbd_front_action action;
    } rows[] = {
        {VBD_FRONT_NEW, {.front = 1}, VBD_FRONT_STEP_BEGIN},
        {VBD_FRONT_NEW, {.front = 4, .back = 4, .backend_known = true}, VBD_FRONT_STEP_RESET},
        {VBD_FRONT_WAITING, {.front = 1}, VBD_FRONT_STEP_NONE},
        {VBD_FRONT_WAITING, {.back = 2, .backend_known = true}, VBD_FRONT_STEP_OFFER},
        {VBD_FRONT_WAITING, {.back = 4, .backend_known = true}, VBD_FRONT_STEP_NONE},
        {VBD_FRONT_OFFERED, {.back = 2, .backend_known = true}, VBD_FRONT_STEP_NONE},
        {VBD_FRONT_OFFERED, {.back = 4, .backend_known = true}, VBD_FRONT_STEP_SERVE},
        {VBD_FRONT_OFFERED, {.back = 5, .backend_known = true}, VBD_FRONT_STEP_RESET},
        {VBD_FRONT_OFFERED, {.back = 0}, VBD_FRONT_STEP_RESET},
        {VBD_FRONT_SERVED, {.back = 4, .backend_known = true}, VBD_FRONT_STEP_LOOK},
        {VBD_FRONT_SERVED, {.back = 5, .backend_known = true}, VBD_FRONT_STEP_RESET},
        {VBD_FRONT_SERVED, {.back = 2, .backend_known = true}, VBD_FRONT_STEP_RESET},
        {VBD_FRONT_SERVED, {.back = 4, .backend_known = true, .moved = true}, VBD_FRONT_STEP_RESET},
        {VBD_FRONT_SERVED, {.back = 4, .backend_known = true, .leave = true}, VBD_FRONT_STEP_LEAVE},
        {VBD_FRONT_LEAVING, {.back = 4, .backend_known = true, .leave = true}, VBD_FRONT_STEP_NONE},
        {VBD_FRONT_LEAVING,
         {.back = 5, .backend_known = true, .leave = true},
         VBD_FRONT_STEP_RESET},
        {VBD_FRONT_RESETTING, {.back = 5, .backend_known = true}, VBD_FRONT_STEP_NONE},
        {VBD_FRONT_RESETTING, {.back = 6, .backend_known = true}, VBD_FRONT_STEP_BEGIN},
        {VBD_FRONT_RESETTING,
         {.back = 6, .backend_known = true, .leave = true},
         VBD_FRONT_STEP_END},
        {VBD_FRONT_RESETTING, {.leave = true}, VBD_FRONT_STEP_END},
        {VBD_FRONT_RESETTING,
         {.back = 2, .backend_known = true, .leave = true},
         VBD_FRONT_STEP_END},
        {VBD_FRONT_RESETTING,
         {.back = 4, .backend_known = true, .leave = true, .moved = true},
         VBD_FRONT_STEP_END},
        {VBD_FRONT_RESETTING,
         {.back = 4, .backend_known = true, .leave = true},
         VBD_FRONT_STEP_NONE},
        {VBD_FRONT_OVER, {.back = 2, .backend_known = true}, VBD_FRONT_STEP_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (vbd_front_next(rows[i].phase, &rows[i].view) != rows[i].action)
            fail_msg("row %zu, %s: %d", i, vbd_front_phase_name(rows[i].phase),
                     vbd_front_next(rows[i].phase, &rows[i].view));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_offer_is_read_as_it_was_published),
        cmocka_unit_test(test_an_offer_of_anything_is_bounded),
        cmocka_unit_test(test_a_front_takes_the_next_step),
        cmocka_unit_test(test_only_digits_of_a_state_are_a_state),
        cmocka_unit_test(test_each_view_has_its_step),
        cmocka_unit_test(test_every_view_has_a_step),
        cmocka_unit_test(test_a_plain_front_is_understood),
        cmocka_unit_test(test_both_schemes_of_large_rings),
        cmocka_unit_test(test_odd_keys_are_refused_by_name),
        cmocka_unit_test(test_every_key_is_published),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
