/* validate.h - a copied request against the disk's limits: the one place that judges a guest's
 * numbers. */
#ifndef BLKIF_VALIDATE_H
#define BLKIF_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/inline.h"
#include "blkif/protocol.h"

/* What was offered to the front. `sectors` may be changed by another thread: a resize. */
struct vbd_disk_limits {
    uint64_t sectors; /* of 512 bytes */
    bool read_only;
    bool discard, secure_discard;
    uint32_t block_sectors;     /* sectors of 512 bytes in a logical sector, a power of two */
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
static inline enum vbd_verdict vbd_check_place(const struct vbd_request *request, uint64_t sectors,
                                               const struct vbd_disk_limits *disk)
{
    uint64_t size = __atomic_load_n(&disk->sectors, __ATOMIC_RELAXED);

    if (sectors > size || request->sector > size - sectors)
        return VBD_REQUEST_PAST_END;
    return ((request->sector | sectors) & (disk->block_sectors - 1)) != 0 ? VBD_REQUEST_MISALIGNED
                                                                          : VBD_REQUEST_OK;
}

static inline enum vbd_verdict vbd_check_data(const struct vbd_request *request,
                                              const struct vbd_disk_limits *disk,
                                              uint32_t segments_max)
{
    if (request->effect != VBD_OP_READ && disk->read_only)
        return VBD_REQUEST_READ_ONLY;
    if (request->segment_count - 1u < segments_max)
        return VBD_REQUEST_OK;
    /* A barrier may come without data: it orders what is around it. */
    return request->segment_count == 0 && request->operation == VBD_OP_WRITE_BARRIER
               ? VBD_REQUEST_OK
               : VBD_REQUEST_SEGMENT_COUNT;
}

/* vbd_validate for all but direct reads and writes. */
enum vbd_verdict vbd_validate_other(const struct vbd_request *request,
                                    const struct vbd_disk_limits *disk);

/* Judges what can be told without segments: the operation, the number of segments, and all of a
 * flush or discard. */
VBD_INLINE enum vbd_verdict vbd_validate(const struct vbd_request *request,
                                         const struct vbd_disk_limits *disk)
{
    return request->operation <= VBD_OP_WRITE ? vbd_check_data(request, disk, VBD_SEGMENTS_DIRECT)
                                              : vbd_validate_other(request, disk);
}

/* Judges the segments of a request that has passed vbd_validate: request->segment_count of them,
 * copied. On VBD_REQUEST_OK *ret_bytes is the length of the data. */
VBD_INLINE enum vbd_verdict vbd_validate_segments(const struct vbd_request *request,
                                                  const struct vbd_segment *segments,
                                                  const struct vbd_disk_limits *disk,
                                                  uint32_t *ret_bytes)
{
    const struct vbd_segment *s = segments, *end = s + request->segment_count;
    uint32_t sectors = request->segment_count; /* at most 4096 segments of 8: no overflow */
    enum vbd_verdict v;

    if (s == end) { /* a barrier without data has no place, whatever its sector says */
        *ret_bytes = 0;
        return VBD_REQUEST_OK;
    }
    do {
        if (s->first > s->last || s->last >= VBD_SECTORS_PER_PAGE)
            return VBD_REQUEST_SEGMENT_RANGE;
        sectors += (uint32_t)(s->last - s->first);
    } while (++s != end);
    v = vbd_check_place(request, sectors, disk);
    if (v == VBD_REQUEST_OK)
        *ret_bytes = sectors * VBD_SECTOR;
    return v;
}

#endif
