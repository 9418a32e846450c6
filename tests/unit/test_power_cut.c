/* test_power_cut.c - what a flush and a barrier promise, kept whenever the power goes: a guest at
 * random, a device that completes out of order and fails now and then, a cut after every event, and
 * many of the disks that each may leave. And storages that break the promise are found out, so that
 * the judge is no formality.
 *
 * usage: test_power_cut [SEEDS IMAGES] */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/power.h"

static unsigned seeds = 3, images = 12;

static void run_seed(const struct power_config *config, struct power_report *report)
{
    struct power_history *h = power_run(config, report);

    power_check(h, config->seed, images, report);
    free(h);
}

static void tell(const char *what, const struct power_report *r)
{
    print_message(
        "%s: %u seeds, %llu operations (%llu requests merged, %llu failed), %llu flushes, "
        "%llu barriers, %llu discards; %llu cuts, %llu of them with several possible "
        "disks, %llu disks judged, %llu lost\n",
        what, seeds, (unsigned long long)r->operations, (unsigned long long)r->merges,
        (unsigned long long)r->errors, (unsigned long long)r->flushes,
        (unsigned long long)r->barriers, (unsigned long long)r->discards,
        (unsigned long long)r->cuts, (unsigned long long)r->uncertain,
        (unsigned long long)r->images, (unsigned long long)r->losses);
}

static struct power_config mixed(unsigned queues)
{
    return (struct power_config){.queues = queues,
                                 .requests = 300,
                                 .weights = {2, 10, 1, 3, 2},
                                 .errors_per_million = 20000};
}

/* An honest storage: nothing is ever lost. */
static void expect_kept(const char *what, struct power_config config)
{
    struct power_report r = {0};

    for (config.seed = 1; config.seed <= seeds; config.seed++) {
        run_seed(&config, &r);
        if (r.losses > 0)
            fail_msg("%s, seed %llu: %s", what, (unsigned long long)config.seed, r.first);
    }
    tell(what, &r);
    assert_true(r.uncertain * 2 > r.cuts);
    assert_true(config.weights[POWER_FLUSH] == 0 || r.flushes > 10 * seeds);
    assert_true(config.weights[POWER_BARRIER] == 0 || r.barriers > 5 * seeds);
    assert_true(r.merges > seeds);
    assert_true(config.errors_per_million == 0 || r.errors > seeds);
}

/* A storage that lies: it is found out with every seed. */
static void expect_lost(const char *what, struct power_config config)
{
    struct power_report r = {0};

    for (config.seed = 1; config.seed <= seeds; config.seed++) {
        uint64_t before = r.losses;

        run_seed(&config, &r);
        if (r.losses == before)
            fail_msg("%s, seed %llu: not found out", what, (unsigned long long)config.seed);
    }
    tell(what, &r);
    print_message("    the first: %s\n", r.first);
}

static void test_nothing_flushed_is_lost(void **state)
{
    (void)state;
    expect_kept("one queue", mixed(1));
}

static void test_nothing_flushed_is_lost_with_two_queues(void **state)
{
    (void)state;
    expect_kept("two queues", mixed(2));
}

static void test_barriers_keep_the_order(void **state)
{
    struct power_config config = mixed(1);

    (void)state;
    config.weights[POWER_BARRIER] = 5;
    config.weights[POWER_FLUSH] = 0;
    expect_kept("barriers", config);
}

static void test_without_errors(void **state)
{
    struct power_config config = mixed(2);

    (void)state;
    config.errors_per_million = 0;
    expect_kept("no errors", config);
}

static void test_a_flush_that_is_not_done_is_found_out(void **state)
{
    struct power_config config = mixed(1);

    (void)state;
    config.fault = POWER_NO_FLUSH;
    expect_lost("flushes not done", config);
    config.queues = 2;
    expect_lost("flushes not done, two queues", config);
}

static void test_a_flush_that_passes_earlier_writes_is_found_out(void **state)
{
    struct power_config config = mixed(1);

    (void)state;
    config.fault = POWER_EARLY_WRITES;
    expect_lost("flushes before earlier writes", config);
}

static void test_a_flush_whose_error_is_hidden_is_found_out(void **state)
{
    struct power_config config = mixed(1);

    (void)state;
    config.fault = POWER_HIDDEN_ERRORS;
    config.errors_per_million = 200000;
    expect_lost("flushes whose errors are hidden", config);
}

/* Barriers alone, with data, and no errors: the flushes are theirs, before and after in turn. */
static void test_a_barrier_with_one_flush_is_found_out(void **state)
{
    struct power_config config = mixed(1);

    (void)state;
    config.weights[POWER_BARRIER] = 3;
    config.weights[POWER_FLUSH] = 0;
    config.errors_per_million = 0;
    config.fault = POWER_EVERY_OTHER;
    expect_lost("barriers without the flush before", config);
    config.fault = POWER_EVERY_OTHER_ODD;
    expect_lost("barriers without the flush after", config);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_flushed_is_lost),
        cmocka_unit_test(test_nothing_flushed_is_lost_with_two_queues),
        cmocka_unit_test(test_barriers_keep_the_order),
        cmocka_unit_test(test_without_errors),
        cmocka_unit_test(test_a_flush_that_is_not_done_is_found_out),
        cmocka_unit_test(test_a_flush_that_passes_earlier_writes_is_found_out),
        cmocka_unit_test(test_a_flush_whose_error_is_hidden_is_found_out),
        cmocka_unit_test(test_a_barrier_with_one_flush_is_found_out),
    };

    if (argc == 3) {
        seeds = (unsigned)strtoul(argv[1], NULL, 10);
        images = (unsigned)strtoul(argv[2], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
