/* back_open.c - the first step of a back's life: what the toolstack wrote, and the storage it
 * names. Called by back.c; the only file that calls the source. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/names.h"
#include "base/text.h"
#include "vbd/back.h"

enum {
    KEY_FRONTEND,
    KEY_FRONTEND_ID,
    KEY_PARAMS,
    KEY_MODE,
    KEY_SCRIPT,
    KEY_PARKED,
    KEY_LOST,
    KEY_DEVICE_TYPE,
    KEY_REMOVABLE,
    KEY_DISCARD,
    KEY_OPTIONS,
    /* What an earlier daemon offered. */
    KEY_RING_ORDER,
    KEY_QUEUES,
    KEY_INDIRECT,
    KEY_SECTOR_SIZE,
    KEY_PERSISTENT,
    KEYS
};

static const char *const key_names[KEYS] = {
    [KEY_FRONTEND] = "frontend",
    [KEY_FRONTEND_ID] = "frontend-id",
    [KEY_PARAMS] = "params",
    [KEY_MODE] = "mode",
    [KEY_SCRIPT] = "script",
    [KEY_PARKED] = "vbdkit-parked",
    [KEY_LOST] = "vbdkit-lost",
    [KEY_DEVICE_TYPE] = "device-type",
    [KEY_REMOVABLE] = "removable",
    [KEY_DISCARD] = "discard-enable",
    [KEY_OPTIONS] = "vbdkit-options",
    [KEY_RING_ORDER] = "max-ring-page-order",
    [KEY_QUEUES] = "multi-queue-max-queues",
    [KEY_INDIRECT] = "feature-max-indirect-segments",
    [KEY_SECTOR_SIZE] = "sector-size",
    [KEY_PERSISTENT] = "feature-persistent",
};

static bool is_number(const char *value, unsigned n)
{
    uint64_t parsed;

    return value != NULL && vbd_parse_u64(value, vbd_str_len(value), UINT32_MAX, &parsed) &&
           parsed == n;
}

/* The nodes must be of this device: a front elsewhere would be somebody else's. */
static const char *objection(const struct vbd_back *b, const struct xsc_batch *keys)
{
    const char *frontend = xsc_batch_string(keys, KEY_FRONTEND);

    if (frontend == NULL || !vbd_str_eq(frontend, b->front_path))
        return "frontend: the node is missing or does not name this guest's device";
    if (!is_number(xsc_batch_string(keys, KEY_FRONTEND_ID), b->config.id.domid))
        return "frontend-id: the node is missing or is not the guest's number";
    if (xsc_batch_string(keys, KEY_PARAMS) == NULL)
        return "params: the node is missing: the toolstack did not name an image";
    return NULL;
}

/* "r" and "ro" are read-only; anything but a "w" is taken so, to be safe. */
static bool wants_read_only(const char *mode)
{
    return mode == NULL || mode[0] != 'w';
}

/* dist/block-vbdkit, wherever it was installed. */
static bool is_our_script(const char *path)
{
    static const char name[] = "/block-vbdkit";
    size_t len = path != NULL ? vbd_str_len(path) : 0;

    return len >= sizeof name - 1 && vbd_str_eq(path + len - (sizeof name - 1), name);
}

/* Whether the states tell that a daemon before this one served the front, which is still there. */
static bool was_connected(const struct vbd_back *b)
{
    bool front = b->front == VBD_STATE_CONNECTED || b->front == VBD_STATE_CLOSING;

    if (b->published == VBD_STATE_CLOSING)
        return front;
    return b->published == VBD_STATE_CONNECTED && (front || b->front == VBD_STATE_INITIALISED);
}

static bool front_is_there(const struct vbd_back *b)
{
    return b->front == VBD_STATE_CONNECTED || b->front == VBD_STATE_CLOSING ||
           b->front == VBD_STATE_INITIALISED;
}

/* A ring that was parked is whole and is taken up; one that was not has lost requests. */
static void storage_opened(struct vbd_back *b, bool lost)
{
    if (b->adopts)
        vbd_back_unpark(b);
    else if (was_connected(b) || (lost && front_is_there(b)))
        vbd_back_fail(b,
                      "the guest was connected to a daemon that died: what it had in flight is "
                      "lost; detach the disk and attach it again",
                      true);
    else
        vbd_back_offer_keys(b);
}

/* What the guest may do with the disk, from what the storage can and what was asked for. */
void vbd_back_describe(struct vbd_back *b)
{
    const struct vbd_storage_info *info = &b->storage->info;
    const struct vbd_back_options *o = &b->options;
    uint32_t block = o->sector_size > info->logical_sector ? o->sector_size : info->logical_sector;

    b->read_only = b->asked_read_only || info->read_only;
    b->disk = (struct vbd_disk_limits){
        .sectors = (info->bytes - info->bytes % block) / VBD_SECTOR,
        .read_only = b->read_only,
        .discard = info->discard && b->discard && o->discard != 0 && !b->read_only,
        .block_mask = block / VBD_SECTOR - 1,
        .segments_indirect = o->indirect,
    };
    b->disk.secure_discard = b->disk.discard && info->secure_discard;
}

