/* validate.c - see validate.h. Called by blkback's intake with the private copy; never with a slot.
 */
#include "blkif/validate.h"

#include <stddef.h>

/* Of a length that is no more than 32 bits of sectors, or a discard's of 64. A barrier without data
 * has no place, whatever its sector says. */
static enum vbd_verdict check_place(const struct vbd_request *request, uint64_t sectors,
                                    const struct vbd_disk_limits *disk)
{
    uint64_t end, size = __atomic_load_n(&disk->sectors, __ATOMIC_RELAXED);

    if (sectors == 0)
        return VBD_REQUEST_OK;
    if (__builtin_add_overflow(request->sector, sectors, &end) || end > size)
        return VBD_REQUEST_PAST_END;
    return ((request->sector | sectors) & (disk->block_sectors - 1)) != 0 ? VBD_REQUEST_MISALIGNED
                                                                          : VBD_REQUEST_OK;
}

static uint32_t segments_max(const struct vbd_request *request, const struct vbd_disk_limits *disk)
{
    return request->operation == VBD_OP_INDIRECT ? disk->segments_indirect
                                                 : (uint32_t)VBD_SEGMENTS_DIRECT;
}

static enum vbd_verdict check_data(const struct vbd_request *request,
                                   const struct vbd_disk_limits *disk)
{
    if (request->effect != VBD_OP_READ && disk->read_only)
        return VBD_REQUEST_READ_ONLY;
    if (request->segment_count > segments_max(request, disk))
        return VBD_REQUEST_SEGMENT_COUNT;
    /* A barrier may come without data: it orders what is around it. */
    if (request->segment_count == 0 && request->operation != VBD_OP_WRITE_BARRIER)
        return VBD_REQUEST_SEGMENT_COUNT;
    return VBD_REQUEST_OK;
}

/* blkif.h: a flush carries no data. Fronts that attach segments all the same are refused, rather
 * than have their data dropped. */
static enum vbd_verdict check_flush(const struct vbd_request *request)
{
    return request->segment_count != 0 ? VBD_REQUEST_SEGMENT_COUNT : VBD_REQUEST_OK;
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
    return check_place(request, request->discard.sectors, disk);
}

static enum vbd_verdict check_indirect(const struct vbd_request *request,
                                       const struct vbd_disk_limits *disk)
{
    if (disk->segments_indirect == 0 ||
        (request->effect != VBD_OP_READ && request->effect != VBD_OP_WRITE))
        return VBD_REQUEST_UNKNOWN_OP;
    return check_data(request, disk);
}

enum vbd_verdict vbd_validate(const struct vbd_request *request, const struct vbd_disk_limits *disk)
{
    switch (request->operation) {
    case VBD_OP_READ:
    case VBD_OP_WRITE:
    case VBD_OP_WRITE_BARRIER:
        return check_data(request, disk);
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

enum vbd_verdict vbd_validate_segments(const struct vbd_request *request,
                                       const struct vbd_segment *segments,
                                       const struct vbd_disk_limits *disk, uint32_t *ret_bytes)
{
    uint32_t sectors = 0; /* at most 4096 segments of 8: no overflow */
    enum vbd_verdict v;

    for (size_t i = 0; i < request->segment_count; i++) {
        const struct vbd_segment *s = &segments[i];

        if (s->first > s->last || s->last >= VBD_SECTORS_PER_PAGE)
            return VBD_REQUEST_SEGMENT_RANGE;
        sectors += (uint32_t)(s->last - s->first) + 1;
    }
    v = check_place(request, sectors, disk);
    if (v == VBD_REQUEST_OK)
        *ret_bytes = sectors * VBD_SECTOR;
    return v;
}
