/* pending.c - requests that wait for their answer, by request id. Called by session.c. */
#include "base/memory.h"
#include "base/text.h"
#include "xenstore/session.h"

/* A transaction without a number is none: nobody could end it. */
static bool has_number(const struct xsc_reply *reply)
{
    uint64_t tx;

    return reply->error == 0 &&
           vbd_parse_u64(reply->data, vbd_str_len(reply->data), UINT32_MAX, &tx) && tx != 0;
}

/* A transaction is over when it could not begin, and however it ends. */
static bool ends_transaction(const struct xsc_request *request, const struct xsc_reply *reply)
{
    return request->header.type == XSC_OP_TRANSACTION_END ||
           (request->header.type == XSC_OP_TRANSACTION_START && !has_number(reply));
}

void xsc_request_complete(struct xsc *x, struct xsc_request *request, const struct xsc_reply *reply)
{
    struct xsc_completion c = request->completion;
    bool room = request->header.type == XSC_OP_TRANSACTION_END; /* for another transaction */

    vbd_list_remove(&request->link);
    x->pending--;
    if (ends_transaction(request, reply) && x->transactions > 0)
        x->transactions--;
    if (request->on_wire)
        x->on_wire--;
    vbd_free(x->allocator, request);
    if (c.done != NULL)
        c.done(c.ctx, reply);
    if (c.release != NULL)
        c.release(c.ctx);
    if (room)
        xsc_batches_go_on(x);
    xsc_suspend_step(x);
}

struct xsc_request *xsc_request_find(struct xsc *x, uint32_t req_id)
{
    /* Servers answer in order, so the first is nearly always the one. */
    VBD_LIST_EACH(at, after, &x->awaiting)
    {
        struct xsc_request *request = VBD_CONTAINER(at, struct xsc_request, link);

        if (request->header.req_id == req_id)
            return request;
    }
    return NULL;
}
