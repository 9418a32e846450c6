/* watches.c - watches by token: set, fired, removed. Called by session.c and by users.
 *
 * A watch keeps the request that will remove it from the day it is set, so that removing needs no
 * memory and can't fail.
 */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "xenstore/session.h"

struct xsc_watch {
    struct xsc *x;
    size_t slot;
    uint64_t generation;
    xsc_watch_fn *fired; /* NULL once removed */
    void *ctx;
    struct xsc_request *removal; /* NULL once queued */
    struct xsc_completion set;   /* the user's, until it has been called */
    bool answered;               /* the request that sets it is over */
    bool dead;                   /* removed after the loss, before that */
};

enum {
    TOKEN_MAX = 42 /* two numbers of 20 digits, a dot, a NUL */
};

static int find_slot(struct xsc *x, size_t *ret)
{
    struct xsc_watches *w = &x->watches;
    struct xsc_watch **grown;

    for (size_t i = 0; i < w->count; i++)
        if (w->slots[i] == NULL) {
            *ret = i;
            return 0;
        }
    grown = vbd_alloc_array(x->allocator, w->count * 2 + 8, sizeof(struct xsc_watch *));
    if (grown == NULL)
        return -ENOMEM;
    if (w->count > 0)
        memcpy(grown, w->slots, w->count * sizeof(struct xsc_watch *));
    vbd_free(x->allocator, w->slots);
    w->slots = grown;
    *ret = w->count;
    w->count = w->count * 2 + 8;
    return 0;
}

static void watch_free(struct xsc_watch *watch)
{
    struct xsc *x = watch->x;

    x->watches.slots[watch->slot] = NULL;
    vbd_free(x->allocator, watch->removal);
    vbd_free(x->allocator, watch);
}

static void complete_set(struct xsc_watch *watch, const struct xsc_reply *reply)
{
    struct xsc_completion c = watch->set;

    watch->set = (struct xsc_completion){0};
    if (c.done != NULL)
        c.done(c.ctx, reply);
    if (c.release != NULL)
        c.release(c.ctx);
}

static void was_set(void *ctx, const struct xsc_reply *reply)
{
    struct xsc_watch *watch = ctx;

    watch->answered = true;
    if (watch->dead)
        watch_free(watch);
    else
        complete_set(watch, reply);
}

static void removed(void *ctx, const struct xsc_reply *reply)
{
    (void)reply; /* refused or not, the watch is gone */
    watch_free(ctx);
}

/* The payload behind the path of WATCH and UNWATCH: the token and its NUL. */
static size_t token_of(const struct xsc_watch *watch, char token[TOKEN_MAX])
{
    struct vbd_text t = vbd_text_on(token, TOKEN_MAX);

    vbd_text_u64(&t, watch->slot);
    vbd_text_str(&t, ".");
    vbd_text_u64(&t, watch->generation);
    return t.len + 1;
}

static int make_requests(struct xsc_watch *watch, const char *path, struct xsc_request **ret_set)
{
    char token[TOKEN_MAX];
    struct xsc_call call = {.op = XSC_OP_WATCH, .path = path, .value = token};
    int r;

    call.value_len = token_of(watch, token);
    r = xsc_request_new(watch->x->allocator, &call, ret_set);
    if (r < 0)
        return r;
    call.op = XSC_OP_UNWATCH;
    r = xsc_request_new(watch->x->allocator, &call, &watch->removal);
    if (r < 0)
        vbd_free(watch->x->allocator, *ret_set);
    return r;
}

static int watch_new(struct xsc *x, const char *path, struct xsc_request **ret_set,
                     struct xsc_watch **ret)
{
    struct xsc_watch *watch;
    size_t slot;
    int r = x->lost ? -ENOTCONN : find_slot(x, &slot);

    if (r < 0)
        return r;
    watch = VBD_NEW(x->allocator, struct xsc_watch);
    if (watch == NULL)
        return -ENOMEM;
    watch->x = x;
    watch->slot = slot;
    watch->generation = ++x->watches.generation;
    r = make_requests(watch, path, ret_set);
    if (r < 0) {
        vbd_free(x->allocator, watch);
        return r;
    }
    x->watches.slots[slot] = watch;
    *ret = watch;
    return 0;
}

int xsc_watch_add(struct xsc *x, const char *path, xsc_watch_fn *fired, void *ctx,
                  struct xsc_completion completion, struct xsc_watch **ret)
{
    struct xsc_request *set;
    struct xsc_watch *watch;
    int r = watch_new(x, path, &set, &watch);

    if (r < 0) {
        if (completion.release != NULL)
            completion.release(completion.ctx);
        return r;
    }
    watch->fired = fired;
    watch->ctx = ctx;
    watch->set = completion;
    xsc_request_queue(x, set, (struct xsc_completion){.done = was_set, .ctx = watch});
    *ret = watch;
    return 0;
}

void xsc_watch_remove(struct xsc_watch *watch)
{
    struct xsc_reply cancelled = {.error = -ECANCELED, .error_name = "", .data = ""};
    struct xsc_request *removal;

    if (watch == NULL)
        return;
    watch->fired = NULL;
    complete_set(watch, &cancelled);
    if (watch->x->lost) {
        watch->dead = true;
        if (watch->answered)
            watch_free(watch);
        return;
    }
    removal = watch->removal;
    watch->removal = NULL;
    xsc_request_queue(watch->x, removal, (struct xsc_completion){.done = removed, .ctx = watch});
}

/* An event's payload is "path NUL token NUL". Events for unknown or old tokens are late: ignored.
 */
void xsc_watches_dispatch(struct xsc *x, const char *payload, size_t len)
{
    const char *end = vbd_bytes_find(payload, len, '\0');
    const char *token = end != NULL ? end + 1 : NULL;
    size_t token_len = token != NULL ? vbd_str_len(token) : 0;
    const char *dot = token != NULL ? vbd_bytes_find(token, token_len, '.') : NULL;
    struct xsc_watch *watch;
    uint64_t slot, generation;

    if (dot == NULL || x->watches.count == 0)
        return;
    if (!vbd_parse_u64(token, (size_t)(dot - token), x->watches.count - 1, &slot) ||
        !vbd_parse_u64(dot + 1, token_len - (size_t)(dot + 1 - token), UINT64_MAX, &generation))
        return;
    watch = x->watches.slots[slot];
    if (watch != NULL && watch->generation == generation && watch->fired != NULL)
        watch->fired(watch->ctx, payload);
}

void xsc_watches_free(struct xsc *x)
{
    for (size_t i = 0; i < x->watches.count; i++)
        if (x->watches.slots[i] != NULL)
            watch_free(x->watches.slots[i]);
    vbd_free(x->allocator, x->watches.slots);
    x->watches = (struct xsc_watches){0};
}
