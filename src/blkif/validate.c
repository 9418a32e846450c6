/* validate.c - see validate.h. Called by blkback's intake with the private copy; never with a slot.
 */
#include "blkif/validate.h"

static enum vbd_verdict check_segments(const struct vbd_request *request, uint32_t *ret_sectors)
{
    uint32_t sectors = 0;

    if (request->segment_count == 0 || request->segment_count > VBD_SEGMENTS_DIRECT)
        return VBD_REQUEST_SEGMENT_COUNT;
    for (int i = 0; i < request->segment_count; i++) {
        const struct vbd_segment *s = &request->segments[i];

        if (s->first > s->last || s->last >= VBD_SECTORS_PER_PAGE)
            return VBD_REQUEST_SEGMENT_RANGE;
        sectors += (uint32_t)(s->last - s->first) + 1;
    }
    *ret_sectors = sectors;
    return VBD_REQUEST_OK;
}

static enum vbd_verdict check_data(const struct vbd_request *request,
                                   const struct vbd_disk_limits *disk, uint32_t *ret_bytes)
{
    uint32_t sectors;
    uint64_t end;
    enum vbd_verdict v = check_segments(request, &sectors);

    if (v != VBD_REQUEST_OK)
        return v;
    if (__builtin_add_overflow(request->sector, (uint64_t)sectors, &end) || end > disk->sectors)
        return VBD_REQUEST_PAST_END;
    *ret_bytes = sectors * VBD_SECTOR;
    return VBD_REQUEST_OK;
}

/* blkif.h: a flush carries no data. Fronts that attach segments all the same are refused, rather
 * than have their data dropped. */
static enum vbd_verdict check_flush(const struct vbd_request *request, uint32_t *ret_bytes)
{
    if (request->segment_count != 0)
        return VBD_REQUEST_SEGMENT_COUNT;
    *ret_bytes = 0;
    return VBD_REQUEST_OK;
}

enum vbd_verdict vbd_validate(const struct vbd_request *request, const struct vbd_disk_limits *disk,
                              uint32_t *ret_bytes)
{
    switch (request->operation) {
    case VBD_OP_READ:
        return check_data(request, disk, ret_bytes);
    case VBD_OP_WRITE:
        return disk->read_only ? VBD_REQUEST_READ_ONLY : check_data(request, disk, ret_bytes);
    case VBD_OP_FLUSH:
        return check_flush(request, ret_bytes);
    default:
        return VBD_REQUEST_UNKNOWN_OP;
    }
}
