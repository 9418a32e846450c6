/* library_grants.c - honest programs on libxengnttab in corners where something once went wrong:
 * out of descriptors, domains that come back, copies from many threads while the pages are revoked.
 * Run by tests/hyperless/hostile as the command of a machine.
 *
 *   library_grants              the cases
 *   library_grants SECONDS      with a longer storm of copies
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xengnttab.h>

#include <cmocka.h>

#include "machine.h"

/* --- copies --- */

static xengnttab_grant_copy_segment_t from(uint32_t domid, uint32_t ref, void *to)
{
    return (xengnttab_grant_copy_segment_t){.source.foreign = {.ref = ref, .domid = (domid_t)domid},
                                            .dest.virt = to,
                                            .len = 16,
                                            .flags = GNTCOPY_source_gref};
}

static long own_mappings(void)
{
    FILE *f = fopen("/proc/self/maps", "re");
    long lines = 0;

    for (int c = f != NULL ? getc(f) : EOF; c != EOF; c = getc(f))
        lines += c == '\n';
    if (f != NULL)
        (void)fclose(f);
    return lines;
}

static void a_copy_by_domid_self_is_one_of_the_own_domain(void **state)
{
    xengntshr_handle *s = xengntshr_open(NULL, 0);
    xengnttab_handle *g = xengnttab_open(NULL, 0);
    uint32_t ref;
    char *page = xengntshr_share_pages(s, 0, 1, &ref, 1), to[16];
    xengnttab_grant_copy_segment_t segment = from(DOMID_SELF, ref, to);
    long mappings;

    (void)state;
    assert_non_null(page);
    (void)snprintf(page, 16, "%s", "of this domain");
    assert_int_equal(xengnttab_grant_copy(g, 1, &segment), 0);
    assert_int_equal(segment.status, GNTST_okay);
    assert_string_equal(to, "of this domain");
    mappings = own_mappings();
    for (int i = 0; i < 100; i++) {
        segment = from(i % 2 ? DOMID_SELF : 0, ref, to);
        assert_int_equal(xengnttab_grant_copy(g, 1, &segment), 0);
    }
    assert_int_equal(own_mappings(), mappings); /* one view, however it is called */
    (void)xengnttab_close(g);
    (void)xengntshr_close(s);
}

static const char *guest_text;
static int guest_told[2];

/* In the guest: shares a page with domain 0, and tells the reference. */
static int share_in_guest(void)
{
    char folder[256];
    const char *own = getenv(HL_ENVIRONMENT);
    xengntshr_handle *s;
    uint32_t ref;
    char *page;

    (void)snprintf(folder, sizeof folder, "%.*s/dom%d", (int)(strlen(own) - strlen("/dom0")), own,
                   GUEST);
    (void)setenv(HL_ENVIRONMENT, folder, 1);
    s = xengntshr_open(NULL, 0);
    page = s != NULL ? xengntshr_share_pages(s, 0, 1, &ref, 1) : NULL;
    if (page == NULL)
        return 1;
    (void)snprintf(page, 16, "%s", guest_text);
    (void)!write(guest_told[1], &ref, sizeof ref);
    (void)pause();
    return 1;
}

static uint32_t guest_shares(const char *text, pid_t *ret)
{
    struct pollfd p = {.events = POLLIN};
    uint32_t ref = 0;

    guest_text = text;
    assert_int_equal(pipe(guest_told), 0);
    *ret = machine_child(share_in_guest);
    p.fd = guest_told[0];
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_int_equal(read(guest_told[0], &ref, sizeof ref), sizeof ref);
    (void)close(guest_told[0]);
    (void)close(guest_told[1]);
    return ref;
}

static int copy_status(xengnttab_handle *g, uint32_t ref, char *to)
{
    xengnttab_grant_copy_segment_t segment = from(GUEST, ref, to);

    assert_int_equal(xengnttab_grant_copy(g, 1, &segment), 0);
    return segment.status;
}

