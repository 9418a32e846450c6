/* devicemodel.c - of libxendevicemodel and libxentoolcore, what a device model for a
 * paravirtualised domain calls: it opens a handle and makes no calls on it. Called by unmodified
 * Xen programs; calls that emulate hardware are left to the real library, which refuses them.
 */
#include <errno.h>
#include <stdlib.h>
#include <xendevicemodel.h>
#include <xentoolcore.h>

#include "hyperless/lib/connection.h"

struct xendevicemodel_handle {
    int unused;
};

HL_EXPORT xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger,
                                                     unsigned open_flags)
{
    (void)logger, (void)open_flags;
    return calloc(1, sizeof(struct xendevicemodel_handle));
}

HL_EXPORT int xendevicemodel_close(xendevicemodel_handle *dmod)
{
    free(dmod);
    return 0;
}

/* Handles can't be confined to one domain here, and a program that asks for it must hear so. */
HL_EXPORT int xentoolcore_restrict_all(domid_t domid)
{
    (void)domid;
    errno = EOPNOTSUPP;
    return -1;
}
