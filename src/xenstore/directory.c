/* directory.c - the whole of a directory, however large. Called by users of a session.
 *
 *   DIRECTORY -> E2BIG -> DIRECTORY_PART from offset 0, and on until the empty name that ends it;
 *   from the start again when the generation has changed meanwhile
 */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "xenstore/session.h"

enum { RESTARTS_MAX = 100 };

struct listing {
    struct xsc *x;
    struct xsc_completion completion;
    uint32_t tx;
    unsigned restarts;
    char generation[24];
    char *names; /* what has come so far, each with its NUL */
    size_t len, room;
    char path[];
};

static void finish(struct listing *l, const struct xsc_reply *reply)
{
    struct xsc_completion c = l->completion;
    const struct vbd_allocator *a = l->x->allocator;

    if (c.done != NULL)
        c.done(c.ctx, reply);
    if (c.release != NULL)
        c.release(c.ctx);
    vbd_free(a, l->names);
    vbd_free(a, l);
}

static void fail(struct listing *l, int error)
{
    struct xsc_reply reply = {.error = error, .error_name = "", .data = ""};

    finish(l, &reply);
}

static int append(struct listing *l, const char *names, size_t len)
{
    size_t room = (l->len + len) * 2 + 1;
    char *grown;

    if (l->len + len > XSC_REPLY_MAX)
        return -E2BIG;
    if (l->len + len >= l->room) {
        grown = vbd_alloc(l->x->allocator, room);
        if (grown == NULL)
            return -ENOMEM;
        if (l->len > 0)
            memcpy(grown, l->names, l->len);
        vbd_free(l->x->allocator, l->names);
        l->names = grown;
        l->room = room;
    }
    memcpy(l->names + l->len, names, len);
    l->len += len;
    l->names[l->len] = '\0';
    return 0;
}

static void part_came(void *ctx, const struct xsc_reply *reply);

static void ask_part(struct listing *l)
{
    char offset[24];
    struct vbd_text t = vbd_text_on(offset, sizeof offset);
    struct xsc_call call = {
        .op = XSC_OP_DIRECTORY_PART, .tx = l->tx, .path = l->path, .value = offset};
    int r;

    vbd_text_u64(&t, l->len);
    call.value_len = t.len + 1;
    r = xsc_submit(l->x, &call, (struct xsc_completion){.done = part_came, .ctx = l});
    if (r < 0)
        fail(l, r);
}

/* Changed under way: what was read does not belong together. */
static void restart(struct listing *l)
{
    if (++l->restarts > RESTARTS_MAX) {
        fail(l, -EAGAIN);
        return;
    }
    l->len = 0;
    ask_part(l);
}

static void finish_whole(struct listing *l)
{
    struct xsc_reply reply = {
        .error_name = "", .data = l->names != NULL ? l->names : "", .len = l->len};

    finish(l, &reply);
}

/* The names of a part, behind its generation. An empty name ends the directory. */
static void take_names(struct listing *l, const char *names, size_t len)
{
    bool last = len > 0 && names[len - 1] == '\0' && (len == 1 || names[len - 2] == '\0');
    int r = -EPROTO; /* neither a name nor the end, or a name that is cut */

    if (len > 0 && names[len - 1] == '\0')
        r = append(l, names, last ? len - 1 : len);
    if (r < 0)
        fail(l, r);
    else if (last)
        finish_whole(l);
    else
        ask_part(l);
}

static void part_came(void *ctx, const struct xsc_reply *reply)
{
    struct listing *l = ctx;
    size_t generation = vbd_str_len(reply->data);

    if (reply->error < 0) {
        /* A server without parts: the directory is too large for it. */
        fail(l, reply->error == -ENOSYS ? -E2BIG : reply->error);
        return;
    }
    if (generation >= reply->len || generation >= sizeof l->generation) {
        fail(l, -EPROTO);
        return;
    }
    if (l->len == 0)
        memcpy(l->generation, reply->data, generation + 1);
    if (!vbd_str_eq(l->generation, reply->data))
        restart(l);
    else
        take_names(l, reply->data + generation + 1, reply->len - generation - 1);
}

static void whole_came(void *ctx, const struct xsc_reply *reply)
{
    struct listing *l = ctx;

    if (reply->error == -E2BIG)
        ask_part(l);
    else
        finish(l, reply);
}

int xsc_list(struct xsc *x, uint32_t tx, const char *path, struct xsc_completion completion)
{
    struct xsc_call call = {.op = XSC_OP_DIRECTORY, .tx = tx, .path = path};
    size_t path_size = vbd_str_len(path) + 1;
    struct listing *l = vbd_alloc(x->allocator, sizeof *l + path_size);
    int r = -ENOMEM;

    if (l != NULL) {
        l->x = x;
        l->completion = completion;
        l->tx = tx;
        memcpy(l->path, path, path_size);
        r = xsc_submit(x, &call, (struct xsc_completion){.done = whole_came, .ctx = l});
    }
    if (r == 0)
        return 0;
    vbd_free(x->allocator, l);
    if (completion.release != NULL)
        completion.release(completion.ctx);
    return r;
}
