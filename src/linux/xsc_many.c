/* xsc_many.c - many reads or writes in one go: all requests, one write, one wait. Called by users'
 * threads; never by a callback. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "linux/error.h"
#include "linux/xsc_client.h"
#include "linux/xsc_handle.h"

/* The answers to all; when the thread that asked has lost its patience, the last frees them. */
struct crowd {
    size_t outstanding;
    bool deserted;
    struct one {
        struct crowd *crowd;
        struct xsc_answer answer;
    } all[];
};

static void one_answered(void *ctx, const struct xsc_reply *reply)
{
    struct one *one = ctx;
    struct crowd *crowd = one->crowd;

    crowd->outstanding--;
    if (!crowd->deserted)
        xsc_answer_keep(&one->answer, reply);
    else if (crowd->outstanding == 0)
        free(crowd);
}

/* Submits the calls of all items; the first that fails ends it. With the lock held. Returns how
 * many went out. */
static size_t submit_all(struct xsc_handle *h, enum xsc_op op, struct xsc_item *items, size_t count,
                         struct crowd *crowd)
{
    size_t i;

    for (i = 0; i < count; i++) {
        struct xsc_call call = {.op = op, .tx = h->tx, .path = items[i].path};

        if (op == XSC_OP_WRITE) {
            call.value = items[i].data;
            call.value_len = items[i].len;
        }
        crowd->all[i] = (struct one){.crowd = crowd, .answer.unwanted = op == XSC_OP_WRITE};
        items[i].error =
            xsc_submit(h->client->x, &call,
                       (struct xsc_completion){.done = one_answered, .ctx = &crowd->all[i]});
        if (items[i].error < 0)
            break;
        crowd->outstanding++;
    }
    return i;
}

/* What has become of each: answered, left behind with error `left`, refused, or not even tried. The
 * first error that counts is said in the handle. */
static int take_answers(struct xsc_handle *h, enum xsc_op op, struct xsc_item *items, size_t count,
                        size_t sent, const struct crowd *crowd, int left)
{
    int first = 0;

    for (size_t i = 0; i < count; i++) {
        const struct xsc_answer none = {0}, *a = i < sent ? &crowd->all[i].answer : &none;
        struct xsc_call call = {.op = op, .path = items[i].path};

        if (i < sent)
            items[i].error = a->done ? a->error : left;
        else if (i > sent)
            items[i].error = -ECANCELED;
        if (op == XSC_OP_READ) {
            items[i].data = a->data;
            items[i].len = a->len;
        }
        if (first == 0 && items[i].error < 0 && !(op == XSC_OP_READ && items[i].error == -ENOENT))
            first = xsc_handle_fail(h, &call, items[i].error, xsc_answer_reason(a, items[i].error));
    }
    return first;
}

/* With the lock held; the crowd is gone, or stays for the last answer. */
static int ask_all(struct xsc_handle *h, enum xsc_op op, struct xsc_item *items, size_t count,
                   struct crowd *crowd)
{
    size_t sent = submit_all(h, op, items, count, crowd);
    int left = 0, r;

    xsc_client_flush(h->client);
    for (size_t i = 0; i < sent && left == 0; i++)
        left = xsc_client_await(h->client, &crowd->all[i].answer.done, h->patience);
    r = take_answers(h, op, items, count, sent, crowd, left);
    crowd->deserted = crowd->outstanding > 0;
    if (!crowd->deserted)
        free(crowd);
    return r;
}

static int many(struct xsc_handle *h, enum xsc_op op, struct xsc_item *items, size_t count)
{
    struct xsc_call call = {.op = op};
    struct crowd *crowd;
    int r;

    if (xsc_client_in_callback(h->client))
        return xsc_handle_fail(h, &call, -EDEADLK, strerror(EDEADLK));
    crowd = calloc(1, sizeof *crowd + count * sizeof crowd->all[0]);
    if (crowd == NULL)
        return xsc_handle_fail(h, &call, -ENOMEM, strerror(ENOMEM));
    xsc_client_lock(h->client);
    r = ask_all(h, op, items, count, crowd);
    xsc_client_unlock(h->client);
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
