/* wire.h - the bytes of a xenstore message. Nothing but the format; see xs_wire.h of Xen.
 *
 * All numbers are in the byte order of the host: both ends share the machine.
 */
#ifndef XENSTORE_WIRE_H
#define XENSTORE_WIRE_H

#include <stdint.h>

struct xsc_header {
    uint32_t type;   /* enum xsc_op */
    uint32_t req_id; /* chosen by the client, echoed by the server */
    uint32_t tx_id;  /* 0 outside of a transaction */
    uint32_t len;    /* bytes that follow, at most 4096 in a request */
};

_Static_assert(sizeof(struct xsc_header) == 16, "xsd_sockmsg is 16 bytes");

#endif
