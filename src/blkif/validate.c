/* validate.c - see validate.h: the operations that are rare. Called with the private copy; never
 * with a slot. */
#include "blkif/validate.h"

/* blkif.h: a flush carries no data. Fronts that attach segments all the same are refused, rather
 * than have their data dropped. */
static enum vbd_verdict check_flush(const struct vbd_request *request)
{
    return request->segment_count != 0 ? VBD_REQUEST_SEGMENT_COUNT : VBD_REQUEST_OK;
}

static enum vbd_verdict check_data(const struct vbd_request *request,
                                   const struct vbd_disk_limits *disk, uint32_t segments_max)
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

static enum vbd_verdict check_discard(const struct vbd_request *request,
                                      const struct vbd_disk_limits *disk)
{
    if (!disk->discard || (request->discard.secure && !disk->secure_discard))
        return VBD_REQUEST_UNKNOWN_OP;
    if (disk->read_only)
        return VBD_REQUEST_READ_ONLY;
    if (request->discard.sectors == 0)
        return VBD_REQUEST_SEGMENT_COUNT;
    return vbd_check_place(request->sector, request->discard.sectors, disk);
}

static enum vbd_verdict check_indirect(const struct vbd_request *request,
                                       const struct vbd_disk_limits *disk)
{
    if (disk->segments_indirect == 0 ||
        (request->effect != VBD_OP_READ && request->effect != VBD_OP_WRITE))
        return VBD_REQUEST_UNKNOWN_OP;
    return check_data(request, disk, disk->segments_indirect);
}

enum vbd_verdict vbd_validate_other(const struct vbd_request *request,
                                    const struct vbd_disk_limits *disk)
{
    switch (request->operation) {
    case VBD_OP_WRITE_BARRIER:
        return check_data(request, disk, VBD_SEGMENTS_DIRECT);
    case VBD_OP_FLUSH:
        return check_flush(request);
    case VBD_OP_DISCARD:
        return check_discard(request, disk);
    case VBD_OP_INDIRECT:
        return check_indirect(request, disk);
    default:
        return VBD_REQUEST_UNKNOWN_OP;
    }
}
