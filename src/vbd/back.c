/* back.c - a back's life: look at both states, take the next step, until the toolstack removes the
 * device. Called by the session (watches, batches) and the runner, on the control thread. */
#include "vbd/back.h"

#include <errno.h>
#include <stdarg.h>

#include "base/memory.h"
#include "base/text.h"

enum { FAILURES_MAX = 8 /* of xenstore in a row */, TICKS = 10 /* a second */ };

void vbd_back_log(struct vbd_back *b, enum vbd_log_level level, ...)
{
    const struct vbd_log *log = &b->platform->log;
    char line[320];
    struct vbd_text t = vbd_text_on(line, sizeof line);
    const char *part;
    va_list parts;

    if (log->write == NULL)
        return;
    if (b->lines_left == 0 && b->ticked_at != 0) {
        b->log_dropped++;
        return;
    }
    b->lines_left -= b->lines_left > 0;
    va_start(parts, level);
    while ((part = va_arg(parts, const char *)) != NULL)
        vbd_text_str(&t, part);
    va_end(parts);
    vbd_text_make_printable(line);
    log->write(log->ctx, level, b->name, line);
}

/* --- talking to xenstore --- */

bool vbd_back_is_lost(int error)
{
    return error == -ECONNRESET || error == -ENOTCONN || error == -ECANCELED;
}

bool vbd_back_may_retry(struct vbd_back *b)
{
    return ++b->failures < FAILURES_MAX;
}

bool vbd_back_begin(struct vbd_back *b, enum xsc_batch_kind kind)
{
    if (xsc_batch_new(b->x, kind, &b->batch) == 0)
        return true;
    b->batch = NULL;
    vbd_back_finish(b, VBD_BACK_LOST);
    return false;
}

void vbd_back_submit(struct vbd_back *b,
                     void (*done)(void *ctx, struct xsc_batch *batch, int error))
{
    if (xsc_batch_submit(b->batch, done, b) == 0)
        return;
    vbd_back_log(b, VBD_LOG_ERROR, "cannot ask xenstore: ", xsc_batch_why(b->batch), NULL);
    xsc_batch_free(b->batch);
    b->batch = NULL;
    vbd_back_finish(b, VBD_BACK_LOST);
}

void vbd_back_read(struct vbd_back *b, const char *dir, const char *const *names, size_t count,
                   void (*done)(void *ctx, struct xsc_batch *batch, int error))
{
    if (!vbd_back_begin(b, XSC_BATCH_PLAIN))
        return;
    for (size_t i = 0; i < count; i++)
        (void)xsc_batch_add_key(b->batch, XSC_OP_READ, dir, names[i], NULL);
    vbd_back_submit(b, done);
}

/* --- looking --- */

enum { LOOK_BACK_STATE, LOOK_ONLINE, LOOK_FRONT_STATE, LOOK_GUEST };

static void close_storage(struct vbd_back *b)
{
    if (b->storage != NULL)
        b->storage->ops->close(b->storage);
    if (b->next_storage != NULL)
        b->next_storage->ops->close(b->next_storage);
    b->storage = b->next_storage = NULL;
}

static void removed(void *ctx, int error, const char *why)
{
    struct vbd_back *b = ctx;

    if (error < 0)
        vbd_back_log(b, VBD_LOG_WARNING, "cannot remove what is left of the device: ", why, NULL);
    vbd_back_settle(b, error == 0);
}

static void remove_nodes(struct vbd_back *b)
{
    vbd_back_log(b, VBD_LOG_INFO, "the guest is gone: removing the device", NULL);
    if (vbd_back_destroy(b->platform->allocator, b->x, &b->config.id, removed, b) < 0)
        vbd_back_settle(b, false);
}

