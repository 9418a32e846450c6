/* front.c - a front's life: look at both states, take the next step, until the owner lets go.
 * Called by the session (watches, batches) and by the owner, on one thread. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/names.h"
#include "base/text.h"
#include "vbd/front_inside.h"

enum { FAILURES_MAX = 8 /* of xenstore in a row */, REFUSALS_MAX = 3 };

/* --- telling --- */

void vbd_front_tell(struct vbd_front *f, enum vbd_front_event event)
{
    if (!f->dying)
        f->config.event(f->config.ctx, f, event);
}

/* A front that failed is closed by its owner still. */
static void end(struct vbd_front *f, enum vbd_front_event event)
{
    bool again = f->phase == VBD_FRONT_OVER && event == VBD_FRONT_FAILED;

    f->phase = VBD_FRONT_OVER;
    if (f->ended || again)
        return;
    f->ended = event == VBD_FRONT_CLOSED;
    vbd_front_tell(f, event);
}

/* Nobody waits for the answer: the backend is to let go of the rings. */
static void say_closed(struct vbd_front *f)
{
    char path[80];
    struct xsc_call call = {.op = XSC_OP_WRITE, .path = path, .value = "6", .value_len = 1};

    (void)vbd_text_join(path, sizeof path, f->dir, "/state", NULL);
    (void)xsc_submit(f->x, &call, (struct xsc_completion){0});
}

void vbd_front_fail_with(struct vbd_front *f, int error, const char *why)
{
    (void)vbd_text_join(f->why, sizeof f->why, f->name, ": ", why, NULL);
    vbd_text_make_printable(f->why);
    f->error = error;
    f->busy = true; /* no look any more */
    if (f->queue_count > 0)
        say_closed(f);
    vbd_front_close_queues(f);
    vbd_front_fail_operations(f, error);
    end(f, f->leave ? VBD_FRONT_CLOSED : VBD_FRONT_FAILED); /* who leaves waits for that alone */
}

/* --- talking to xenstore --- */

static bool is_lost(int error)
{
    return error == -ECONNRESET || error == -ENOTCONN || error == -ECANCELED;
}

bool vbd_front_begin(struct vbd_front *f, enum xsc_batch_kind kind)
{
    if (xsc_batch_new(f->x, kind, &f->batch) == 0)
        return true;
    f->batch = NULL;
    vbd_front_fail_with(f, -ENOMEM, "no memory to talk to xenstore");
    return false;
}

void vbd_front_ask(struct vbd_front *f, void (*done)(void *ctx, struct xsc_batch *batch, int error))
{
    int r = xsc_batch_submit(f->batch, done, f);

    if (r == 0)
        return;
    xsc_batch_free(f->batch);
    f->batch = NULL;
    if (is_lost(r))
        f->busy = false; /* as when it is lost while asked */
    else
        vbd_front_fail_with(f, r, "cannot ask xenstore");
}

/* A connection that was lost is the owner's to bring back; the watches then say so. */
bool vbd_front_went_well(struct vbd_front *f, struct xsc_batch *batch, int error)
{
    if (error == 0) {
        f->failures = 0;
        return true;
    }
    if (error != -ENOENT && !is_lost(error) && ++f->failures >= FAILURES_MAX)
        vbd_front_fail_with(f, error, xsc_batch_why(batch));
    else
        vbd_front_settle(f, !is_lost(error) && error != -ENOENT);
    return false;
}

/* --- looking --- */

enum { LOOK_STATE, LOOK_BACK, LOOK_DOMID, LOOK_BACK_STATE };

/* The backend's directory is known now: its state is read by the same batch. */
static int read_back(void *ctx, struct xsc_batch *batch)
{
    struct vbd_front *f = ctx;
    const char *back = xsc_batch_string(batch, LOOK_BACK);
    const char *domid = xsc_batch_string(batch, LOOK_DOMID);
    uint64_t n = 0;

    f->found[0] = '\0';
    if (back == NULL || domid == NULL ||
        !vbd_parse_u64(domid, vbd_str_len(domid), UINT16_MAX, &n) ||
        !vbd_text_join(f->found, sizeof f->found, back, NULL)) {
        f->found[0] = '\0';
        return 0;
    }
    f->found_domid = (unsigned)n;
    return xsc_batch_add_key(batch, XSC_OP_READ, f->found, "state", NULL) < 0 ? -EINVAL : 0;
}

