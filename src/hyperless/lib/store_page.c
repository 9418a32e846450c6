/* store_page.c - see store_page.h. Called by xenctrl.c and foreignmemory.c. */
#include "hyperless/lib/store_page.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <xen/hvm/params.h>
#include <xen/xen.h>

#include "hyperless/lib/connection.h"

static int ask(struct hl_request *request, struct hl_reply *reply, int *fd)
{
    struct hl_connection c;
    int r = hl_open(&c, HL_OPEN_GNTSHR, NULL);

    if (r < 0)
        return -1;
    r = hl_ask(&c, request, reply, fd);
    hl_close(&c);
    return r;
}

void *hl_map_store(uint32_t domid, int prot)
{
    struct hl_request request = {.op = domid == DOMID_SELF ? HL_STORE : HL_MAP_STORE,
                                 .domid = domid};
    struct hl_reply reply;
    int fd;

    return ask(&request, &reply, &fd) < 0 ? NULL : hl_map_page(fd, prot);
}

int hl_store_parameter(uint32_t domid, uint32_t parameter, uint64_t *ret)
{
    struct hl_request request = {.op = HL_STORE};
    struct hl_reply reply;

    (void)domid; /* the broker answers for the caller's own domain only */
    if (parameter != HVM_PARAM_STORE_PFN && parameter != HVM_PARAM_STORE_EVTCHN) {
        errno = EINVAL;
        return -1;
    }
    if (ask(&request, &reply, NULL) < 0)
        return -1;
    *ret = parameter == HVM_PARAM_STORE_PFN ? HL_STORE_FRAME : reply.number;
    return 0;
}
