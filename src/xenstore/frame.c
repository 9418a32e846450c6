/* frame.c - see frame.h. Called by session.c; knows lengths only, not what a message means. */
#include "xenstore/frame.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "vbdkit/xsc.h"

static size_t take(void *to, size_t have, size_t want, const char **bytes, size_t *len)
{
    size_t n = want - have < *len ? want - have : *len;

    if (n > 0)
        memcpy((char *)to + have, *bytes, n);
    *bytes += n;
    *len -= n;
    return have + n;
}

/* The largest payload a server may send with this type: only a directory may be oversized. */
static size_t payload_limit(uint32_t type)
{
    return type == XSC_OP_DIRECTORY ? (size_t)XSC_REPLY_MAX : (size_t)XSC_PAYLOAD_MAX;
}

static int make_room(struct xsc_frame *f, const struct vbd_allocator *a)
{
    if (f->header.len > payload_limit(f->header.type))
        return -EPROTO;
    if (f->header.len < f->body_room)
        return 0;
    vbd_free(a, f->body);
    f->body_room = 0;
    f->body = vbd_alloc(a, (size_t)f->header.len + 1);
    if (f->body == NULL)
        return -ENOMEM;
    f->body_room = (size_t)f->header.len + 1;
    return 0;
}

int xsc_frame_take(struct xsc_frame *f, const struct vbd_allocator *a, const char **bytes,
                   size_t *len)
{
    if (f->header_have == sizeof f->header && f->body_have == f->header.len)
        f->header_have = f->body_have = 0;
    if (f->header_have < sizeof f->header) {
        int r;

        f->header_have = take(&f->header, f->header_have, sizeof f->header, bytes, len);
        if (f->header_have < sizeof f->header)
            return 0;
        r = make_room(f, a);
        if (r < 0)
            return r;
    }
    f->body_have = take(f->body, f->body_have, f->header.len, bytes, len);
    if (f->body_have < f->header.len)
        return 0;
    f->body[f->body_have] = '\0';
    return 1;
}

void xsc_frame_free(struct xsc_frame *f, const struct vbd_allocator *a)
{
    vbd_free(a, f->body);
    *f = (struct xsc_frame){0};
}
