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

static void remove_key(struct vbd_back *b, const char *dir, const char *key)
{
    (void)xsc_batch_add_key(b->batch, XSC_OP_RM, dir, key, NULL);
    xsc_batch_may_miss(b->batch, true);
}

static void write_state(struct vbd_back *b, enum vbd_state state, enum vbd_phase phase)
{
    char digit[2] = {(char)('0' + (int)state), '\0'};

    write_key(b, "state", digit);
    b->writes_state = true;
    b->next_state = state;
    b->next_phase = phase;
}

static void write_error(struct vbd_back *b, const char *why)
{
    (void)xsc_batch_add_key(b->batch, XSC_OP_WRITE, b->error_path, "error", why);
}

static void clear_error(struct vbd_back *b)
{
    remove_key(b, b->back_path, "hotplug-error");
    /* Also an earlier daemon's; the directory is this device's: empty, nobody would remove it. */
    (void)xsc_batch_add(b->batch, XSC_OP_RM, b->error_path, NULL, 0);
    xsc_batch_may_miss(b->batch, true);
}

/* Before the commit: an order of the toolstack to close, given meanwhile, must not be written over.
 */
static int still_ours(void *ctx, struct xsc_batch *batch)
{
    const struct vbd_back *b = ctx;
    enum vbd_state now = vbd_state_parse(xsc_batch_string(batch, 0));
    bool asked = now != b->published && (now == VBD_STATE_CLOSING || now == VBD_STATE_CLOSED);

    if (!b->writes_state || !asked || b->next_state == VBD_STATE_CLOSED)
        return 0;
    return now == VBD_STATE_CLOSING && b->next_state == VBD_STATE_CLOSING ? 0 : -ESTALE;
}

/* Begins b->batch, which fails with ENOENT when the device is gone. False: the device is over. */
static bool begin(struct vbd_back *b)
{
    if (!vbd_back_begin(b, XSC_BATCH_TRANSACTION))
        return false;
    b->next_state = b->published;
    b->next_phase = b->phase;
    b->writes_state = false;
    b->then = NULL;
    (void)xsc_batch_add_key(b->batch, XSC_OP_READ, b->back_path, "state", NULL);
    xsc_batch_may_miss(b->batch, false);
    xsc_batch_then(b->batch, still_ours);
    return true;
}

static void done(struct vbd_back *b)
{
    b->failures = 0;
    b->published = b->next_state;
    b->phase = b->next_phase;
    if (b->then != NULL)
        b->then(b);
    else
        vbd_back_settle(b, true); /* both sides may have moved while this was written */
}

static void published(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_back *b = ctx;
    bool final = error == 0 || error == -ENOENT || error == -ESTALE || vbd_back_is_lost(error);

    if (!final && vbd_back_may_retry(b) && xsc_batch_submit(batch, published, b) == 0)
        return;
    b->batch = NULL;
    if (!final)
        vbd_back_log(b, VBD_LOG_ERROR, "cannot write to xenstore: ", xsc_batch_why(batch), NULL);
    xsc_batch_free(batch);
    if (error == 0)
        done(b);
    else if (error == -ENOENT)
        vbd_back_finish(b, VBD_BACK_REMOVED);
    else if (error == -ESTALE)
        vbd_back_settle(b, true);
    else
        vbd_back_finish(b, VBD_BACK_LOST);
}

static void commit(struct vbd_back *b)
{
    vbd_back_submit(b, published);
}

static struct vbd_back_offer offer(const struct vbd_back *b)
{
    const struct vbd_storage_info *info = &b->storage->info;
    const struct vbd_back_options *o = &b->options;
    uint32_t logical = (b->disk.block_mask + 1) * VBD_SECTOR;
    uint32_t physical = o->physical != 0 ? o->physical : info->physical_sector;

    return (struct vbd_back_offer){.sectors = b->disk.sectors,
                                   .sector_size = logical,
                                   .physical_sector = physical > logical ? physical : logical,
                                   .read_only = b->read_only,
                                   .cdrom = b->cdrom,
                                   .removable = b->removable,
                                   .ring_order_max = o->ring_order,
                                   .queues_max = o->queues,
                                   .segments_indirect = o->indirect,
                                   .persistent = o->persistent > 0,
                                   .flush = true,
                                   .barrier = o->barrier != 0,
                                   .discard = b->disk.discard,
                                   .secure_discard = b->disk.secure_discard,
                                   .discard_granularity = info->discard_granularity,
                                   .discard_alignment = info->discard_alignment};
}

