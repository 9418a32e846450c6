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

#include "base/text.h"

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
    bool persistent, flush, barrier;
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

/* What a front reads of a back. */
enum vbd_offer_key {
    VBD_OFFER_RING_ORDER,
    VBD_OFFER_RING_PAGES,
    VBD_OFFER_QUEUES,
    VBD_OFFER_FLUSH,
    VBD_OFFER_BARRIER,
    VBD_OFFER_PERSISTENT,
    VBD_OFFER_DISCARD,
    VBD_OFFER_DISCARD_GRANULARITY,
    VBD_OFFER_DISCARD_ALIGNMENT,
    VBD_OFFER_DISCARD_SECURE,
    VBD_OFFER_INDIRECT,
    VBD_OFFER_SECTORS,
    VBD_OFFER_SECTOR_SIZE,
    VBD_OFFER_PHYSICAL,
    VBD_OFFER_INFO,
    VBD_OFFER_MODE,
    VBD_OFFER_KEYS
};

extern const char *const vbd_offer_key_names[VBD_OFFER_KEYS];

/* The same the other way: values[k] is the value of vbd_offer_key_names[k], NULL when missing. A
 * back need not be honest: what is missing or no number in range is taken as not offered, and a
 * number larger than blkif knows as the largest. Without "sectors" and "sector-size", which are
 * written last, sector_size is 0. -EINVAL, with *why filled: a disk that can't be. */
int vbd_back_offer_read(const char *const values[VBD_OFFER_KEYS], struct vbd_back_offer *ret,
                        struct vbd_text *why);

#endif
