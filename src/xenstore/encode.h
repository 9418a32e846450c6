/* encode.h - a call becomes a request: checked, copied, ready to be written. */
#ifndef XENSTORE_ENCODE_H
#define XENSTORE_ENCODE_H

#include "base/list.h"
#include "vbdkit/xsc.h"
#include "xenstore/wire.h"

/* A request from submission to answer. In the session's `unsent` list, then in `awaiting`. */
struct xsc_request {
    struct vbd_list link;
    struct xsc_completion completion;
    bool on_wire; /* wholly written: in `awaiting` */
    size_t sent;  /* bytes of the message already written */
    size_t len;   /* bytes of the message */
    struct xsc_header header;
    /* the payload follows */
};

/* Whether a call may be sent: 0, -EINVAL, -E2BIG. */
int xsc_call_check(const struct xsc_call *call);
/* Makes a request for a call, with req_id 0. Errors: -EINVAL, -E2BIG, -ENOMEM. */
int xsc_request_new(const struct vbd_allocator *a, const struct xsc_call *call,
                    struct xsc_request **ret);

#endif
