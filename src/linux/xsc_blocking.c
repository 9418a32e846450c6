/* xsc_blocking.c - handles: the operations as calls that block, single, in a transaction, or in a
 * wait that watches what it reads. Called by users' threads; never by a callback. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "linux/error.h"
#include "linux/xsc_client.h"
#include "linux/xsc_handle.h"

/* An answer on its way to the thread that asked. Lives on that thread's stack. */
struct answer {
    bool done;
    int error;
    char word[24];
    char *data;
    size_t len;
};

static void keep(void *ctx, const struct xsc_reply *reply)
{
    struct answer *a = ctx;

    a->done = true;
    a->error = reply->error;
    (void)snprintf(a->word, sizeof a->word, "%s", reply->error_name);
    if (reply->error < 0)
        return;
    a->data = malloc(reply->len + 1);
    if (a->data == NULL) {
        a->error = -ENOMEM;
        return;
    }
    memcpy(a->data, reply->data, reply->len);
    a->data[reply->len] = '\0';
    a->len = reply->len;
}

static int ask(struct xsc_client *c, const struct xsc_call *call, struct answer *a)
{
    int r;

    if (xsc_client_in_callback(c))
        return -EDEADLK;
    xsc_client_lock(c);
    r = xsc_submit(c->x, call, (struct xsc_completion){keep, a, NULL});
    if (r == 0) {
        xsc_client_flush(c);
        (void)xsc_client_await(c, &a->done, -1); /* a lost connection completes it as well */
        r = a->error;
    }
    xsc_client_unlock(c);
    return r;
}

static const char *reason(const struct answer *a, int error)
{
    return a->word[0] != '\0' ? a->word : strerror(-error);
}

int xsc_handle_call(struct xsc_handle *h, const struct xsc_call *call, char **ret, size_t *ret_len)
{
    struct xsc_call in_tx = *call;
    struct answer a = {0};
    int r;

    in_tx.tx = h->tx;
    r = ask(h->client, &in_tx, &a);
    if (r < 0) {
        free(a.data);
        return vbd_fail(&h->why, r, "%s %s: %s", xsc_op_name(call->op), call->path, reason(&a, r));
    }
    if (ret == NULL) {
        free(a.data);
        return 0;
    }
    *ret = a.data;
    *ret_len = a.len;
    return 0;
}

const char *xsc_handle_why(const struct xsc_handle *h)
{
    return h->why.text;
}

static int ended(const struct xsc_handle *h, int r, struct vbd_error *why)
{
    if (r < 0 && why != NULL)
        *why = h->why;
    return r;
}

int xsc_immediate(struct xsc_client *c, xsc_handle_fn *fn, void *arg, struct vbd_error *why)
{
    struct xsc_handle h = {.client = c};

    return ended(&h, fn(&h, arg), why);
}

static int start(struct xsc_handle *h)
{
    struct xsc_call call = {.op = XSC_OP_TRANSACTION_START, .path = ""};
    uint64_t tx = 0;
    char *id = NULL;
    size_t len;
    int r = xsc_handle_call(h, &call, &id, &len);

    if (r < 0 || id == NULL)
        return r;
    if (!vbd_parse_u64(id, strlen(id), UINT32_MAX, &tx) || tx == 0)
        r = vbd_fail(&h->why, -EPROTO, "transaction start: \"%s\" is no transaction's number", id);
    h->tx = (uint32_t)tx;
    free(id);
    return r;
}

static int end(struct xsc_handle *h, bool commit)
{
    struct xsc_call call = {.op = XSC_OP_TRANSACTION_END, .path = commit ? "T" : "F"};
    int r = xsc_handle_call(h, &call, NULL, NULL);

    h->tx = 0;
    return r;
}

/* Waits a little longer after each conflict, so that rivals get through: at most 2^6 * 50 us. */
static void back_off(unsigned tries)
{
    struct timespec pause = {.tv_nsec = 50000L << (tries < 6 ? tries : 6)};

    if (tries > 3)
        (void)nanosleep(&pause, NULL);
}

