/* xsc_handle.h - the inside of a handle, between xsc_blocking.c and xsc_operations.c. */
#ifndef LINUX_XSC_HANDLE_H
#define LINUX_XSC_HANDLE_H

#include "vbdkit/xsc_linux.h"

struct xsc_wait_state;

struct xsc_handle {
    struct xsc_client *client;
    uint32_t tx;                 /* open transaction, or 0 */
    struct xsc_wait_state *wait; /* inside xsc_wait, else NULL */
    struct vbd_error why;        /* the last failed operation */
};

/* Makes a call in the handle's transaction and waits for its answer (malloc'ed; ret may be NULL).
 */
int xsc_handle_call(struct xsc_handle *h, const struct xsc_call *call, char **ret, size_t *ret_len);
/* The same for an operation that reads a path: inside a wait, the path is watched first. */
int xsc_handle_reads(struct xsc_handle *h, enum xsc_op op, const char *path, char **ret,
                     size_t *ret_len);

#endif
