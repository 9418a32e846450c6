/* xs_watch.c - "vbdkit xs watch" prints what changes; "vbdkit xs wait" waits until a node has a
 * value, is there, or is gone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vbdkit/xs.h"

enum { EVENTS = 1024 };

/* --- watch --- */

static void print_event(const struct xs *x, const struct xsc_event *e)
{
    json_object *object;

    if (!x->json) {
        (void)puts(e->rescan ? "(events were missed: read everything again)" : e->path);
    } else {
        object = json_object_new_object();
        if (e->rescan)
            (void)json_object_object_add(object, "rescan", json_object_new_boolean(true));
        else
            (void)json_object_object_add(object, "path", json_object_new_string(e->path));
        (void)puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE));
        (void)json_object_put(object);
    }
    (void)fflush(stdout);
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

static int print_events(const struct xs *x, struct xsc_queue *q)
{
    long long begin = now_ms();

    for (long n = 0; x->events == 0 || n < x->events; n++) {
        struct xsc_event e;
        int r = xsc_queue_next(q, ms_left(x, begin), &e);

        if (r == -ETIMEDOUT)
            return EXIT_NOT_CONNECTED;
        if (r < 0)
            return tool_fail(x->name, "%s", xsc_why(xsc_client_session(x->client)));
        print_event(x, &e);
        xsc_event_clear(&e);
    }
    return EXIT_OK;
}

int xs_watch(struct xs *x)
{
    struct vbd_error why = {""};
    struct xsc_queue *q;
    int r = EXIT_OK;

    if (x->count == 0)
        return xs_wrong(x, "no path to watch");
    if (xsc_queue_new(x->client, EVENTS, &q) < 0)
        return tool_fail(x->name, "%s", strerror(ENOMEM));
    for (int i = 0; r == EXIT_OK && i < x->count; i++)
        if (xsc_watch(q, x->arguments[i], x->arguments[i], &why) < 0)
            r = tool_fail(x->name, "%s", why.text);
    if (r == EXIT_OK)
        r = print_events(x, q);
    (void)xsc_queue_free(q);
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
    r = xsc_wait(x->client, x->timeout_ms, as_wanted, x, &why);
    if (r == 0)
        return EXIT_OK;
    (void)tool_fail(x->name, "%s: %s", x->arguments[0], why.text);
    return r == -ETIMEDOUT ? EXIT_NOT_CONNECTED : EXIT_FAILED;
}
