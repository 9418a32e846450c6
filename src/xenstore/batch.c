/* batch.c - several calls with one completion, plain or as a transaction that is repeated on
 * conflict. Called by the device's life (src/vbd) and by users.
 *
 *   submit -> [begin] -> all calls at once -> [commit, or abort when one failed] -> done
 *                ^                                   |
 *                +------------ conflict -------------+
 *
 * Where the server lets this domain have no more transactions at once, one waits until another of
 * the session's has ended.
 */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/names.h"
#include "base/text.h"
#include "xenstore/session.h"

struct item {
    struct xsc_batch *batch;
    struct item *next;
    enum xsc_op op;
    bool optional;
    bool of_try; /* added by `more`: gone with the try */
    char *path;  /* in one allocation with the value, behind this struct; NULL: none */
    char *value; /* NULL when value_len is 0 */
    size_t value_len;
    struct xsc_reply reply;
    char *data; /* what reply.data points to, or NULL */
    char error_name[24];
};

struct xsc_batch {
    struct xsc *x;
    struct vbd_list link; /* in the session's batches */
    struct vbd_list turn; /* in the session's `crowded` */
    enum xsc_batch_kind kind;
    struct item *first, **last;
    struct item *unsent; /* the first not sent in this try */
    int count;
    int (*more)(void *ctx, struct xsc_batch *b);
    bool asked_more; /* in this try */
    bool asking;     /* `more` is running */
    int sticky;      /* first error of an add */
    int error;       /* first error of the running try */
    int outstanding; /* answers awaited */
    unsigned tries;
    uint32_t tx;             /* open transaction, or 0 */
    struct xsc_request *end; /* made when it begins: ending it needs no memory */
    bool at_once;            /* the commit goes with the calls */
    bool ending;             /* in this try: the request that ends it is on its way */
    bool ended;              /* and its answer has come, before those to all calls */
    struct xsc_reply end_reply;
    char end_word[24];
    bool running;
    bool dead; /* freed by its owner while running */
    void (*done)(void *ctx, struct xsc_batch *b, int error);
    void *ctx;
    char why[200];
};

static void rewind_items(struct xsc_batch *b);
static int begin(struct xsc_batch *b);
static int send_items(struct xsc_batch *b);

int xsc_batch_new(struct xsc *x, enum xsc_batch_kind kind, struct xsc_batch **ret)
{
    struct xsc_batch *b = VBD_NEW(x->allocator, struct xsc_batch);

    if (b == NULL)
        return -ENOMEM;
    b->x = x;
    b->kind = kind;
    b->last = &b->first;
    vbd_list_init(&b->turn);
    vbd_list_append(&x->batches, &b->link);
    *ret = b;
    return 0;
}

static void forget_reply(struct item *i)
{
    vbd_free(i->batch->x->allocator, i->data);
    i->data = NULL;
    i->reply = (struct xsc_reply){.error = -EINPROGRESS, .error_name = "", .data = ""};
}

static void destroy(struct xsc_batch *b)
{
    const struct vbd_allocator *a = b->x->allocator;

    vbd_list_remove(&b->link);
    vbd_free(a, b->end);
    while (b->first != NULL) {
        struct item *i = b->first;

        b->first = i->next;
        forget_reply(i);
        vbd_free(a, i);
    }
    vbd_free(a, b);
}

void xsc_batch_free(struct xsc_batch *b)
{
    if (b == NULL)
        return;
    if (b->running)
        b->dead = true;
    else
        destroy(b);
}

void xsc_batches_free(struct xsc *x)
{
    while (!vbd_list_empty(&x->batches))
        destroy(VBD_CONTAINER(x->batches.next, struct xsc_batch, link));
}

static int sticky(struct xsc_batch *b, int error, const char *what, const char *path)
{
    if (b->sticky == 0) {
        b->sticky = error;
        vbd_text_join(b->why, sizeof b->why, what, " ", path, ": not a valid request", NULL);
    }
    return error;
}

