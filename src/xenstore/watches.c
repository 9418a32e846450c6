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
    bool dead;                   /* removed while its request is under way; freed by that */
    bool registered;             /* the server has it, or is being asked to */
    bool kept;                   /* the request that sets it waits for resume */
    bool cancelling;             /* the UNWATCH of a suspension is under way */
    bool stale;                  /* set again, and its user not told yet */
    bool repeated;               /* the request that sets it is under way once more */
    struct watch_again *again;   /* prepared by resume */
    int depth;
    char path[];
};

/* What setting a watch again takes. */
struct watch_again {
    uint64_t generation;
    struct xsc_request *set, *removal;
};

enum {
    TOKEN_MAX = 42, /* two numbers of 20 digits, a dot, a NUL */
    DEPTH_MAX = 12  /* a number and a NUL */
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

static void again_free(const struct vbd_allocator *a, struct watch_again *again)
{
    if (again == NULL)
        return;
    vbd_free(a, again->set);
    vbd_free(a, again->removal);
    vbd_free(a, again);
}

static void watch_free(struct xsc_watch *watch)
{
    struct xsc *x = watch->x;

    x->watches.slots[watch->slot] = NULL;
    vbd_free(x->allocator, watch->removal);
    vbd_free(x->allocator, watch);
}

/* A removed watch goes when no request of it is under way any more, in whatever order a server
 * answers them. */
static void free_if_over(struct xsc_watch *watch)
{
    if (watch->dead && watch->answered && !watch->cancelling)
        watch_free(watch);
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

/* A watch that could not be set again is set no more: its user is told that it misses changes, and
 * the next resumption tries once more. */
static void refuse_again(struct xsc_watch *watch)
{
    watch->registered = false;
    watch->fired(watch->ctx, NULL); /* who may remove it, and that frees it */
}

static void was_set(void *ctx, const struct xsc_reply *reply)
{
    struct xsc_watch *watch = ctx;
    bool refused = watch->repeated && reply->error < 0 && !watch->x->lost && watch->fired != NULL;

    watch->answered = true;
    watch->kept = false;
    watch->repeated = false;
    if (watch->dead)
        free_if_over(watch);
    else if (refused)
        refuse_again(watch);
    else
        complete_set(watch, reply); /* who may remove the watch, and that may free it */
}

static void removed(void *ctx, const struct xsc_reply *reply)
{
    struct xsc_watch *watch = ctx;

    (void)reply; /* refused or not, the watch is gone */
    watch->dead = true;
    free_if_over(watch);
}

/* The payload behind the path of WATCH and UNWATCH: the token, and for a WATCH the depth, each with
 * its NUL. */
static size_t payload_of(const struct xsc_watch *watch, uint64_t generation, bool with_depth,
                         char payload[TOKEN_MAX + DEPTH_MAX])
{
    struct vbd_text t = vbd_text_on(payload, TOKEN_MAX + DEPTH_MAX);

    vbd_text_u64(&t, watch->slot);
    vbd_text_str(&t, ".");
    vbd_text_u64(&t, generation);
    if (with_depth && watch->depth != XSC_DEPTH_ALL) {
        vbd_text_bytes(&t, "", 1);
        vbd_text_u64(&t, (uint64_t)watch->depth);
    }
    return t.len + 1;
}

static int make_requests(const struct xsc_watch *watch, uint64_t generation,
                         struct xsc_request **ret_set, struct xsc_request **ret_removal)
{
    const struct vbd_allocator *a = watch->x->allocator;
    char payload[TOKEN_MAX + DEPTH_MAX];
    struct xsc_call call = {.op = XSC_OP_WATCH, .path = watch->path, .value = payload};
    int r;

    call.value_len = payload_of(watch, generation, true, payload);
    r = xsc_request_new(a, &call, ret_set);
    if (r < 0)
        return r;
    call.op = XSC_OP_UNWATCH;
    call.value_len = payload_of(watch, generation, false, payload);
    r = xsc_request_new(a, &call, ret_removal);
    if (r < 0)
        vbd_free(a, *ret_set);
    return r;
}

static int watch_new(struct xsc *x, const char *path, int depth, struct xsc_request **ret_set,
                     struct xsc_watch **ret)
{
    size_t slot, path_size = vbd_str_len(path) + 1;
    struct xsc_watch *watch;
    int r = x->lost ? -ENOTCONN : find_slot(x, &slot);

    if (r < 0)
        return r;
    watch = vbd_alloc(x->allocator, sizeof *watch + path_size);
    if (watch == NULL)
        return -ENOMEM;
    memcpy(watch->path, path, path_size);
    watch->x = x;
    watch->slot = slot;
    watch->depth = depth;
    watch->generation = ++x->watches.generation;
    r = make_requests(watch, watch->generation, ret_set, &watch->removal);
    if (r < 0) {
        vbd_free(x->allocator, watch);
        return r;
    }
    x->watches.slots[slot] = watch;
    *ret = watch;
    return 0;
}

int xsc_watch_add_depth(struct xsc *x, const char *path, int depth, xsc_watch_fn *fired, void *ctx,
                        struct xsc_completion completion, struct xsc_watch **ret)
{
    struct xsc_request *set;
    struct xsc_watch *watch;
    int r = depth < XSC_DEPTH_ALL ? -EINVAL : watch_new(x, path, depth, &set, &watch);

    if (r < 0) {
        if (completion.release != NULL)
            completion.release(completion.ctx);
        return r;
    }
    watch->fired = fired;
    watch->ctx = ctx;
    watch->set = completion;
    watch->registered = true;
    watch->kept = xsc_suspend_holds(x, set);
    xsc_request_queue(x, set, (struct xsc_completion){.done = was_set, .ctx = watch});
    *ret = watch;
    return 0;
}

int xsc_watch_add(struct xsc *x, const char *path, xsc_watch_fn *fired, void *ctx,
                  struct xsc_completion completion, struct xsc_watch **ret)
{
    return xsc_watch_add_depth(x, path, XSC_DEPTH_ALL, fired, ctx, completion, ret);
}

/* Nothing is to be sent for it: it goes now, or with the answer that is under way. */
static void remove_unregistered(struct xsc_watch *watch)
{
    watch->dead = true;
    free_if_over(watch);
}

void xsc_watch_remove(struct xsc_watch *watch)
{
    struct xsc_reply cancelled = {.error = -ECANCELED, .error_name = "", .data = ""};
    struct xsc_completion completion = {.done = removed, .ctx = watch};
    struct xsc_request *removal;

    if (watch == NULL)
        return;
    watch->fired = NULL;
    complete_set(watch, &cancelled);
    if (watch->x->lost || !watch->registered) {
        remove_unregistered(watch);
        return;
    }
    removal = watch->removal;
    watch->removal = NULL;
    if (watch->kept) /* behind the request that sets it */
        xsc_request_queue(watch->x, removal, completion);
    else
        xsc_request_send(watch->x, removal, completion);
}

/* --- suspend and resume --- */

static void cancelled(void *ctx, const struct xsc_reply *reply)
{
    struct xsc_watch *watch = ctx;

    (void)reply;
    watch->cancelling = false;
    free_if_over(watch);
}

static struct xsc_watch *watch_at(const struct xsc *x, size_t slot)
{
    return slot < x->watches.count ? x->watches.slots[slot] : NULL;
}

void xsc_watches_cancel(struct xsc *x)
{
    for (size_t i = 0; i < x->watches.count; i++) {
        struct xsc_watch *watch = watch_at(x, i);
        struct xsc_request *removal;

        if (watch == NULL || !watch->registered || watch->kept || watch->removal == NULL)
            continue;
        removal = watch->removal;
        watch->removal = NULL;
        watch->registered = false;
        watch->cancelling = true;
        xsc_request_send(x, removal, (struct xsc_completion){.done = cancelled, .ctx = watch});
    }
}

void xsc_watches_forget(struct xsc *x)
{
    for (size_t i = 0; i < x->watches.count; i++)
        if (x->watches.slots[i] != NULL)
            x->watches.slots[i]->registered = false;
}

static int prepare(struct xsc_watch *watch)
{
    const struct vbd_allocator *a = watch->x->allocator;
    struct watch_again *again = VBD_NEW(a, struct watch_again);
    int r;

    if (again == NULL)
        return -ENOMEM;
    again->generation = ++watch->x->watches.generation;
    r = make_requests(watch, again->generation, &again->set, &again->removal);
    if (r < 0) {
        vbd_free(a, again);
        return r;
    }
    watch->again = again;
    return 0;
}

int xsc_watches_prepare(struct xsc *x)
{
    int r = 0;

    for (size_t i = 0; i < x->watches.count && r == 0; i++) {
        struct xsc_watch *watch = watch_at(x, i);

        if (watch != NULL && watch->fired != NULL && !watch->registered)
            r = prepare(watch);
    }
    for (size_t i = 0; i < x->watches.count && r < 0; i++) {
        struct xsc_watch *watch = watch_at(x, i);

        if (watch != NULL) {
            again_free(x->allocator, watch->again);
            watch->again = NULL;
        }
    }
    return r;
}

static void set_again(struct xsc_watch *watch)
{
    struct watch_again *again = watch->again;
    const struct vbd_allocator *a = watch->x->allocator;

    vbd_free(a, watch->removal);
    watch->removal = again->removal;
    watch->generation = again->generation;
    watch->registered = true;
    watch->answered = false;
    watch->stale = true;
    watch->repeated = true;
    watch->again = NULL;
    xsc_request_send(watch->x, again->set, (struct xsc_completion){.done = was_set, .ctx = watch});
    vbd_free(a, again);
}

void xsc_watches_set_again(struct xsc *x)
{
    for (size_t i = 0; i < x->watches.count; i++) {
        struct xsc_watch *watch = watch_at(x, i);

        if (watch == NULL)
            continue;
        watch->kept = false; /* its request goes out with this resumption */
        if (watch->again != NULL)
            set_again(watch);
    }
}

/* A callback may add and remove watches, so each is looked up anew. */
void xsc_watches_tell(struct xsc *x)
{
    for (size_t i = 0; i < x->watches.count; i++) {
        struct xsc_watch *watch = watch_at(x, i);

        if (watch == NULL || !watch->stale)
            continue;
        watch->stale = false;
        if (watch->fired != NULL)
            watch->fired(watch->ctx, NULL);
    }
}

/* --- events --- */

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
