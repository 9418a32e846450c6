/* store_ring.h - a client on the ring page of the domain that the program runs in, as that domain's
 * kernel would open one: for domains made with `vbdkit hyperless create --unikernel`.
 */
#ifndef SUPPORT_STORE_RING_H
#define SUPPORT_STORE_RING_H

#include "vbdkit/xsc_linux.h"

/* Opens a client on the domain's own store page. The page and its port are taken over once, for the
 * life of the process; each new client begins with what a kernel does at its start: RESET_WATCHES,
 * and what the ring still held is thrown away. One client at a time.
 * Errors: -errno, with a sentence in *why. */
int store_ring_open(struct xsc_client **ret, struct vbd_error *why);

#endif
