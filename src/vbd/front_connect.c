/* front_connect.c - a front's rings: made as the backend offers and the owner wants, told in
 * xenstore, and, once the backend is Connected, the disk's keys. Called by front.c. */
#include <errno.h>

#include "base/names.h"
#include "base/text.h"
#include "vbd/front_inside.h"

/* --- writing --- */

static void put(struct vbd_front *f, const char *dir, const char *key, const char *value)
{
    (void)xsc_batch_add_key(f->batch, XSC_OP_WRITE, dir, key, value);
}

static void put_number(struct vbd_front *f, const char *dir, const char *key, uint64_t n)
{
    char digits[24];
    struct vbd_text t = vbd_text_on(digits, sizeof digits);

    vbd_text_u64(&t, n);
    put(f, dir, key, digits);
}

static void published(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_front *f = ctx;

    f->batch = NULL;
    if (vbd_front_went_well(f, batch, error)) {
        void (*then)(struct vbd_front * f) = f->then;

        f->then = NULL;
        f->phase = f->next_phase;
        if (then != NULL)
            then(f);
        vbd_front_settle(f, true); /* the backend may have moved meanwhile */
    }
    xsc_batch_free(batch);
}

/* A transaction that fails with ENOENT where the toolstack has removed the device: a write would
 * bring it back to life. */
static bool begin(struct vbd_front *f)
{
    if (!vbd_front_begin(f, XSC_BATCH_TRANSACTION))
        return false;
    (void)xsc_batch_add_key(f->batch, XSC_OP_READ, f->dir, "backend", NULL);
    xsc_batch_may_miss(f->batch, false);
    return true;
}

static void commit(struct vbd_front *f, enum vbd_state state, enum vbd_front_phase then)
{
    f->next_phase = then;
    put_number(f, f->dir, "state", state);
    vbd_front_ask(f, published);
}

void vbd_front_publish(struct vbd_front *f, enum vbd_state state, enum vbd_front_phase then)
{
    f->then = NULL;
    if (begin(f))
        commit(f, state, then);
}

/* --- rings --- */

