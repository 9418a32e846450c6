/* layout.h - the three byte layouts of blkif slots: native, x86_32, x86_64.
 *
 * x86_32 aligns 64-bit numbers to 4 bytes, x86_64 to 8; native is the one this was built for. A
 * front names its layout in its "protocol" key.
 */
#ifndef BLKIF_LAYOUT_H
#define BLKIF_LAYOUT_H

#include "blkif/protocol.h"

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
uint32_t vbd_layout_slot_bytes(enum vbd_layout layout);
/* Copies a slot out of shared memory once; every byte is read once. */
void vbd_layout_copy_request(enum vbd_layout layout, const void *slot, struct vbd_request *ret);
/* Writes a response, padding included, so that no byte of this program leaks. */
void vbd_layout_copy_response(enum vbd_layout layout, const struct vbd_response *response,
                              void *slot);

/* The front's side, in the native layout. Writes a request: the whole slot, so that no byte of this
 * program leaks. */
void vbd_layout_put_request(const struct vbd_request *request, void *slot);
/* Copies a response out of shared memory once. */
void vbd_layout_copy_out_response(const void *slot, struct vbd_response *ret);

#endif
