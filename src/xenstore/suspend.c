/* suspend.c - a session's connection is ended in order, and taken up again. Called by users, and by
 * the completion of each request.
 *
 *   running -> draining: what is under way is waited for, transactions to their end
 *           -> cancelling: UNWATCH for every watch -> suspended -> (resume) -> running
 */
#include <errno.h>

#include "base/memory.h"
#include "xenstore/session.h"

/* Requests inside a transaction go on: suspending waits for its end. Once suspended there is none.
 */
bool xsc_suspend_holds(const struct xsc *x, const struct xsc_request *request)
{
    if (x->phase == XSC_RUNNING)
        return false;
    return request->header.tx_id == 0 || x->phase == XSC_SUSPENDED;
}

void xsc_suspend_tell(struct xsc *x, int error)
{
    void (*suspended)(void *ctx, int error) = x->suspended;

    x->suspended = NULL;
    if (suspended != NULL)
        suspended(x->suspended_ctx, error);
}

static bool is_quiet(const struct xsc *x)
{
    return vbd_list_empty(&x->unsent) && vbd_list_empty(&x->awaiting);
}

/* Transactions asked for while suspending wait among the kept requests, and are none yet. */
static size_t transactions_held(struct xsc *x)
{
    size_t n = 0;

    for (struct vbd_list *at = x->held.next; at != &x->held; at = at->next)
        n += VBD_CONTAINER(at, struct xsc_request, link)->header.type == XSC_OP_TRANSACTION_START;
    return n;
}

void xsc_suspend_step(struct xsc *x)
{
    if (x->phase == XSC_DRAINING && is_quiet(x) && x->transactions == transactions_held(x)) {
        x->phase = XSC_CANCELLING;
        xsc_watches_cancel(x);
    }
    if (x->phase == XSC_CANCELLING && is_quiet(x)) {
        x->phase = XSC_SUSPENDED;
        xsc_suspend_tell(x, 0);
    }
}

int xsc_suspend(struct xsc *x, void (*done)(void *ctx, int error), void *ctx)
{
    if (x->lost)
        return -ENOTCONN;
    if (x->phase != XSC_RUNNING)
        return -EBUSY;
    x->phase = XSC_DRAINING;
    x->suspended = done;
    x->suspended_ctx = ctx;
    xsc_suspend_step(x);
    return 0;
}

int xsc_resume(struct xsc *x, bool new_connection)
{
    struct vbd_list *link;
    int r;

    if (!x->lost && x->phase == XSC_RUNNING)
        return 0;
    r = xsc_watches_prepare(x);
    if (r < 0)
        return r;
    if (new_connection || x->lost)
        xsc_frame_free(&x->frame, x->allocator);
    x->lost = false;
    x->why[0] = '\0';
    x->phase = XSC_RUNNING;
    xsc_watches_set_again(x);
    while ((link = vbd_list_pop(&x->held)) != NULL)
        vbd_list_append(&x->unsent, link);
    xsc_suspend_tell(x, -ECANCELED);
    xsc_watches_tell(x);
    return 0;
}

bool xsc_is_suspended(const struct xsc *x)
{
    return x->phase == XSC_SUSPENDED;
}