static void carry_out(struct vbd_back *b, enum vbd_step step)
{
    switch (step) {
    case VBD_STEP_NONE:
        if (b->refresh && b->storage != NULL)
            vbd_back_look_at_image(b);
        else
            vbd_back_settle(b, false);
        break;
    case VBD_STEP_OFFER:
        if (b->storage == NULL)
            vbd_back_open(b);
        else
            vbd_back_offer_keys(b);
        break;
    case VBD_STEP_CONNECT:
        vbd_back_connect(b);
        break;
    case VBD_STEP_CLOSING:
        vbd_back_publish_state(b, VBD_STATE_CLOSING, b->phase);
        break;
    case VBD_STEP_CLOSE:
        vbd_back_disconnect(b, VBD_LEAVING_CLOSE);
        break;
    case VBD_STEP_CLOSED:
        close_storage(b); /* who reads Closed may take the image elsewhere */
        vbd_back_publish_state(b, VBD_STATE_CLOSED, VBD_PHASE_CLOSED);
        break;
    case VBD_STEP_REMOVE:
        remove_nodes(b);
        break;
    case VBD_STEP_END:
        vbd_back_finish(b, VBD_BACK_REMOVED);
        break;
    }
}

static void looked(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_back *b = ctx;
    const char *online = xsc_batch_string(batch, LOOK_ONLINE);
    const char *back = xsc_batch_string(batch, LOOK_BACK_STATE);
    struct vbd_view view = {
        .back_gone = back == NULL,
        .online = online == NULL || !vbd_str_eq(online, "0"),
        .back = vbd_state_parse(back),
        .front = vbd_state_parse(xsc_batch_string(batch, LOOK_FRONT_STATE)),
        .published = b->published,
        .guest_gone = xsc_batch_reply(batch, LOOK_GUEST)->error == -ENOENT,
    };

    b->batch = NULL;
    xsc_batch_free(batch);
    if (error < 0 && !vbd_back_is_lost(error) && vbd_back_may_retry(b)) {
        vbd_back_settle(b, true); /* half a look is no look */
        return;
    }
    if (error < 0) {
        vbd_back_finish(b, VBD_BACK_LOST);
        return;
    }
    b->failures = 0;
    if (view.front != b->front)
        vbd_back_log(b, VBD_LOG_DEBUG, "frontend is ", vbd_state_name(view.front), NULL);
    b->front = view.front;
    /* What is found at first is not an order: a new daemon takes it as its own. */
    if (!b->has_looked)
        b->published = view.published = view.back;
    b->has_looked = true;
    carry_out(b, vbd_next_step(b->phase, &view));
}

static void read_states(struct vbd_back *b)
{
    if (!vbd_back_begin(b, XSC_BATCH_PLAIN))
        return;
    (void)xsc_batch_add_key(b->batch, XSC_OP_READ, b->back_path, "state", NULL);
    (void)xsc_batch_add_key(b->batch, XSC_OP_READ, b->back_path, "online", NULL);
    (void)xsc_batch_add_key(b->batch, XSC_OP_READ, b->front_path, "state", NULL);
    (void)xsc_batch_add(b->batch, XSC_OP_READ, b->guest_path, NULL, 0);
    vbd_back_submit(b, looked);
}

/* Each look is a few requests to xenstore: a guest gets so many a second. */
static bool must_wait(struct vbd_back *b)
{
    if (b->looks_left == 0 && b->ticked_at != 0) {
        b->looks_held += !b->held;
        b->held = true;
        return true;
    }
    b->looks_left -= b->looks_left > 0;
    b->looks++;
    return false;
}

static void look(struct vbd_back *b)
{
    if (must_wait(b))
        return;
    b->busy = true;
    b->again = false;
    if (b->refused) {
        vbd_back_log(b, VBD_LOG_ERROR, "xenstore refused a watch: the device is not served", NULL);
        vbd_back_finish(b, VBD_BACK_LOST);
    } else if (b->run_over)
        vbd_back_run_over(b);
    else
        read_states(b);
}

void vbd_back_settle(struct vbd_back *b, bool again)
{
    b->busy = false;
    if (b->park)
        vbd_back_park(b);
    else if (again || b->again)
        look(b);
}

void vbd_back_wake(struct vbd_back *b)
{
    b->again = true;
    if (!b->busy)
        look(b);
}

static uint32_t refill(uint32_t left, uint32_t a_second)
{
    uint32_t more = left + (a_second + TICKS - 1) / TICKS;

    return more < a_second ? more : a_second;
}

