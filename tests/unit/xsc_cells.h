/* xsc_cells.h - where a live suite of libxsc runs, and the one table of what it leaves out there.
 *
 * A cell is a way to a real xenstored: $XSC_TEST_CELL is "dom0" (the default: domain 0, over the
 * daemon's socket or /dev/xen/xenbus), "guest" (an unprivileged domain, over what its kernel
 * offers: /dev/xen/xenbus, or what stands for it in hyperless) or "ring" (an unprivileged domain's
 * own ring page). $XSC_TEST_DAEMON is "c" (the default) or "ocaml". Included by xsc_support.h.
 */
#ifndef UNIT_XSC_CELLS_H
#define UNIT_XSC_CELLS_H

enum cell {
    C_DOM0 = 1,
    C_GUEST = 2,
    C_RING = 4,
    OCAML_DOM0 = 8,
    OCAML_GUEST = 16,
    OCAML_RING = 32,
    DOM0 = C_DOM0 | OCAML_DOM0,
    GUEST = C_GUEST | OCAML_GUEST,
    RING = C_RING | OCAML_RING,
    UNPRIVILEGED = GUEST | RING,
    OCAML = OCAML_DOM0 | OCAML_GUEST | OCAML_RING,
    KERNEL = 64 /* besides one of the others: over a kernel's /dev/xen/xenbus */
};

static inline bool environment_is(const char *name, const char *value)
{
    const char *is = getenv(name);

    return is != NULL && strcmp(is, value) == 0;
}

static inline enum cell this_cell(void)
{
    bool ocaml = environment_is("XSC_TEST_DAEMON", "ocaml");

    if (environment_is("XSC_TEST_CELL", "ring"))
        return ocaml ? OCAML_RING : C_RING;
    if (environment_is("XSC_TEST_CELL", "guest"))
        return ocaml ? OCAML_GUEST : C_GUEST;
    return ocaml ? OCAML_DOM0 : C_DOM0;
}

/* Whether the program runs in one of these cells. */
static inline bool in_cell(enum cell cells)
{
    const char *address = getenv("XENSTORED_PATH");

    if ((cells & KERNEL) != 0 && address != NULL && strncmp(address, "/dev/", 5) == 0)
        return true;
    return (cells & this_cell()) != 0;
}

struct left_out {
    const char *test;
    enum cell cells;
    const char *why;
};

#define DOMAIN_0 UNPRIVILEGED, "gives nodes to others, as domain 0 may; EACCES in xsc_operations"
#define OWN_PATH UNPRIVILEGED, "names domain 0's path; the own one is in xsc_operations"
#define BIG_VALUE UNPRIVILEGED | OCAML, "values over 2048 bytes; refused in xsc_operations"
#define MANY_NODES UNPRIVILEGED, "more nodes, or larger, than a guest may own"
#define ROOT                                                                                       \
    UNPRIVILEGED | OCAML, "RM of /: EACCES for a guest; oxenstored's domain 0 loses the store"
#define EVENT_FIRST OCAML, "counts on events before their write's answer; oxenstored's come after"
#define REPLAYS OCAML, "oxenstored commits a conflict whose replay reads the same"
#define SEVERAL RING, "several connections at once; a ring is one"
#define FORKS RING, "forks; a domain's ring belongs to one process"
#define ADDRESS RING, "opens by an address; a ring has none"
#define EXEMPT DOM0, "domain 0 has no quota"
#define ALLOWED DOM0, "domain 0 is refused nothing"
#define SOCKETS RING | KERNEL, "ends the connection, as can be done to a socket"
#define NO_DEPTH KERNEL, "Linux's driver drops the depth, and answers OK"
#define KERNELS KERNEL, "would end the kernel's own watches"
#define NO_RUNDIR UNPRIVILEGED, "looks for the daemon's own socket"

static const struct left_out cell_left_out[] = {
    {"test_values_are_bytes", BIG_VALUE},
    {"test_a_directory_over_one_message_comes_back_whole", MANY_NODES},
    {"test_relative_paths_are_the_own_domains", OWN_PATH},
    {"test_permissions_are_set_and_read", DOMAIN_0},
    {"test_permissions_that_are_none_are_refused", DOMAIN_0},
    {"test_errors_are_sentences_and_outputs_stay_untouched", ROOT},
    {"test_an_address_may_be_given", ADDRESS},
    {"test_the_default_address_is_looked_for_where_libxenstore_looks", NO_RUNDIR},
    {"test_a_default_address_that_is_too_long_is_not_cut", ADDRESS},
    {"test_a_loop_and_blocking_threads_share_a_client", MANY_NODES},
    {"test_waiting_inside_a_callback_is_refused", FORKS},
    {"test_a_queue_inside_a_callback_is_refused", FORKS},
    {"test_overflow_ends_in_a_rescan", EVENT_FIRST},
    {"test_a_listener_is_woken_by_another_client", SEVERAL},
    {"test_a_transaction_is_seen_all_at_once", SEVERAL},
    {"test_a_conflicting_transaction_is_run_again", SEVERAL},
    {"test_a_conflicting_transaction_is_run_again", REPLAYS},
    {"test_a_transaction_that_always_conflicts_ends", SEVERAL},
    {"test_a_transaction_that_always_conflicts_ends", REPLAYS},
    {"test_a_wait_is_woken_by_another_client", SEVERAL},
    {"test_the_watches_of_a_wait_are_gone_afterwards", SEVERAL},
    {"test_a_watch_that_stays_would_be_seen", SEVERAL},
    {"test_a_wait_follows_what_its_function_reads", SEVERAL},
    {"test_a_wait_is_woken_by_changed_permissions", DOMAIN_0},
    {"test_reset_watches_ends_them_all", KERNELS},
    {"test_a_depth_is_refused_by_the_daemons_of_today", NO_DEPTH},
    {"test_a_quota_keeps_its_name", EXEMPT},
    {"test_a_write_that_is_refused_later_leaves_nothing", ALLOWED},
    {"test_a_write_that_is_refused_later_is_named", ALLOWED},
    {"test_a_lost_connection_is_opened_anew", SOCKETS},
    {"test_a_wait_sees_what_changed_meanwhile", SEVERAL},
    {"test_questions_without_words_are_answered", FORKS},
};

static inline const char *cell_leaves_out(const char *test)
{
    for (size_t i = 0; i < sizeof cell_left_out / sizeof cell_left_out[0]; i++)
        if (in_cell(cell_left_out[i].cells) && strcmp(cell_left_out[i].test, test) == 0)
            return cell_left_out[i].why;
    return NULL;
}

/* Runs the tests that belong into this cell, and says which do not, and why. */
static inline int cell_run(const char *name, const struct CMUnitTest *tests, size_t count,
                           CMFixtureFunction setup, CMFixtureFunction teardown)
{
    struct CMUnitTest *chosen = calloc(count, sizeof *chosen);
    size_t n = 0;
    int r;

    if (chosen == NULL)
        return 1;
    for (size_t i = 0; i < count; i++) {
        const char *why = cell_leaves_out(tests[i].name);

        if (why == NULL)
            chosen[n++] = tests[i];
        else
            print_message("# not in this cell: %s: %s\n", tests[i].name, why);
    }
    r = _cmocka_run_group_tests(name, chosen, n, setup, teardown);
    free(chosen);
    return r;
}

/* So that each suite's main is as in any other. */
#undef cmocka_run_group_tests_name
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                  \
    cell_run(name, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

#endif
