/* keys.c - see keys.h. Called by the device's life in src/vbd. */
#include "xenbus/keys.h"

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
    put(&keys[n++], "feature-flush-cache", 1);
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
