/* xsc_support.h - what the tests of libxsc share: memory that can fail, the server's side of the
 * wire written by hand, a record of what a completion was given, and clients on real sockets.
 * Independent of src/xenstore: the bytes are those of xs_wire.h, spelled out here once more.
 */
#ifndef UNIT_XSC_SUPPORT_H
#define UNIT_XSC_SUPPORT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support/store_ring.h"
#include "unit/xsc_cells.h"
#include "vbdkit/xsc_linux.h"

/* --- memory --- */

/* Counts what is alive; the fail_at-th allocation (from 1) answers NULL. */
struct memory {
    struct vbd_allocator allocator;
    long live;
    unsigned long calls, fail_at;
};

static inline void *memory_alloc(void *ctx, size_t size)
{
    struct memory *m = ctx;
    void *p = ++m->calls == m->fail_at ? NULL : calloc(1, size);

    if (p != NULL)
        m->live++;
    return p;
}

static inline void memory_free(void *ctx, void *p)
{
    struct memory *m = ctx;

    if (p != NULL)
        m->live--;
    free(p);
}

static inline void memory_init(struct memory *m, unsigned long fail_at)
{
    *m = (struct memory){.fail_at = fail_at};
    m->allocator = (struct vbd_allocator){m, memory_alloc, memory_free};
}

static inline struct xsc *new_session(struct memory *m)
{
    struct xsc *x = NULL;

    memory_init(m, 0);
    assert_int_equal(xsc_new(&m->allocator, &x), 0);
    return x;
}

/* Ends a session and says that nothing of it is left. */
static inline void end_session(struct xsc *x, struct memory *m)
{
    assert_null(xsc_free(x));
    assert_int_equal(m->live, 0);
}

/* --- the wire --- */

enum { HEADER = 16 };

struct message {
    uint32_t type, id, tx, len;
    char payload[XSC_PAYLOAD_MAX + 1]; /* and a NUL */
};

/* Takes the next request off the output, whole. */
static inline bool take_message(struct xsc *x, struct message *m)
{
    struct xsc_slice slice;

    if (xsc_output(x, &slice, 1) == 0)
        return false;
    assert_in_range(slice.len, HEADER, HEADER + XSC_PAYLOAD_MAX);
    memcpy(m, slice.bytes, HEADER);
    assert_int_equal(m->len, slice.len - HEADER);
    memcpy(m->payload, (const char *)slice.bytes + HEADER, m->len);
    m->payload[m->len] = '\0';
    xsc_output_sent(x, slice.len);
    return true;
}

/* The next request must be this one. */
static inline struct message expect(struct xsc *x, enum xsc_op op, uint32_t tx, const char *path)
{
    struct message m;

    assert_true(take_message(x, &m));
    assert_int_equal(m.type, op);
    assert_int_equal(m.tx, tx);
    assert_string_equal(m.payload, path);
    return m;
}

/* Writes a message of a server to `to`, which has room for it; returns its size. */
static inline size_t put_message(char *to, uint32_t type, uint32_t id, const void *data, size_t len)
{
    uint32_t header[4] = {type, id, 0, (uint32_t)len};

    memcpy(to, header, HEADER);
    if (len > 0)
        memcpy(to + HEADER, data, len);
    return HEADER + len;
}

static inline int feed_message(struct xsc *x, uint32_t type, uint32_t id, const void *data,
                               size_t len)
{
    char *bytes = malloc(HEADER + len);
    int r;

    assert_non_null(bytes);
    r = xsc_feed(x, bytes, put_message(bytes, type, id, data, len));
    free(bytes);
    return r;
}

static inline int answer(struct xsc *x, const struct message *to, const void *data, size_t len)
{
    return feed_message(x, to->type, to->id, data, len);
}

static inline int answer_ok(struct xsc *x, const struct message *to)
{
    return answer(x, to, "OK", 3);
}

static inline int answer_error(struct xsc *x, const struct message *to, const char *word)
{
    return feed_message(x, XSC_OP_ERROR, to->id, word, strlen(word) + 1);
}

