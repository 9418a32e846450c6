/* xs_watch.c - "vbdkit xs watch" prints what changes; "vbdkit xs wait" waits until a node has a
 * value, is there, or is gone. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vbdkit/xs.h"

/* --- watch --- */

/* Driven as by an event loop, so that the time holds also for a server that does not answer. */
struct watching {
    const struct xs *x;
    long printed;
    bool over;
    int status;
};

struct watched {
    struct watching *all;
    const char *path;
    struct xsc_watch *watch;
};

static void end_watching(struct watching *all, int status)
{
    if (!all->over)
        all->status = status;
    all->over = true;
}

static void print_event(const struct xs *x, const char *path)
{
    json_object *object;

    if (!x->json) {
        (void)puts(path);
        return;
    }
    object = json_object_new_object();
    (void)json_object_object_add(object, "path", json_object_new_string(path));
    (void)puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                          JSON_C_TO_STRING_NOSLASHESCAPE));
    (void)json_object_put(object);
}

static void fired(void *ctx, const char *path)
{
    const struct watched *w = ctx;
    struct watching *all = w->all;

    if (all->over || path == NULL) /* NULL: only after a resumption, and here is none */
        return;
    print_event(all->x, path);
    if (fflush(stdout) != 0)
        end_watching(all, EXIT_FAILED); /* xs.c says it */
    if (++all->printed == all->x->events)
        end_watching(all, EXIT_OK);
}

static void fail_watch(const struct watched *w, const char *reason)
{
    if (!w->all->over)
        end_watching(w->all, tool_fail(w->all->x->name, "watch %s: %s", w->path, reason));
}

/* The loss of the connection is told once, for all. */
static void answered(void *ctx, const struct xsc_reply *reply)
{
    if (reply->error < 0 && reply->error != -ECONNRESET && reply->error != -ECANCELED)
        fail_watch(ctx, reply->error_name[0] != '\0' ? reply->error_name : strerror(-reply->error));
}

static void add_watch(struct watched *w)
{
    struct xsc *session = xsc_client_session(w->all->x->client);
    const char *reason = NULL;
    int r = xsc_watch_add(session, w->path, fired, w,
                          (struct xsc_completion){.done = answered, .ctx = w}, &w->watch);

    if (r == -EINVAL)
        (void)xsc_check_path(w->path, &reason);
    if (r < 0)
        fail_watch(w, reason != NULL ? reason : strerror(-r));
}

static long long now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The whole command has the time, not each event. */
static int ms_left(const struct xs *x, long long begin)
{
    long long left = x->timeout_ms - (now_ms() - begin);

    if (x->timeout_ms < 0)
        return -1;
    return left > 0 ? (int)left : 0;
}

/* Polls and prints until it is over. */
static void watch_on(struct watching *all)
{
    struct xsc_client *client = all->x->client;
    long long begin = now_ms();

    while (!all->over) {
        struct pollfd fd = {.fd = xsc_client_fd(client), .events = xsc_client_events(client)};
        int ready = poll(&fd, 1, ms_left(all->x, begin));

        if (xsc_client_process(client) < 0 && !all->over)
            end_watching(all, tool_fail(all->x->name, "%s", xsc_why(xsc_client_session(client))));
        else if (ready == 0)
            end_watching(all, EXIT_NOT_CONNECTED);
    }
}

static int watch_all(struct xs *x, struct watched *w)
{
    struct watching all = {.x = x};

    for (int i = 0; i < x->count && !all.over; i++) {
        w[i] = (struct watched){.all = &all, .path = x->arguments[i]};
        add_watch(&w[i]);
    }
    watch_on(&all);
    for (int i = 0; i < x->count; i++)
        xsc_watch_remove(w[i].watch);
    return all.status;
}

int xs_watch(struct xs *x)
{
    struct watched *w;
    int r;

    if (x->count == 0)
        return xs_wrong(x, "no path to watch");
    r = xs_open(x);
    if (r != EXIT_OK)
        return r;
    w = calloc((size_t)x->count, sizeof *w);
    r = w == NULL ? tool_fail(x->name, "%s", strerror(ENOMEM)) : watch_all(x, w);
    free(w);
    return r;
}

/* --- wait --- */

static int as_wanted(struct xsc_handle *h, void *arg)
{
    const struct xs *x = arg;
    const char *wanted = x->count > 1 ? x->arguments[1] : NULL;
    char *value;
    size_t len;
    bool same;
    int r = xsc_read(h, x->arguments[0], &value, &len);

    if (r == -ENOENT)
        return x->gone ? 0 : -EAGAIN;
    if (r < 0)
        return r;
    same = wanted == NULL || (len == strlen(wanted) && memcmp(value, wanted, len) == 0);
    free(value);
    return same && !x->gone ? 0 : -EAGAIN;
}

int xs_wait(struct xs *x)
{
    struct vbd_error why = {""};
    int r;

    if (x->count < 1 || x->count > 2 || (x->gone && x->count > 1))
        return xs_wrong(x, "one path, and maybe one value, to wait for");
    r = xs_open(x);
    if (r != EXIT_OK)
        return r;
    r = xsc_wait(x->client, x->timeout_ms, as_wanted, x, &why);
    if (r == 0)
        return EXIT_OK;
    (void)tool_fail(x->name, "%s: %s", x->arguments[0], why.text);
    return r == -ETIMEDOUT ? EXIT_NOT_CONNECTED : EXIT_FAILED;
}
