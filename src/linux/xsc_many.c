/* xsc_many.c - many reads or writes in one go: all requests, one write, one wait. Called by users'
 * threads; never by a callback. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "linux/error.h"
#include "linux/xsc_client.h"
#include "linux/xsc_handle.h"

/* Submits the calls of all items; the first that fails ends it. With the lock held. Returns how
 * many went out. */
static size_t submit_all(struct xsc_handle *h, enum xsc_op op, struct xsc_item *items, size_t count,
                         struct xsc_answer *answers)
{
    size_t i;

    for (i = 0; i < count; i++) {
        struct xsc_call call = {.op = op, .tx = h->tx, .path = items[i].path};

        if (op == XSC_OP_WRITE) {
            call.value = items[i].data;
            call.value_len = items[i].len;
        }
        items[i].error =
            xsc_submit(h->client->x, &call,
                       (struct xsc_completion){.done = xsc_answer_keep, .ctx = &answers[i]});
        if (items[i].error < 0)
            break;
    }
    return i;
}

static int ask_all(struct xsc_handle *h, enum xsc_op op, struct xsc_item *items, size_t count,
                   struct xsc_answer *answers)
{
    size_t sent;

    if (xsc_client_in_callback(h->client))
        return -EDEADLK;
    xsc_client_lock(h->client);
    sent = submit_all(h, op, items, count, answers);
    xsc_client_flush(h->client);
    for (size_t i = 0; i < sent; i++)
        (void)xsc_client_await(h->client, &answers[i].done, -1);
    xsc_client_unlock(h->client);
    for (size_t i = 0; i < sent; i++)
        items[i].error = answers[i].error;
    for (size_t i = sent + 1; i < count; i++)
        items[i].error = -ECANCELED;
    return 0;
}

/* The first error that counts, said in the handle. */
static int first_error(struct xsc_handle *h, enum xsc_op op, const struct xsc_item *items,
                       size_t count, const struct xsc_answer *answers)
{
    for (size_t i = 0; i < count; i++) {
        struct xsc_call call = {.op = op, .path = items[i].path};

        if (items[i].error < 0 && !(op == XSC_OP_READ && items[i].error == -ENOENT))
            return xsc_handle_fail(h, &call, items[i].error,
                                   xsc_answer_reason(&answers[i], items[i].error));
    }
    return 0;
}

static int many(struct xsc_handle *h, enum xsc_op op, struct xsc_item *items, size_t count)
{
    struct xsc_answer *answers = calloc(count > 0 ? count : 1, sizeof *answers);
    struct xsc_call call = {.op = op};
    int r;

    if (answers == NULL)
        return xsc_handle_fail(h, &call, -ENOMEM, strerror(ENOMEM));
    r = ask_all(h, op, items, count, answers);
    if (r < 0)
        r = xsc_handle_fail(h, &call, r, strerror(-r));
    else
        r = first_error(h, op, items, count, answers);
    for (size_t i = 0; i < count; i++) {
        if (op == XSC_OP_READ) {
            items[i].data = answers[i].data;
            items[i].len = answers[i].len;
        } else {
            free(answers[i].data);
        }
    }
    free(answers);
    return r;
}

int xsc_read_many(struct xsc_handle *h, struct xsc_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        items[i].data = NULL;
        items[i].len = 0;
        items[i].error = -ECANCELED;
    }
    for (size_t i = 0; i < count; i++) {
        int r = xsc_handle_track(h, items[i].path);

        if (r < 0)
            return r;
    }
    return many(h, XSC_OP_READ, items, count);
}

int xsc_write_many(struct xsc_handle *h, struct xsc_item *items, size_t count)
{
    return many(h, XSC_OP_WRITE, items, count);
}
