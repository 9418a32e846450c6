/* world.c - the records of what was asked of a session and what it called back, and the judgement:
 * each completion once and released once, no callback after its end, no leak, a true count. */
#include "world.h"

#include <errno.h>

/* --- memory --- */

static void *world_alloc(void *ctx, size_t size)
{
    struct world *w = ctx;
    void *p;

    must(size < 1U << 24); /* limits come before allocation */
    p = ++w->allocations == w->fail_at ? NULL : calloc(1, size);
    if (p != NULL)
        w->live++;
    return p;
}

static void world_free(void *ctx, void *memory)
{
    struct world *w = ctx;

    if (memory != NULL)
        w->live--;
    free(memory);
}

/* --- calls that call back --- */

static bool enter(struct world *w)
{
    bool before = w->may_call_back;

    w->may_call_back = true;
    return before;
}

/* In a callback the session may be asked for more, but nothing calls back from within that, unless
 * it says so. */
static void called_back(struct world *w, uint8_t deed)
{
    bool before = w->may_call_back;

    must(before);
    w->may_call_back = false;
    if (++w->depth <= 3)
        world_deed(w, deed);
    w->depth--;
    w->may_call_back = before;
}

int world_feed(struct world *w, const void *bytes, size_t len)
{
    bool before = enter(w);
    char *exact = malloc(len > 0 ? len : 1); /* so that the sanitizer sees its end */
    int r;

    must(exact != NULL);
    if (len > 0)
        memcpy(exact, bytes, len);
    r = xsc_feed(w->x, exact, len);
    free(exact);
    w->may_call_back = before;
    must(r == 0 || r == -EPROTO || r == -ENOMEM || r == -ENOTCONN);
    must((r == -EPROTO || r == -ENOMEM || r == -ENOTCONN) == (xsc_why(w->x)[0] != '\0') ||
         xsc_is_suspended(w->x));
    return r;
}

void world_lose(struct world *w, const char *why)
{
    bool before = enter(w);

    xsc_disconnected(w->x, why);
    w->may_call_back = before;
    must(xsc_is_suspended(w->x) || xsc_why(w->x)[0] != '\0');
}

/* --- completions --- */

static void ticket_done(void *ctx, const struct xsc_reply *reply)
{
    struct ticket *t = ctx;
    volatile char seen = 0;

    must(!t->done && !t->released && !t->submitting && t->accepted);
    t->done = true;
    must(reply->error <= 0 && reply->error_name != NULL && reply->data != NULL);
    must(reply->data[reply->len] == '\0' && strlen(reply->error_name) < 4096);
    for (size_t i = 0; i < reply->len; i++)
        seen = reply->data[i]; /* the sanitizer looks whether it may be read */
    (void)seen;
    called_back(t->world, t->deed);
}

static void ticket_release(void *ctx)
{
    struct ticket *t = ctx;

    must(!t->released && (t->done || t->submitting));
    t->released = true;
}

struct ticket *ticket_new(struct world *w, uint8_t deed)
{
    struct ticket *t;

    if (w->ticket_count == TICKETS)
        return NULL;
    t = &w->tickets[w->ticket_count++];
    *t = (struct ticket){.world = w, .deed = deed, .submitting = true};
    return t;
}

struct xsc_completion ticket_completion(struct ticket *t)
{
    return (struct xsc_completion){ticket_done, t, ticket_release};
}

void ticket_submitted(struct ticket *t, int result)
{
    t->submitting = false;
    t->accepted = result == 0;
    must(result == 0 || result == -EINVAL || result == -E2BIG || result == -ENOTCONN ||
         result == -ENOMEM);
    must(!t->done && t->released == (result < 0));
}

/* --- watches --- */

static void watching_fired(void *ctx, const char *path)
{
    struct watching *v = ctx;

    must(v->watch != NULL);
    must(path == NULL || strlen(path) <= XSC_PAYLOAD_MAX);
    called_back(v->world, v->deed);
}

void watching_new(struct world *w, const char *path, int depth, uint8_t deed)
{
    struct ticket *t = w->watch_count < WATCHES ? ticket_new(w, deed) : NULL;
    struct watching *v;
    int r;

    if (t == NULL)
        return;
    v = &w->watches[w->watch_count++];
    *v = (struct watching){.world = w, .deed = (uint8_t)(deed / 3), .set = t};
    if (depth == XSC_DEPTH_ALL)
        r = xsc_watch_add(w->x, path, watching_fired, v, ticket_completion(t), &v->watch);
    else
        r = xsc_watch_add_depth(w->x, path, depth, watching_fired, v, ticket_completion(t),
                                &v->watch);
    ticket_submitted(t, r);
    must((r == 0) == (v->watch != NULL));
}

void watching_remove(struct watching *v)
{
    struct xsc_watch *watch = v->watch;
    bool before;

    if (watch == NULL)
        return;
    before = enter(v->world);
    v->watch = NULL;
    xsc_watch_remove(watch);
    v->world->may_call_back = before;
    must(v->set->done); /* released too, unless it is its `done` that removes the watch */
}

/* --- batches --- */

static void job_done(void *ctx, struct xsc_batch *b, int error)
{
    struct job *j = ctx;

    must(j->batch == b && j->running && !j->submitting && error <= 0);
    j->running = false;
    must(error < 0 || xsc_batch_why(b)[0] == '\0');
    must(error == 0 || xsc_batch_why(b)[0] != '\0');
    for (int i = -1; xsc_batch_reply(b, i)->error != -EINVAL || i == -1; i++)
        must(xsc_batch_reply(b, i)->data[xsc_batch_reply(b, i)->len] == '\0');
    if (j->deed % 5 == 1)
        job_free(j);
    called_back(j->world, j->deed);
}