static void back_changed(void *ctx, const char *path)
{
    (void)path;
    vbd_front_wake(ctx);
}

static void watched(void *ctx, const struct xsc_reply *reply)
{
    (void)ctx;
    (void)reply; /* a refused watch is told again by the state that never comes */
}

/* Another directory than before: its state is what counts from now on. */
static void follow(struct vbd_front *f)
{
    char path[VBD_PATH_MAX + 8];

    xsc_watch_remove(f->back_watch);
    f->back_watch = NULL;
    (void)vbd_text_join(f->back, sizeof f->back, f->found, NULL);
    f->backend_domid = f->found_domid;
    if (f->back[0] == '\0')
        return;
    (void)vbd_text_join(path, sizeof path, f->back, "/state", NULL);
    (void)xsc_watch_add(f->x, path, back_changed, f,
                        (struct xsc_completion){.done = watched, .ctx = f}, &f->back_watch);
}

static void go_away(struct vbd_front *f)
{
    bool told = f->connected && !f->leave;

    vbd_front_close_queues(f);
    f->connected = false;
    if (told)
        vbd_front_tell(f, VBD_FRONT_AWAY);
}

/* The lie that broke a queue, or NULL. */
static const char *lie_of(const struct vbd_front *f)
{
    for (uint32_t i = 0; i < f->queue_count; i++)
        if (f->queues[i].broken)
            return f->queues[i].lie;
    return NULL;
}

/* True when the backend lied, and the front is over by that. */
static bool fails_by_lie(struct vbd_front *f)
{
    const char *lie = lie_of(f);

    if (lie != NULL)
        vbd_front_fail_with(f, -EPROTO, lie);
    return lie != NULL;
}

static void reset(struct vbd_front *f)
{
    if (f->phase == VBD_FRONT_OFFERED && ++f->refused >= REFUSALS_MAX) {
        vbd_front_fail_with(f, -ECONNREFUSED, "the backend closes instead of connecting");
        return;
    }
    go_away(f);
    if (f->phase != VBD_FRONT_OVER)
        vbd_front_publish(f, VBD_STATE_CLOSED, VBD_FRONT_RESETTING);
}

static void carry_out(struct vbd_front *f, enum vbd_front_action step)
{
    switch (step) {
    case VBD_FRONT_STEP_NONE:
        vbd_front_settle(f, false);
        break;
    case VBD_FRONT_STEP_BEGIN:
        follow(f);
        vbd_front_publish(f, VBD_STATE_INITIALISING, VBD_FRONT_WAITING);
        break;
    case VBD_FRONT_STEP_OFFER:
        vbd_front_offer(f);
        break;
    case VBD_FRONT_STEP_SERVE:
        vbd_front_serve(f);
        break;
    case VBD_FRONT_STEP_LOOK:
        vbd_front_look_at_disk(f);
        break;
    case VBD_FRONT_STEP_LEAVE:
        vbd_front_publish(f, VBD_STATE_CLOSING, VBD_FRONT_LEAVING);
        break;
    case VBD_FRONT_STEP_RESET:
        reset(f);
        break;
    case VBD_FRONT_STEP_END:
        f->busy = true;
        vbd_front_close_queues(f);
        vbd_front_fail_operations(f, -ECANCELED);
        end(f, VBD_FRONT_CLOSED);
        break;
    }
}

static void looked(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_front *f = ctx;
    bool known = f->found[0] != '\0';
    struct vbd_front_view view = {
        .front = vbd_state_parse(xsc_batch_string(batch, LOOK_STATE)),
        .back = vbd_state_parse(known ? xsc_batch_string(batch, LOOK_BACK_STATE) : NULL),
        .moved = !vbd_str_eq(f->found, f->back) || f->found_domid != f->backend_domid,
        .leave = f->leave && (vbd_front_is_idle(f) || f->queue_count == 0)};

    view.backend_known = view.back != VBD_STATE_UNKNOWN;
    f->batch = NULL;
    if (vbd_front_went_well(f, batch, error) && !fails_by_lie(f)) { /* also one told meanwhile */
        if (view.moved && (f->phase == VBD_FRONT_WAITING || f->phase == VBD_FRONT_NEW)) {
            follow(f);
            view.moved = false;
        }
        carry_out(f, vbd_front_next(f->phase, &view));
    }
    xsc_batch_free(batch);
}