/* A domain ends, and all in it are killed. */
static void end_guest(pid_t program)
{
    int status;

    assert_int_equal(machine_destroy(GUEST), 0);
    status = machine_reap(program);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_page_of_a_domain_that_died_is_not_copied_as_its_successor_s(void **state)
{
    xengnttab_handle *g = xengnttab_open(NULL, 0);
    char to[16] = "";
    const char *mapped;
    uint32_t ref;
    pid_t program;

    (void)state;
    ref = guest_shares("old", &program);
    mapped = xengnttab_map_grant_ref(g, GUEST, ref, PROT_READ);
    assert_non_null(mapped);
    assert_int_equal(copy_status(g, ref, to), GNTST_okay);
    assert_string_equal(to, "old");
    end_guest(program);
    assert_int_equal(copy_status(g, ref, to), GNTST_bad_domain);
    assert_int_equal(machine_create(GUEST, 0), 0);
    assert_int_equal(guest_shares("new", &program), ref);
    assert_int_equal(copy_status(g, ref, to), GNTST_okay);
    assert_string_equal(to, "new");
    assert_string_equal(mapped, "old"); /* a mapping lasts */
    end_guest(program);
    (void)xengnttab_close(g);
}

/* --- descriptors --- */

enum { PAGES = 64, ROOM = 5 };

static struct rlimit leave_room(int more)
{
    int lowest = dup(STDERR_FILENO);
    struct rlimit limit, old;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    (void)close(lowest);
    limit = old;
    limit.rlim_cur = (rlim_t)(lowest + more);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return old;
}

/* One share of each page, so that a map needs as many descriptors. */
static void share_each(xengntshr_handle *s, uint32_t *refs)
{
    for (int i = 0; i < PAGES; i++) {
        char *page = xengntshr_share_pages(s, 0, 1, &refs[i], 1);

        assert_non_null(page);
        (void)snprintf(page, 16, "%d", i);
    }
}

static bool has_as_many(const void *arg)
{
    return machine_descriptors() == *(const long *)arg;
}

static void map_without_enough_descriptors_fails_and_holds_nothing(void **state)
{
    xengnttab_handle *g = xengnttab_open(NULL, 0);
    long descriptors = machine_settled();
    xengntshr_handle *s = xengntshr_open(NULL, 0);
    uint32_t refs[PAGES], domids[PAGES] = {0};
    struct rlimit old;
    char *pages;
    int error;

    (void)state;
    share_each(s, refs);
    old = leave_room(ROOM);
    pages = xengnttab_map_grant_refs(g, PAGES, domids, refs, PROT_READ | PROT_WRITE);
    error = errno;
    (void)setrlimit(RLIMIT_NOFILE, &old);
    assert_null(pages);
    assert_int_equal(error, EMFILE);
    pages = xengnttab_map_grant_refs(g, PAGES, domids, refs, PROT_READ | PROT_WRITE);
    assert_non_null(pages);
    for (int i = 0; i < PAGES; i++)
        assert_int_equal(strtol(pages + (size_t)i * HL_PAGE, NULL, 10), i);
    assert_int_equal(xengnttab_unmap(g, pages, PAGES), 0);
    (void)xengntshr_close(s); /* with g open: a pin left would keep its share in the broker */
    assert_true(machine_eventually(has_as_many, &descriptors));
    (void)xengnttab_close(g);
}

static void share_without_a_descriptor_left_fails_and_shares_nothing(void **state)
{
    xengntshr_handle *s = xengntshr_open(NULL, 0);
    long descriptors = machine_settled();
    struct rlimit old = leave_room(0);
    uint32_t ref;
    void *page = xengntshr_share_pages(s, 0, 1, &ref, 1);
    int error = errno;

    (void)state;
    (void)setrlimit(RLIMIT_NOFILE, &old);
    assert_null(page);
    assert_int_equal(error, EMFILE);
    assert_int_equal(machine_descriptors(), descriptors);
    assert_non_null(xengntshr_share_pages(s, 0, 1, &ref, 1));
    (void)xengntshr_close(s);
}

/* --- many threads --- */

enum { SHARERS = 2, SLOTS = 8, PER_SHARE = 4, THREADS = 4, REFS = SHARERS * SLOTS * PER_SHARE };

static volatile uint32_t *refs_now; /* shared by the processes */
static int sharer_number;
static double storm_seconds = 0.4, storm_end;

/* Shares and unshares without end. */
static int sharer(void)
{
    xengntshr_handle *s = xengntshr_open(NULL, 0);
    void *pages[SLOTS] = {NULL};

    if (s == NULL)
        return 1;
    for (unsigned n = 0;; n++) {
        unsigned slot = n % SLOTS, at = ((unsigned)sharer_number * SLOTS + slot) * PER_SHARE;
        uint32_t refs[PER_SHARE];

        if (pages[slot] != NULL)
            (void)xengntshr_unshare(s, pages[slot], PER_SHARE);
        pages[slot] = xengntshr_share_pages(s, 0, PER_SHARE, refs, 1);
        for (unsigned i = 0; i < PER_SHARE && pages[slot] != NULL; i++)
            refs_now[at + i] = refs[i];
    }
}

struct copier {
    xengnttab_handle *handle;
    unsigned seed;
    long done, refused, failed;
};

static void copy_one(struct copier *c)
{
    char to[16];
    xengnttab_grant_copy_segment_t s = from(0, refs_now[rand_r(&c->seed) % REFS], to);

    if (rand_r(&c->seed) % 2) { /* from grant to grant */
        s.dest.foreign.ref = refs_now[rand_r(&c->seed) % REFS];
        s.dest.foreign.offset = 0;
        s.dest.foreign.domid = 0;
        s.flags |= GNTCOPY_dest_gref;
    }
    if (xengnttab_grant_copy(c->handle, 1, &s) < 0)
        c->failed++;
    else if (s.status == GNTST_okay)
        c->done++;
    else
        c->refused++;
}

static void *copier(void *arg)
{
    struct copier *c = arg;

    while (machine_now() < storm_end) {
        uint32_t ref = refs_now[rand_r(&c->seed) % REFS];
        void *page = xengnttab_map_grant_ref(c->handle, 0, ref, PROT_READ);

        for (int i = 0; i < 16; i++)
            copy_one(c);
        c->failed += page != NULL && xengnttab_unmap(c->handle, page, 1) < 0;
    }
    return NULL;
}

static bool all_share(const void *arg)
{
    (void)arg;
    for (int i = 0; i < REFS; i++)
        if (refs_now[i] == 0)
            return false;
    return true;
}

static void copies_from_many_threads_bear_that_pages_are_revoked(void **state)
{
    xengnttab_handle *g = xengnttab_open(NULL, 0);
    struct copier c[THREADS];
    pthread_t threads[THREADS];
    pid_t sharers[SHARERS];

    (void)state;
    refs_now = mmap(NULL, HL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (sharer_number = 0; sharer_number < SHARERS; sharer_number++)
        sharers[sharer_number] = machine_child(sharer);
    assert_true(machine_eventually(all_share, NULL));
    storm_end = machine_now() + storm_seconds;
    for (unsigned i = 0; i < THREADS; i++) {
        c[i] = (struct copier){.handle = g, .seed = i};
        assert_int_equal(pthread_create(&threads[i], NULL, copier, &c[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_true(c[i].done > 0 && c[i].failed == 0);
    }
    for (int i = 0; i < SHARERS; i++) {
        (void)kill(sharers[i], SIGKILL);
        (void)machine_reap(sharers[i]);
    }
    (void)munmap((void *)(uintptr_t)refs_now, HL_PAGE);
    (void)xengnttab_close(g);
}

/* --- */

#define CASE(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        CASE(a_copy_by_domid_self_is_one_of_the_own_domain),
        CASE(a_page_of_a_domain_that_died_is_not_copied_as_its_successor_s),
        CASE(map_without_enough_descriptors_fails_and_holds_nothing),
        CASE(share_without_a_descriptor_left_fails_and_shares_nothing),
        CASE(copies_from_many_threads_bear_that_pages_are_revoked),
    };

    if (argc > 1)
        storm_seconds = strtod(argv[1], NULL);
    cmocka_set_test_filter(getenv("HYPERLESS_CASE"));
    return cmocka_run_group_tests(cases, machine_begin, NULL);
}