void vbd_back_offer_keys(struct vbd_back *b)
{
    struct vbd_back_offer offered = offer(b);
    struct vbd_back_key keys[VBD_BACK_KEYS];
    size_t n = vbd_back_keys(&offered, keys);

    if (!begin(b))
        return;
    for (size_t i = 0; i < n; i++)
        write_key(b, keys[i].name, keys[i].value);
    clear_error(b);
    remove_key(b, b->back_path, "vbdkit-lost");
    remove_key(b, b->back_path, "vbdkit-parked");
    write_key(b, "hotplug-status", "connected");
    write_state(b, VBD_STATE_INIT_WAIT, VBD_PHASE_WAITING);
    vbd_back_log(b, VBD_LOG_INFO,
                 b->storage->info.direct ? "offered, direct" : "offered, through the cache",
                 b->read_only ? ", read-only" : "", NULL);
    commit(b);
}

static void write_size(struct vbd_back *b, char sectors[24])
{
    struct vbd_text t = vbd_text_on(sectors, 24);

    vbd_text_u64(&t, b->disk.sectors);
    write_key(b, "sectors", sectors);
}

void vbd_back_publish_size(struct vbd_back *b)
{
    char sectors[24];

    if (!begin(b))
        return;
    write_size(b, sectors);
    write_state(b, b->published, b->phase);
    vbd_back_log(b, VBD_LOG_INFO, "the disk has another size: ", sectors, " sectors", NULL);
    commit(b);
}

void vbd_back_publish_state(struct vbd_back *b, enum vbd_state state, enum vbd_phase then)
{
    if (!begin(b))
        return;
    if (state == VBD_STATE_CONNECTED)
        clear_error(b);
    write_state(b, state, then);
    if (then != b->phase || state == VBD_STATE_CONNECTED)
        vbd_back_log(b, VBD_LOG_INFO, vbd_phase_name(then), NULL);
    commit(b);
}

/* Where block-vbdkit waits, InitWait lets it report the error to xl and end the attachment.
 * Otherwise Closing tells the front that nothing will come. */
void vbd_back_fail(struct vbd_back *b, const char *why, bool lost)
{
    vbd_back_log(b, VBD_LOG_ERROR, why, NULL);
    b->phase = VBD_PHASE_FAILED;
    if (!begin(b))
        return;
    write_key(b, "hotplug-error", why);
    write_key(b, "hotplug-status", "error");
    if (lost)
        write_key(b, "vbdkit-lost", "1");
    write_error(b, why);
    if (!b->adopts) /* a guest that is parked stays so, until its image can be opened again */
        write_state(b, b->fresh && b->script_waits ? VBD_STATE_INIT_WAIT : VBD_STATE_CLOSING,
                    VBD_PHASE_FAILED);
    b->adopts = false;
    commit(b);
}

void vbd_back_refuse(struct vbd_back *b, const char *why)
{
    vbd_back_log(b, VBD_LOG_ERROR, why, NULL);
    b->phase = VBD_PHASE_CLOSING;
    if (!begin(b))
        return;
    write_error(b, why);
    write_state(b, VBD_STATE_CLOSING, VBD_PHASE_CLOSING);
    commit(b);
}

static void parked(struct vbd_back *b)
{
    vbd_back_finish(b, VBD_BACK_PARKED);
}

void vbd_back_mark_parked(struct vbd_back *b)
{
    if (!begin(b))
        return;
    write_key(b, "vbdkit-parked", "1");
    b->then = parked;
    commit(b);
}

/* The size may have changed while nobody served: the front looks when the state is written again.
 */
void vbd_back_unpark(struct vbd_back *b)
{
    char sectors[24];

    if (!begin(b))
        return;
    remove_key(b, b->back_path, "vbdkit-parked");
    clear_error(b);
    write_key(b, "hotplug-status", "connected");
    write_size(b, sectors);
    b->then = vbd_back_connect;
    commit(b);
}

/* Nobody waits for the answer: the device is gone, whichever daemon wrote the node. */
void vbd_back_clean_error(struct vbd_back *b)
{
    struct xsc_call call = {.op = XSC_OP_RM, .path = b->error_path};

    (void)xsc_submit(b->x, &call, (struct xsc_completion){0});
}
