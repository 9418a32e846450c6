/* xsc_transaction.c - a function inside a transaction, repeated on conflict, and writes that travel
 * with its end. Called by users' threads; never by a callback. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "linux/error.h"
#include "linux/xsc_client.h"
#include "linux/xsc_handle.h"

static const struct xsc_transaction_options defaults = {.struct_size = sizeof defaults,
                                                        .tries = XSC_TRANSACTION_TRIES,
                                                        .first_pause_us = 50,
                                                        .longest_pause_us = 3200};

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

/* Its end could not be queued. Left open it would hold up every suspension, and count against the
 * domain's quota until the connection ends: so if need be, that ends. */
static void abandon(struct xsc_handle *h)
{
    struct xsc_call call = {.op = XSC_OP_TRANSACTION_END, .path = "F"};
    struct vbd_error why = h->why;

    if (xsc_handle_call(h, &call, NULL, NULL) == -ENOMEM && h->unsent)
        xsc_client_give_up(h->client, -ENOMEM);
    h->why = why;
}

static int end(struct xsc_handle *h, bool commit)
{
    struct xsc_call call = {.op = XSC_OP_TRANSACTION_END, .path = commit ? "T" : "F"};
    int r = xsc_handle_call(h, &call, NULL, NULL);

    if (r == -ENOMEM && h->unsent)
        abandon(h);
    h->tx = 0;
    h->conflict = commit && r == -EAGAIN;
    return r;
}

/* --- writes that are not waited for --- */

/* One of them: what its refusal is to name. */
struct later_write {
    struct xsc_handle *h;
    char path[];
};

static void later_answered(void *ctx, const struct xsc_reply *reply)
{
    const struct later_write *w = ctx;
    struct xsc_later *later = &w->h->later;

    later->done = --later->outstanding == 0;
    if (reply->error < 0 && later->error == 0)
        later->error =
            vbd_fail(&later->why, reply->error, "write %s: %s", w->path,
                     reply->error_name[0] != '\0' ? reply->error_name : strerror(-reply->error));
}

static int submit_later(struct xsc_handle *h, const struct xsc_call *call)
{
    struct later_write *w = malloc(sizeof *w + strlen(call->path) + 1);
    int r;

    if (w == NULL)
        return -ENOMEM;
    w->h = h;
    memcpy(w->path, call->path, strlen(call->path) + 1);
    xsc_client_lock(h->client);
    h->later.outstanding++;
    r = xsc_submit(h->client->x, call, (struct xsc_completion){later_answered, w, free});
    if (r < 0)
        h->later.outstanding--;
    h->later.done = h->later.outstanding == 0;
    xsc_client_unlock(h->client);
    /* cppcheck-suppress memleak ; the completion frees it, also when submitting fails */
    return r;
}

int xsc_write_later(struct xsc_handle *h, const char *path, const void *value, size_t len)
{
    struct xsc_call call = {
        .op = XSC_OP_WRITE, .tx = h->tx, .path = path, .value = value, .value_len = len};
    int r;

    if (h->tx == 0)
        return xsc_write(h, path, value, len);
    if (xsc_client_in_callback(h->client))
        return -EDEADLK;
    r = submit_later(h, &call);
    return r < 0 ? xsc_handle_fail(h, &call, r, strerror(-r)) : 0;
}

/* Waits for the answers to what was written later: the first error, said in the handle. */
static int settle_later(struct xsc_handle *h)
{
    xsc_client_lock(h->client);
    if (h->later.outstanding > 0) {
        xsc_client_flush(h->client);
        (void)xsc_client_await(h->client, &h->later.done, NULL);
    }
    xsc_client_unlock(h->client);
    if (h->later.error < 0)
        h->why = h->later.why;
    return h->later.error;
}

/* --- the transaction --- */

static void back_off(const struct xsc_transaction_options *o, unsigned tries)
{
    unsigned long us = o->first_pause_us;
    struct timespec pause;

    if (tries < 3) /* the first conflicts are mostly over at once */
        return;
    for (unsigned i = 3; i < tries && us < o->longest_pause_us; i++)
        us *= 2;
    if (us > o->longest_pause_us)
        us = o->longest_pause_us;
    pause =
        (struct timespec){.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000)};
    (void)nanosleep(&pause, NULL);
}

static int give_up(struct xsc_handle *h, int error)
{
    struct vbd_error first = h->why;

    (void)settle_later(h);
    (void)end(h, false);
    h->why = first;
    return error;
}

/* However it ends, nothing that refers to the handle stays under way. */
static int commit(struct xsc_handle *h)
{
    int r = end(h, true), later;
    struct vbd_error why = h->why;

    later = settle_later(h);
    if (r == 0)
        return later;
    h->why = why;
    return r;
}

/* One try. The answers to later writes come before that to the end: one wait for both, where the
 * caller said that he trusts them. */
static int run_once(struct xsc_handle *h, const struct xsc_transaction_options *o,
                    xsc_handle_fn *fn, void *arg)
{
    int r = start(h);

    h->conflict = false;
    if (r < 0)
        return r;
    h->later = (struct xsc_later){.done = true};
    r = fn(h, arg);
    if (r < 0)
        return give_up(h, r);
    if (!o->commit_at_once) {
        r = settle_later(h);
        if (r < 0)
            return give_up(h, r);
    }
    return commit(h);
}

int xsc_transaction_with(struct xsc_client *c, const struct xsc_transaction_options *options,
                         xsc_handle_fn *fn, void *arg, struct vbd_error *why)
{
    const struct xsc_transaction_options *o = options != NULL ? options : &defaults;
    struct xsc_handle h = {.client = c};
    int r = -EAGAIN;

    if (o->struct_size != sizeof *o || o->tries == 0)
        return vbd_fail(why, -EINVAL, "transaction: the options are none");
    for (unsigned tries = 0; tries < o->tries; tries++) {
        r = run_once(&h, o, fn, arg);
        if (!h.conflict)
            break;
        if (tries + 1 < o->tries)
            back_off(o, tries);
    }
    return xsc_handle_ended(&h, r, why);
}

int xsc_transaction(struct xsc_client *c, xsc_handle_fn *fn, void *arg, struct vbd_error *why)
{
    return xsc_transaction_with(c, NULL, fn, arg, why);
}

const struct xsc_transaction_options *xsc_transaction_defaults(void)
{
    return &defaults;
}
