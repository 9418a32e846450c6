/* library_threads.c - many threads on one gnttab handle and one evtchn handle. The libraries'
 * sources are compiled in, not preloaded, so that a sanitizer sees them. Run by
 * tests/hyperless/hostile as the command of a machine, with LD_PRELOAD unset.
 *
 *   library_threads SECONDS
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include <cmocka.h>

enum { WORKERS = 3, REFS = 24, FIXED = 4, PATIENCE_MS = 10000 };

static double seconds, end;

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What a thread did, and in `wrong` what it should never see. */
struct worker {
    unsigned seed, number;
    unsigned long done, wrong;
};

/* Until the time is over, but once at the least: a busy machine may give a thread none of it. */
static bool goes_on(const struct worker *w)
{
    return w->done == 0 || now() <= end;
}

static unsigned roll(struct worker *w, unsigned sides)
{
    return (unsigned)rand_r(&w->seed) % sides;
}

/* Runs every kind of thread until the end, and looks that none saw anything wrong. */
static void run_all(void *(*const *kinds)(void *), unsigned kind_count)
{
    static struct worker w[8 * WORKERS];
    pthread_t threads[8 * WORKERS];
    unsigned count = kind_count * WORKERS;

    assert_true(count <= 8 * WORKERS);
    end = now() + seconds;
    for (unsigned i = 0; i < count; i++) {
        w[i] = (struct worker){.seed = i, .number = i / kind_count};
        assert_int_equal(pthread_create(&threads[i], NULL, kinds[i % kind_count], &w[i]), 0);
    }
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(w[i].wrong, 0);
    }
}

/* --- one gnttab and one gntshr handle --- */

static xengnttab_handle *tab;
static xengntshr_handle *shr;
static uint32_t refs[REFS]; /* the first FIXED stay; atomic */

static uint32_t some_ref(struct worker *w)
{
    return __atomic_load_n(&refs[roll(w, REFS)], __ATOMIC_RELAXED);
}

static void *map_some(void *arg)
{
    struct worker *w = arg;

    for (; goes_on(w); w->done++) {
        uint32_t fixed[2] = {refs[roll(w, FIXED)], refs[roll(w, FIXED)]}, domids[2] = {0, 0};
        void *two = xengnttab_map_grant_refs(tab, 2, domids, fixed, PROT_READ);
        void *one = xengnttab_map_grant_ref(tab, 0, some_ref(w), PROT_READ);

        w->wrong += two == NULL || xengnttab_unmap(tab, two, 2) < 0;
        w->wrong += one != NULL && xengnttab_unmap(tab, one, 1) < 0;
        w->wrong += xengnttab_unmap(tab, w, 1) == 0; /* it is none */
    }
    return NULL;
}

static void *copy_some(void *arg)
{
    struct worker *w = arg;
    char to[64];

    for (; goes_on(w); w->done++) {
        xengnttab_grant_copy_segment_t s[2] = {{.source.foreign.ref = refs[roll(w, FIXED)],
                                                .dest.virt = to,
                                                .len = sizeof to,
                                                .flags = GNTCOPY_source_gref},
                                               {.source.foreign.ref = some_ref(w),
                                                .dest.virt = to,
                                                .len = sizeof to,
                                                .flags = GNTCOPY_source_gref}};

        w->wrong += xengnttab_grant_copy(tab, 2, s) < 0 || s[0].status != GNTST_okay;
    }
    return NULL;
}

