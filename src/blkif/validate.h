/* validate.h - a copied request against the disk's limits: the one place that judges a guest's
 * numbers. */
#ifndef BLKIF_VALIDATE_H
#define BLKIF_VALIDATE_H

#include <stdbool.h>

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

/* Judges what can be told without segments: the operation, the number of segments, and all of a
 * flush or discard. */
enum vbd_verdict vbd_validate(const struct vbd_request *request,
                              const struct vbd_disk_limits *disk);
/* Judges the segments of a request that has passed vbd_validate: request->segment_count of them,
 * copied. On VBD_REQUEST_OK *ret_bytes is the length of the data. */
enum vbd_verdict vbd_validate_segments(const struct vbd_request *request,
                                       const struct vbd_segment *segments,
                                       const struct vbd_disk_limits *disk, uint32_t *ret_bytes);

#endif