/* Whether a look that was held back is due. */
static bool give_more(struct vbd_back *b, uint64_t now)
{
    bool held = b->held;

    b->ticked_at = now;
    b->looks_left = refill(b->looks_left, b->options.looks);
    b->lines_left = refill(b->lines_left, b->options.log_lines);
    b->held = false;
    return held && !b->busy && !b->told;
}

uint64_t vbd_back_tick(struct vbd_back *b, uint64_t now)
{
    static const uint64_t tick = 1000000000u / TICKS;
    bool due = b->ticked_at == 0 || now >= b->ticked_at + tick ? give_more(b, now) : false;
    bool used = b->looks_left < b->options.looks || b->lines_left < b->options.log_lines;
    uint64_t next = used ? b->ticked_at + tick : 0;

    if (due)
        look(b); /* may end the back */
    return next;
}

static void state_changed(void *ctx, const char *path)
{
    (void)path;
    vbd_back_wake(ctx);
}

void vbd_back_refresh(struct vbd_back *b)
{
    b->refresh = true;
    vbd_back_wake(b);
}

/* The event of a new watch says nothing new. */
static void params_written(void *ctx, const char *path)
{
    struct vbd_back *b = ctx;

    (void)path;
    if (b->has_looked)
        vbd_back_refresh(b);
}

/* --- beginning and end --- */

/* Called with -ECANCELED when the watch is removed before its answer. */
static void watch_answered(void *ctx, const struct xsc_reply *reply)
{
    struct vbd_back *b = ctx;

    if (reply->error == 0 || vbd_back_is_lost(reply->error))
        return;
    b->refused = true;
    vbd_back_wake(b);
}

static int watch(struct vbd_back *b, const char *dir, const char *key,
                 void (*event)(void *ctx, const char *path), struct xsc_watch **ret)
{
    char path[VBD_PATH_MAX + 8];

    (void)vbd_text_join(path, sizeof path, dir, "/", key, NULL);
    return xsc_watch_add(b->x, path, event, b, (struct xsc_completion){watch_answered, b, NULL},
                         ret);
}

static int name_things(struct vbd_back *b, const struct vbd_id *id)
{
    struct vbd_text name = vbd_text_on(b->name, sizeof b->name);
    struct vbd_text error = vbd_text_on(b->error_path, sizeof b->error_path);
    struct vbd_text guest = vbd_text_on(b->guest_path, sizeof b->guest_path);
    char domain[32];
    struct vbd_text t = vbd_text_on(domain, sizeof domain);
    int r = vbd_back_path(id, b->back_path);

    if (r < 0)
        return r;
    vbd_front_path(id, b->front_path);
    (void)vbd_text_join(b->class_name, sizeof b->class_name, id->backend_class, NULL);
    b->config.id.backend_class = b->class_name;
    vbd_text_u64(vbd_text_str(&name, "dom"), id->domid);
    vbd_text_u64(vbd_text_str(&name, "/vbd-"), id->vdev);
    vbd_text_u64(vbd_text_str(&guest, "/local/domain/"), id->domid);
    /* Linux' xenbus puts errors at error/<device's path> of the backend's own domain. */
    vbd_text_u64(vbd_text_str(&t, "/local/domain/"), id->backend_domid);
    vbd_text_str(vbd_text_str(&error, domain), "/error");
    vbd_text_str(&error, b->back_path + t.len);
    return 0;
}

static void give_up_watches(struct vbd_back *b)
{
    xsc_watch_remove(b->back_watch);
    xsc_watch_remove(b->front_watch);
    xsc_watch_remove(b->guest_watch);
    xsc_watch_remove(b->params_watch);
    b->back_watch = b->front_watch = b->guest_watch = b->params_watch = NULL;
}