void vbd_front_close_queues(struct vbd_front *f)
{
    for (uint32_t i = 0; i < f->queue_count; i++)
        vbd_front_queue_close(&f->queues[i]);
    for (uint32_t i = 1; i < f->queue_count; i++) /* the next backend may have fewer */
        vbd_front_queue_move(&f->queues[i], &f->queues[0]);
    f->queue_count = 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int open_queues(struct vbd_front *f)
{
    struct vbd_front_queue_config config = {
        .allocator = f->platform->allocator,
        .guest = f->platform->guest,
        .backend_domid = f->backend_domid,
        .handle = (uint16_t)f->config.vdev,
        .ring_pages = 1u << smaller(f->options.ring_order, f->offer.ring_order_max),
        .pool_pages = f->options.pool,
        .segments_max =
            f->options.indirect > VBD_SEGMENTS_DIRECT ? f->options.indirect : VBD_SEGMENTS_DIRECT,
        .trusted = f->options.trusted != 0,
        .buffers = &f->buffers,
        .queues = f->queues,
        .queue_count = smaller(f->options.queues, f->offer.queues_max)};
    uint32_t count = config.queue_count;

    vbd_front_close_queues(f); /* of an offer that could not be told */
    f->buffers.domid = f->backend_domid;
    f->info = (struct vbd_front_info){
        .ring_pages = config.ring_pages, .queues = count, .backend_domid = f->backend_domid};
    for (uint32_t i = 0; i < count; i++) {
        int r = vbd_front_queue_open(&f->queues[i], &config);

        if (r < 0)
            return r;
        f->queue_count++;
    }
    return 0;
}

/* What an earlier front told, and this one may not tell. */
static void remove_stale(struct vbd_front *f)
{
    for (unsigned k = 0; k < VBD_FRONT_KEYS; k++) {
        (void)xsc_batch_add_key(f->batch, XSC_OP_RM, f->dir, vbd_front_key_names[k], NULL);
        xsc_batch_may_miss(f->batch, true);
    }
}

static void put_queue(struct vbd_front *f, const struct vbd_front_queue *q, const char *dir)
{
    bool one = q->config.ring_pages == 1;

    for (uint32_t i = 0; i < q->config.ring_pages; i++)
        put_number(f, dir, vbd_front_key_names[one ? VBD_FRONT_RING_REF : VBD_FRONT_RING_REF_0 + i],
                   q->ring_grants[i]);
    put_number(f, dir, vbd_front_key_names[VBD_FRONT_EVENT_CHANNEL], q->port);
}

static void put_queues(struct vbd_front *f)
{
    if (f->queue_count == 1) {
        put_queue(f, &f->queues[0], f->dir);
        return;
    }
    put_number(f, f->dir, vbd_front_key_names[VBD_FRONT_QUEUES], f->queue_count);
    for (uint32_t i = 0; i < f->queue_count; i++) {
        char dir[64];
        struct vbd_text t = vbd_text_on(dir, sizeof dir);

        vbd_text_u64(vbd_text_str(vbd_text_str(&t, f->dir), "/queue-"), i);
        put_queue(f, &f->queues[i], dir);
    }
}

/* Both schemes of large rings are told: a backend knows one of them. */
static void tell(struct vbd_front *f)
{
    uint32_t order = (uint32_t)__builtin_ctz(f->info.ring_pages);

    f->then = NULL;
    if (!begin(f))
        return;
    remove_stale(f);
    put(f, f->dir, vbd_front_key_names[VBD_FRONT_PROTOCOL],
        VBD_LAYOUT_NATIVE == VBD_LAYOUT_X86_32 ? "x86_32-abi" : "x86_64-abi");
    if (order > 0) {
        put_number(f, f->dir, vbd_front_key_names[VBD_FRONT_RING_PAGE_ORDER], order);
        put_number(f, f->dir, vbd_front_key_names[VBD_FRONT_NUM_RING_PAGES], 1u << order);
    }
    put_number(f, f->dir, vbd_front_key_names[VBD_FRONT_PERSISTENT], f->options.persistent);
    put_queues(f);
    commit(f, VBD_STATE_INITIALISED, VBD_FRONT_OFFERED);
}

/* --- the backend's keys --- */

static void values_of(const struct xsc_batch *batch, const char *values[VBD_OFFER_KEYS])
{
    for (int k = 0; k < VBD_OFFER_KEYS; k++)
        values[k] = xsc_batch_string(batch, k);
}

static void read_keys(struct vbd_front *f,
                      void (*done)(void *ctx, struct xsc_batch *batch, int error))
{
    if (!vbd_front_begin(f, XSC_BATCH_PLAIN))
        return;
    for (size_t k = 0; k < VBD_OFFER_KEYS; k++)
        (void)xsc_batch_add_key(f->batch, XSC_OP_READ, f->back, vbd_offer_key_names[k], NULL);
    vbd_front_ask(f, done);
}

/* Takes the answers; false when the disk can't be, and the front has failed. */
static bool take_keys(struct vbd_front *f, struct xsc_batch *batch, int error)
{
    const char *values[VBD_OFFER_KEYS];
    char sentence[160] = "";
    struct vbd_text why = vbd_text_on(sentence, sizeof sentence);
    bool good;

    f->batch = NULL;
    good = vbd_front_went_well(f, batch, error);
    if (good) {
        values_of(batch, values);
        good = vbd_back_offer_read(values, &f->offer, &why) == 0;
        if (!good)
            vbd_front_fail_with(f, -EINVAL, sentence);
    }
    xsc_batch_free(batch);
    return good;
}

static void offer_read(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_front *f = ctx;
    int r;

    if (!take_keys(f, batch, error))
        return;
    r = open_queues(f);
    if (r < 0)
        vbd_front_fail_with(f, r, "cannot share the rings: no grants, ports or memory");
    else
        tell(f);
}

void vbd_front_offer(struct vbd_front *f)
{
    read_keys(f, offer_read);
}

/* --- the disk --- */

static void describe(struct vbd_front *f)
{
    const struct vbd_back_offer *o = &f->offer;
    uint32_t indirect = smaller(o->segments_indirect, f->options.indirect);
    struct vbd_front_disk disk = {
        .sectors = o->sectors,
        .sector_size = o->sector_size,
        .read_only = o->read_only,
        .flush = o->flush,
        .barrier = o->barrier,
        .discard = o->discard,
        .secure_discard = o->secure_discard,
        .segments = indirect > VBD_SEGMENTS_DIRECT ? indirect : (uint32_t)VBD_SEGMENTS_DIRECT};

    f->info.disk = disk;
    /* Linux' backend says so only once it is Connected. */
    f->info.persistent = f->options.persistent && o->persistent;
    f->info.physical_sector = o->physical_sector;
    f->info.cdrom = o->cdrom;
    f->info.removable = o->removable;
    f->info.discard_granularity = o->discard_granularity;
    f->info.discard_alignment = o->discard_alignment;
}

static void start(struct vbd_front *f)
{
    f->refused = 0;
    f->connected = true;
    for (uint32_t i = 0; i < f->queue_count; i++)
        vbd_front_queue_start(&f->queues[i], &f->info.disk);
    vbd_front_tell(f, VBD_FRONT_CONNECTED);
    (void)vbd_front_process(f);
}

static void disk_read(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_front *f = ctx;

    if (!take_keys(f, batch, error))
        return;
    if (f->offer.sector_size == 0) {
        vbd_front_fail_with(f, -EINVAL, "the backend is Connected, and tells no sectors");
        return;
    }
    describe(f);
    f->then = start;
    if (begin(f))
        commit(f, VBD_STATE_CONNECTED, VBD_FRONT_SERVED);
}

void vbd_front_serve(struct vbd_front *f)
{
    read_keys(f, disk_read);
}

/* A size is all that may change under a disk in use. */
static void looked_again(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_front *f = ctx;

    if (!take_keys(f, batch, error))
        return;
    if (f->offer.sector_size != 0 && f->offer.sectors != f->info.disk.sectors) {
        f->info.disk.sectors = f->offer.sectors;
        for (uint32_t i = 0; i < f->queue_count; i++)
            f->queues[i].disk.sectors = f->offer.sectors;
        vbd_front_tell(f, VBD_FRONT_RESIZED);
    }
    vbd_front_settle(f, false);
}

void vbd_front_look_at_disk(struct vbd_front *f)
{
    read_keys(f, looked_again);
}
