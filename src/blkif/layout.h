/* layout.h - the three byte layouts of blkif slots: native, x86_32, x86_64.
 *
 * x86_32 aligns 64-bit numbers to 4 bytes, x86_64 to 8; native is the one this was built for. A
 * front names its layout in its "protocol" key.
 */
#ifndef BLKIF_LAYOUT_H
#define BLKIF_LAYOUT_H

#include <string.h>

#include "base/inline.h"
#include "blkif/wire.h"

enum vbd_layout {
    VBD_LAYOUT_X86_64,
    VBD_LAYOUT_X86_32,
#if defined(__i386__)
    VBD_LAYOUT_NATIVE = VBD_LAYOUT_X86_32
#else
    VBD_LAYOUT_NATIVE = VBD_LAYOUT_X86_64
#endif
};

/* Bytes of one slot: the larger of request and response. */
static inline uint32_t vbd_layout_slot_bytes(enum vbd_layout layout)
{
    return layout == VBD_LAYOUT_X86_32 ? sizeof(struct vbd_wire_request_32)
                                       : sizeof(struct vbd_wire_request_64);
}

/* What operations other than reads, writes, barriers and flushes have elsewhere than these is put
 * into its place, once, in a request that was copied. */
void vbd_layout_decode_other(struct vbd_request *request);

/* Reads shared memory once: the compiler can't go there again for the same number. */
VBD_INLINE uint32_t vbd_read_once_32(const char *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    __asm__ volatile("" : "+r"(value));
    return value;
}

VBD_INLINE uint64_t vbd_read_once_64(const char *at)
{
#if UINTPTR_MAX > UINT32_MAX
    uint64_t value;

    memcpy(&value, at, sizeof value);
    __asm__ volatile("" : "+r"(value));
#else
    uint32_t halves[] = {vbd_read_once_32(at), vbd_read_once_32(at + 4)};
    uint64_t value;

    memcpy(&value, halves, sizeof value);
#endif
    return value;
}

_Static_assert(VBD_OP_READ == 0 && VBD_OP_WRITE == 1, "they differ in one bit");

/* What a request says first, in registers: what is in memory may have to be loaded again. */
struct vbd_head {
    uint64_t id, sector;
    uint8_t operation;
    bool single; /* a read or write of one segment */
};

/* Copies a slot out of shared memory once; no byte is read twice. The barriers make the compiler
 * forget the shared copy: what follows uses the private one. Of a read or write of one segment,
 * what lies behind that is not looked at, and its cache lines stay the front's. */
VBD_INLINE struct vbd_head vbd_layout_copy_request(enum vbd_layout layout, const void *slot,
                                                   struct vbd_request *ret)
{
    const char *rest = (const char *)slot + (layout == VBD_LAYOUT_X86_32
                                                 ? offsetof(struct vbd_wire_request_32, id)
                                                 : offsetof(struct vbd_wire_request_64, id));
    const uint32_t first = vbd_read_once_32(slot);
    struct vbd_head head = {.id =
                                vbd_read_once_64(rest), /* from here on the layouts are the same */
                            .sector = vbd_read_once_64(rest + 8),
                            .operation = (uint8_t)first};
    const uint8_t second = (uint8_t)(first >> 8);

    memcpy(ret, &first, sizeof first);
    ret->id = head.id;
    ret->sector = head.sector;
    head.single = (first & 0xfffe) == 0x100; /* operation 0 or 1, and a count of 1: one look */
    if (head.single) {
        vbd_set_effect(ret, head.operation, 1);
        memcpy(ret->segments, rest + 16, sizeof ret->segments[0]);
    } else {
        vbd_set_effect(ret, head.operation, second);
        memcpy(ret->segments, rest + 16, sizeof ret->segments);
    }
    __asm__ volatile("" : "+m"(ret->segments));
    return head;
}

/* Writes a response. Its padding is 0, so that no byte of this program leaks. */
VBD_INLINE void vbd_layout_copy_response(enum vbd_layout layout,
                                         const struct vbd_response *response, void *slot)
{
    memcpy(slot, response,
           layout == VBD_LAYOUT_X86_32 ? sizeof(struct vbd_wire_response_32)
                                       : sizeof(struct vbd_wire_response_64));
}

/* The front's side, in the native layout. Writes a request: the whole slot, so that no byte of this
 * program leaks. */
void vbd_layout_put_request(const struct vbd_request *request, void *slot);
/* Copies a response out of shared memory once. */
void vbd_layout_copy_out_response(const void *slot, struct vbd_response *ret);

#endif