/* Each has slots of its own. */
static void *share_some(void *arg)
{
    enum { SLOTS = (REFS - FIXED) / WORKERS };
    struct worker *w = arg;
    void *pages[SLOTS] = {NULL};

    for (; goes_on(w); w->done++) {
        unsigned slot = (unsigned)(w->done % SLOTS);
        uint32_t ref;

        if (pages[slot] != NULL)
            w->wrong += xengntshr_unshare(shr, pages[slot], 1) < 0;
        pages[slot] = xengntshr_share_pages(shr, 0, 1, &ref, 1);
        w->wrong += pages[slot] == NULL;
        __atomic_store_n(&refs[FIXED + w->number * SLOTS + slot], ref, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void one_gnttab_handle_serves_many_threads(void **state)
{
    static void *(*const kinds[])(void *) = {map_some, copy_some, share_some};

    (void)state;
    tab = xengnttab_open(NULL, 0);
    shr = xengntshr_open(NULL, 0);
    for (int i = 0; i < FIXED; i++)
        assert_non_null(xengntshr_share_pages(shr, 0, 1, &refs[i], 1));
    run_all(kinds, sizeof kinds / sizeof kinds[0]);
    assert_int_equal(xengntshr_close(shr), 0);
    assert_int_equal(xengnttab_close(tab), 0);
}

/* --- one evtchn handle --- */

static xenevtchn_handle *events, *others;
static int kept[FIXED]; /* ports of `events`, bound to those of `others` */
static int ends[FIXED]; /* these */
static unsigned long sent[FIXED],
    seen[FIXED]; /* atomic: what was said before an event, and seen after one */

static void *notify_some(void *arg)
{
    struct worker *w = arg;

    for (; goes_on(w); w->done++) {
        unsigned i = roll(w, FIXED);

        (void)__atomic_add_fetch(&sent[i], 1, __ATOMIC_SEQ_CST);
        w->wrong += xenevtchn_notify(others, (evtchn_port_t)ends[i]) < 0;
    }
    return NULL;
}

static void note(int port)
{
    for (int i = 0; i < FIXED; i++) {
        unsigned long now_sent = __atomic_load_n(&sent[i], __ATOMIC_SEQ_CST);
        unsigned long before = __atomic_load_n(&seen[i], __ATOMIC_SEQ_CST);

        while (kept[i] == port && before < now_sent &&
               !__atomic_compare_exchange_n(&seen[i], &before, now_sent, false, __ATOMIC_SEQ_CST,
                                            __ATOMIC_SEQ_CST))
            ;
    }
}

static bool take_one(int patience_ms, struct worker *w)
{
    struct pollfd p = {.fd = xenevtchn_fd(events), .events = POLLIN};
    int port = poll(&p, 1, patience_ms) == 1 ? (int)xenevtchn_pending(events) : -1;

    if (port < 0)
        return false;
    w->wrong += xenevtchn_unmask(events, (evtchn_port_t)port) < 0;
    note(port); /* the port lets events in again: what is said after this look brings another one */
    return true;
}

static void *take_some(void *arg)
{
    struct worker *w = arg;

    for (; goes_on(w); w->done++)
        (void)take_one(1, w);
    return NULL;
}

static void *bind_some(void *arg)
{
    struct worker *w = arg;

    for (; goes_on(w); w->done++) {
        int port = xenevtchn_bind_unbound_port(events, 0), end_;

        w->wrong += port < 0;
        end_ = xenevtchn_bind_interdomain(others, 0, (evtchn_port_t)port);
        w->wrong += end_ < 0 || xenevtchn_notify(others, (evtchn_port_t)end_) < 0;
        w->wrong += xenevtchn_unbind(events, (evtchn_port_t)port) < 0;
        w->wrong += xenevtchn_unbind(others, (evtchn_port_t)end_) < 0;
    }
    return NULL;
}

static bool is_all_seen(void)
{
    for (int i = 0; i < FIXED; i++)
        if (seen[i] != sent[i])
            return false;
    return true;
}

static void one_evtchn_handle_serves_many_threads_and_loses_no_event(void **state)
{
    static void *(*const kinds[])(void *) = {notify_some, take_some, bind_some};
    struct worker w = {.seed = 0};
    double deadline;

    (void)state;
    events = xenevtchn_open(NULL, 0);
    others = xenevtchn_open(NULL, 0);
    /* A count that another thread has taken meanwhile must not hold this one up. */
    assert_int_equal(fcntl(xenevtchn_fd(events), F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < FIXED; i++) {
        kept[i] = xenevtchn_bind_unbound_port(events, 0);
        ends[i] = xenevtchn_bind_interdomain(others, 0, (evtchn_port_t)kept[i]);
        assert_true(kept[i] >= 0 && ends[i] >= 0);
    }
    run_all(kinds, sizeof kinds / sizeof kinds[0]);
    deadline = now() + PATIENCE_MS / 1e3;
    while (!is_all_seen() && now() < deadline)
        (void)take_one(10, &w);
    assert_true(is_all_seen());
    assert_int_equal(xenevtchn_close(others), 0);
    assert_int_equal(xenevtchn_close(events), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(one_gnttab_handle_serves_many_threads),
        cmocka_unit_test(one_evtchn_handle_serves_many_threads_and_loses_no_event),
    };

    if (argc != 2)
        return 2;
    seconds = strtod(argv[1], NULL);
    return cmocka_run_group_tests(cases, NULL, NULL);
}
