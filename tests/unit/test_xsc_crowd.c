/* test_xsc_crowd.c - proves one client of a real xenstored in a crowd: 64 threads with 10,000
 * watches and every event counted, and 32 callers that fight over one number. In an unprivileged
 * domain as many nodes and watches as its quota allows. Build it with the thread sanitizer as well,
 * and run it under tests/support/with-xenstored. */
#include <semaphore.h>

#include "xsc_support.h"

#define TOP "data/xsc-crowd"

enum { THREADS = 64, WATCHES = 10000, FIGHTERS = 32, INCREMENTS = 8 };

/* How much the cell allows: a guest owns about 1000 nodes and 128 watches, and oxenstored drops
 * what goes beyond 1024 events that wait for one connection. */
static int watches(void)
{
    return in_cell(UNPRIVILEGED | OCAML) ? THREADS : WATCHES;
}

static int rounds(void)
{
    return in_cell(UNPRIVILEGED) ? 8 : 20;
}

/* A guest may have ten transactions at once, other users of its domain's included. */
static sem_t room;

static int transact(struct xsc_client *c, xsc_handle_fn *fn, void *arg, struct vbd_error *why)
{
    int r;

    (void)sem_wait(&room);
    r = xsc_transaction(c, fn, arg, why);
    (void)sem_post(&room);
    return r;
}

/* --- many threads, many watches ------------------------------------------------------------------
 */

struct member {
    struct xsc_client *c;
    pthread_t thread;
    unsigned random;
    int number, written, result;
    struct vbd_error why;
    char path[64];
};

struct count {
    int fired; /* under the client's lock */
    struct xsc_watch *watch;
};

static unsigned roll(struct member *m, unsigned sides)
{
    m->random = m->random * 1103515245U + 12345U;
    return (m->random >> 16) % sides;
}

/* The next of its nodes: each has a path of its own, for the server joins events that are alike. */
static int write_next(struct xsc_handle *h, void *arg)
{
    struct member *m = arg;

    (void)snprintf(m->path, sizeof m->path, TOP "/%d/%d", m->number, m->written);
    return xsc_write(h, m->path, m->path, strlen(m->path));
}

static int read_last(struct xsc_handle *h, void *arg)
{
    struct member *m = arg;
    char *data = NULL;
    size_t len;
    int r = xsc_read(h, m->path, &data, &len);

    if (r == 0 && strcmp(data, m->path) != 0)
        r = -EBADMSG;
    free(data);
    return r;
}

static int list_own(struct xsc_handle *h, void *arg)
{
    const struct member *m = arg;
    char dir[64], **names = NULL;
    size_t count = 0;
    int r;

    (void)snprintf(dir, sizeof dir, TOP "/%d", m->number);
    r = xsc_directory(h, dir, &names, &count);
    free(names);
    return r < 0 ? r : (int)count == m->written ? 0 : -EBADMSG;
}

static int write_one(struct member *m)
{
    int r;

    do
        r = m->number % 2 == 0 ? xsc_immediate(m->c, write_next, m, &m->why)
                               : transact(m->c, write_next, m, &m->why);
    while (r == -EAGAIN); /* allowed: all of its tries were lost to others */
    m->written += r == 0;
    return r;
}

static void *take_part(void *arg)
{
    struct member *m = arg;
    int r = write_one(m);

    while (r == 0 && m->written < rounds())
        switch (roll(m, 4)) {
        case 0:
            r = xsc_immediate(m->c, read_last, m, &m->why);
            break;
        case 1:
            r = xsc_immediate(m->c, list_own, m, &m->why);
            break;
        case 2:
            r = xsc_wait(m->c, PATIENCE_MS, read_last, m, &m->why);
            break;
        default:
            r = write_one(m);
        }
    m->result = r;
    return NULL;
}

static void count_event(void *ctx, const char *path)
{
    struct count *n = ctx;

    n->fired += path != NULL;
}

