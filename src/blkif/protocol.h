/* protocol.h - blkif's numbers (public/io/blkif.h), and requests and responses as this program
 * holds them: copied out of shared memory, in one layout, private.
 *
 * All sectors on the wire are units of 512 bytes, whatever the logical sector size of the disk.
 */
#ifndef BLKIF_PROTOCOL_H
#define BLKIF_PROTOCOL_H

#include <stdint.h>

enum {
    VBD_SECTOR = 512,
    VBD_SECTORS_PER_PAGE = 8,
    VBD_SEGMENTS_DIRECT = 11 /* BLKIF_MAX_SEGMENTS_PER_REQUEST */
};

enum vbd_op {
    VBD_OP_READ = 0,
    VBD_OP_WRITE = 1,
    VBD_OP_WRITE_BARRIER = 2,
    VBD_OP_FLUSH = 3,
    VBD_OP_DISCARD = 5,
    VBD_OP_INDIRECT = 6
};

enum vbd_status { VBD_STATUS_OKAY = 0, VBD_STATUS_ERROR = -1, VBD_STATUS_NOT_SUPPORTED = -2 };

/* One page, or a part of it, in units of 512 bytes: first..last inclusive. */
struct vbd_segment {
    uint32_t grant;
    uint8_t first, last;
};

/* A request as copied: nothing in it has been checked. */
struct vbd_request {
    uint8_t operation;
    uint8_t segment_count;
    uint16_t handle;
    uint64_t id; /* the front's own, echoed */
    uint64_t sector;
    struct vbd_segment segments[VBD_SEGMENTS_DIRECT];
};

struct vbd_response {
    uint64_t id;
    uint8_t operation;
    int16_t status; /* enum vbd_status */
};

#endif
