/* negotiate.h - from the strings a front wrote to an agreement, or to the sentence why not. */
#ifndef XENBUS_NEGOTIATE_H
#define XENBUS_NEGOTIATE_H

#include "base/text.h"
#include "xenbus/keys.h"

/* The names of the slot layouts. Numbers are enum vbd_layout's order (src/blkif/layout.h). */
enum vbd_protocol { VBD_PROTOCOL_X86_64, VBD_PROTOCOL_X86_32 };

/* What was offered. */
struct vbd_negotiable {
    enum vbd_protocol native; /* of a front that names none */
    uint32_t ring_order_max, queues_max;
};

struct vbd_agreement {
    enum vbd_protocol protocol;
    uint32_t ring_pages; /* of each queue; a power of two, 1 to VBD_RING_PAGES_MAX */
    uint32_t queue_count;
    bool persistent; /* the front keeps its grants */
    struct vbd_agreed_queue {
        uint32_t ring_refs[VBD_RING_PAGES_MAX];
        uint32_t remote_port;
    } queues[VBD_QUEUES_MAX];
};

/* Judges a front's keys: values[k] is the value of vbd_front_key_names[k], NULL when missing. Looks
 * at the device's. Returns 0, or -EINVAL with *why filled. */
int vbd_negotiate(const char *const values[VBD_FRONT_KEYS], const struct vbd_negotiable *offered,
                  struct vbd_agreement *ret, struct vbd_text *why);
/* Judges the keys of a queue and puts it into the agreement. Errors as above. */
int vbd_negotiate_queue(const char *const values[VBD_FRONT_KEYS], struct vbd_agreement *a,
                        uint32_t queue, struct vbd_text *why);

#endif
