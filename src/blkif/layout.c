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

static void decode_indirect(uint8_t inner, uint16_t count, const union vbd_wire_tail *tail,
                            struct vbd_request *ret)
{
    ret->effect = inner;
    ret->segment_count = count;
    ret->handle = tail->indirect.handle;
    memcpy(ret->indirect_grants, tail->indirect.grants, sizeof ret->indirect_grants);
}

static void decode_discard(uint8_t flag, const union vbd_wire_tail *tail, struct vbd_request *ret)
{
    ret->segment_count = 0;
    ret->discard.sectors = (uint64_t)tail->discard.sectors_high << 32 | tail->discard.sectors_low;
    ret->discard.secure = (flag & VBD_WIRE_DISCARD_SECURE) != 0;
}

/* From the private copy. */
static void decode(uint8_t second, uint16_t third, const union vbd_wire_tail *tail,
                   struct vbd_request *ret)
{
    ret->effect = ret->operation;
    ret->handle = third;
    ret->segment_count = second;
    if (ret->operation == VBD_OP_INDIRECT)
        decode_indirect(second, third, tail, ret);
    else if (ret->operation == VBD_OP_DISCARD)
        decode_discard(second, tail, ret);
    else
        memcpy(ret->segments, tail->segments, sizeof ret->segments);
}

#define DECODE(wire, ret)                                                                          \
    do {                                                                                           \
        (ret)->operation = (wire).operation;                                                       \
        (ret)->id = (wire).id;                                                                     \
        (ret)->sector = (wire).sector;                                                             \
        decode((wire).second, (wire).third, &(wire).tail, ret);                                    \
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
