/* wire.h - blkif slots as they lie in the ring, in both layouts. Nothing but the format; the sizes
 * and offsets are held against Xen's headers in tests/unit/test_layout.c.
 */
#ifndef BLKIF_WIRE_H
#define BLKIF_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "blkif/protocol.h"

struct vbd_wire_segment {
    uint32_t grant;
    uint8_t first, last;
    uint16_t pad;
};

struct vbd_wire_request_64 {
    uint8_t operation, segment_count;
    uint16_t handle;
    uint32_t pad;
    uint64_t id;
    uint64_t sector;
    struct vbd_wire_segment segments[VBD_SEGMENTS_DIRECT];
};

struct vbd_wire_response_64 {
    uint64_t id;
    uint8_t operation, pad;
    int16_t status;
    uint32_t tail;
};

struct vbd_wire_request_32 {
    uint8_t operation, segment_count;
    uint16_t handle;
    uint64_t id;
    uint64_t sector;
    struct vbd_wire_segment segments[VBD_SEGMENTS_DIRECT];
} __attribute__((packed, aligned(4)));

struct vbd_wire_response_32 {
    uint64_t id;
    uint8_t operation, pad;
    int16_t status;
} __attribute__((packed, aligned(4)));

_Static_assert(sizeof(struct vbd_wire_request_64) == 112, "blkif_request, x86_64");
_Static_assert(sizeof(struct vbd_wire_response_64) == 16, "blkif_response, x86_64");
_Static_assert(sizeof(struct vbd_wire_request_32) == 108, "blkif_request, x86_32");
_Static_assert(sizeof(struct vbd_wire_response_32) == 12, "blkif_response, x86_32");

#endif
