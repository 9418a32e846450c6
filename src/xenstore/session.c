/* session.c - the path of a xenstore message: calls become bytes out, bytes in become completions
 * and watch events. Called by the transports' shells; does no I/O. */
#include "xenstore/session.h"

#include <errno.h>

#include "base/memory.h"
#include "base/text.h"

int xsc_new(const struct vbd_allocator *allocator, struct xsc **ret)
{
    struct xsc *x = VBD_NEW(allocator, struct xsc);

    if (x == NULL)
        return -ENOMEM;
    x->allocator = allocator;
    vbd_list_init(&x->unsent);
    vbd_list_init(&x->awaiting);
    vbd_list_init(&x->held);
    vbd_list_init(&x->batches);
    vbd_list_init(&x->crowded);
    *ret = x;
    return 0;
}

static void complete_all(struct xsc *x, int error)
{
    struct xsc_reply reply = {.error = error, .error_name = "", .data = ""};
    struct vbd_list *lists[] = {&x->awaiting, &x->unsent, &x->held};

    for (size_t i = 0; i < 3; i++)
        while (!vbd_list_empty(lists[i]))
            xsc_request_complete(x, VBD_CONTAINER(lists[i]->next, struct xsc_request, link),
                                 &reply);
}

void xsc_lose(struct xsc *x, int error, const char *why)
{
    if (!x->lost)
        vbd_text_join(x->why, sizeof x->why, why, NULL);
    x->lost = true;
    x->phase = XSC_RUNNING;
    complete_all(x, error);
    x->transactions = 0;
    xsc_batches_go_on(x);
    xsc_watches_forget(x);
    xsc_suspend_tell(x, error);
}

struct xsc *xsc_free(struct xsc *x)
{
    if (x == NULL)
        return NULL;
    xsc_lose(x, -ECANCELED, "the session was ended");
    xsc_batches_free(x);
    xsc_watches_free(x);
    xsc_frame_free(&x->frame, x->allocator);
    vbd_free(x->allocator, x);
    return NULL;
}

/* Request ids only have to be unique among those pending; 0 is left to servers' own messages. */
static uint32_t next_id(struct xsc *x)
{
    if (++x->last_id == 0)
        x->last_id = 1;
    return x->last_id;
}

static void queue_on(struct xsc *x, struct vbd_list *list, struct xsc_request *request,
                     struct xsc_completion completion)
{
    request->completion = completion;
    request->header.req_id = next_id(x);
    if (request->header.type == XSC_OP_TRANSACTION_START)
        x->transactions++;
    vbd_list_append(list, &request->link);
    x->pending++;
}

void xsc_request_queue(struct xsc *x, struct xsc_request *request, struct xsc_completion completion)
{
    queue_on(x, xsc_suspend_holds(x, request) ? &x->held : &x->unsent, request, completion);
}

void xsc_request_send(struct xsc *x, struct xsc_request *request, struct xsc_completion completion)
{
    queue_on(x, &x->unsent, request, completion);
}

int xsc_submit(struct xsc *x, const struct xsc_call *call, struct xsc_completion completion)
{
    struct xsc_request *request;
    int r = x->lost ? -ENOTCONN : xsc_request_new(x->allocator, call, &request);

    if (r < 0) {
        if (completion.release != NULL)
            completion.release(completion.ctx);
        return r;
    }
    xsc_request_queue(x, request, completion);
    return 0;
}

static int broken(struct xsc *x, const char *why)
{
    xsc_lose(x, -ECONNRESET, why);
    return -EPROTO;
}

static int dispatch_reply(struct xsc *x, const struct xsc_header *h, const char *body)
{
    struct xsc_reply reply = {.error_name = "", .data = body, .len = h->len};
    struct xsc_request *request = xsc_request_find(x, h->req_id);

    if (request == NULL)
        return broken(x, "the server answered a request that was not sent");
    if (h->type == XSC_OP_ERROR) {
        reply.error_name = body;
        reply.error = xsc_errno(body, vbd_str_len(body));
    } else if (h->type != request->header.type) {
        return broken(x, "the server answered with another operation than was asked");
    }
    xsc_request_complete(x, request, &reply);
    return 0;
}

int xsc_feed(struct xsc *x, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (!x->lost) {
        int r = xsc_frame_take(&x->frame, x->allocator, &at, &len);

        if (r == 0)
            return 0;
        if (r == -ENOMEM) {
            xsc_lose(x, -ECONNRESET, "no memory for a server's message");
            return r;
        }
        if (r < 0)
            return broken(x, "the server sent a message over the limit");
        if (x->frame.header.type == XSC_OP_WATCH_EVENT)
            xsc_watches_dispatch(x, x->frame.body, x->frame.header.len);
        else
            r = dispatch_reply(x, &x->frame.header, x->frame.body);
        if (r < 0)
            return r;
    }
    return -ENOTCONN;
}

size_t xsc_output(struct xsc *x, struct xsc_slice *slices, size_t max)
{
    size_t n = 0;

    if (x->window > 0 && x->on_wire >= x->window)
        return 0;
    if (x->window > 0 && max > x->window - x->on_wire)
        max = x->window - x->on_wire;
    for (struct vbd_list *at = x->unsent.next; at != &x->unsent && n < max; at = at->next) {
        struct xsc_request *request = VBD_CONTAINER(at, struct xsc_request, link);

        slices[n].bytes = (const char *)&request->header + request->sent;
        slices[n++].len = request->len - request->sent;
    }
    return n;
}

void xsc_output_sent(struct xsc *x, size_t bytes)
{
    while (bytes > 0 && !vbd_list_empty(&x->unsent)) {
        struct xsc_request *request = VBD_CONTAINER(x->unsent.next, struct xsc_request, link);
        size_t left = request->len - request->sent;

        if (bytes < left) {
            request->sent += bytes;
            return;
        }
        bytes -= left;
        vbd_list_remove(&request->link);
        vbd_list_append(&x->awaiting, &request->link);
        request->on_wire = true;
        x->on_wire++;
    }
}

void xsc_output_refused(struct xsc *x, int error)
{
    struct xsc_reply reply = {.error = error, .error_name = "", .data = ""};

    if (!vbd_list_empty(&x->unsent))
        xsc_request_complete(x, VBD_CONTAINER(x->unsent.next, struct xsc_request, link), &reply);
}

bool xsc_wants_write(const struct xsc *x)
{
    return !x->lost && !vbd_list_empty(&x->unsent) && (x->window == 0 || x->on_wire < x->window);
}

void xsc_set_window(struct xsc *x, size_t requests)
{
    x->window = requests;
}

void xsc_disconnected(struct xsc *x, const char *why)
{
    if (x->phase != XSC_SUSPENDED)
        xsc_lose(x, -ECONNRESET, why);
}

const char *xsc_why(const struct xsc *x)
{
    return x->why;
}

size_t xsc_awaited(const struct xsc *x)
{
    return x->on_wire;
}

size_t xsc_pending(const struct xsc *x)
{
    return x->pending;
}
