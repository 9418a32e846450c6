/* test_layout.c - the slots of src/blkif/wire.h against Xen's own header, in both ABIs: natively,
 * and compiled with 4-byte alignment of 64-bit numbers, which is what makes the i386 ABI. Compiling
 * is most of the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#define xen_mb() __sync_synchronize()
#define xen_rmb() __sync_synchronize()
#define xen_wmb() __sync_synchronize()
#include <xen/io/xenbus.h>

#include <xen/io/blkif.h>

/* The same header once more, as a 32-bit guest lays it out. */
#define blkif_request blkif32_request
#define blkif_request_t blkif32_request_t
#define blkif_request_segment blkif32_request_segment
#define blkif_request_discard blkif32_request_discard
#define blkif_request_discard_t blkif32_request_discard_t
#define blkif_request_indirect blkif32_request_indirect
#define blkif_request_indirect_t blkif32_request_indirect_t
#define blkif_response blkif32_response
#define blkif_response_t blkif32_response_t
#define blkif_sring blkif32_sring
#define blkif_sring_t blkif32_sring_t
#define blkif_sring_entry blkif32_sring_entry
#define blkif_front_ring blkif32_front_ring
#define blkif_front_ring_t blkif32_front_ring_t
#define blkif_back_ring blkif32_back_ring
#define blkif_back_ring_t blkif32_back_ring_t
#undef __XEN_PUBLIC_IO_BLKIF_H__
#pragma pack(push, 4)
#include <xen/io/blkif.h>
#pragma pack(pop)
#undef blkif_request
#undef blkif_request_t
#undef blkif_request_segment
#undef blkif_request_discard
#undef blkif_request_discard_t
#undef blkif_request_indirect
#undef blkif_request_indirect_t
#undef blkif_response
#undef blkif_response_t
#undef blkif_sring
#undef blkif_sring_t

#include "blkif/ring.h"
#include "blkif/wire.h"
#include "xenbus/state.h"

