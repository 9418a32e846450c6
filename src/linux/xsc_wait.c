/* xsc_wait.c - a function that is run again when what it read has changed. Called by users'
 * threads; never by a callback. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "linux/error.h"
#include "linux/xsc_client.h"
#include "linux/xsc_handle.h"

struct tracked {
    struct tracked *next;
    struct xsc_wait_state *wait;
    struct xsc_watch *watch;
    bool read; /* in this run of the function */
    char path[];
};

/* Under the client's lock: callbacks of any thread set `changed`. */
struct xsc_wait_state {
    struct xsc_wait_state *next; /* among those of one struct xsc_cancel */
    struct tracked *first;
    bool changed;
};

static void fired(void *ctx, const char *path)
{
    struct xsc_wait_state *wait = ctx;

    (void)path;
    wait->changed = true;
}

static struct tracked *find_tracked(struct xsc_wait_state *wait, const char *path)
{
    for (struct tracked *t = wait->first; t != NULL; t = t->next)
        if (strcmp(t->path, path) == 0)
            return t;
    return NULL;
}

static struct tracked *tracked_new(struct xsc_wait_state *wait, const char *path)
{
    struct tracked *t = calloc(1, sizeof *t + strlen(path) + 1);

    if (t == NULL)
        return NULL;
    memcpy(t->path, path, strlen(path) + 1);
    t->wait = wait;
    t->read = true;
    return t;
}

/* Sets the watch and waits for the server's word, with the lock held. One that is refused, or not
 * answered in time, is no watch; removing it completes what is left of it. */
static int set_watch(struct xsc_handle *h, struct tracked *t, struct xsc_answer *a)
{
    struct xsc_client *c = h->client;
    struct xsc_completion completion = {xsc_answer_keep, a, NULL};
    int r = xsc_watch_add(c->x, t->path, fired, t->wait, completion, &t->watch);

    if (r < 0)
        return r;
    xsc_client_flush(c);
    r = xsc_client_await(c, &a->done, h->patience);
    if (a->done)
        r = a->error;
    if (r < 0) {
        xsc_watch_remove(t->watch);
        xsc_client_flush(c);
    }
    return r;
}

/* Watches path before it is read, so that no change between is missed. */
int xsc_handle_track(struct xsc_handle *h, const char *path)
{
    struct tracked *t = h->wait != NULL ? find_tracked(h->wait, path) : NULL;
    struct xsc_answer a = {.unwanted = true};
    int r;

    if (t != NULL)
        t->read = true;
    if (h->wait == NULL || t != NULL)
        return 0;
    t = tracked_new(h->wait, path);
    if (t == NULL)
        return vbd_fail(&h->why, -ENOMEM, "watch %s: %s", path, strerror(ENOMEM));
    xsc_client_lock(h->client);
    r = set_watch(h, t, &a);
    if (r == 0) {
        t->next = h->wait->first;
        h->wait->first = t;
    }
    xsc_client_unlock(h->client);
    if (r == 0)
        return 0;
    free(t);
    return vbd_fail(&h->why, r, "watch %s: %s", path, xsc_answer_reason(&a, r));
}

/* Drops the watches of what was not read in the last run, or all. */
static void drop(struct xsc_client *c, struct xsc_wait_state *wait, bool all)
{
    struct tracked **at = &wait->first;

    while (*at != NULL) {
        struct tracked *t = *at;

        if (t->read && !all) {
            t->read = false;
            at = &t->next;
            continue;
        }
        *at = t->next;
        xsc_watch_remove(t->watch);
        free(t);
    }
    xsc_client_flush(c);
}

/* --- cancelling --- */

struct xsc_cancel {
    struct xsc_client *client;
    bool cancelled;               /* under the client's lock, as the list */
    struct xsc_wait_state *first; /* waits under way */
};

int xsc_cancel_new(struct xsc_client *c, struct xsc_cancel **ret)
{
    struct xsc_cancel *cancel = calloc(1, sizeof *cancel);

    if (cancel == NULL)
        return -ENOMEM;
    cancel->client = c;
    *ret = cancel;
    return 0;
}

struct xsc_cancel *xsc_cancel_free(struct xsc_cancel *cancel)
{
    free(cancel);
    return NULL;
}