int xsc_transaction(struct xsc_client *c, xsc_handle_fn *fn, void *arg, struct vbd_error *why)
{
    struct xsc_handle h = {.client = c};
    int r = -EAGAIN;

    for (unsigned tries = 0; tries < XSC_TRANSACTION_TRIES; tries++) {
        r = start(&h);
        if (r < 0)
            break;
        r = fn(&h, arg);
        if (r < 0) {
            struct vbd_error first = h.why;

            (void)end(&h, false);
            h.why = first;
            break;
        }
        r = end(&h, true);
        if (r != -EAGAIN)
            break;
        back_off(tries);
    }
    return ended(&h, r, why);
}

/* --- wait --- */

struct tracked {
    struct tracked *next;
    struct xsc_wait_state *wait;
    struct xsc_watch *watch;
    bool read; /* in this run of the function */
    char path[];
};

/* Under the client's lock: callbacks of any thread set `changed`. */
struct xsc_wait_state {
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

/* Sets the watch and waits for the server's word, with the lock held. A refused watch is no watch.
 */
static int set_watch(struct xsc_client *c, struct tracked *t, struct answer *a)
{
    struct xsc_completion completion = {keep, a, NULL};
    int r = xsc_watch_add(c->x, t->path, fired, t->wait, completion, &t->watch);

    if (r < 0)
        return r;
    xsc_client_flush(c);
    (void)xsc_client_await(c, &a->done, -1);
    if (a->error < 0) {
        xsc_watch_remove(t->watch);
        xsc_client_flush(c);
    }
    return a->error;
}

/* Watches path before it is read, so that no change between is missed. */
static int track(struct xsc_handle *h, const char *path)
{
    struct tracked *t = h->wait != NULL ? find_tracked(h->wait, path) : NULL;
    struct answer a = {0};
    int r;

    if (t != NULL)
        t->read = true;
    if (h->wait == NULL || t != NULL)
        return 0;
    t = tracked_new(h->wait, path);
    if (t == NULL)
        return vbd_fail(&h->why, -ENOMEM, "watch %s: %s", path, strerror(ENOMEM));
    xsc_client_lock(h->client);
    r = set_watch(h->client, t, &a);
    if (r == 0) {
        t->next = h->wait->first;
        h->wait->first = t;
    }
    xsc_client_unlock(h->client);
    free(a.data);
    if (r == 0)
        return 0;
    free(t);
    return vbd_fail(&h->why, r, "watch %s: %s", path, reason(&a, r));
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

int xsc_wait(struct xsc_client *c, int timeout_ms, xsc_handle_fn *fn, void *arg,
             struct vbd_error *why)
{
    struct xsc_wait_state wait = {0};
    struct xsc_handle h = {.client = c, .wait = &wait};
    int64_t deadline = xsc_deadline(timeout_ms);
    int r, waited = 0;

    if (xsc_client_in_callback(c))
        return vbd_fail(why, -EDEADLK, "wait: called from a callback");
    do {
        xsc_client_lock(c);
        wait.changed = false;
        xsc_client_unlock(c);
        r = fn(&h, arg);
        xsc_client_lock(c);
        drop(c, &wait, r != -EAGAIN);
        if (r == -EAGAIN)
            waited = xsc_client_await(c, &wait.changed, deadline);
        xsc_client_unlock(c);
    } while (r == -EAGAIN && waited == 0);
    if (r == -EAGAIN) {
        r = vbd_fail(&h.why, waited, "%s",
                     waited == -ETIMEDOUT ? "what was waited for did not happen in time"
                                          : "the connection to xenstore was lost");
        xsc_client_lock(c);
        drop(c, &wait, true);
        xsc_client_unlock(c);
    }
    return ended(&h, r, why);
}

int xsc_handle_reads(struct xsc_handle *h, enum xsc_op op, const char *path, char **ret,
                     size_t *ret_len)
{
    struct xsc_call call = {.op = op, .path = path};
    int r = track(h, path);

    return r < 0 ? r : xsc_handle_call(h, &call, ret, ret_len);
}