/* Writes an event for the watch that the WATCH request `set` asked for; returns its size. */
static inline size_t put_event(char *to, const struct message *set, const char *path)
{
    char payload[2 * XSC_PAYLOAD_MAX];
    const char *token = set->payload + strlen(set->payload) + 1;
    size_t path_size = strlen(path) + 1;

    memcpy(payload, path, path_size);
    memcpy(payload + path_size, token, strlen(token) + 1);
    return put_message(to, XSC_OP_WATCH_EVENT, 0, payload, path_size + strlen(token) + 1);
}

static inline int fire(struct xsc *x, const struct message *set, const char *path)
{
    char bytes[HEADER + 2 * XSC_PAYLOAD_MAX];

    return xsc_feed(x, bytes, put_event(bytes, set, path));
}

/* --- what a completion was given --- */

struct outcome {
    int done, released;
    bool done_first; /* done had been called when release came */
    int error;
    char word[32];
    char data[XSC_PAYLOAD_MAX + 1];
    size_t len;
};

static inline void outcome_done(void *ctx, const struct xsc_reply *reply)
{
    struct outcome *o = ctx;

    o->done++;
    o->error = reply->error;
    (void)snprintf(o->word, sizeof o->word, "%s", reply->error_name);
    o->len = reply->len;
    assert_non_null(reply->data);
    assert_int_equal(reply->data[reply->len], '\0');
    if (reply->len <= XSC_PAYLOAD_MAX)
        memcpy(o->data, reply->data, reply->len + 1);
}

static inline void outcome_release(void *ctx)
{
    struct outcome *o = ctx;

    o->done_first = o->done > 0;
    o->released++;
}

static inline struct xsc_completion into(struct outcome *o)
{
    return (struct xsc_completion){outcome_done, o, outcome_release};
}

static inline void assert_completed(const struct outcome *o, int error)
{
    assert_int_equal(o->done, 1);
    assert_int_equal(o->released, 1);
    assert_true(o->done_first);
    assert_int_equal(o->error, error);
}

static inline void assert_released_only(const struct outcome *o)
{
    assert_int_equal(o->done, 0);
    assert_int_equal(o->released, 1);
}

static inline void assert_waiting(const struct outcome *o)
{
    assert_int_equal(o->done, 0);
    assert_int_equal(o->released, 0);
}

static inline int submit(struct xsc *x, enum xsc_op op, const char *path, struct outcome *o)
{
    struct xsc_call call = {.op = op, .path = path};

    return xsc_submit(x, &call, into(o));
}

/* --- a batch and its owner --- */

struct owner {
    struct memory memory;
    struct xsc *x;
    struct xsc_batch *b;
    int done, error;
    int asked;       /* how often xsc_batch_then's function was called */
    int refusal;     /* what it answers */
    bool free_there; /* it frees the batch */
    bool free_when_done;
};

static inline void batch_done(void *ctx, struct xsc_batch *b, int error)
{
    struct owner *o = ctx;

    assert_ptr_equal(b, o->b);
    o->done++;
    o->error = error;
    if (o->free_when_done)
        xsc_batch_free(b);
}

static inline void owner_init(struct owner *o, enum xsc_batch_kind kind)
{
    *o = (struct owner){0};
    o->x = new_session(&o->memory);
    assert_int_equal(xsc_batch_new(o->x, kind, &o->b), 0);
}

static inline int owner_submit(struct owner *o)
{
    return xsc_batch_submit(o->b, batch_done, o);
}

/* The batch must have ended with `error`, and nothing is left of it once it is freed. */
static inline void owner_end(struct owner *o, int error)
{
    assert_int_equal(o->done, 1);
    assert_int_equal(o->error, error);
    assert_int_equal(xsc_pending(o->x), 0);
    if (!o->free_when_done)
        xsc_batch_free(o->b);
    end_session(o->x, &o->memory);
}

/* Takes the next request, which must be this one, and answers it. */
static inline void serve(struct owner *o, enum xsc_op op, uint32_t tx, const char *path,
                         const char *value)
{
    struct message m = expect(o->x, op, tx, path);

    assert_int_equal(answer(o->x, &m, value, strlen(value)), 0);
}

static inline void serve_error(struct owner *o, enum xsc_op op, uint32_t tx, const char *path,
                               const char *word)
{
    struct message m = expect(o->x, op, tx, path);

    assert_int_equal(answer_error(o->x, &m, word), 0);
}