void xsc_cancel(struct xsc_cancel *cancel)
{
    bool inside = xsc_client_in_callback(cancel->client); /* then the lock is ours already */

    if (!inside)
        xsc_client_lock(cancel->client);
    cancel->cancelled = true;
    for (struct xsc_wait_state *w = cancel->first; w != NULL; w = w->next)
        w->changed = true;
    xsc_client_wake(cancel->client);
    if (!inside)
        xsc_client_unlock(cancel->client);
}

static void enter(struct xsc_cancel *cancel, struct xsc_wait_state *wait)
{
    if (cancel == NULL)
        return;
    wait->next = cancel->first;
    cancel->first = wait;
}

static void leave(struct xsc_cancel *cancel, struct xsc_wait_state *wait)
{
    struct xsc_wait_state **at;

    if (cancel == NULL)
        return;
    for (at = &cancel->first; *at != wait; at = &(*at)->next)
        ;
    *at = wait->next;
}

static bool is_cancelled(const struct xsc_cancel *cancel)
{
    return cancel != NULL && cancel->cancelled;
}

/* --- wait --- */

/* Runs the function once, and waits for a change when it says "not yet". With the lock held, but
 * for the function. 0: run it again. */
static int run_and_await(struct xsc_handle *h, const struct xsc_wait_options *o,
                         const struct xsc_patience *patience, xsc_handle_fn *fn, void *arg,
                         int *ret)
{
    struct xsc_client *c = h->client;

    if (is_cancelled(o->cancel))
        return -ECANCELED;
    h->wait->changed = false;
    xsc_client_unlock(c);
    *ret = fn(h, arg);
    xsc_client_lock(c);
    drop(c, h->wait, *ret != -EAGAIN);
    if (*ret != -EAGAIN)
        return 1;
    return is_cancelled(o->cancel) ? -ECANCELED : xsc_client_await(c, &h->wait->changed, patience);
}

static const char *why_not(int error)
{
    return error == -ETIMEDOUT   ? "what was waited for did not happen in time"
           : error == -ECANCELED ? "the wait was cancelled"
                                 : "the connection to xenstore was lost";
}

int xsc_wait_with(struct xsc_client *c, const struct xsc_wait_options *options, xsc_handle_fn *fn,
                  void *arg, struct vbd_error *why)
{
    struct xsc_wait_state wait = {0};
    struct xsc_patience patience = {.deadline = xsc_deadline(options->timeout_ms)};
    struct xsc_patience operations; /* of each; 0 asks once, and waits to be answered */
    struct xsc_handle h = {.client = c, .wait = &wait, .patience = &operations};
    int r = -EAGAIN, over;

    if (options->struct_size != sizeof *options)
        return vbd_fail(why, -EINVAL, "wait: the options are none");
    if (xsc_client_in_callback(c))
        return vbd_fail(why, -EDEADLK, "wait: called from a callback");
    if (options->cancel != NULL)
        patience.cancelled = &options->cancel->cancelled;
    operations = patience;
    if (options->timeout_ms == 0)
        operations.deadline = -1;
    xsc_client_lock(c);
    enter(options->cancel, &wait);
    do {
        over = run_and_await(&h, options, &patience, fn, arg, &r);
    } while (over == 0);
    leave(options->cancel, &wait);
    drop(c, &wait, true);
    xsc_client_unlock(c);
    if (over < 0)
        r = vbd_fail(&h.why, over, "%s", why_not(over));
    return xsc_handle_ended(&h, r, why);
}

int xsc_wait(struct xsc_client *c, int timeout_ms, xsc_handle_fn *fn, void *arg,
             struct vbd_error *why)
{
    struct xsc_wait_options options = {.struct_size = sizeof options, .timeout_ms = timeout_ms};

    return xsc_wait_with(c, &options, fn, arg, why);
}

int xsc_handle_reads(struct xsc_handle *h, enum xsc_op op, const char *path, char **ret,
                     size_t *ret_len)
{
    struct xsc_call call = {.op = op, .path = path};
    int r = xsc_handle_track(h, path);

    return r < 0 ? r : xsc_handle_call(h, &call, ret, ret_len);
}
