/* xenctrl.c - of libxenctrl, what xenstored and QEMU call when they serve block devices: which
 * domains there are, and another domain's store page. Called by unmodified Xen programs.
 *
 * Calls that change a machine (vCPUs, memory, devices) are not here: a program that makes one gets
 * the real library's refusal.
 */
#define XC_WANT_COMPAT_MAP_FOREIGN_API /* xc_map_foreign_range, which oxenstored calls */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>

#include "hyperless/lib/connection.h"
#include "hyperless/lib/store_page.h"

enum {
    ROOM = 65536 /* bytes: the real handle's size is unknown to callers, but oxenstored's stubs
                  * look for an error record inside */
};

/* A connection of its own for each question: they are rare, and a handle may cross a fork. */
HL_EXPORT xc_interface *xc_interface_open(xentoollog_logger *logger,
                                          xentoollog_logger *dombuild_logger, unsigned open_flags)
{
    (void)logger, (void)dombuild_logger, (void)open_flags;
    return calloc(1, ROOM);
}

HL_EXPORT int xc_interface_close(xc_interface *xch)
{
    free(xch);
    return 0;
}

static int ask_domains(uint32_t first, uint32_t max, struct hl_reply *ret)
{
    struct hl_request request = {
        .op = HL_DOMAINS, .domid = first, .count = max < HL_DOMAINS_MAX ? max : HL_DOMAINS_MAX};
    struct hl_connection c;
    int r = hl_open(&c, HL_OPEN_GNTSHR, NULL);

    if (r < 0)
        return -1;
    r = hl_ask(&c, &request, ret, NULL);
    hl_close(&c);
    return r;
}

HL_EXPORT int xc_domain_getinfo(xc_interface *xch, uint32_t first_domid, unsigned int max_doms,
                                xc_dominfo_t *info)
{
    struct hl_reply reply;

    (void)xch;
    if (ask_domains(first_domid, max_doms, &reply) < 0)
        return -1;
    for (uint32_t i = 0; i < reply.count; i++) {
        memset(&info[i], 0, sizeof info[i]);
        info[i].domid = reply.domains[i].domid;
        info[i].dying = (reply.domains[i].flags & HL_DYING) != 0;
        info[i].running = !info[i].dying;
    }
    return (int)reply.count;
}

HL_EXPORT int xc_domain_getinfolist(xc_interface *xch, uint32_t first_domain,
                                    unsigned int max_domains, xc_domaininfo_t *info)
{
    struct hl_reply reply;

    (void)xch;
    if (ask_domains(first_domain, max_domains, &reply) < 0)
        return -1;
    for (uint32_t i = 0; i < reply.count; i++) {
        memset(&info[i], 0, sizeof info[i]);
        info[i].domain = (domid_t)reply.domains[i].domid;
        info[i].flags = reply.domains[i].flags & HL_DYING ? XEN_DOMINF_dying : XEN_DOMINF_running;
    }
    return (int)reply.count;
}

HL_EXPORT void *xc_map_foreign_range(xc_interface *xch, uint32_t dom, int size, int prot,
                                     unsigned long mfn)
{
    (void)xch;
    if (size != HL_PAGE || mfn != HL_STORE_FRAME) {
        errno = EINVAL; /* no other page of a domain has a frame number here */
        return NULL;
    }
    return hl_map_store(dom, prot);
}

/* A domain asks for its own store page and port this way when it drives them by itself. */
HL_EXPORT int xc_hvm_param_get(xc_interface *handle, uint32_t dom, uint32_t param, uint64_t *value)
{
    return hl_store_parameter(dom, param, value) < 0 ? -1 : ((void)handle, 0);
}

HL_EXPORT int xc_get_hvm_param(xc_interface *handle, uint32_t dom, int param, unsigned long *value)
{
    uint64_t wide;

    (void)handle;
    if (hl_store_parameter(dom, (uint32_t)param, &wide) < 0)
        return -1;
    *value = (unsigned long)wide;
    return 0;
}
