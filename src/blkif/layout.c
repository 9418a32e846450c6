/* layout.c - see layout.h: what is rare on the back's side, and the front's. */
#include "blkif/layout.h"

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

void vbd_layout_decode_other(struct vbd_request *request)
{
    union vbd_wire_tail tail;

    memcpy(&tail, request->segments, sizeof tail);
    if (request->operation == VBD_OP_INDIRECT)
        decode_indirect(request->second, request->handle, &tail, request);
    else if (request->operation == VBD_OP_DISCARD)
        decode_discard(request->second, &tail, request);
}

/* --- the front's side --- */

#if defined(__i386__)
typedef struct vbd_wire_request_32 native_request;
typedef struct vbd_wire_response_32 native_response;
#else
typedef struct vbd_wire_request_64 native_request;
typedef struct vbd_wire_response_64 native_response;
#endif

static void encode_indirect(const struct vbd_request *r, native_request *wire)
{
    wire->second = (uint8_t)r->effect;
    wire->third = r->segment_count;
    wire->tail.indirect.handle = r->handle;
    memcpy(wire->tail.indirect.grants, r->indirect_grants, sizeof r->indirect_grants);
}

static void encode_discard(const struct vbd_request *r, native_request *wire)
{
    wire->second = r->discard.secure ? VBD_WIRE_DISCARD_SECURE : 0;
    wire->tail.discard.sectors_low = (uint32_t)r->discard.sectors;
    wire->tail.discard.sectors_high = (uint32_t)(r->discard.sectors >> 32);
}

void vbd_layout_put_request(const struct vbd_request *request, void *slot)
{
    native_request wire;

    memset(&wire, 0, sizeof wire);
    wire.operation = request->operation;
    wire.third = request->handle;
    wire.id = request->id;
    wire.sector = request->sector;
    if (request->operation == VBD_OP_INDIRECT) {
        encode_indirect(request, &wire);
    } else if (request->operation == VBD_OP_DISCARD) {
        encode_discard(request, &wire);
    } else {
        wire.second = (uint8_t)request->segment_count;
        memcpy(wire.tail.segments, request->segments,
               request->segment_count * sizeof request->segments[0]);
    }
    memcpy(slot, &wire, sizeof wire);
}

void vbd_layout_copy_out_response(const void *slot, struct vbd_response *ret)
{
    native_response wire;

    memcpy(&wire, slot, sizeof wire);
    __asm__ volatile("" : : : "memory"); /* as in layout.h */
    *ret = (struct vbd_response){.id = wire.id, .operation = wire.operation, .status = wire.status};
}
