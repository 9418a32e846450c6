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

/* Copies a slot out of shared memory once; no byte is read twice. The barriers make the compiler
 * forget the shared copy: what follows uses the private one. Returns whether it is a read or write
 * of one segment: what lies behind that is not looked at, and its cache lines stay the front's. */
VBD_INLINE bool vbd_layout_copy_request(enum vbd_layout layout, const void *slot,
                                        struct vbd_request *ret)
{
    const char *rest = (const char *)slot + (layout == VBD_LAYOUT_X86_32
                                                 ? offsetof(struct vbd_wire_request_32, id)
                                                 : offsetof(struct vbd_wire_request_64, id));

    memcpy(ret, slot, sizeof(struct vbd_wire_head));
    memcpy(&ret->id, rest, sizeof ret->id); /* from here on the layouts are the same */
    memcpy(&ret->sector, rest + 8, sizeof ret->sector);
    __asm__ volatile("" : : : "memory");
    ret->effect = ret->operation;
    ret->segment_count = ret->second;
    if (ret->operation <= VBD_OP_WRITE && ret->second == 1) {
        memcpy(ret->segments, rest + 16, sizeof ret->segments[0]);
        __asm__ volatile("" : "+m"(ret->segments));
        return true;
    }
    memcpy(ret->segments, rest + 16, sizeof ret->segments);
    __asm__ volatile("" : "+m"(ret->segments));
    return false;
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