#define SAME_OFFSET(ours, field, xens, xen_field)                                                  \
    _Static_assert(offsetof(struct ours, field) == offsetof(xens, xen_field), #field)

_Static_assert(sizeof(struct vbd_wire_request_64) == sizeof(blkif_request_t), "request");
SAME_OFFSET(vbd_wire_request_64, operation, blkif_request_t, operation);
SAME_OFFSET(vbd_wire_request_64, second, blkif_request_t, nr_segments);
SAME_OFFSET(vbd_wire_request_64, third, blkif_request_t, handle);
SAME_OFFSET(vbd_wire_request_64, id, blkif_request_t, id);
SAME_OFFSET(vbd_wire_request_64, sector, blkif_request_t, sector_number);
SAME_OFFSET(vbd_wire_request_64, tail.segments, blkif_request_t, seg);
_Static_assert(sizeof(struct vbd_wire_response_64) == sizeof(blkif_response_t), "response");
SAME_OFFSET(vbd_wire_response_64, id, blkif_response_t, id);
SAME_OFFSET(vbd_wire_response_64, operation, blkif_response_t, operation);
SAME_OFFSET(vbd_wire_response_64, status, blkif_response_t, status);

_Static_assert(sizeof(struct vbd_wire_request_32) == sizeof(blkif32_request_t), "request 32");
SAME_OFFSET(vbd_wire_request_32, operation, blkif32_request_t, operation);
SAME_OFFSET(vbd_wire_request_32, second, blkif32_request_t, nr_segments);
SAME_OFFSET(vbd_wire_request_32, third, blkif32_request_t, handle);
SAME_OFFSET(vbd_wire_request_32, id, blkif32_request_t, id);
SAME_OFFSET(vbd_wire_request_32, sector, blkif32_request_t, sector_number);
SAME_OFFSET(vbd_wire_request_32, tail.segments, blkif32_request_t, seg);
_Static_assert(sizeof(struct vbd_wire_response_32) == sizeof(blkif32_response_t), "response 32");
SAME_OFFSET(vbd_wire_response_32, id, blkif32_response_t, id);
SAME_OFFSET(vbd_wire_response_32, operation, blkif32_response_t, operation);
SAME_OFFSET(vbd_wire_response_32, status, blkif32_response_t, status);

SAME_OFFSET(vbd_wire_request_64, second, blkif_request_discard_t, flag);
SAME_OFFSET(vbd_wire_request_64, id, blkif_request_discard_t, id);
SAME_OFFSET(vbd_wire_request_64, sector, blkif_request_discard_t, sector_number);
SAME_OFFSET(vbd_wire_request_64, tail.discard, blkif_request_discard_t, nr_sectors);
SAME_OFFSET(vbd_wire_request_64, second, blkif_request_indirect_t, indirect_op);
SAME_OFFSET(vbd_wire_request_64, third, blkif_request_indirect_t, nr_segments);
SAME_OFFSET(vbd_wire_request_64, id, blkif_request_indirect_t, id);
SAME_OFFSET(vbd_wire_request_64, sector, blkif_request_indirect_t, sector_number);
SAME_OFFSET(vbd_wire_request_64, tail.indirect.handle, blkif_request_indirect_t, handle);
SAME_OFFSET(vbd_wire_request_64, tail.indirect.grants, blkif_request_indirect_t, indirect_grefs);
SAME_OFFSET(vbd_wire_request_32, second, blkif32_request_discard_t, flag);
SAME_OFFSET(vbd_wire_request_32, id, blkif32_request_discard_t, id);
SAME_OFFSET(vbd_wire_request_32, sector, blkif32_request_discard_t, sector_number);
SAME_OFFSET(vbd_wire_request_32, tail.discard, blkif32_request_discard_t, nr_sectors);
SAME_OFFSET(vbd_wire_request_32, second, blkif32_request_indirect_t, indirect_op);
SAME_OFFSET(vbd_wire_request_32, third, blkif32_request_indirect_t, nr_segments);
SAME_OFFSET(vbd_wire_request_32, id, blkif32_request_indirect_t, id);
SAME_OFFSET(vbd_wire_request_32, sector, blkif32_request_indirect_t, sector_number);
SAME_OFFSET(vbd_wire_request_32, tail.indirect.handle, blkif32_request_indirect_t, handle);
SAME_OFFSET(vbd_wire_request_32, tail.indirect.grants, blkif32_request_indirect_t, indirect_grefs);

_Static_assert(sizeof(struct vbd_wire_segment) == sizeof(struct blkif_request_segment), "segment");
SAME_OFFSET(vbd_wire_segment, grant, struct blkif_request_segment, gref);
SAME_OFFSET(vbd_wire_segment, first, struct blkif_request_segment, first_sect);
SAME_OFFSET(vbd_wire_segment, last, struct blkif_request_segment, last_sect);

SAME_OFFSET(vbd_ring_header, req_prod, blkif_sring_t, req_prod);
SAME_OFFSET(vbd_ring_header, req_event, blkif_sring_t, req_event);
SAME_OFFSET(vbd_ring_header, rsp_prod, blkif_sring_t, rsp_prod);
SAME_OFFSET(vbd_ring_header, rsp_event, blkif_sring_t, rsp_event);
_Static_assert(VBD_RING_HEADER == offsetof(blkif_sring_t, ring), "slots");

_Static_assert((int)VBD_OP_READ == BLKIF_OP_READ, "op");
_Static_assert((int)VBD_OP_WRITE == BLKIF_OP_WRITE, "op");
_Static_assert((int)VBD_OP_WRITE_BARRIER == BLKIF_OP_WRITE_BARRIER, "op");
_Static_assert((int)VBD_OP_FLUSH == BLKIF_OP_FLUSH_DISKCACHE, "op");
_Static_assert((int)VBD_OP_DISCARD == BLKIF_OP_DISCARD, "op");
_Static_assert((int)VBD_OP_INDIRECT == BLKIF_OP_INDIRECT, "op");
_Static_assert((int)VBD_INDIRECT_PAGES == BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST, "pages");
_Static_assert((int)VBD_WIRE_DISCARD_SECURE == BLKIF_DISCARD_SECURE, "discard");
_Static_assert((int)VBD_SEGMENTS_DIRECT == BLKIF_MAX_SEGMENTS_PER_REQUEST, "segments");
_Static_assert((int)VBD_STATUS_OKAY == BLKIF_RSP_OKAY, "status");
_Static_assert((int)VBD_STATUS_ERROR == BLKIF_RSP_ERROR, "status");
_Static_assert((int)VBD_STATUS_NOT_SUPPORTED == BLKIF_RSP_EOPNOTSUPP, "status");
_Static_assert((int)VBD_STATE_INITIALISING == (int)XenbusStateInitialising, "state");
_Static_assert((int)VBD_STATE_INIT_WAIT == (int)XenbusStateInitWait, "state");
_Static_assert((int)VBD_STATE_INITIALISED == (int)XenbusStateInitialised, "state");
_Static_assert((int)VBD_STATE_CONNECTED == (int)XenbusStateConnected, "state");
_Static_assert((int)VBD_STATE_CLOSING == (int)XenbusStateClosing, "state");
_Static_assert((int)VBD_STATE_CLOSED == (int)XenbusStateClosed, "state");
_Static_assert((int)VBD_STATE_RECONFIGURING == (int)XenbusStateReconfiguring, "state");
_Static_assert((int)VBD_STATE_RECONFIGURED == (int)XenbusStateReconfigured, "state");

/* Xen's own macro says how many slots a ring has. */
static void test_ring_sizes_are_xens(void **state)
{
    (void)state;
    for (unsigned order = 0; order <= 4; order++) {
        size_t bytes = 4096ul << order;

        assert_int_equal(vbd_ring_size(VBD_LAYOUT_X86_64, 1u << order),
                         __RING_SIZE((blkif_sring_t *)0, bytes));
        assert_int_equal(vbd_ring_size(VBD_LAYOUT_X86_32, 1u << order),
                         __RING_SIZE((blkif32_sring_t *)0, bytes));
    }
}

/* XSA-216: no byte of the backend's stack reaches the guest. */
static void test_a_response_has_no_stray_bytes(void **state)
{
    struct vbd_response response = {.id = 0x1122334455667788, .operation = 3, .status = -1};
    enum vbd_layout layouts[] = {VBD_LAYOUT_X86_64, VBD_LAYOUT_X86_32};
    size_t sizes[] = {16, 12};
    unsigned char slot[16];

    (void)state;
    for (int i = 0; i < 2; i++) {
        memset(slot, 0xaa, sizeof slot);
        vbd_layout_copy_response(layouts[i], &response, slot);
        assert_int_equal(slot[8], 3);
        assert_int_equal(slot[9], 0);
        assert_int_equal(slot[10], 0xff);
        assert_int_equal(slot[11], 0xff);
        for (size_t at = 12; at < sizes[i]; at++)
            assert_int_equal(slot[at], 0);
        for (size_t at = sizes[i]; at < sizeof slot; at++)
            assert_int_equal(slot[at], 0xaa);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_sizes_are_xens),
        cmocka_unit_test(test_a_response_has_no_stray_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
