/* ring.c - see ring.h. Called by transports over a store page; knows bytes, not messages. */
#include "xenstore/ring.h"

#include <errno.h>
#include <string.h>

#include "vbdkit/xsc_ring.h"

static uint32_t smaller(size_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

int xsc_ring_write(void *store_page, const void *bytes, size_t len)
{
    struct xsc_ring_page *page = store_page;
    uint32_t prod = __atomic_load_n(&page->req_prod, __ATOMIC_RELAXED);
    uint32_t used = prod - __atomic_load_n(&page->req_cons, __ATOMIC_ACQUIRE);
    uint32_t n, at = prod % XSC_RING_BYTES, first;

    if (used > XSC_RING_BYTES)
        return -EPROTO;
    n = smaller(len, XSC_RING_BYTES - used);
    first = smaller(n, XSC_RING_BYTES - at);
    memcpy(page->requests + at, bytes, first);
    memcpy(page->requests, (const char *)bytes + first, n - first);
    __atomic_store_n(&page->req_prod, prod + n, __ATOMIC_SEQ_CST);
    return (int)n;
}

int xsc_ring_read(void *store_page, void *bytes, size_t max)
{
    struct xsc_ring_page *page = store_page;
    uint32_t cons = __atomic_load_n(&page->rsp_cons, __ATOMIC_RELAXED);
    uint32_t waiting = __atomic_load_n(&page->rsp_prod, __ATOMIC_ACQUIRE) - cons;
    uint32_t n, at = cons % XSC_RING_BYTES, first;

    if (waiting > XSC_RING_BYTES)
        return -EPROTO;
    n = smaller(max, waiting);
    first = smaller(n, XSC_RING_BYTES - at);
    memcpy(bytes, page->responses + at, first);
    memcpy((char *)bytes + first, page->responses, n - first);
    __atomic_store_n(&page->rsp_cons, cons + n, __ATOMIC_SEQ_CST);
    return (int)n;
}

int xsc_ring_send(struct xsc *x, void *page, bool *notify)
{
    struct xsc_slice slice;

    while (xsc_output(x, &slice, 1) > 0) {
        int n = xsc_ring_write(page, slice.bytes, slice.len);

        if (n <= 0)
            return n;
        *notify = true;
        xsc_output_sent(x, (size_t)n);
    }
    return 0;
}

int xsc_ring_receive(struct xsc *x, void *page, bool *notify)
{
    char bytes[XSC_RING_BYTES];
    int n, r;

    while ((n = xsc_ring_read(page, bytes, sizeof bytes)) > 0) {
        *notify = true;
        r = xsc_feed(x, bytes, (size_t)n);
        if (r < 0)
            return r;
    }
    return n;
}