int xsc_batch_add(struct xsc_batch *b, enum xsc_op op, const char *path, const void *value,
                  size_t value_len)
{
    struct xsc_call call = {.op = op, .path = path, .value = value, .value_len = value_len};
    size_t path_size = path != NULL ? vbd_str_len(path) + 1 : 0;
    struct item *i;
    int r = xsc_call_check(&call);

    if (r < 0)
        return sticky(b, r, xsc_op_name(op), path != NULL ? path : "");
    i = vbd_alloc(b->x->allocator, sizeof *i + path_size + value_len);
    if (i == NULL)
        return sticky(b, -ENOMEM, xsc_op_name(op), path != NULL ? path : "");
    i->batch = b;
    i->op = op;
    i->optional = op == XSC_OP_READ;
    i->of_try = b->asking;
    if (path != NULL)
        i->path = memcpy(i + 1, path, path_size);
    if (value_len > 0) {
        i->value = (char *)(i + 1) + path_size;
        i->value_len = value_len;
        memcpy(i->value, value, value_len);
    }
    forget_reply(i);
    *b->last = i;
    b->last = &i->next;
    if (b->unsent == NULL)
        b->unsent = i;
    return b->count++;
}

int xsc_batch_add_key(struct xsc_batch *b, enum xsc_op op, const char *dir, const char *key,
                      const char *value)
{
    char path[XSC_ABSOLUTE_PATH_MAX + 1];

    if (!vbd_text_join(path, sizeof path, dir, "/", key, NULL))
        return sticky(b, -E2BIG, xsc_op_name(op), key);
    return xsc_batch_add(b, op, path, value, value != NULL ? vbd_str_len(value) : 0);
}

static struct item *item_at(const struct xsc_batch *b, int index)
{
    struct item *i = b->first;

    for (int n = 0; i != NULL && n != index; n++)
        i = i->next;
    return index < 0 ? NULL : i;
}

void xsc_batch_may_miss(struct xsc_batch *b, bool may)
{
    struct item *i = item_at(b, b->count - 1);

    if (i != NULL)
        i->optional = may;
}

void xsc_batch_commit_at_once(struct xsc_batch *b, bool at_once)
{
    b->at_once = at_once;
}

void xsc_batch_then(struct xsc_batch *b, int (*more)(void *ctx, struct xsc_batch *b))
{
    b->more = more;
}

static void finish(struct xsc_batch *b, int error)
{
    b->running = false;
    if (b->dead)
        destroy(b);
    else
        b->done(b->ctx, b, error);
}

/* For an error that the server did not name. */
static const char *unspoken(int error)
{
    if (error == -ENOMEM)
        return "no memory";
    return error == -ECONNRESET || error == -ENOTCONN || error == -ECANCELED
               ? "the connection was lost"
               : "the transport refused the message";
}

static void failed(struct xsc_batch *b, int error, const char *op, const char *path,
                   const char *word)
{
    if (b->error != 0)
        return;
    if (path == NULL)
        path = "";
    b->error = error;
    vbd_text_join(b->why, sizeof b->why, op, path[0] != '\0' ? " " : "", path, ": ",
                  word[0] != '\0' ? word : unspoken(error), NULL);
}

/* The transaction is over: again after a conflict, or done. */
static void conclude(struct xsc_batch *b, const struct xsc_reply *reply)
{
    bool again = b->error == 0 && reply->error == -EAGAIN && !b->dead;
    int r;

    b->tx = 0;
    if (again && ++b->tries < XSC_BATCH_TRIES) {
        rewind_items(b);
        r = begin(b);
        if (r == 0)
            return;
        failed(b, r, "transaction start", "", "");
    }
    if (reply->error < 0)
        failed(b, reply->error, "transaction end", "", reply->error_name);
    finish(b, b->error);
}

