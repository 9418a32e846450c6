/* xsc_handle.c - handles: an operation as a call that blocks. Called by the operations, and by
 * users' threads; never by a callback. */
#include "linux/xsc_handle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "linux/error.h"
#include "linux/xsc_client.h"

void xsc_answer_keep(void *ctx, const struct xsc_reply *reply)
{
    struct xsc_answer *a = ctx;

    if (a->deserted) {
        free(a);
        return;
    }
    a->done = true;
    a->error = reply->error;
    (void)snprintf(a->word, sizeof a->word, "%s", reply->error_name);
    if (reply->error < 0 || a->unwanted)
        return;
    a->data = malloc(reply->len + 1);
    if (a->data == NULL) {
        a->error = -ENOMEM;
        return;
    }
    memcpy(a->data, reply->data, reply->len);
    a->data[reply->len] = '\0';
    a->len = reply->len;
}

/* oxenstored takes up a request without a byte only when more bytes come: some follow. */
static void follow_empty(struct xsc_client *c, const struct xsc_call *call)
{
    struct xsc_call harmless = {.op = XSC_OP_GET_DOMAIN_PATH, .path = "0"};

    if (call->path == NULL && call->value_len == 0)
        (void)xsc_submit(c->x, &harmless, (struct xsc_completion){0});
}

static int submit(struct xsc_client *c, const struct xsc_call *call, struct xsc_answer *box)
{
    struct xsc_completion keep = {.done = xsc_answer_keep, .ctx = box};

    return call->op == XSC_OP_DIRECTORY ? xsc_list(c->x, call->tx, call->path, keep)
                                        : xsc_submit(c->x, call, keep);
}

/* Submits and waits for the answer, with the lock held. The box goes with it, or stays for the
 * completion when the patience ends before. */
static int submit_and_await(struct xsc_handle *h, const struct xsc_call *call,
                            struct xsc_answer *box, struct xsc_answer *a)
{
    int r = submit(h->client, call, box);

    h->unsent = r < 0;
    if (r == 0) {
        follow_empty(h->client, call);
        xsc_client_flush(h->client);
        r = xsc_client_await(h->client, &box->done, h->patience);
        if (!box->done) {
            box->deserted = true;
            return r;
        }
        *a = *box; /* a lost connection completes it as well */
        r = a->error;
    }
    free(box);
    return r;
}

static int ask(struct xsc_handle *h, const struct xsc_call *call, struct xsc_answer *a)
{
    struct xsc_answer *box;
    int r;

    if (xsc_client_in_callback(h->client))
        return -EDEADLK;
    box = malloc(sizeof *box);
    h->unsent = box == NULL;
    if (box == NULL)
        return -ENOMEM;
    *box = *a;
    xsc_client_lock(h->client);
    r = submit_and_await(h, call, box, a);
    xsc_client_unlock(h->client);
    return r;
}

const char *xsc_answer_reason(const struct xsc_answer *a, int error)
{
    return a->word[0] != '\0' ? a->word : strerror(-error);
}

int xsc_handle_fail(struct xsc_handle *h, const struct xsc_call *call, int error, const char *word)
{
    const char *path = call->path != NULL ? call->path : "", *objection;

    if (error == -EINVAL && path[0] != '\0' && path[0] != '@' &&
        xsc_check_path(path, &objection) < 0)
        word = objection; /* it was not even sent */
    return vbd_fail(&h->why, error, "%s%s%s: %s", xsc_op_name(call->op), path[0] != '\0' ? " " : "",
                    path, word);
}

int xsc_handle_call(struct xsc_handle *h, const struct xsc_call *call, char **ret, size_t *ret_len)
{
    struct xsc_answer a = {.unwanted = ret == NULL};
    struct xsc_call in_tx = *call;
    int r;

    in_tx.tx = h->tx;
    r = ask(h, &in_tx, &a);
    if (r < 0) {
        free(a.data);
        return xsc_handle_fail(h, call, r, xsc_answer_reason(&a, r));
    }
    if (ret != NULL) {
        *ret = a.data;
        *ret_len = a.len;
    }
    return 0;
}

const char *xsc_handle_why(const struct xsc_handle *h)
{
    return h->why.text;
}

int xsc_handle_ended(const struct xsc_handle *h, int r, struct vbd_error *why)
{
    if (r < 0 && why != NULL)
        *why = h->why;
    return r;
}

int xsc_immediate(struct xsc_client *c, xsc_handle_fn *fn, void *arg, struct vbd_error *why)
{
    struct xsc_handle h = {.client = c};

    return xsc_handle_ended(&h, fn(&h, arg), why);
}
