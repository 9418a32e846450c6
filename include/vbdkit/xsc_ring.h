/* xsc_ring.h - libxsc on a domain's ring page, for kernels and unikernels: bytes move between a
 * session and the page, with no I/O but memory. On Linux, xsc_client_open_ring puts this under a
 * client.
 *
 * The page is the domain's store page (start info, or HVM_PARAM_STORE_PFN); whoever calls sends and
 * takes the events of its port. The other side may write anything into the page: broken indexes
 * are reported, never followed.
 * Threads: one at a time per session. Source: public/io/xs_wire.h, docs/misc/xenstore-ring.txt.
 */
#ifndef VBDKIT_XSC_RING_H
#define VBDKIT_XSC_RING_H

#include "vbdkit/xsc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Moves what the session has to write into the ring, as far as there is room. Sets *notify when
 * anything was moved, and leaves it alone otherwise: the caller then sends an event.
 * Errors: -EPROTO the page's indexes are broken. */
VBD_API int xsc_ring_send(struct xsc *x, void *page, bool *notify);
/* Feeds the session with what is in the ring, and sets *notify likewise: the server may be waiting
 * for room. Call it after taking the port's event, not before. Errors: those of xsc_feed, -EPROTO.
 */
VBD_API int xsc_ring_receive(struct xsc *x, void *page, bool *notify);

#ifdef __cplusplus
}
#endif
#endif
