/* gather.c - between an operation's pieces of memory and one run of bytes. Called by split for what
 * is written, by complete for what was read. */
#include <string.h>

#include "blkfront/queue.h"

/* The piece that holds byte `at`; *at becomes an offset into it. */
static const struct vbd_iovec *find(const struct vbd_io *io, uint64_t *at)
{
    const struct vbd_iovec *piece = io->memory;

    while (*at >= piece->len) {
        *at -= piece->len;
        piece++;
    }
    return piece;
}

void vbd_gather(const struct vbd_io *io, uint64_t at, char *to, size_t bytes)
{
    const struct vbd_iovec *piece = bytes > 0 ? find(io, &at) : NULL;

    for (; bytes > 0; piece++, at = 0) {
        size_t n = piece->len - at < bytes ? piece->len - at : bytes;

        memcpy(to, (const char *)piece->base + at, n);
        to += n;
        bytes -= n;
    }
}

void vbd_scatter(const struct vbd_io *io, uint64_t at, const char *from, size_t bytes)
{
    const struct vbd_iovec *piece = bytes > 0 ? find(io, &at) : NULL;

    for (; bytes > 0; piece++, at = 0) {
        size_t n = piece->len - at < bytes ? piece->len - at : bytes;

        memcpy((char *)piece->base + at, from, n);
        from += n;
        bytes -= n;
    }
}
