/* xenstore.c - what a xenstore client costs: libxsc beside libxenstore, on one connection. Run by
 * bench/run below "vbdkit hyperless run", in turns.
 *
 *   bench_xenstore xsc|libxenstore read THREADS SECONDS       reads a second, client us a read
 *   bench_xenstore xsc|libxenstore transaction THREADS SECONDS  ten writes and the commit
 *   bench_xenstore xsc|libxenstore watch 1 COUNT               from a write to its event, us
 *   bench_xenstore xsc many 1 SECONDS                          reads by xsc_read_many, 32 at a time
 *   bench_xenstore xsc|libxenstore write|dir|rm|rmw 1 SECONDS   as Xen's test-xenstore
 *
 * Prints three numbers: operations a second (watch: microseconds), and CPU an operation in
 * microseconds, user and system, of this process and of the daemon $BENCH_SERVER_PID.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

#include "vbdkit/xsc_linux.h"

enum { THREADS_MAX = 64, WRITES = 10, MANY = 32 };

static struct xsc_client *client;
static struct xs_handle *handle;
static atomic_bool stop;

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_xenstore: %s failed\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* CPU seconds of the daemon; 0 when it is not named. */
static double server_cpu(void)
{
    const char *pid = getenv("BENCH_SERVER_PID");
    char path[64], line[512], *end;
    unsigned long user = 0, system = 0;
    FILE *f;

    if (pid == NULL)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    end = fgets(line, sizeof line, f) != NULL ? strrchr(line, ')') : NULL;
    if (end == NULL ||
        sscanf(end, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        user = system = 0;
    (void)fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* --- one operation each --- */

static int xsc_read_one(struct xsc_handle *h, void *arg)
{
    char *value;
    size_t len;
    int r = xsc_read(h, arg, &value, &len);

    if (r == 0)
        free(value);
    return r;
}

static int xsc_write_one(struct xsc_handle *h, void *arg)
{
    return xsc_write(h, arg, "value", 5);
}

static int xsc_list_one(struct xsc_handle *h, void *arg)
{
    char **names;
    size_t count;
    int r = xsc_directory(h, arg, &names, &count);

    if (r == 0)
        free(names);
    return r;
}

static int xsc_remove_one(struct xsc_handle *h, void *arg)
{
    int r = xsc_write(h, arg, "value", 5);

    return r < 0 ? r : xsc_rm(h, arg);
}

static int xsc_ten(struct xsc_handle *h, void *arg)
{
    char path[128];
    int r = 0;

    for (int i = 0; r == 0 && i < WRITES; i++) {
        (void)snprintf(path, sizeof path, "%s/%d", (const char *)arg, i);
        r = xsc_write_later(h, path, "value", 5);
    }
    return r;
}

static int xsc_read_modify_write(struct xsc_handle *h, void *arg)
{
    int r = xsc_read_one(h, arg);

    return r < 0 ? r : xsc_write(h, arg, "value", 5);
}

static int xsc_many_reads(struct xsc_handle *h, void *arg)
{
    struct xsc_item items[MANY];
    int r;

    for (int i = 0; i < MANY; i++)
        items[i].path = arg;
    r = xsc_read_many(h, items, MANY);
    for (int i = 0; i < MANY; i++)
        free(items[i].data);
    return r;
}

static void lib_read_one(char *path)
{
    unsigned len;
    void *value = xs_read(handle, XBT_NULL, path, &len);

    if (value == NULL)
        fail("xs_read");
    free(value);
}

static void lib_list_one(char *path)
{
    unsigned count;
    char **names = xs_directory(handle, XBT_NULL, path, &count);

    if (names == NULL)
        fail("xs_directory");
    free(names);
}

static void lib_remove_one(char *path)
{
    if (!xs_write(handle, XBT_NULL, path, "value", 5) || !xs_rm(handle, XBT_NULL, path))
        fail("xs_rm");
}

static void lib_write_one(char *path)
{
    if (!xs_write(handle, XBT_NULL, path, "value", 5))
        fail("xs_write");
}

static void lib_transaction(char *path, bool modify)
{
    char each[128];

    for (bool done = false; !done;) {
        xs_transaction_t t = xs_transaction_start(handle);
        unsigned len;

        if (modify) {
            free(xs_read(handle, t, path, &len));
            (void)xs_write(handle, t, path, "value", 5);
        }
        for (int i = 0; !modify && i < WRITES; i++) {
            (void)snprintf(each, sizeof each, "%s/%d", path, i);
            if (!xs_write(handle, t, each, "value", 5))
                fail("xs_write in a transaction");
        }
        done = xs_transaction_end(handle, t, false);
    }
}

static const struct {
    const char *name;
    xsc_handle_fn *xsc;
    bool transaction;
    int operations; /* each counts as */
} kinds[] = {{"read", xsc_read_one, false, 1},     {"write", xsc_write_one, false, 1},
             {"dir", xsc_list_one, false, 1},      {"rm", xsc_remove_one, false, 1},
             {"transaction", xsc_ten, true, 1},    {"rmw", xsc_read_modify_write, true, 1},
             {"many", xsc_many_reads, false, MANY}};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static int kind;

static void lib_once(char *path)
{
    if (kind == 0)
        lib_read_one(path);
    else if (kind == 1)
        lib_write_one(path);
    else if (kind == 2)
        lib_list_one(path);
    else if (kind == 3)
        lib_remove_one(path);
    else
        lib_transaction(path, kind == 5);
}

static void once(char *path)
{
    struct xsc_transaction_options at_once = *xsc_transaction_defaults();
    int r;

    if (client == NULL) {
        lib_once(path);
        return;
    }
    at_once.commit_at_once = true;
    r = kinds[kind].transaction
            ? xsc_transaction_with(client, &at_once, kinds[kind].xsc, path, NULL)
            : xsc_immediate(client, kinds[kind].xsc, path, NULL);
    if (r < 0)
        fail(kinds[kind].name);
}

/* --- measuring --- */

struct caller {
    pthread_t thread;
    char path[64];
    unsigned long count;
};

static void *call(void *arg)
{
    struct caller *c = arg;

    while (!stop) {
        once(c->path);
        c->count++;
    }
    return NULL;
}

static void measure_rate(int threads, double seconds)
{
    static struct caller callers[THREADS_MAX];
    struct timespec whole = {.tv_sec = (time_t)seconds,
                             .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    double begin, used, served, count = 0;

    for (int i = 0; i < threads; i++) {
        (void)snprintf(callers[i].path, sizeof callers[i].path, "data/bench/%d", i);
        once(callers[i].path);
    }
    begin = now();
    used = cpu();
    served = server_cpu();
    for (int i = 0; i < threads; i++)
        if (pthread_create(&callers[i].thread, NULL, call, &callers[i]) != 0)
            fail("pthread_create");
    (void)nanosleep(&whole, NULL);
    stop = true;
    for (int i = 0; i < threads; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        count += (double)callers[i].count * kinds[kind].operations;
    }
    used = cpu() - used;
    (void)printf("%.1f %.3f %.3f\n", count / (now() - begin), used / count * 1e6,
                 (server_cpu() - served) / count * 1e6);
}

static void prepare(int threads)
{
    char path[64];

    for (int i = 0; i < threads; i++) {
        (void)snprintf(path, sizeof path, "data/bench/%d", i);
        if (client != NULL && xsc_immediate(client, xsc_write_one, path, NULL) < 0)
            fail("write");
        if (client == NULL)
            lib_write_one(path);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* The write is made by a connection of its own, so that the event travels alone. */
static void measure_watch(int count)
{
    struct xsc_client *writer;
    struct xsc_queue *queue = NULL;
    double *us = calloc((size_t)count, sizeof *us);
    char path[] = "data/bench/w";

    if (us == NULL || xsc_client_open(NULL, &writer, NULL) < 0)
        fail("open");
    if (client != NULL &&
        (xsc_queue_new(client, 64, &queue) < 0 || xsc_watch(queue, path, "w", NULL) < 0))
        fail("xsc_watch");
    if (client == NULL && !xs_watch(handle, path, "w"))
        fail("xs_watch");
    for (int i = -1; i < count; i++) { /* the first event comes without a write */
        double begin = now();
        struct xsc_event e;
        unsigned n;

        if (i >= 0 && xsc_immediate(writer, xsc_write_one, path, NULL) < 0)
            fail("write");
        if (client != NULL && xsc_queue_next(queue, -1, &e) == 0)
            xsc_event_clear(&e);
        if (client == NULL)
            free(xs_read_watch(handle, &n));
        if (i >= 0)
            us[i] = (now() - begin) * 1e6;
    }
    qsort(us, (size_t)count, sizeof *us, compare);
    (void)printf("%.1f 0 0\n", us[count / 2]);
    (void)xsc_queue_free(queue);
    (void)xsc_client_close(writer);
    free(us);
}

int main(int argc, char **argv)
{
    int threads;

    if (argc != 5)
        return 2;
    threads = atoi(argv[3]);
    if (strcmp(argv[1], "xsc") == 0 ? xsc_client_open(NULL, &client, NULL) < 0
                                    : (handle = xs_open(0)) == NULL)
        fail("open");
    if (strcmp(argv[2], "watch") == 0) {
        measure_watch(atoi(argv[4]));
        return 0;
    }
    while (kind < KINDS && strcmp(kinds[kind].name, argv[2]) != 0)
        kind++;
    if (kind == KINDS || threads < 1 || threads > THREADS_MAX)
        return 2;
    prepare(threads);
    measure_rate(threads, atof(argv[4]));
    return 0;
}