static void take_wishes(struct vbd_back *b, const struct xsc_batch *keys)
{
    const char *type = xsc_batch_string(keys, KEY_DEVICE_TYPE);
    const char *removable = xsc_batch_string(keys, KEY_REMOVABLE);
    const char *discard = xsc_batch_string(keys, KEY_DISCARD);

    b->cdrom = type != NULL && vbd_str_eq(type, "cdrom");
    b->removable = removable != NULL && vbd_str_eq(removable, "1");
    b->discard = discard == NULL || !vbd_str_eq(discard, "0");
    b->asked_read_only = b->cdrom || wants_read_only(xsc_batch_string(keys, KEY_MODE));
}

/* The device's own options over the daemon's. */
static int take_options(struct vbd_back *b, const struct xsc_batch *keys, struct vbd_error *why)
{
    const char *text = xsc_batch_string(keys, KEY_OPTIONS);
    struct vbd_error wrong;

    b->options = b->usual;
    if (text == NULL)
        return 0;
    if (vbd_back_options_parse(text, &b->options, &wrong) == 0) {
        /* Never more than was left: a guest can have its device opened again and again. */
        if (b->looks_left > b->options.looks)
            b->looks_left = b->options.looks;
        if (b->lines_left > b->options.log_lines)
            b->lines_left = b->options.log_lines;
        return 0;
    }
    (void)vbd_text_join(why->text, sizeof why->text, "vbdkit-options: ", wrong.text, NULL);
    return -EINVAL;
}

/* A front that stays connected keeps to what it was offered, and so does its back, whatever a new
 * daemon offers to others. */
static void keep_offer(struct vbd_back *b, const struct xsc_batch *keys)
{
    static const struct {
        int key;
        const char *option;
    } kept[] = {{KEY_RING_ORDER, "ring-order="},
                {KEY_QUEUES, "queues="},
                {KEY_INDIRECT, "indirect-segments="},
                {KEY_SECTOR_SIZE, "sector-size="}};
    const char *persistent = xsc_batch_string(keys, KEY_PERSISTENT);

    for (size_t i = 0; i < VBD_COUNT(kept); i++) {
        const char *value = xsc_batch_string(keys, kept[i].key);
        char text[48];

        if (value != NULL && vbd_text_join(text, sizeof text, kept[i].option, value, NULL))
            (void)vbd_back_options_parse(text, &b->options, NULL);
    }
    if (persistent == NULL || !vbd_str_eq(persistent, "1"))
        b->options.persistent = 0; /* its grants end with each request */
}

/* Without memory for it, the next value counts as another one. */
void vbd_back_keep_params(struct vbd_back *b, const char *params)
{
    size_t size = vbd_str_len(params) + 1;

    vbd_free(b->platform->allocator, b->params);
    b->params = vbd_alloc(b->platform->allocator, size);
    if (b->params != NULL)
        memcpy(b->params, params, size);
}

static void open_storage(struct vbd_back *b, const struct xsc_batch *keys)
{
    const struct vbd_source *source = &b->config.source;
    struct vbd_image image = {.params = xsc_batch_string(keys, KEY_PARAMS)};
    bool parked = xsc_batch_string(keys, KEY_PARKED) != NULL;
    bool lost = xsc_batch_string(keys, KEY_LOST) != NULL;
    struct vbd_error why = {""};
    int r = take_options(b, keys, &why);

    take_wishes(b, keys);
    image.read_only = b->asked_read_only;
    image.cdrom = b->cdrom;
    b->adopts = was_connected(b) && parked && !lost;
    if (b->adopts)
        keep_offer(b, keys);
    if (r == 0)
        r = source->open(source->ctx, &image, &b->storage, &why);
    if (r == 0 && b->storage == NULL)
        b->storage = &vbd_no_medium;
    vbd_back_keep_params(b, image.params);
    if (r < 0) {
        b->storage = NULL;
        vbd_back_fail(b, why.text, was_connected(b) && !b->adopts);
        return;
    }
    vbd_back_describe(b);
    storage_opened(b, lost);
}

static void keys_read(void *ctx, struct xsc_batch *keys, int error)
{
    struct vbd_back *b = ctx;
    const char *why = error == 0 ? objection(b, keys) : NULL;

    b->batch = NULL;
    b->fresh = b->published == VBD_STATE_INITIALISING || b->published == VBD_STATE_INIT_WAIT;
    b->script_waits = is_our_script(xsc_batch_string(keys, KEY_SCRIPT));
    if (error < 0)
        vbd_back_finish(b, VBD_BACK_LOST);
    else if (why != NULL)
        vbd_back_fail(b, why, false);
    else
        open_storage(b, keys);
    xsc_batch_free(keys);
}

void vbd_back_open(struct vbd_back *b)
{
    b->refresh = false;
    vbd_back_read(b, b->back_path, key_names, KEYS, keys_read);
}