/* A server may answer the end before calls that were sent ahead of it. */
static void ended(void *ctx, const struct xsc_reply *reply)
{
    struct xsc_batch *b = ctx;

    if (b->outstanding == 0) {
        conclude(b, reply);
        return;
    }
    vbd_text_join(b->end_word, sizeof b->end_word, reply->error_name, NULL);
    b->end_reply = (struct xsc_reply){.error = reply->error, .error_name = b->end_word, .data = ""};
    b->ended = true;
}

/* Lets the owner add calls, once a try; true when there are some, and they were sent. */
static bool send_more(struct xsc_batch *b)
{
    int before = b->sticky, r;

    if (b->more == NULL || b->asked_more || b->error != 0 || b->dead)
        return false;
    b->asked_more = b->asking = true;
    r = b->more(b->ctx, b);
    if (r == 0)
        r = b->sticky;
    b->asking = false;
    b->sticky = before;
    if (r < 0) {
        b->error = r;
        if (b->why[0] == '\0')
            vbd_text_join(b->why, sizeof b->why, "given up before the commit", NULL);
        return false;
    }
    return send_items(b) > 0;
}

/* Ends the transaction with the request that was kept for this. */
static void end(struct xsc_batch *b, bool commit)
{
    struct xsc_request *request = b->end;

    b->end = NULL;
    b->ending = true;
    request->header.tx_id = b->tx;
    *(char *)(request + 1) = commit ? 'T' : 'F';
    xsc_request_queue(b->x, request, (struct xsc_completion){.done = ended, .ctx = b});
}

/* All answers are there: more calls, commit, abort, or be done. */
static void all_answered(struct xsc_batch *b)
{
    if (b->ended) {
        b->ended = false;
        conclude(b, &b->end_reply);
        return;
    }
    if (b->ending) /* its answer is the next */
        return;
    if (send_more(b))
        return;
    if (b->tx == 0 || b->x->lost)
        finish(b, b->error);
    else
        end(b, b->error == 0 && !b->dead);
}

static void keep_reply(struct item *i, const struct xsc_reply *reply)
{
    struct xsc_batch *b = i->batch;

    i->reply = (struct xsc_reply){.error = reply->error, .error_name = "", .data = ""};
    if (reply->error < 0) {
        vbd_text_join(i->error_name, sizeof i->error_name, reply->error_name, NULL);
        i->reply.error_name = i->error_name;
    } else if (reply->len > 0) {
        i->data = vbd_alloc(b->x->allocator, reply->len + 1);
        if (i->data == NULL) {
            failed(b, -ENOMEM, xsc_op_name(i->op), i->path, "no memory");
            return;
        }
        memcpy(i->data, reply->data, reply->len);
        i->reply.data = i->data;
        i->reply.len = reply->len;
    }
}

/* A domain that may not read the parent is told EACCES of a node, also when there is none. */
static bool is_missing(const struct item *i, int error)
{
    return error == -ENOENT || (i->op == XSC_OP_READ && error == -EACCES);
}

static void answered(void *ctx, const struct xsc_reply *reply)
{
    struct item *i = ctx;
    struct xsc_batch *b = i->batch;

    keep_reply(i, reply);
    if (reply->error < 0 && !(i->optional && is_missing(i, reply->error)))
        failed(b, reply->error, xsc_op_name(i->op), i->path, reply->error_name);
    if (--b->outstanding == 0)
        all_answered(b);
}

static int send_items(struct xsc_batch *b)
{
    int sent = 0;

    for (struct item *i = b->unsent; i != NULL; i = i->next) {
        struct xsc_call call = {.op = i->op,
                                .tx = b->tx,
                                .path = i->path,
                                .value = i->value,
                                .value_len = i->value_len};
        int r;

        forget_reply(i);
        r = xsc_submit(b->x, &call, (struct xsc_completion){.done = answered, .ctx = i});
        if (r < 0) {
            failed(b, r, xsc_op_name(i->op), i->path, "");
            break;
        }
        sent++;
    }
    b->unsent = NULL;
    b->outstanding = sent;
    return sent;
}

/* --- one transaction too many --- */

