/* layout.c - see layout.h. Called by ring.h; the first and last file that touches a slot. */
#include "blkif/layout.h"

#include <string.h>

#include "blkif/wire.h"

uint32_t vbd_layout_slot_bytes(enum vbd_layout layout)
{
    return layout == VBD_LAYOUT_X86_32 ? sizeof(struct vbd_wire_request_32)
                                       : sizeof(struct vbd_wire_request_64);
}

/* The barrier makes the compiler forget the shared copy: what follows uses the private one. */
static void copy_once(void *to, const void *from, size_t len)
{
    memcpy(to, from, len);
    __asm__ volatile("" : : : "memory");
}

static void decode_segments(const struct vbd_wire_segment *from, struct vbd_segment *to)
{
    for (int i = 0; i < VBD_SEGMENTS_DIRECT; i++)
        to[i] = (struct vbd_segment){from[i].grant, from[i].first, from[i].last};
}

#define DECODE(wire, ret)                                                                          \
    do {                                                                                           \
        (ret)->operation = (wire).operation;                                                       \
        (ret)->segment_count = (wire).segment_count;                                               \
        (ret)->handle = (wire).handle;                                                             \
        (ret)->id = (wire).id;                                                                     \
        (ret)->sector = (wire).sector;                                                             \
        decode_segments((wire).segments, (ret)->segments);                                         \
    } while (0)

void vbd_layout_copy_request(enum vbd_layout layout, const void *slot, struct vbd_request *ret)
{
    if (layout == VBD_LAYOUT_X86_32) {
        struct vbd_wire_request_32 wire;

        copy_once(&wire, slot, sizeof wire);
        DECODE(wire, ret);
    } else {
        struct vbd_wire_request_64 wire;

        copy_once(&wire, slot, sizeof wire);
        DECODE(wire, ret);
    }
}

void vbd_layout_copy_response(enum vbd_layout layout, const struct vbd_response *response,
                              void *slot)
{
    if (layout == VBD_LAYOUT_X86_32) {
        struct vbd_wire_response_32 wire = {
            .id = response->id, .operation = response->operation, .status = response->status};

        memcpy(slot, &wire, sizeof wire);
    } else {
        struct vbd_wire_response_64 wire = {
            .id = response->id, .operation = response->operation, .status = response->status};

        memcpy(slot, &wire, sizeof wire);
    }
}