/* For xsc_batch_then: adds two calls behind the one that was answered "seen", or refuses. */
static inline int add_more(void *ctx, struct xsc_batch *b)
{
    struct owner *o = ctx;

    o->asked++;
    if (o->refusal < 0)
        return o->refusal;
    assert_string_equal(xsc_batch_string(b, 0), "seen");
    assert_int_equal(xsc_batch_add(b, XSC_OP_WRITE, "/more", "m", 1), 1);
    assert_int_equal(xsc_batch_add(b, XSC_OP_READ, "/more2", NULL, 0), 2);
    return 0;
}

/* --- clients on a real server, or on a pair whose other end the test holds --- */

enum {
    PATIENCE_MS = 60000 /* how long anything may take that must come: emulated machines are slow */
};

static inline struct xsc_client *live_open(void)
{
    struct xsc_client *c = NULL;
    struct vbd_error why = {""};
    int r = in_cell(RING) ? store_ring_open(&c, &why) : xsc_client_open(NULL, &c, &why);

    if (r < 0)
        fail_msg("%s (this test runs under tests/support/with-xenstored)", why.text);
    return c;
}

static inline int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until a condition holds: `while (patiently(&deadline, !condition))`; start with 0. */
static inline bool patiently(int64_t *deadline, bool not_yet)
{
    struct timespec pause = {.tv_nsec = 500000};

    if (*deadline == 0)
        *deadline = now_ms() + PATIENCE_MS;
    if (!not_yet || now_ms() > *deadline)
        return false;
    (void)nanosleep(&pause, NULL);
    return true;
}

/* Joins a thread that must end; false when it does not. */
static inline bool joined(pthread_t thread)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

/* A client on one end of a socket pair; the other end is the test's. */
static inline struct xsc_client *paired_client(int *peer)
{
    struct xsc_client *c = NULL;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(xsc_client_adopt(ends[0], &c), 0);
    *peer = ends[1];
    return c;
}

/* Reads exactly size bytes; false when they do not come, or end. */
static inline bool peer_bytes(int fd, void *to, size_t size)
{
    for (size_t have = 0; have < size;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n = poll(&p, 1, PATIENCE_MS) > 0 ? read(fd, (char *)to + have, size - have) : 0;

        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

static inline bool peer_takes(int fd, struct message *m)
{
    if (!peer_bytes(fd, m, HEADER) || m->len > XSC_PAYLOAD_MAX ||
        !peer_bytes(fd, m->payload, m->len))
        return false;
    m->payload[m->len] = '\0';
    return true;
}

static inline void peer_sends(int fd, uint32_t type, uint32_t id, const void *data, size_t len)
{
    char bytes[HEADER + XSC_PAYLOAD_MAX];
    size_t size = put_message(bytes, type, id, data, len);

    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

/* A node's value set or looked at by itself, in passing. */
struct node {
    const char *path, *value;
    char *data;
    size_t len;
};

static inline int node_write(struct xsc_handle *h, void *arg)
{
    const struct node *n = arg;

    return xsc_write(h, n->path, n->value, strlen(n->value));
}

static inline int node_read(struct xsc_handle *h, void *arg)
{
    struct node *n = arg;

    return xsc_read(h, n->path, &n->data, &n->len);
}

static inline int node_remove(struct xsc_handle *h, void *arg)
{
    const struct node *n = arg;

    return xsc_rm(h, n->path);
}

static inline void put(struct xsc_client *c, const char *path, const char *value)
{
    struct node n = {.path = path, .value = value};

    assert_int_equal(xsc_immediate(c, node_write, &n, NULL), 0);
}

static inline void assert_node(struct xsc_client *c, const char *path, const char *value)
{
    struct node n = {.path = path};

    assert_int_equal(xsc_immediate(c, node_read, &n, NULL), 0);
    assert_string_equal(n.data, value);
    assert_int_equal(n.len, strlen(value));
    free(n.data);
}

static inline void assert_no_node(struct xsc_client *c, const char *path)
{
    struct node n = {.path = path};

    assert_int_equal(xsc_immediate(c, node_read, &n, NULL), -ENOENT);
    assert_null(n.data);
}

static inline void remove_node(struct xsc_client *c, const char *path)
{
    struct node n = {.path = path};

    assert_int_equal(xsc_immediate(c, node_remove, &n, NULL), 0);
}

#endif
