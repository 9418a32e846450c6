/* xsc_transport.h - the byte transports of xenstore on Linux: Unix socket, /dev/xen/xenbus, and the
 * ring page of a domain that is its own kernel. */
#ifndef LINUX_XSC_TRANSPORT_H
#define LINUX_XSC_TRANSPORT_H

#include "vbdkit/xsc_linux.h"

enum xsc_transport_kind {
    XSC_TRANSPORT_SOCKET,
    XSC_TRANSPORT_DEVICE, /* a character device: one message per write, errors from write() */
    XSC_TRANSPORT_RING    /* polled for its events; page and port stay the user's */
};

struct xsc_transport {
    enum xsc_transport_kind kind;
    int fd;
    void *page;
    const struct xsc_ring_port *port;
};

/* Opens as xsc_client_open says. */
int xsc_transport_open(const char *address, struct xsc_transport *ret, struct vbd_error *why);
/* Uses fd, as xsc_client_adopt says. */
int xsc_transport_adopt(int fd, struct xsc_transport *ret);
/* Uses a ring page; fails with -EINVAL for a port that is none. */
int xsc_transport_ring(void *page, const struct xsc_ring_port *port, struct xsc_transport *ret);
void xsc_transport_close(struct xsc_transport *t);
/* Writes what the session has, as far as that goes without blocking. 0, or -errno when the
 * connection is lost. */
int xsc_transport_write(const struct xsc_transport *t, struct xsc *x);
/* Of a ring: feeds the session with what has come. 0 or -errno. */
int xsc_transport_receive(const struct xsc_transport *t, struct xsc *x);
/* Of the others: reads up to size bytes, and of a socket waits for the first when told to: how
 * many, 0 for none now, -ECONNRESET at the end, -errno.
 */
long xsc_transport_read(const struct xsc_transport *t, void *buffer, size_t size, bool wait);

#endif
