/* keys.c - see keys.h. Called by the device's life in src/vbd. */
#include "xenbus/keys.h"

#include <errno.h>

#include "base/text.h"

const char *const vbd_front_key_names[VBD_FRONT_KEYS] = {
    [VBD_FRONT_PROTOCOL] = "protocol",
    [VBD_FRONT_RING_PAGE_ORDER] = "ring-page-order",
    [VBD_FRONT_NUM_RING_PAGES] = "num-ring-pages",
    [VBD_FRONT_QUEUES] = "multi-queue-num-queues",
    [VBD_FRONT_PERSISTENT] = "feature-persistent",
    [VBD_FRONT_EVENT_CHANNEL] = "event-channel",
    [VBD_FRONT_RING_REF] = "ring-ref",
    [VBD_FRONT_RING_REF_0] = "ring-ref0",
    [VBD_FRONT_RING_REF_0 + 1] = "ring-ref1",
    [VBD_FRONT_RING_REF_0 + 2] = "ring-ref2",
    [VBD_FRONT_RING_REF_0 + 3] = "ring-ref3",
    [VBD_FRONT_RING_REF_0 + 4] = "ring-ref4",
    [VBD_FRONT_RING_REF_0 + 5] = "ring-ref5",
    [VBD_FRONT_RING_REF_0 + 6] = "ring-ref6",
    [VBD_FRONT_RING_REF_0 + 7] = "ring-ref7",
    [VBD_FRONT_RING_REF_0 + 8] = "ring-ref8",
    [VBD_FRONT_RING_REF_0 + 9] = "ring-ref9",
    [VBD_FRONT_RING_REF_0 + 10] = "ring-ref10",
    [VBD_FRONT_RING_REF_0 + 11] = "ring-ref11",
    [VBD_FRONT_RING_REF_0 + 12] = "ring-ref12",
    [VBD_FRONT_RING_REF_0 + 13] = "ring-ref13",
    [VBD_FRONT_RING_REF_0 + 14] = "ring-ref14",
    [VBD_FRONT_RING_REF_0 + 15] = "ring-ref15",
};

/* The bits of "info" (VDISK_* in blkif.h). */
enum { INFO_CDROM = 0x1, INFO_REMOVABLE = 0x2, INFO_READ_ONLY = 0x4 };

static uint64_t info_bits(const struct vbd_back_offer *o)
{
    return (o->cdrom ? INFO_CDROM : 0u) | (o->removable ? INFO_REMOVABLE : 0u) |
           (o->read_only ? INFO_READ_ONLY : 0u);
}

static void put(struct vbd_back_key *key, const char *name, uint64_t value)
{
    struct vbd_text t = vbd_text_on(key->value, sizeof key->value);

    key->name = name;
    vbd_text_u64(&t, value);
}

static size_t put_discard(const struct vbd_back_offer *o, struct vbd_back_key *keys)
{
    put(&keys[0], "feature-discard", o->discard);
    if (!o->discard)
        return 1;
    put(&keys[1], "discard-granularity", o->discard_granularity);
    put(&keys[2], "discard-alignment", o->discard_alignment);
    put(&keys[3], "discard-secure", o->secure_discard);
    return 4;
}

size_t vbd_back_keys(const struct vbd_back_offer *o, struct vbd_back_key keys[VBD_BACK_KEYS])
{
    size_t n = 0;

    put(&keys[n++], "max-ring-page-order", o->ring_order_max);
    put(&keys[n++], "max-ring-pages", 1ull << o->ring_order_max);
    put(&keys[n++], "multi-queue-max-queues", o->queues_max);
    put(&keys[n++], "feature-flush-cache", o->flush);
    put(&keys[n++], "feature-barrier", o->barrier);
    put(&keys[n++], "feature-persistent", o->persistent);
    n += put_discard(o, &keys[n]);
    if (o->segments_indirect > 0)
        put(&keys[n++], "feature-max-indirect-segments", o->segments_indirect);
    put(&keys[n++], "sectors", o->sectors);
    put(&keys[n++], "sector-size", o->sector_size);
    put(&keys[n++], "physical-sector-size", o->physical_sector);
    put(&keys[n++], "info", info_bits(o));
    return n;
}

/* --- what a front reads --- */

const char *const vbd_offer_key_names[VBD_OFFER_KEYS] = {
    [VBD_OFFER_RING_ORDER] = "max-ring-page-order",
    [VBD_OFFER_RING_PAGES] = "max-ring-pages",
    [VBD_OFFER_QUEUES] = "multi-queue-max-queues",
    [VBD_OFFER_FLUSH] = "feature-flush-cache",
    [VBD_OFFER_BARRIER] = "feature-barrier",
    [VBD_OFFER_PERSISTENT] = "feature-persistent",
    [VBD_OFFER_DISCARD] = "feature-discard",
    [VBD_OFFER_DISCARD_GRANULARITY] = "discard-granularity",
    [VBD_OFFER_DISCARD_ALIGNMENT] = "discard-alignment",
    [VBD_OFFER_DISCARD_SECURE] = "discard-secure",
    [VBD_OFFER_INDIRECT] = "feature-max-indirect-segments",
    [VBD_OFFER_SECTORS] = "sectors",
    [VBD_OFFER_SECTOR_SIZE] = "sector-size",
    [VBD_OFFER_PHYSICAL] = "physical-sector-size",
    [VBD_OFFER_INFO] = "info",
    [VBD_OFFER_MODE] = "mode",
};

