/* store_ring.c - see store_ring.h. Called by live_open of tests/unit/xsc_support.h. What it writes
 * into the ring itself is spelled out here once more, independent of src/xenstore: xs_wire.h. */
#include "support/store_ring.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

/* After xenctrl.h, which says how Xen's headers are read. */
#include <xen/hvm/params.h>

enum { RING = 1024, RESET_WATCHES = 21, RESET_ID = 0x5e75e7, PATIENCE_MS = 20000 };

struct page {
    unsigned char requests[RING], responses[RING];
    uint32_t req_cons, req_prod, rsp_cons, rsp_prod;
};

/* The domain's only one: there is one store page. */
static struct page *page;
static xenevtchn_handle *events;
static evtchn_port_t port;

__attribute__((format(printf, 3, 4))) static int fails(struct vbd_error *why, int r,
                                                       const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (why != NULL)
        (void)vsnprintf(why->text, sizeof why->text, format, arguments);
    va_end(arguments);
    return r;
}

static int notify(void *ctx)
{
    (void)ctx;
    return xenevtchn_notify(events, port) < 0 ? -errno : 0;
}

static bool take_event(void *ctx)
{
    struct pollfd p = {.fd = xenevtchn_fd(events), .events = POLLIN};
    xenevtchn_port_or_error_t pending;

    (void)ctx;
    if (poll(&p, 1, 0) <= 0)
        return false;
    pending = xenevtchn_pending(events);
    return pending >= 0 && xenevtchn_unmask(events, (evtchn_port_t)pending) == 0;
}

static int take_over(uint64_t frame, uint64_t offered, struct vbd_error *why)
{
    xen_pfn_t pfn = frame;
    xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
    xenevtchn_port_or_error_t bound;

    events = xenevtchn_open(NULL, 0);
    if (memory == NULL || events == NULL)
        return fails(why, -errno, "cannot open Xen's libraries: %s", strerror(errno));
    page = xenforeignmemory_map(memory, DOMID_SELF, PROT_READ | PROT_WRITE, 1, &pfn, NULL);
    (void)xenforeignmemory_close(memory); /* the mapping stays */
    if (page == NULL)
        return fails(why, -errno, "cannot map frame %llx: %s", (unsigned long long)frame,
                     strerror(errno));
    bound = xenevtchn_bind_interdomain(events, DOMID_SELF, (evtchn_port_t)offered);
    if (bound < 0)
        return fails(why, -errno, "cannot take port %u over: %s", (unsigned)offered,
                     strerror(errno));
    port = (evtchn_port_t)bound;
    return 0;
}

/* Finds the page and the port, and takes them over. */
static int find(struct vbd_error *why)
{
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    uint64_t frame, offered;
    int r;

    if (xc == NULL || xc_hvm_param_get(xc, DOMID_SELF, HVM_PARAM_STORE_PFN, &frame) < 0 ||
        xc_hvm_param_get(xc, DOMID_SELF, HVM_PARAM_STORE_EVTCHN, &offered) < 0)
        r = fails(why, -errno, "no store page: %s", strerror(errno));
    else
        r = take_over(frame, offered, why);
    if (xc != NULL)
        (void)xc_interface_close(xc);
    return r;
}

/* Reads len bytes from the ring, waiting for them. */
static int ring_bytes(void *to, uint32_t len)
{
    struct pollfd p = {.fd = xenevtchn_fd(events), .events = POLLIN};
    unsigned char *bytes = to;

    for (uint32_t i = 0; i < len; i++) {
        uint32_t cons = page->rsp_cons;

        while (__atomic_load_n(&page->rsp_prod, __ATOMIC_ACQUIRE) == cons)
            if (!take_event(NULL) && poll(&p, 1, PATIENCE_MS) <= 0)
                return -ETIMEDOUT;
        bytes[i] = page->responses[cons % RING];
        __atomic_store_n(&page->rsp_cons, cons + 1, __ATOMIC_RELEASE);
        if (i + 1 == len || (cons + 1) % (RING / 2) == 0)
            (void)notify(NULL); /* it may wait for room */
    }
    return 0;
}

/* Writes a request that the ring may have no room for yet. */
static int ring_put(const void *from, uint32_t len)
{
    const unsigned char *bytes = from;
    struct pollfd p = {.fd = xenevtchn_fd(events), .events = POLLIN};

    for (uint32_t i = 0; i < len; i++) {
        uint32_t prod = page->req_prod;

        while (prod - __atomic_load_n(&page->req_cons, __ATOMIC_ACQUIRE) == RING)
            if (!take_event(NULL) && poll(&p, 1, PATIENCE_MS) <= 0)
                return -ETIMEDOUT;
        page->requests[prod % RING] = bytes[i];
        __atomic_store_n(&page->req_prod, prod + 1, __ATOMIC_RELEASE);
    }
    return notify(NULL);
}

/* What an earlier client asked for is answered before this is. */
static int reset(void)
{
    const struct {
        uint32_t type, id, tx, len;
        char nothing;
    } request = {RESET_WATCHES, RESET_ID, 0, 1, '\0'};
    uint32_t header[4];
    char payload[4096];
    int r = ring_put(&request, 17);

    while (r == 0) {
        r = ring_bytes(header, sizeof header);
        if (r == 0 && header[3] > sizeof payload)
            r = -EPROTO;
        if (r == 0)
            r = ring_bytes(payload, header[3]);
        if (r == 0 && header[1] == RESET_ID)
            return header[0] == RESET_WATCHES ? 0 : -EREMOTEIO;
    }
    return r;
}

int store_ring_open(struct xsc_client **ret, struct vbd_error *why)
{
    static struct xsc_ring_port calls = {.struct_size = sizeof calls, .notify = notify};
    int r = page == NULL ? find(why) : 0;

    if (r < 0)
        return r;
    r = reset();
    if (r < 0)
        return fails(why, r, "cannot reset the store's ring: %s", strerror(-r));
    calls.wait_fd = xenevtchn_fd(events);
    calls.take_event = take_event;
    r = xsc_client_open_ring(page, &calls, ret);
    return r < 0 ? fails(why, r, "cannot open the ring: %s", strerror(-r)) : 0;
}
