/* encode.c - see encode.h. Called by session.c and watches.c; sends nothing. */
#include "xenstore/encode.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

/* Operations whose first string is a path; the others carry a number or nothing. */
static bool names_a_path(enum xsc_op op)
{
    switch (op) {
    case XSC_OP_DIRECTORY:
    case XSC_OP_READ:
    case XSC_OP_GET_PERMS:
    case XSC_OP_WATCH:
    case XSC_OP_UNWATCH:
    case XSC_OP_WRITE:
    case XSC_OP_MKDIR:
    case XSC_OP_RM:
    case XSC_OP_SET_PERMS:
        return true;
    default:
        return false;
    }
}

int xsc_call_check(const struct xsc_call *call)
{
    size_t path_len = vbd_str_len(call->path);
    const char *why;
    bool special = call->path[0] == '@';

    if (special && call->op != XSC_OP_WATCH && call->op != XSC_OP_UNWATCH &&
        call->op != XSC_OP_GET_PERMS && call->op != XSC_OP_SET_PERMS)
        return -EINVAL;
    if (names_a_path(call->op) && !special && xsc_check_path(call->path, &why) < 0)
        return -EINVAL;
    if (call->value_len > XSC_PAYLOAD_MAX || path_len + 1 + call->value_len > XSC_PAYLOAD_MAX)
        return -E2BIG;
    return 0;
}

int xsc_request_new(const struct vbd_allocator *a, const struct xsc_call *call,
                    struct xsc_request **ret)
{
    size_t path_len = vbd_str_len(call->path);
    size_t payload = path_len + 1 + call->value_len;
    struct xsc_request *request;
    char *at;
    int r = xsc_call_check(call);

    if (r < 0)
        return r;
    request = vbd_alloc(a, sizeof *request + payload);
    if (request == NULL)
        return -ENOMEM;
    vbd_list_init(&request->link);
    request->len = sizeof request->header + payload;
    request->header.type = (uint32_t)call->op;
    request->header.tx_id = call->tx;
    request->header.len = (uint32_t)payload;
    at = (char *)(request + 1);
    memcpy(at, call->path, path_len + 1);
    if (call->value_len > 0)
        memcpy(at + path_len + 1, call->value, call->value_len);
    *ret = request;
    return 0;
}