static void watch_all(struct xsc_client *c, struct count *counts)
{
    char dir[64];

    for (int i = 0; i < THREADS; i++) {
        (void)snprintf(dir, sizeof dir, TOP "/%d", i);
        put(c, dir, "");
    }
    for (int i = 0; i < watches(); i++) {
        (void)snprintf(dir, sizeof dir, TOP "/%d", i % THREADS);
        xsc_client_lock(c);
        assert_int_equal(xsc_watch_add(xsc_client_session(c), dir, count_event, &counts[i],
                                       (struct xsc_completion){0}, &counts[i].watch),
                         0);
        xsc_client_unlock(c);
        if (i % 100 == 99)
            assert_node(c, dir, ""); /* not so far ahead that the server is flooded */
    }
}

static int fired(struct xsc_client *c, const struct count *counts)
{
    int sum = 0;

    xsc_client_lock(c);
    for (int i = 0, n = watches(); i < n; i++)
        sum += counts[i].fired;
    xsc_client_unlock(c);
    return sum;
}

/* Each watch has fired once by itself, and once for each write below it. */
static void assert_all_counted(struct xsc_client *c, const struct count *counts)
{
    int64_t deadline = 0;

    while (patiently(&deadline, fired(c, counts) < watches() * (1 + rounds())))
        assert_no_node(c, TOP "/none"); /* reads what has come */
    xsc_client_lock(c);
    for (int i = 0; i < watches(); i++)
        assert_int_equal(counts[i].fired, 1 + rounds());
    for (int i = 0; i < watches(); i++)
        xsc_watch_remove(counts[i].watch);
    xsc_client_unlock(c);
}

static void test_sixty_four_threads_and_all_their_watches(void **state)
{
    static struct count counts[WATCHES];
    struct xsc_client *c = live_open();
    struct member m[THREADS];

    (void)state;
    watch_all(c, counts);
    for (int i = 0; i < THREADS; i++) {
        m[i] = (struct member){.c = c, .number = i, .random = (unsigned)i, .result = 1};
        assert_int_equal(pthread_create(&m[i].thread, NULL, take_part, &m[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_true(joined(m[i].thread));
        if (m[i].result < 0)
            fail_msg("thread %d: %d %s", i, m[i].result, m[i].why.text);
    }
    assert_all_counted(c, counts);
    remove_node(c, TOP);
    xsc_client_close(c);
}

/* --- one number ----------------------------------------------------------------------------------
 */

static int increment(struct xsc_handle *h, void *arg)
{
    char *data = NULL, value[16];
    size_t len;
    int r = xsc_read(h, TOP "/number", &data, &len);

    (void)arg;
    if (r < 0)
        return r;
    (void)snprintf(value, sizeof value, "%d", atoi(data) + 1);
    free(data);
    return xsc_write(h, TOP "/number", value, strlen(value));
}

static void *fight(void *arg)
{
    struct member *m = arg;

    m->result = 0;
    while (m->result == 0 && m->written < INCREMENTS) {
        int r = transact(m->c, increment, NULL, &m->why);

        m->written += r == 0;
        m->result = r == -EAGAIN ? 0 : r;
    }
    return NULL;
}

static void test_thirty_two_callers_fight_over_one_number(void **state)
{
    struct xsc_client *c = live_open();
    struct member m[FIGHTERS];
    char sum[16];

    (void)state;
    put(c, TOP "/number", "0");
    for (int i = 0; i < FIGHTERS; i++) {
        m[i] = (struct member){.c = c, .number = i, .result = 1};
        assert_int_equal(pthread_create(&m[i].thread, NULL, fight, &m[i]), 0);
    }
    for (int i = 0; i < FIGHTERS; i++) {
        assert_true(joined(m[i].thread));
        if (m[i].result < 0)
            fail_msg("caller %d: %d %s", i, m[i].result, m[i].why.text);
    }
    (void)snprintf(sum, sizeof sum, "%d", FIGHTERS * INCREMENTS);
    assert_node(c, TOP "/number", sum);
    remove_node(c, TOP);
    xsc_client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sixty_four_threads_and_all_their_watches),
        cmocka_unit_test(test_thirty_two_callers_fight_over_one_number),
    };

    (void)sem_init(&room, 0, in_cell(UNPRIVILEGED) ? 5 : THREADS);
    (void)alarm(600); /* nothing here waits that long */
    return cmocka_run_group_tests_name("xsc_crowd", tests, NULL, NULL);
}
