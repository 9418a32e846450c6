/* foreignmemory.c - of libxenforeignmemory, what a device model for a paravirtualised domain calls
 * at its start, and the mapping of a store page. Called by unmodified Xen programs.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xenforeignmemory.h>

#include "hyperless/lib/connection.h"
#include "hyperless/lib/store_page.h"

struct xenforeignmemory_handle {
    int unused;
};

HL_EXPORT xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
                                                         unsigned open_flags)
{
    (void)logger, (void)open_flags;
    return calloc(1, sizeof(struct xenforeignmemory_handle));
}

HL_EXPORT int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
    free(fmem);
    return 0;
}

HL_EXPORT void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr,
                                      int prot, int flags, size_t pages, const xen_pfn_t arr[],
                                      int err[])
{
    (void)fmem, (void)addr, (void)flags;
    if (pages != 1 || arr[0] != HL_STORE_FRAME) {
        for (size_t i = 0; err != NULL && i < pages; i++)
            err[i] = -EINVAL;
        errno = EINVAL; /* domains have no other memory here: only what they share */
        return NULL;
    }
    if (err != NULL)
        err[0] = 0;
    return hl_map_store(dom, prot);
}

HL_EXPORT void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot,
                                     size_t pages, const xen_pfn_t arr[], int err[])
{
    return xenforeignmemory_map2(fmem, dom, NULL, prot, 0, pages, arr, err);
}

HL_EXPORT int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
    (void)fmem;
    return munmap(addr, pages * HL_PAGE);
}

HL_EXPORT int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid)
{
    (void)fmem, (void)domid; /* nothing beyond the own domain's rights can be reached anyway */
    return 0;
}
