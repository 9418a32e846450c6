/* ops.c - the language of an input: one byte says what is done to the session, and some behind it
 * how. Everything that xsc.h allows can be said, at any moment, also that memory fails. */
#include "world.h"

#include <errno.h>

static const char *const paths[] = {"/a",
                                    "/local/domain/7/device/vbd",
                                    "device/vbd/51712/state",
                                    "/",
                                    "@releaseDomain",
                                    "",
                                    "/a//b",
                                    "/a/",
                                    "/with space",
                                    "relative"};

const char *some_path(uint8_t which)
{
    return paths[which % (sizeof paths / sizeof paths[0])];
}

static const char *long_path(size_t len)
{
    static char path[XSC_PAYLOAD_MAX + 64];

    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    path[len % sizeof path] = '\0';
    return path;
}

static const char *take_path(struct input *in)
{
    uint8_t which = take_byte(in);

    if (which >= 0xf8)
        return NULL;
    return which >= 0xf0 ? long_path((size_t)take_byte(in) * 17) : some_path(which);
}

static enum xsc_op take_op(struct input *in)
{
    static const enum xsc_op common[] = {XSC_OP_READ,          XSC_OP_WRITE,     XSC_OP_DIRECTORY,
                                         XSC_OP_MKDIR,         XSC_OP_GET_PERMS, XSC_OP_RM,
                                         XSC_OP_DIRECTORY_PART};
    uint8_t which = take_byte(in);

    return which < 200 ? common[which % 7] : (enum xsc_op)(which - 200);
}

static void op_submit(struct world *w, struct input *in)
{
    static const char zeros[XSC_PAYLOAD_MAX + 2];
    struct ticket *t = ticket_new(w, take_byte(in));
    struct xsc_call call = {.op = take_op(in)};
    uint8_t size;

    if (t == NULL)
        return;
    call.path = take_path(in);
    call.tx = take_byte(in) % 4 == 0 ? w->last_transaction : 0;
    size = take_byte(in);
    call.value_len = size < 0xe0 ? size % 16 : (size_t)(size - 0xe0) * 133;
    call.value = call.value_len > 0 ? zeros : NULL;
    ticket_submitted(t, xsc_submit(w->x, &call, ticket_completion(t)));
}

static void op_list(struct world *w, struct input *in)
{
    struct ticket *t = ticket_new(w, take_byte(in));
    const char *path = take_path(in);

    if (t == NULL || path == NULL) {
        w->ticket_count -= t != NULL;
        return;
    }
    ticket_submitted(t, xsc_list(w->x, take_byte(in) % 4 == 0 ? w->last_transaction : 0, path,
                                 ticket_completion(t)));
}

static void op_watch(struct world *w, struct input *in)
{
    uint8_t deed = take_byte(in), depth = take_byte(in);
    const char *path = take_path(in);

    if (path != NULL)
        watching_new(w, path, depth < 128 ? XSC_DEPTH_ALL : depth - 128, deed);
}

static struct job *take_job(struct world *w, struct input *in)
{
    uint8_t which = take_byte(in);

    return w->job_count > 0 ? &w->jobs[which % w->job_count] : NULL;
}

static void op_batch_add(struct world *w, struct input *in)
{
    struct job *j = take_job(w, in);
    enum xsc_op op = take_op(in);
    const char *path = take_path(in);
    uint8_t how = take_byte(in);
    int r;

    if (j == NULL || j->batch == NULL || j->running)
        return;
    if (how % 4 == 0 && path != NULL)
        r = xsc_batch_add_key(j->batch, op, path, how % 8 == 0 ? "key" : "k y", "value");
    else
        r = xsc_batch_add(j->batch, op, path, "value", how % 4 == 1 ? 0 : 5);
    must(r >= 0 || r == -EINVAL || r == -E2BIG || r == -ENOMEM);
    if (how >= 0xc0)
        xsc_batch_may_miss(j->batch, how % 2 == 0);
}

static void op_batch_how(struct world *w, struct input *in)
{
    struct job *j = take_job(w, in);
    uint8_t how = take_byte(in);

    if (j == NULL || j->batch == NULL || j->running)
        return;
    if (how % 2 == 0)
        xsc_batch_commit_at_once(j->batch, how % 4 == 0);
    else
        xsc_batch_then(j->batch, how % 16 == 1 ? NULL : job_more);
    j->more = how / 2;
}

