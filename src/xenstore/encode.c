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
    case XSC_OP_DIRECTORY_PART:
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

/* Bytes of the path and its NUL; without a path the value is all there is. */
static size_t path_size(const struct xsc_call *call)
{
    return call->path != NULL ? vbd_str_len(call->path) + 1 : 0;
}

int xsc_call_check(const struct xsc_call *call)
{
    const char *why;
    bool special = call->path != NULL && call->path[0] == '@';

    if (call->path == NULL && names_a_path(call->op))
        return -EINVAL;
    if (special && call->op != XSC_OP_WATCH && call->op != XSC_OP_UNWATCH &&
        call->op != XSC_OP_GET_PERMS && call->op != XSC_OP_SET_PERMS)
        return -EINVAL;
    if (names_a_path(call->op) && !special && xsc_check_path(call->path, &why) < 0)
        return -EINVAL;
    if (call->value_len > XSC_PAYLOAD_MAX || path_size(call) + call->value_len > XSC_PAYLOAD_MAX)
        return -E2BIG;
    return 0;
}

int xsc_request_new(const struct vbd_allocator *a, const struct xsc_call *call,
                    struct xsc_request **ret)
{
    size_t payload = path_size(call) + call->value_len;
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
    if (call->path != NULL)
        memcpy(at, call->path, path_size(call));
    if (call->value_len > 0)
        memcpy(at + path_size(call), call->value, call->value_len);
    *ret = request;
    return 0;
}