enum { SEGMENTS_MAX = 4096, SECTOR_SIZE_MAX = 4096 };

/* The number, `missing` where there is none, and at most `max`. */
static uint64_t number_of(const char *value, uint64_t missing, uint64_t max)
{
    uint64_t n = missing;

    if (value != NULL)
        (void)vbd_parse_u64(value, vbd_str_len(value), UINT64_MAX, &n);
    return n < max ? n : max;
}

static uint32_t order_of(const char *const values[VBD_OFFER_KEYS])
{
    uint64_t order = number_of(values[VBD_OFFER_RING_ORDER], 0, VBD_RING_ORDER_MAX);
    uint64_t pages = number_of(values[VBD_OFFER_RING_PAGES], 1, VBD_RING_PAGES_MAX);

    while (pages >> (order + 1) != 0)
        order++;
    return (uint32_t)order;
}

static int read_size(const char *const values[VBD_OFFER_KEYS], struct vbd_back_offer *o,
                     struct vbd_text *why)
{
    o->sectors = number_of(values[VBD_OFFER_SECTORS], 0, UINT64_MAX);
    o->sector_size = (uint32_t)number_of(values[VBD_OFFER_SECTOR_SIZE], 0, UINT32_MAX);
    if (values[VBD_OFFER_SECTORS] == NULL || o->sector_size == 0) {
        o->sector_size = 0;
        return 0;
    }
    if (o->sector_size < 512 || o->sector_size > SECTOR_SIZE_MAX ||
        (o->sector_size & (o->sector_size - 1)) != 0) {
        vbd_text_u64(vbd_text_str(why, "sector-size: the backend says "), o->sector_size);
        return -EINVAL;
    }
    if (o->sectors > UINT64_MAX / 512) {
        vbd_text_str(why, "sectors: the backend says more than there can be");
        return -EINVAL;
    }
    return 0;
}

static void read_features(const char *const values[VBD_OFFER_KEYS], struct vbd_back_offer *o)
{
    o->ring_order_max = order_of(values);
    o->queues_max = (uint32_t)number_of(values[VBD_OFFER_QUEUES], 1, VBD_QUEUES_MAX);
    o->flush = number_of(values[VBD_OFFER_FLUSH], 0, 1) != 0;
    o->barrier = number_of(values[VBD_OFFER_BARRIER], 0, 1) != 0;
    o->persistent = number_of(values[VBD_OFFER_PERSISTENT], 0, 1) != 0;
    o->segments_indirect = (uint32_t)number_of(values[VBD_OFFER_INDIRECT], 0, SEGMENTS_MAX);
    o->discard = number_of(values[VBD_OFFER_DISCARD], 0, 1) != 0;
    o->secure_discard = o->discard && number_of(values[VBD_OFFER_DISCARD_SECURE], 0, 1) != 0;
    o->discard_granularity =
        (uint32_t)number_of(values[VBD_OFFER_DISCARD_GRANULARITY], 512, UINT32_MAX);
    o->discard_alignment = (uint32_t)number_of(values[VBD_OFFER_DISCARD_ALIGNMENT], 0, UINT32_MAX);
}

/* A disk that may be written says so twice: in the bits, and in the toolstack's word. */
static void read_kind(const char *const values[VBD_OFFER_KEYS], struct vbd_back_offer *o)
{
    uint64_t info = number_of(values[VBD_OFFER_INFO], 0, UINT32_MAX);
    const char *mode = values[VBD_OFFER_MODE];

    o->physical_sector =
        (uint32_t)number_of(values[VBD_OFFER_PHYSICAL], o->sector_size, UINT32_MAX);
    o->cdrom = (info & INFO_CDROM) != 0;
    o->removable = (info & INFO_REMOVABLE) != 0;
    o->read_only = (info & INFO_READ_ONLY) != 0 || (mode != NULL && mode[0] == 'r');
}

int vbd_back_offer_read(const char *const values[VBD_OFFER_KEYS], struct vbd_back_offer *ret,
                        struct vbd_text *why)
{
    struct vbd_back_offer o = {0};
    int r = read_size(values, &o, why);

    read_features(values, &o);
    read_kind(values, &o);
    if (o.queues_max == 0)
        o.queues_max = 1;
    if (r == 0)
        *ret = o;
    return r;
}
