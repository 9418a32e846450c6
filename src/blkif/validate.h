/* validate.h - a copied request against the disk's limits: the one place that judges a guest's
 * numbers. */
#ifndef BLKIF_VALIDATE_H
#define BLKIF_VALIDATE_H

#include <stdbool.h>

#include "blkif/protocol.h"

struct vbd_disk_limits {
    uint64_t sectors; /* of 512 bytes */
    bool read_only;
};

/* Why a request is refused; told apart for the answer. */
enum vbd_verdict {
    VBD_REQUEST_OK,
    VBD_REQUEST_UNKNOWN_OP, /* answered with VBD_STATUS_NOT_SUPPORTED; the rest with _ERROR */
    VBD_REQUEST_SEGMENT_COUNT,
    VBD_REQUEST_SEGMENT_RANGE,
    VBD_REQUEST_PAST_END,
    VBD_REQUEST_READ_ONLY
};

/* Judges a request; on VBD_REQUEST_OK *ret_bytes is the length of its data (0 for a flush). */
enum vbd_verdict vbd_validate(const struct vbd_request *request, const struct vbd_disk_limits *disk,
                              uint32_t *ret_bytes);

#endif
