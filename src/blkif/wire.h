/* wire.h - blkif slots as they lie in the ring, in both layouts. Nothing but the format; the sizes
 * and offsets are held against Xen's headers in tests/unit/test_layout.c.
 */
#ifndef BLKIF_WIRE_H
#define BLKIF_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "blkif/protocol.h"

enum { VBD_WIRE_DISCARD_SECURE = 1 /* BLKIF_DISCARD_SECURE */ };

struct vbd_wire_segment {
    uint32_t grant;
    uint8_t first, last;
    uint16_t pad;
};

/* What follows the sector: by operation. The same bytes in both layouts. */
union vbd_wire_tail {
    struct vbd_wire_segment segments[VBD_SEGMENTS_DIRECT];
    struct {
        uint16_t handle, pad;
        uint32_t grants[VBD_INDIRECT_PAGES];
    } indirect;
    struct {
        uint32_t sectors_low, sectors_high;
    } discard;
};

/* How each request begins. The second byte is the number of segments, a discard's flag or an
 * indirect request's operation; the two after it are the handle, or the number of indirect
 * segments. */
struct vbd_wire_head {
    uint8_t operation, second;
    uint16_t third;
};

struct vbd_wire_request_64 {
    uint8_t operation, second;
    uint16_t third;
    uint32_t pad;
    uint64_t id;
    uint64_t sector;
    union vbd_wire_tail tail;
};

struct vbd_wire_response_64 {
    uint64_t id;
    uint8_t operation, pad;
    int16_t status;
    uint32_t tail;
};

struct vbd_wire_request_32 {
    uint8_t operation, second;
    uint16_t third;
    uint64_t id;
    uint64_t sector;
    union vbd_wire_tail tail;
} __attribute__((packed, aligned(4)));

struct vbd_wire_response_32 {
    uint64_t id;
    uint8_t operation, pad;
    int16_t status;
} __attribute__((packed, aligned(4)));

_Static_assert(sizeof(struct vbd_response) == sizeof(struct vbd_wire_response_64) &&
                   offsetof(struct vbd_response, status) ==
                       offsetof(struct vbd_wire_response_64, status) &&
                   offsetof(struct vbd_response, status) ==
                       offsetof(struct vbd_wire_response_32, status),
               "a response is copied into a slot");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as all machines of Xen are");
_Static_assert(sizeof(struct vbd_wire_head) == 4, "blkif_request");
_Static_assert(offsetof(struct vbd_request, second) == offsetof(struct vbd_wire_head, second) &&
                   offsetof(struct vbd_request, handle) == offsetof(struct vbd_wire_head, third),
               "a head is copied into a request");
_Static_assert(sizeof(union vbd_wire_tail) == VBD_SEGMENTS_DIRECT * sizeof(struct vbd_segment),
               "a tail is copied into a request's segments");
_Static_assert(sizeof(struct vbd_wire_request_64) == 112, "blkif_request, x86_64");
_Static_assert(sizeof(struct vbd_wire_response_64) == 16, "blkif_response, x86_64");
_Static_assert(sizeof(struct vbd_wire_request_32) == 108, "blkif_request, x86_32");
_Static_assert(sizeof(struct vbd_wire_response_32) == 12, "blkif_response, x86_32");

_Static_assert(offsetof(struct vbd_wire_request_64, tail) ==
                       offsetof(struct vbd_wire_request_64, id) + 16 &&
                   offsetof(struct vbd_wire_request_32, tail) ==
                       offsetof(struct vbd_wire_request_32, id) + 16,
               "from the id on, the layouts are the same");

#endif
