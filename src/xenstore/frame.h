/* frame.h - cuts the byte stream of a server into messages. */
#ifndef XENSTORE_FRAME_H
#define XENSTORE_FRAME_H

#include "vbdkit/common.h"
#include "xenstore/wire.h"

struct xsc_frame {
    struct xsc_header header;
    size_t header_have; /* bytes of the header that have come */
    char *body;         /* room for header.len bytes and a NUL, allocated when the header is full */
    size_t body_have;
    size_t body_room;
};

/* Takes bytes from *bytes (moving both on). Returns 1 when a message is complete (valid until the
 * next call), 0 when more bytes are wanted, -EPROTO for a length over the limit, -ENOMEM. */
int xsc_frame_take(struct xsc_frame *f, const struct vbd_allocator *a, const char **bytes,
                   size_t *len);
void xsc_frame_free(struct xsc_frame *f, const struct vbd_allocator *a);

#endif
