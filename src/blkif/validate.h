/* validate.h - a copied request against the disk's limits: the one place that judges a guest's
 * numbers. */
#ifndef BLKIF_VALIDATE_H
#define BLKIF_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/inline.h"
#include "blkif/protocol.h"

/* What was offered to the front. `sectors` may be changed by another thread: a resize. */
struct vbd_disk_limits {
    uint64_t sectors; /* of 512 bytes */
    bool read_only;
    bool discard, secure_discard;
    uint32_t block_mask; /* sectors of 512 bytes in a logical sector, a power of two, less one */
    uint32_t segments_indirect; /* the most in a request; 0: indirect requests are not offered */
};

/* Why a request is refused; the counters' words. */
enum vbd_verdict {
    VBD_REQUEST_OK,
    VBD_REQUEST_UNKNOWN_OP, /* answered with VBD_STATUS_NOT_SUPPORTED; the rest with _ERROR */
    VBD_REQUEST_SEGMENT_COUNT,
    VBD_REQUEST_SEGMENT_RANGE,
    VBD_REQUEST_MISALIGNED, /* within a logical sector */
    VBD_REQUEST_PAST_END,
    VBD_REQUEST_READ_ONLY
};

/* Of a length that is not 0. */
VBD_INLINE enum vbd_verdict vbd_check_place(uint64_t sector, uint64_t sectors,
                                            const struct vbd_disk_limits *disk)
{
    uint64_t end;

    if (__builtin_add_overflow(sector, sectors, &end) ||
        end > __atomic_load_n(&disk->sectors, __ATOMIC_RELAXED))
        return VBD_REQUEST_PAST_END;
    return ((uint32_t)(sector | sectors) & disk->block_mask) != 0 ? VBD_REQUEST_MISALIGNED
                                                                  : VBD_REQUEST_OK;
}

/* Judges all of a direct read or write but its segments. */
VBD_INLINE enum vbd_verdict vbd_validate_direct(uint32_t operation, uint32_t segment_count,
                                                const struct vbd_disk_limits *disk)
{
    if (operation != VBD_OP_READ && disk->read_only)
        return VBD_REQUEST_READ_ONLY;
    return segment_count - 1u < VBD_SEGMENTS_DIRECT ? VBD_REQUEST_OK : VBD_REQUEST_SEGMENT_COUNT;
}

/* The same for other operations, and all of a flush or discard. */
enum vbd_verdict vbd_validate_other(const struct vbd_request *request,
                                    const struct vbd_disk_limits *disk);

VBD_INLINE bool vbd_segment_in_page(const struct vbd_segment *s)
{
    return s->first <= s->last && s->last < VBD_SECTORS_PER_PAGE;
}

/* One that is in its page becomes an extent: its offset and length in one store. Returns its length
 * in sectors. */
VBD_INLINE uint32_t vbd_make_extent(union vbd_descriptor *d)
{
    uint32_t first = d->segment.first, last = d->segment.last;
    uint32_t sectors = last - first + 1;
    uint32_t both = (first | sectors << 16) * VBD_SECTOR; /* neither is more than 4096 */

    memcpy(&d->extent.offset, &both, sizeof both);
    return sectors;
}

/* Judges the segments of a request that has passed one of those: there is at least one. On
 * VBD_REQUEST_OK they are extents, and *ret_bytes is the length of the data. */
VBD_INLINE enum vbd_verdict vbd_validate_segments(uint64_t sector, union vbd_descriptor *parts,
                                                  uint32_t count,
                                                  const struct vbd_disk_limits *disk,
                                                  uint64_t *ret_bytes)
{
    union vbd_descriptor *at = parts, *end = at + count;
    uint64_t sectors = 0; /* at most 4096 segments of a page: no overflow, nor in bytes */

    do {
        if (!vbd_segment_in_page(&at->segment))
            return VBD_REQUEST_SEGMENT_RANGE;
        sectors += vbd_make_extent(at);
    } while (++at != end);
    *ret_bytes = sectors * VBD_SECTOR;
    return vbd_check_place(sector, sectors, disk);
}

#endif