/* For xsc_batch_then: adds calls, refuses, or frees the batch. */
int job_more(void *ctx, struct xsc_batch *b)
{
    struct job *j = ctx;

    must(j->batch == b && j->running && j->world->may_call_back);
    j->asked++;
    for (int i = 0; i < j->more % 4; i++)
        (void)xsc_batch_add(b, XSC_OP_WRITE, some_path((uint8_t)i), "more", 4);
    if (j->more / 4 % 8 == 1)
        job_free(j);
    called_back(j->world, j->more);
    return j->more / 4 % 8 == 2 ? -EIO : 0;
}

struct job *job_new(struct world *w, enum xsc_batch_kind kind, uint8_t deed)
{
    struct job *j;
    int r;

    if (w->job_count == JOBS)
        return NULL;
    j = &w->jobs[w->job_count++];
    *j = (struct job){.world = w, .deed = deed};
    r = xsc_batch_new(w->x, kind, &j->batch);
    must((r == 0 && j->batch != NULL) || (r < 0 && j->batch == NULL));
    return j;
}

void job_submit(struct job *j)
{
    int r;

    if (j->batch == NULL)
        return;
    must(!j->submitting);
    if (j->running) {
        must(xsc_batch_submit(j->batch, job_done, j) == -EBUSY);
        return;
    }
    j->submitting = j->running = true;
    j->asked = 0;
    r = xsc_batch_submit(j->batch, job_done, j);
    j->submitting = false;
    j->running = r == 0;
    must(r <= 0);
}

void job_free(struct job *j)
{
    struct xsc_batch *b = j->batch;

    j->batch = NULL;
    j->running = false;
    xsc_batch_free(b);
}

/* --- suspend and resume --- */

static void suspension_done(void *ctx, int error)
{
    struct suspension *s = ctx;

    must(s->accepted || s->submitting);
    must(!s->done && s->world->may_call_back);
    s->done = true;
    must(error == 0 || error == -ECONNRESET || error == -ECANCELED);
    must((error == 0) == xsc_is_suspended(s->world->x));
}

void world_suspend(struct world *w)
{
    struct suspension *s = &w->suspensions[w->suspension_count];
    bool before, was = xsc_is_suspended(w->x);
    int r;

    if (w->suspension_count == SUSPENSIONS)
        return;
    w->suspension_count++;
    before = enter(w);
    *s = (struct suspension){.world = w, .submitting = true};
    r = xsc_suspend(w->x, suspension_done, s);
    s->submitting = false;
    s->accepted = r == 0;
    w->may_call_back = before;
    must(r == 0 || r == -EBUSY || r == -ENOTCONN);
    must(r == 0 || !s->done);
    must(!was || r == -EBUSY);
}

void world_resume(struct world *w, bool new_connection)
{
    bool before = enter(w), was = xsc_is_suspended(w->x);
    bool lost = xsc_why(w->x)[0] != '\0';
    int r = xsc_resume(w->x, new_connection);

    w->may_call_back = before;
    must(r == 0 || r == -ENOMEM);
    if (r == -ENOMEM) {
        must(xsc_is_suspended(w->x) == was);
        return;
    }
    must(!xsc_is_suspended(w->x) && xsc_why(w->x)[0] == '\0');
    for (size_t i = 0; i < w->suspension_count; i++)
        must(!w->suspensions[i].accepted || w->suspensions[i].done);
    if (new_connection || lost)
        server_forget(w);
}

/* --- the judgement --- */

static size_t waiting(const struct world *w)
{
    size_t count = 0;

    for (size_t i = 0; i < w->ticket_count; i++)
        count += w->tickets[i].accepted && !w->tickets[i].done;
    return count;
}

static void check_lost(struct world *w)
{
    must(xsc_pending(w->x) == 0 && waiting(w) == 0);
    must(!xsc_wants_write(w->x));
    for (size_t i = 0; i < w->job_count; i++)
        must(!w->jobs[i].running);
}

void world_check(struct world *w)
{
    struct xsc_slice slice;
    bool output = xsc_output(w->x, &slice, 1) > 0;

    must(output == xsc_wants_write(w->x));
    must(!output || !xsc_is_suspended(w->x));
    must(!output || slice.len > 0);
    must(waiting(w) <= xsc_pending(w->x));
    for (size_t i = 0; i < w->ticket_count; i++)
        must(w->tickets[i].done <= w->tickets[i].released);
    if (xsc_why(w->x)[0] != '\0')
        check_lost(w);
}

bool world_begin(struct world *w, unsigned long fail_at)
{
    memset(w, 0, sizeof *w);
    w->fail_at = fail_at;
    w->allocator = (struct vbd_allocator){w, world_alloc, world_free};
    if (xsc_new(&w->allocator, &w->x) == 0)
        return true;
    must(w->live == 0);
    return false;
}

void world_end(struct world *w)
{
    w->may_call_back = true;
    must(xsc_free(w->x) == NULL);
    w->may_call_back = false;
    must(w->live == 0);
    for (size_t i = 0; i < w->ticket_count; i++) {
        must(w->tickets[i].released);
        must(w->tickets[i].done == w->tickets[i].accepted);
    }
    for (size_t i = 0; i < w->suspension_count; i++)
        must(w->suspensions[i].done == w->suspensions[i].accepted);
}
