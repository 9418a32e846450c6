/* test_hostile_guest.c - every misdeed of the hostile_*.c tables, each as a test case: the device
 * gets an error or is closed with a sentence, as its row says, and nobody else notices. After each
 * the neighbour is answered and its image is whole, nothing is held, no node is left, and a fresh
 * device works.
 *
 * usage: test_hostile_guest [PATTERN]: the rows whose name matches, with * and ?.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hostile.h"

static struct hostile *world; /* of all rows, until one fails */

/* After a row that failed nothing of its world is sure: it is left alone. */
static int begin_row(void **state)
{
    (void)state;
    if (world == NULL)
        world = hostile_new();
    return 0;
}

static void commit_row(void **state)
{
    const struct misdeed *row = *state;
    struct hostile *h = world;

    world = NULL;
    hostile_begin(h, row);
    if (row->commit != NULL)
        row->commit(h);
    hostile_check(h);
    world = h;
}

static int end_world(void **state)
{
    (void)state;
    if (world != NULL)
        hostile_free(world);
    return 0;
}

static size_t add(struct CMUnitTest *tests, size_t n, const struct misdeeds *table)
{
    for (size_t i = 0; i < table->count; i++)
        tests[n++] = (struct CMUnitTest){.name = table->rows[i].name,
                                         .test_func = commit_row,
                                         .setup_func = begin_row,
                                         .initial_state = (void *)(uintptr_t)&table->rows[i]};
    return n;
}

int main(int argc, char **argv)
{
    static const struct misdeeds *const tables[] = {
        &misdeeds_of_ring, &misdeeds_of_requests, &misdeeds_of_grants,   &misdeeds_of_races,
        &misdeeds_of_keys, &misdeeds_of_states,   &misdeeds_of_toolstack};
    static struct CMUnitTest tests[1024];
    size_t n = 0;

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (n + tables[i]->count > sizeof tests / sizeof tests[0])
            abort();
        n = add(tests, n, tables[i]);
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("hostile_guest", tests, n, NULL, end_world);
}
