/* keys.h - the xenstore keys of blkif (public/io/blkif.h, "XenBus nodes"): which ones a front
 * writes and a back reads, and which ones a back publishes.
 *
 * The front's keys are a table, so that reading them is one batch and nothing is spelled twice.
 */
#ifndef XENBUS_KEYS_H
#define XENBUS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VBD_RING_PAGES_MAX = 16, /* ring-page-order up to 4 */
    VBD_RING_ORDER_MAX = 4,
    VBD_QUEUES_MAX = 16
};

/* What a front writes: first what is said once for the device, then what is said for each queue, in
 * the device's directory when there is one queue, or in "queue-N" below it. The ring-refN keys are
 * the last, in order. */
enum vbd_front_key {
    VBD_FRONT_PROTOCOL,
    VBD_FRONT_RING_PAGE_ORDER,
    VBD_FRONT_NUM_RING_PAGES,
    VBD_FRONT_QUEUES,
    VBD_FRONT_PERSISTENT,
    VBD_FRONT_EVENT_CHANNEL,
    VBD_FRONT_QUEUE_KEY = VBD_FRONT_EVENT_CHANNEL, /* the first of a queue's */
    VBD_FRONT_RING_REF,
    VBD_FRONT_RING_REF_0,
    VBD_FRONT_KEYS = VBD_FRONT_RING_REF_0 + VBD_RING_PAGES_MAX,
    VBD_FRONT_KEYS_OF_QUEUE = VBD_FRONT_KEYS - VBD_FRONT_QUEUE_KEY
};

extern const char *const vbd_front_key_names[VBD_FRONT_KEYS];

/* What a back publishes about a disk. */
struct vbd_back_offer {
    uint64_t sectors;         /* of 512 bytes */
    uint32_t sector_size;     /* logical, bytes */
    uint32_t physical_sector; /* bytes */
    bool read_only;
    bool cdrom;
    bool removable;
    uint32_t ring_order_max;
    uint32_t queues_max;
    uint32_t segments_indirect; /* 0: indirect requests are not offered */
    bool persistent, barrier;
    bool discard, secure_discard;
    uint32_t discard_granularity, discard_alignment; /* bytes */
};

/* One key to write, as strings. */
struct vbd_back_key {
    const char *name;
    char value[24];
};

enum {
    VBD_BACK_KEYS = 20 /* room that vbd_back_keys needs */
};

/* Lists every key a back publishes, also those whose value is "no": some fronts give up on a
 * missing one. But "feature-max-indirect-segments", which offers by being there, and what describes
 * discards, which means nothing without them, are left out with their features. Returns how many.
 */
size_t vbd_back_keys(const struct vbd_back_offer *offer, struct vbd_back_key keys[VBD_BACK_KEYS]);

#endif
