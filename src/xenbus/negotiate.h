/* negotiate.h - from the strings a front wrote to an agreement, or to the sentence why not. */
#ifndef XENBUS_NEGOTIATE_H
#define XENBUS_NEGOTIATE_H

#include "base/text.h"
#include "xenbus/keys.h"

/* The names of the slot layouts. Numbers are enum vbd_layout's order (src/blkif/layout.h). */
enum vbd_protocol { VBD_PROTOCOL_X86_64, VBD_PROTOCOL_X86_32 };

struct vbd_agreement {
    enum vbd_protocol protocol;
    uint32_t ring_pages; /* a power of two, 1 to VBD_RING_PAGES_MAX */
    uint32_t ring_refs[VBD_RING_PAGES_MAX];
    uint32_t remote_port;
};

/* Judges a front's keys: values[k] is the value of vbd_front_key_names[k], NULL when missing.
 * `native` is the protocol of a front that names none. Returns 0, or -EINVAL with *why filled. */
int vbd_negotiate(const char *const values[VBD_FRONT_KEYS], enum vbd_protocol native,
                  struct vbd_agreement *ret, struct vbd_text *why);

#endif