static void look(struct vbd_front *f)
{
    f->busy = true;
    f->again = false;
    if (fails_by_lie(f) || !vbd_front_begin(f, XSC_BATCH_PLAIN))
        return;
    (void)xsc_batch_add_key(f->batch, XSC_OP_READ, f->dir, "state", NULL);
    (void)xsc_batch_add_key(f->batch, XSC_OP_READ, f->dir, "backend", NULL);
    (void)xsc_batch_add_key(f->batch, XSC_OP_READ, f->dir, "backend-id", NULL);
    xsc_batch_then(f->batch, read_back);
    vbd_front_ask(f, looked);
}

void vbd_front_settle(struct vbd_front *f, bool again)
{
    f->busy = false;
    if (again || f->again)
        look(f);
}

/* A look may close the queues: not amid their passes, after which it comes. */
void vbd_front_wake(struct vbd_front *f)
{
    f->again = true;
    if (!f->busy && !f->passing)
        look(f);
}

/* --- the owner's calls --- */

static void name_it(struct vbd_front *f)
{
    struct vbd_text name = vbd_text_on(f->name, sizeof f->name);
    struct vbd_text dir = vbd_text_on(f->dir, sizeof f->dir);

    vbd_text_u64(vbd_text_str(&name, "vbd-"), f->config.vdev);
    vbd_text_str(&dir, f->config.home != NULL ? f->config.home : "");
    vbd_text_u64(vbd_text_str(&dir, "device/vbd/"), f->config.vdev);
}

int vbd_front_connect(const struct vbd_front_platform *platform, struct xsc *x,
                      const struct vbd_front_config *config, struct vbd_front **ret)
{
    struct vbd_front *f;
    char path[80];
    int r;

    if (platform->guest->struct_size != sizeof *platform->guest ||
        (config->options != NULL && !vbd_front_options_good(config->options)))
        return -EINVAL;
    f = VBD_NEW(platform->allocator, struct vbd_front);
    if (f == NULL)
        return -ENOMEM;
    f->platform = platform;
    f->x = x;
    f->config = *config;
    vbd_front_options_init(&f->options);
    if (config->options != NULL)
        f->options = *config->options;
    f->config.options = NULL;
    name_it(f);
    vbd_front_channel_init(f);
    (void)vbd_text_join(path, sizeof path, f->dir, "/backend", NULL);
    r = xsc_watch_add(x, path, back_changed, f, (struct xsc_completion){.done = watched, .ctx = f},
                      &f->own_watch); /* fires once by itself: the first look */
    if (r < 0) {
        vbd_free(platform->allocator, f);
        return r;
    }
    *ret = f;
    return 0;
}

void vbd_front_disconnect(struct vbd_front *f)
{
    f->leave = true;
    if (f->phase == VBD_FRONT_OVER)
        end(f, VBD_FRONT_CLOSED);
    else
        vbd_front_wake(f);
}

void vbd_front_free(struct vbd_front *f)
{
    const struct vbd_allocator *a;

    if (f == NULL)
        return;
    a = f->platform->allocator;
    f->dying = true;
    f->busy = true;
    f->error = -ECANCELED;
    xsc_batch_free(f->batch);
    xsc_watch_remove(f->own_watch);
    xsc_watch_remove(f->back_watch);
    vbd_front_close_queues(f);
    vbd_front_fail_operations(f, -ECANCELED);
    vbd_buffers_remove_all(&f->buffers);
    vbd_free(a, f);
}

/* As long as it is busy, and nothing is under way, it does not look. */
void vbd_front_suspend(struct vbd_front *f)
{
    if (f->phase == VBD_FRONT_OVER)
        return;
    xsc_batch_free(f->batch);
    f->batch = NULL;
    f->busy = true;
    go_away(f);
}

/* Whatever is under way with the old backend is over. */
void vbd_front_resume(struct vbd_front *f)
{
    if (f->phase == VBD_FRONT_OVER)
        return;
    vbd_front_suspend(f);
    f->buffers.epoch++;
    f->phase = VBD_FRONT_NEW;
    vbd_front_settle(f, true);
}
