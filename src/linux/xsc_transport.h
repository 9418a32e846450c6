/* xsc_transport.h - the byte transports of xenstore on Linux: Unix socket and /dev/xen/xenbus. */
#ifndef LINUX_XSC_TRANSPORT_H
#define LINUX_XSC_TRANSPORT_H

#include "vbdkit/xsc.h"

struct xsc_transport {
    int fd;
    bool device; /* a character device: one message per write, errors come from write() */
};

/* Opens as xsc_client_open says. */
int xsc_transport_open(const char *address, struct xsc_transport *ret, struct vbd_error *why);
/* Uses fd, made non-blocking. */
int xsc_transport_adopt(int fd, struct xsc_transport *ret);
/* Writes what the session has, as far as that goes without blocking. 0, or -errno when the
 * connection is lost. */
int xsc_transport_write(const struct xsc_transport *t, struct xsc *x);
/* Reads up to size bytes: how many, 0 for none now, -ECONNRESET at the end, -errno. */
long xsc_transport_read(const struct xsc_transport *t, void *buffer, size_t size);

#endif
