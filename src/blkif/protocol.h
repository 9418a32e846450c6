/* protocol.h - blkif's numbers (public/io/blkif.h), and requests and responses as this program
 * holds them: copied out of shared memory, in one layout, private.
 *
 * All sectors on the wire are units of 512 bytes, whatever the logical sector size of the disk.
 */
#ifndef BLKIF_PROTOCOL_H
#define BLKIF_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    VBD_SECTOR = 512,
    VBD_SECTORS_PER_PAGE = 8,
    VBD_SEGMENTS_DIRECT = 11, /* BLKIF_MAX_SEGMENTS_PER_REQUEST */
    VBD_INDIRECT_PAGES = 8,   /* BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST */
    VBD_INDIRECT_PER_PAGE = 512,
    VBD_SEGMENTS_INDIRECT = VBD_INDIRECT_PAGES * VBD_INDIRECT_PER_PAGE
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

/* One page, or a part of it, in units of 512 bytes: first..last inclusive. As on the wire, so that
 * a page of indirect descriptors is copied straight into an array of these. */
struct vbd_segment {
    uint32_t grant;
    uint8_t first, last;
    uint16_t unused;
};

/* A segment in bytes, when it has been judged; in a struct vbd_grant_copy it is the same. */
struct vbd_extent {
    uint32_t grant;
    uint16_t offset, len;
};

/* Becomes the other in its place. */
union vbd_descriptor {
    struct vbd_segment segment;
    struct vbd_extent extent;
};

_Static_assert(sizeof(struct vbd_segment) == 8, "blkif_request_segment");
_Static_assert(sizeof(union vbd_descriptor) == 8, "an extent is as large");

/* A request as copied: nothing in it has been checked. */
struct vbd_request {
    uint8_t operation; /* as sent; and so the next two */
    uint8_t second;    /* says something else for each operation: see wire.h */
    uint16_t handle;
    uint16_t effect; /* the operation to carry out, and echoed: of an indirect one the inner */
    uint16_t segment_count; /* direct or indirect */
    uint64_t id;            /* the front's own, echoed */
    uint64_t sector;
    union {
        struct vbd_segment segments[VBD_SEGMENTS_DIRECT]; /* unless indirect or discard */
        union vbd_descriptor parts[VBD_SEGMENTS_DIRECT];  /* the same, for who judges them */
        uint32_t indirect_grants[VBD_INDIRECT_PAGES];     /* pages of descriptors */
        struct {
            uint64_t sectors;
            bool secure;
        } discard;
    };
};

/* Both in one store. */
static inline void vbd_set_effect(struct vbd_request *r, uint8_t effect, uint16_t segment_count)
{
    uint32_t both = effect | (uint32_t)segment_count << 16;

    memcpy(&r->effect, &both, sizeof both);
}

/* As on the wire, padding included; x86_32 has no tail. */
struct vbd_response {
    uint64_t id;
    uint8_t operation, pad;
    int16_t status; /* enum vbd_status */
    uint32_t tail;
};

/* What is not its id: operation, padding and status, in one store. */
static inline void vbd_set_answer(struct vbd_response *r, uint8_t operation, enum vbd_status status)
{
    uint32_t all = operation | (uint32_t)(uint16_t)status << 16;

    memcpy(&r->operation, &all, sizeof all);
}

#endif
