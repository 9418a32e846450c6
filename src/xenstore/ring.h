/* ring.h - the page through which a domain and xenstored exchange bytes: two byte rings of 1024.
 *
 * Source: struct xenstore_domain_interface of Xen's public/io/xs_wire.h, and docs/misc/
 * xenstore-ring.txt. xsc_ring_send and xsc_ring_receive, which move
 * messages of a session, are public: vbdkit/xsc_ring.h. This is the guest's end. The other end may
 * write anything into the page: indexes that claim more than a ring holds are reported, never
 * followed.
 */
#ifndef XENSTORE_RING_H
#define XENSTORE_RING_H

#include <stddef.h>
#include <stdint.h>

enum { XSC_RING_BYTES = 1024 };

struct xsc_ring_page {
    char requests[XSC_RING_BYTES];  /* this side writes */
    char responses[XSC_RING_BYTES]; /* the other side writes */
    uint32_t req_cons, req_prod;
    uint32_t rsp_cons, rsp_prod;
};

_Static_assert(offsetof(struct xsc_ring_page, rsp_prod) == 2060, "xenstore_domain_interface");

/* Writes up to len bytes as requests; returns how many there was room for, or -EPROTO when the
 * page's indexes are broken. The caller notifies the other side when it is more than 0. */
int xsc_ring_write(void *page, const void *bytes, size_t len);
/* Reads up to max bytes of responses; returns how many, or -EPROTO. The caller notifies the other
 * side when it is more than 0. */
int xsc_ring_read(void *page, void *bytes, size_t max);

#endif