/* A batch that is whole, in a few bytes. */
static void op_batch_ready(struct world *w, struct input *in)
{
    uint8_t how = take_byte(in);
    struct job *j = job_new(w, how % 4 == 0 ? XSC_BATCH_PLAIN : XSC_BATCH_TRANSACTION, how / 16);

    if (j == NULL || j->batch == NULL)
        return;
    (void)xsc_batch_add(j->batch, XSC_OP_READ, "/a", NULL, 0);
    (void)xsc_batch_add(j->batch, XSC_OP_WRITE, "/b", "v", 1);
    xsc_batch_commit_at_once(j->batch, how % 4 == 1);
    if (how % 4 == 2)
        xsc_batch_then(j->batch, job_more);
    j->more = take_byte(in);
    job_submit(j);
}

static void op_refuse(struct world *w, struct input *in)
{
    int error = -(int)(take_byte(in) % 40) - 1;

    if (w->out_len > 0) /* a message is refused whole, or was begun */
        return;
    w->may_call_back = true;
    xsc_output_refused(w->x, error);
    w->may_call_back = false;
}

static void op_remove_watch(struct world *w, struct input *in)
{
    uint8_t which = take_byte(in);

    if (w->watch_count > 0)
        watching_remove(&w->watches[which % w->watch_count]);
}

static void op_drain(struct world *w, struct input *in)
{
    uint8_t how = take_byte(in);

    server_drain(w, how < 64 ? SIZE_MAX : (size_t)(how - 63));
}

/* Another connection can only come when the old one was ended. */
static void op_resume(struct world *w, struct input *in)
{
    bool ended = xsc_is_suspended(w->x) || xsc_why(w->x)[0] != '\0';

    world_resume(w, ended && take_byte(in) % 4 != 0);
}

static void op_job(struct world *w, unsigned op, struct input *in)
{
    struct job *j = take_job(w, in);

    if (j == NULL)
        return;
    if (op == 0)
        job_submit(j);
    else
        job_free(j);
}

void world_op(struct world *w, unsigned op, struct input *in)
{
    static void (*const ops[])(struct world *, struct input *) = {
        op_submit,    op_submit,    op_list,        op_watch,  op_remove_watch, op_batch_add,
        op_batch_add, op_batch_how, op_batch_ready, op_refuse, op_drain,        op_drain};

    if (op < sizeof ops / sizeof ops[0])
        ops[op](w, in);
    else if (op == 12)
        (void)job_new(w, take_byte(in) % 4 == 0 ? XSC_BATCH_PLAIN : XSC_BATCH_TRANSACTION,
                      take_byte(in));
    else if (op <= 14)
        op_job(w, op - 13, in);
    else if (op == 15)
        world_suspend(w);
    else if (op == 16)
        op_resume(w, in);
    else if (op == 17)
        world_lose(w, "the fuzzer cut it");
    else if (op == 18)
        xsc_set_window(w->x, take_byte(in) % 8);
    else
        w->fail_at = w->allocations + 1 + take_byte(in) % 16;
}

void world_deed(struct world *w, uint8_t deed)
{
    static const uint8_t calm[] = {0, 0, 0, 0, 0, 0};
    struct input in = {calm, sizeof calm};
    uint8_t which = deed / 8;

    if (deed % 8 == 1)
        op_submit(w, &in);
    else if (deed % 8 == 2)
        watching_new(w, some_path(which % 5), XSC_DEPTH_ALL, which);
    else if (deed % 8 == 3 && w->watch_count > 0)
        watching_remove(&w->watches[which % w->watch_count]);
    else if (deed % 8 == 4 && w->job_count > 0)
        job_free(&w->jobs[which % w->job_count]);
    else if (deed % 8 == 5 && w->job_count > 0 && !w->jobs[which % w->job_count].submitting)
        job_submit(&w->jobs[which % w->job_count]);
    else if (deed % 8 == 6)
        op_batch_ready(w, &(struct input){&which, 1});
    else if (deed % 8 == 7)
        op_list(w, &in);
}