/* ENOSPC of the C daemon, EQUOTA of oxenstored. */
static bool is_one_too_many(const struct xsc_batch *b, const struct xsc_reply *reply)
{
    return (reply->error == -ENOSPC || reply->error == -EDQUOT) && b->x->transactions > 0 &&
           !b->dead;
}

void xsc_batches_go_on(struct xsc *x)
{
    size_t turns = x->lost ? SIZE_MAX : 1;
    struct vbd_list *turn;

    for (; turns > 0 && (turn = vbd_list_pop(&x->crowded)) != NULL; turns--) {
        struct xsc_batch *b = VBD_CONTAINER(turn, struct xsc_batch, turn);
        int r = b->dead ? -ECANCELED : begin(b);

        if (r == 0)
            continue;
        failed(b, r, "transaction start", "", "");
        finish(b, b->error);
    }
}

static void begun(void *ctx, const struct xsc_reply *reply)
{
    struct xsc_batch *b = ctx;
    uint64_t tx = 0;

    if (is_one_too_many(b, reply)) {
        vbd_list_append(&b->x->crowded, &b->turn);
        return;
    }
    if (reply->error < 0)
        failed(b, reply->error, "transaction start", "", reply->error_name);
    else if (!vbd_parse_u64(reply->data, vbd_str_len(reply->data), UINT32_MAX, &tx) || tx == 0)
        failed(b, -EPROTO, "transaction start", "", "no transaction's number came back");
    b->tx = (uint32_t)tx;
    if (b->error != 0 || b->dead || send_items(b) == 0)
        all_answered(b);
    else if (b->at_once && b->more == NULL && b->error == 0)
        end(b, true);
}

/* Before each try: what `more` added last time goes, and all the rest is to be sent. */
static void rewind_items(struct xsc_batch *b)
{
    struct item **at = &b->first;

    while (*at != NULL) {
        struct item *i = *at;

        if (!i->of_try) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        forget_reply(i);
        vbd_free(b->x->allocator, i);
        b->count--;
    }
    b->last = at;
    b->unsent = b->first;
    b->asked_more = false;
}

static int begin(struct xsc_batch *b)
{
    struct xsc_call call = {.op = XSC_OP_TRANSACTION_START, .path = ""};
    struct xsc_call end_call = {.op = XSC_OP_TRANSACTION_END, .path = "F"};
    int r = b->end == NULL ? xsc_request_new(b->x->allocator, &end_call, &b->end) : 0;

    if (r < 0)
        return r;
    b->ending = b->ended = false;
    return xsc_submit(b->x, &call, (struct xsc_completion){.done = begun, .ctx = b});
}

int xsc_batch_submit(struct xsc_batch *b, void (*done)(void *ctx, struct xsc_batch *b, int error),
                     void *ctx)
{
    int r = b->sticky;

    if (b->running)
        return -EBUSY;
    b->done = done;
    b->ctx = ctx;
    b->error = 0;
    if (r == 0)
        b->why[0] = '\0';
    b->tries = 0;
    rewind_items(b);
    if (r == 0 && b->kind == XSC_BATCH_TRANSACTION)
        r = begin(b);
    else if (r == 0 && send_items(b) == 0)
        r = b->error != 0 ? b->error : -EINVAL;
    b->running = r == 0;
    return r;
}

const struct xsc_reply *xsc_batch_reply(const struct xsc_batch *b, int index)
{
    static const struct xsc_reply none = {.error = -EINVAL, .error_name = "", .data = ""};
    const struct item *i = item_at(b, index);

    return i != NULL ? &i->reply : &none;
}

const char *xsc_batch_string(const struct xsc_batch *b, int index)
{
    const struct xsc_reply *reply = xsc_batch_reply(b, index);

    if (reply->error != 0 || vbd_str_len(reply->data) != reply->len)
        return NULL;
    return reply->data;
}

const char *xsc_batch_why(const struct xsc_batch *b)
{
    return b->why;
}
