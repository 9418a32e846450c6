/* back_publish.c - everything a back writes to xenstore: its offer, its states, its errors. Each is
 * one transaction that first makes sure that the toolstack has not removed the device meanwhile: a
 * write would bring the directory back to life. Called by the other back_*.c files. */
#include <errno.h>

#include "base/text.h"
#include "vbd/back.h"

static void write_key(struct vbd_back *b, const char *key, const char *value)
{
    (void)xsc_batch_add_key(b->batch, XSC_OP_WRITE, b->back_path, key, value);
}

static void write_state(struct vbd_back *b, enum vbd_state state)
{
    char digit[2] = {(char)('0' + (int)state), '\0'};

    write_key(b, "state", digit);
    b->published = state;
}

static void write_error(struct vbd_back *b, const char *why)
{
    (void)xsc_batch_add_key(b->batch, XSC_OP_WRITE, b->error_path, "error", why);
    b->wrote_error = true;
}

/* Begins b->batch, which fails with ENOENT when the device is gone. False: the device is over. */
static bool begin(struct vbd_back *b)
{
    if (!vbd_back_begin(b, XSC_BATCH_TRANSACTION))
        return false;
    (void)xsc_batch_add_key(b->batch, XSC_OP_READ, b->back_path, "state", NULL);
    xsc_batch_may_miss(b->batch, false);
    return true;
}

static void published(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_back *b = ctx;

    b->batch = NULL;
    if (error < 0 && error != -ENOENT)
        vbd_back_log(b, VBD_LOG_ERROR, "cannot write to xenstore: ", xsc_batch_why(batch), NULL);
    xsc_batch_free(batch);
    if (error == -ENOENT)
        vbd_back_finish(b, VBD_BACK_REMOVED);
    else if (error == -ECONNRESET || error == -ENOTCONN || error == -ECANCELED)
        vbd_back_finish(b, VBD_BACK_LOST);
    else
        vbd_back_settle(b, true); /* both sides may have moved while this was written */
}

static void commit(struct vbd_back *b)
{
    vbd_back_submit(b, published);
}

void vbd_back_offer_keys(struct vbd_back *b)
{
    const struct vbd_storage_info *disk = &b->storage->info;
    struct vbd_back_offer offer = {.sectors = disk->bytes / VBD_SECTOR,
                                   .sector_size = VBD_SECTOR,
                                   .physical_sector = disk->physical_sector,
                                   .read_only = b->read_only};
    struct vbd_back_key keys[VBD_BACK_KEYS];
    size_t n = vbd_back_keys(&offer, keys);

    if (!begin(b))
        return;
    for (size_t i = 0; i < n; i++)
        write_key(b, keys[i].name, keys[i].value);
    write_key(b, "hotplug-status", "connected");
    write_state(b, VBD_STATE_INIT_WAIT);
    b->phase = VBD_PHASE_WAITING;
    vbd_back_log(b, VBD_LOG_INFO, disk->direct ? "offered, direct" : "offered, through the cache",
                 b->read_only ? ", read-only" : "", NULL);
    commit(b);
}

void vbd_back_publish_state(struct vbd_back *b, enum vbd_state state, enum vbd_phase then)
{
    if (!begin(b))
        return;
    if (state == VBD_STATE_CONNECTED) {
        (void)xsc_batch_add_key(b->batch, XSC_OP_RM, b->back_path, "vbdkit-parked", NULL);
        xsc_batch_may_miss(b->batch, true);
    }
    write_state(b, state);
    b->phase = then;
    vbd_back_log(b, VBD_LOG_INFO, vbd_phase_name(then), NULL);
    commit(b);
}

/* Where block-vbdkit waits, InitWait lets it report the error to xl and end the attachment.
 * Otherwise Closing tells the front that nothing will come. */
void vbd_back_fail(struct vbd_back *b, const char *why)
{
    vbd_back_log(b, VBD_LOG_ERROR, why, NULL);
    if (!begin(b))
        return;
    write_key(b, "hotplug-error", why);
    write_key(b, "hotplug-status", "error");
    write_error(b, why);
    write_state(b, b->script_waits ? VBD_STATE_INIT_WAIT : VBD_STATE_CLOSING);
    b->phase = VBD_PHASE_FAILED;
    commit(b);
}

void vbd_back_refuse(struct vbd_back *b, const char *why)
{
    vbd_back_log(b, VBD_LOG_ERROR, why, NULL);
    if (!begin(b))
        return;
    write_error(b, why);
    write_state(b, VBD_STATE_CLOSING);
    b->phase = VBD_PHASE_CLOSING;
    commit(b);
}

static void marked(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_back *b = ctx;

    b->batch = NULL;
    xsc_batch_free(batch);
    if (error < 0)
        vbd_back_log(b, VBD_LOG_WARNING, "could not mark the parked device in xenstore", NULL);
    vbd_back_finish(b, error < 0 ? VBD_BACK_LOST : VBD_BACK_PARKED);
}

void vbd_back_mark_parked(struct vbd_back *b)
{
    if (!begin(b))
        return;
    write_key(b, "vbdkit-parked", "1");
    vbd_back_submit(b, marked);
}

/* Nobody waits for the answer: the node is ours, and the device is gone. */
void vbd_back_clean_error(struct vbd_back *b)
{
    struct xsc_call call = {.op = XSC_OP_RM, .path = b->error_path};

    if (b->wrote_error)
        (void)xsc_submit(b->x, &call, (struct xsc_completion){0});
}
