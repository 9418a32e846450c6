/* xsc_queue.c - watch events for one user of a client: a bounded queue. Called by users' threads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "linux/error.h"
#include "linux/xsc_client.h"

struct queued {
    struct vbd_list link;
    struct xsc_event event;
};

struct queue_watch {
    struct vbd_list link;
    struct xsc_queue *queue;
    struct xsc_watch *watch;
    char *path, *token;
    int depth;
    bool setting; /* xsc_watch waits for the server's word; only it may end the watch */
};

/* All fields under the client's lock. */
struct xsc_queue {
    struct xsc_client *client;
    struct vbd_list events; /* struct queued */
    struct vbd_list watches;
    size_t count, limit;
    bool overflow; /* events were dropped since the last rescan was told */
    bool ready;    /* there is something to take */
};

int xsc_queue_new(struct xsc_client *c, size_t limit, struct xsc_queue **ret)
{
    struct xsc_queue *q;

    if (limit == 0)
        return -EINVAL;
    q = calloc(1, sizeof *q);
    if (q == NULL)
        return -ENOMEM;
    q->client = c;
    q->limit = limit;
    vbd_list_init(&q->events);
    vbd_list_init(&q->watches);
    *ret = q;
    return 0;
}

void xsc_event_clear(struct xsc_event *e)
{
    free(e->path);
    free(e->token);
    *e = (struct xsc_event){0};
}

static void watch_free(struct queue_watch *w)
{
    vbd_list_remove(&w->link);
    xsc_watch_remove(w->watch);
    free(w->path);
    free(w->token);
    free(w);
}

struct xsc_queue *xsc_queue_free(struct xsc_queue *q)
{
    struct vbd_list *at;

    if (q == NULL)
        return NULL;
    xsc_client_lock(q->client);
    while (!vbd_list_empty(&q->watches))
        watch_free(VBD_CONTAINER(q->watches.next, struct queue_watch, link));
    xsc_client_flush(q->client);
    xsc_client_unlock(q->client);
    while ((at = vbd_list_pop(&q->events)) != NULL) {
        struct queued *e = VBD_CONTAINER(at, struct queued, link);

        xsc_event_clear(&e->event);
        free(e);
    }
    free(q);
    return NULL;
}

/* Runs as a callback: under the lock. No room or no memory both end in "rescan"; until that is
 * told, nothing more is queued, so that it is told soon. */
static void fired(void *ctx, const char *path)
{
    struct queue_watch *w = ctx;
    struct xsc_queue *q = w->queue;
    bool take = path != NULL && !q->overflow && q->count < q->limit; /* NULL: some were missed */
    struct queued *e = take ? calloc(1, sizeof *e) : NULL;

    q->ready = true;
    if (e != NULL) {
        e->event.path = strdup(path);
        e->event.token = strdup(w->token);
    }
    if (e == NULL || e->event.path == NULL || e->event.token == NULL) {
        q->overflow = true;
        if (e != NULL)
            xsc_event_clear(&e->event);
        free(e);
        return;
    }
    vbd_list_append(&q->events, &e->link);
    q->count++;
}

struct watch_answer {
    bool done;
    int error;
    char word[24];
};

static void watch_answered(void *ctx, const struct xsc_reply *reply)
{
    struct watch_answer *a = ctx;

    a->done = true;
    a->error = reply->error;
    strncpy(a->word, reply->error_name, sizeof a->word - 1);
}

static struct queue_watch *find(struct xsc_queue *q, const char *path, const char *token)
{
    VBD_LIST_EACH(at, after, &q->watches)
    {
        struct queue_watch *w = VBD_CONTAINER(at, struct queue_watch, link);

        if (strcmp(w->path, path) == 0 && strcmp(w->token, token) == 0)
            return w;
    }
    return NULL;
}

/* Sets the watch and waits for the server's word, with the lock held. */
static int set(struct xsc_queue *q, struct queue_watch *w, struct watch_answer *a)
{
    struct xsc_completion completion = {.done = watch_answered, .ctx = a};
    int r =
        w->path == NULL || w->token == NULL
            ? -ENOMEM
            : xsc_watch_add_depth(q->client->x, w->path, w->depth, fired, w, completion, &w->watch);

    if (r < 0)
        return r;
    xsc_client_flush(q->client);
    w->setting = true;
    (void)xsc_client_await(q->client, &a->done, NULL);
    w->setting = false;
    return a->error;
}

int xsc_watch(struct xsc_queue *q, const char *path, const char *token, struct vbd_error *why)
{
    return xsc_watch_depth(q, path, token, XSC_DEPTH_ALL, why);
}

int xsc_watch_depth(struct xsc_queue *q, const char *path, const char *token, int depth,
                    struct vbd_error *why)
{
    struct watch_answer a = {0};
    struct queue_watch *w;
    int r;

    if (xsc_client_in_callback(q->client))
        return vbd_fail(why, -EDEADLK, "watch %s: called from a callback", path);
    w = calloc(1, sizeof *w);
    if (w == NULL)
        return vbd_fail(why, -ENOMEM, "watch %s: %s", path, strerror(ENOMEM));
    vbd_list_init(&w->link);
    w->queue = q;
    w->path = strdup(path);
    w->token = strdup(token);
    w->depth = depth;
    xsc_client_lock(q->client);
    if (find(q, path, token) != NULL) {
        r = -EEXIST;
    } else {
        vbd_list_append(&q->watches, &w->link);
        r = set(q, w, &a);
    }
    if (r < 0) {
        watch_free(w);
        xsc_client_flush(q->client);
    }
    xsc_client_unlock(q->client);
    return r < 0 ? vbd_fail(why, r, "watch %s: %s", path, a.word[0] ? a.word : strerror(-r)) : 0;
}

int xsc_unwatch(struct xsc_queue *q, const char *path, const char *token)
{
    struct queue_watch *w;

    if (xsc_client_in_callback(q->client))
        return -EDEADLK;
    xsc_client_lock(q->client);
    w = find(q, path, token);
    if (w != NULL && w->setting)
        w = NULL;
    if (w != NULL) {
        watch_free(w);
        xsc_client_flush(q->client);
    }
    xsc_client_unlock(q->client);
    return w != NULL ? 0 : -ENOENT;
}

static void take(struct xsc_queue *q, struct xsc_event *ret)
{
    struct vbd_list *at = vbd_list_pop(&q->events);

    if (at != NULL) {
        struct queued *e = VBD_CONTAINER(at, struct queued, link);

        *ret = e->event;
        free(e);
        q->count--;
    } else {
        *ret = (struct xsc_event){.rescan = true};
        q->overflow = false;
    }
    q->ready = q->count > 0 || q->overflow;
}

int xsc_queue_next(struct xsc_queue *q, int timeout_ms, struct xsc_event *ret)
{
    struct xsc_patience patience = {.deadline = xsc_deadline(timeout_ms)};
    int r;

    if (xsc_client_in_callback(q->client))
        return -EDEADLK;
    xsc_client_lock(q->client);
    r = xsc_client_await(q->client, &q->ready, &patience);
    if (r == 0)
        take(q, ret);
    xsc_client_unlock(q->client);
    return r;
}