int vbd_back_run(const struct vbd_platform *platform, struct xsc *x,
                 const struct vbd_back_config *config, struct vbd_back **ret)
{
    struct vbd_back *b;
    int r;

    if (platform->hypervisor->struct_size != sizeof *platform->hypervisor ||
        platform->runner->struct_size != sizeof *platform->runner ||
        (config->options != NULL && !vbd_back_options_good(config->options)))
        return -EINVAL;
    b = VBD_NEW(platform->allocator, struct vbd_back);
    if (b == NULL)
        return -ENOMEM;
    b->platform = platform;
    b->x = x;
    b->config = *config;
    vbd_back_options_init(&b->usual);
    if (config->options != NULL)
        b->usual = *config->options;
    b->options = b->usual;
    b->looks_left = b->options.looks;
    b->lines_left = b->options.log_lines;
    b->config.options = &b->usual;
    r = name_things(b, &config->id);
    if (r == 0)
        r = watch(b, b->back_path, "state", state_changed, &b->back_watch);
    if (r == 0)
        r = watch(b, b->front_path, "state", state_changed, &b->front_watch);
    if (r == 0) /* a node that changes only when the guest goes */
        r = watch(b, b->guest_path, "name", state_changed, &b->guest_watch);
    if (r == 0)
        r = watch(b, b->back_path, "params", params_written, &b->params_watch);
    if (r < 0) {
        give_up_watches(b);
        vbd_free(platform->allocator, b);
        return r;
    }
    *ret = b;
    return 0; /* a new watch fires once: the first look comes by itself */
}

void vbd_back_finish(struct vbd_back *b, enum vbd_back_end end)
{
    give_up_watches(b);
    b->busy = true; /* nothing starts any more */
    if (b->link_count > 0) {
        vbd_back_disconnect(b, end == VBD_BACK_REMOVED ? VBD_LEAVING_REMOVED : VBD_LEAVING_LOST);
        return; /* and comes back when the ring is given back */
    }
    if (end == VBD_BACK_REMOVED)
        vbd_back_clean_error(b);
    close_storage(b);
    b->told = true;
    vbd_back_log(b, VBD_LOG_INFO, end == VBD_BACK_PARKED ? "parked" : "gone", NULL);
    b->config.ended(b->config.ctx, b, end);
}

void vbd_back_park(struct vbd_back *b)
{
    b->park = true;
    if (b->busy || b->told)
        return; /* the step under way ends in vbd_back_settle, which comes back */
    b->busy = true;
    give_up_watches(b);
    if (b->link_count > 0)
        vbd_back_disconnect(b, VBD_LEAVING_PARK);
    else
        vbd_back_finish(b, VBD_BACK_PARKED);
}

void vbd_back_free(struct vbd_back *b)
{
    if (b == NULL)
        return;
    give_up_watches(b);
    xsc_batch_free(b->batch);
    vbd_free(b->platform->allocator, b->params);
    vbd_free(b->platform->allocator, b);
}

void vbd_back_stats(const struct vbd_back *b, struct vbd_back_stats *ret)
{
    *ret = (struct vbd_back_stats){.name = b->name,
                                   .phase = vbd_phase_name(b->phase),
                                   .id = b->config.id,
                                   .read_only = b->read_only,
                                   .queues = b->link_count,
                                   .counters = b->ended_counters,
                                   .latency = b->ended_latency,
                                   .looks = b->looks,
                                   .looks_held = b->looks_held,
                                   .log_dropped = b->log_dropped};
    if (b->storage != NULL) {
        ret->bytes = b->storage->info.bytes;
        ret->direct = b->storage->info.direct;
    }
    for (unsigned i = 0; i < b->link_count; i++)
        if (b->links[i].queue != NULL) {
            vbd_queue_count(b->links[i].queue, &ret->counters);
            vbd_queue_latency(b->links[i].queue, &ret->latency);
        }
}

int vbd_back_queue_stats(const struct vbd_back *b, unsigned queue, struct vbd_counters *counters,
                         struct vbd_latency *latency)
{
    if (queue >= b->link_count || b->links[queue].queue == NULL)
        return -ENOENT;
    *counters = (struct vbd_counters){0};
    *latency = (struct vbd_latency){0};
    vbd_queue_count(b->links[queue].queue, counters);
    vbd_queue_latency(b->links[queue].queue, latency);
    return 0;
}
