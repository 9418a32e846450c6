/* xsc_support.h - what the tests of libxsc share: memory that can fail, the server's side of the
 * wire written by hand, and a record of what a completion was given. Independent of src/xenstore:
 * the bytes are those of xs_wire.h, spelled out here once more.
 */
#ifndef UNIT_XSC_SUPPORT_H
#define UNIT_XSC_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vbdkit/xsc.h"

/* --- memory ------------------------------------------------------------------------------- */

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

/* --- the wire ----------------------------------------------------------------------------- */

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

/* --- what a completion was given ------------------------------------------------------------ */

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

#endif
