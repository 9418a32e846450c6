/* xsc.h - libxsc: a multiplexing xenstore client, without any I/O of its own.
 *
 * A `struct xsc` is one connection's session: calls go in, bytes come out; bytes go in, completions
 * and watch events come out. It never blocks, reads no clock and owns no file descriptor, so it
 * runs in a kernel, a unikernel, an event loop or a test. xsc_linux.h puts it on a socket or on
 * /dev/xen/xenbus and adds calls that block.
 *
 * Threads: one thread at a time per session. Callbacks run inside xsc_feed, xsc_disconnected,
 * xsc_output_refused, xsc_suspend, xsc_resume, xsc_watch_remove and xsc_free, on the caller's
 * thread; a callback may submit calls and add or remove watches and batches on the same session,
 * but must not feed or free it. Protocol: xen's docs/misc/xenstore.txt and public/io/xs_wire.h.
 */
#ifndef VBDKIT_XSC_H
#define VBDKIT_XSC_H

#include "vbdkit/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Operations, with the numbers of xs_wire.h. */
enum xsc_op {
    XSC_OP_CONTROL = 0,
    XSC_OP_DIRECTORY = 1,
    XSC_OP_READ = 2,
    XSC_OP_GET_PERMS = 3,
    XSC_OP_WATCH = 4,
    XSC_OP_UNWATCH = 5,
    XSC_OP_TRANSACTION_START = 6,
    XSC_OP_TRANSACTION_END = 7,
    XSC_OP_INTRODUCE = 8,
    XSC_OP_RELEASE = 9,
    XSC_OP_GET_DOMAIN_PATH = 10,
    XSC_OP_WRITE = 11,
    XSC_OP_MKDIR = 12,
    XSC_OP_RM = 13,
    XSC_OP_SET_PERMS = 14,
    XSC_OP_WATCH_EVENT = 15,
    XSC_OP_ERROR = 16,
    XSC_OP_IS_INTRODUCED = 17,
    XSC_OP_RESUME_DOMAIN = 18,
    XSC_OP_SET_TARGET = 19,
    XSC_OP_RESET_WATCHES = 21,
    XSC_OP_DIRECTORY_PART = 22,
    XSC_OP_GET_FEATURE = 23, /* these four: Xen's development head, 2026 */
    XSC_OP_SET_FEATURE = 24,
    XSC_OP_GET_QUOTA = 25,
    XSC_OP_SET_QUOTA = 26,
    XSC_OP_RESTRICT = 128 /* as oxenstored numbered it; refused by the daemons of today */
};

/* Limits of the protocol, in bytes without the terminating NUL. */
enum {
    XSC_PAYLOAD_MAX = 4096,
    XSC_ABSOLUTE_PATH_MAX = 3072,
    XSC_RELATIVE_PATH_MAX = 2048,
    /* Largest reply accepted. oxenstored answers DIRECTORY with more than XSC_PAYLOAD_MAX. */
    XSC_REPLY_MAX = 1 << 20
};

struct xsc;

/* An answer. All pointers are valid during the callback only, unless said otherwise. */
struct xsc_reply {
    int error;              /* 0, or -errno as the server's word translates (see xsc_errno) */
    const char *error_name; /* the server's own word such as "ENOENT" or "EQUOTA"; "" without one */
    const char *data;       /* len bytes, any value, and one NUL behind them */
    size_t len;
};

/* What to do with an answer. `done` is called exactly once (an aborted call gets -ECANCELED or
 * -ECONNRESET), then `release` exactly once; when a submit itself fails only `release` is called,
 * before it returns. Either may be NULL. */
struct xsc_completion {
    void (*done)(void *ctx, const struct xsc_reply *reply);
    void *ctx;
    void (*release)(void *ctx);
};

/* One request. `path` is sent with its NUL, then value_len bytes of value as they are. A path may
 * be
 * "", or NULL for an operation that names none: then the value is all there is. */
struct xsc_call {
    enum xsc_op op;
    uint32_t tx; /* transaction id, 0 outside of one */
    const char *path;
    const void *value; /* may be NULL when value_len is 0 */
    size_t value_len;
};

/* Makes a session. The allocator is kept by reference and must outlive it.
 * Errors: -ENOMEM. */
VBD_API int xsc_new(const struct vbd_allocator *allocator, struct xsc **ret);
/* Ends a session: unanswered calls complete with -ECANCELED; watches and batches are gone and must
 * not be touched afterwards. NULL is fine. Returns NULL. */
VBD_API struct xsc *xsc_free(struct xsc *x);

/* Queues a call; it is copied. The order of calls is the order on the wire.
 * Errors: -EINVAL path not allowed (xsc_check_path), -E2BIG over XSC_PAYLOAD_MAX,
 * -ENOTCONN the connection was lost, -ENOMEM. */
VBD_API int xsc_submit(struct xsc *x, const struct xsc_call *call,
                       struct xsc_completion completion);

/* DIRECTORY, however large: the answer's data are the names, each with its NUL. What exceeds a
 * message is read in parts, and from the start again when it changes meanwhile. -E2BIG: the server
 * has no parts. -EAGAIN: it never stood still. Errors: as xsc_submit. */
VBD_API int xsc_list(struct xsc *x, uint32_t tx, const char *path,
                     struct xsc_completion completion);

/* Gives the session bytes that the transport read, in any pieces.
 * Errors: -EPROTO the server broke the protocol: all calls complete with -ECONNRESET, and every
 * later call answers -ENOTCONN; xsc_why tells what was seen. -ENOMEM likewise. */
VBD_API int xsc_feed(struct xsc *x, const void *bytes, size_t len);

/* A run of bytes to write. Each slice begins at a message, or continues the first unfinished one,
 * and ends where that message ends: /dev/xen/xenbus wants one message per write. */
struct xsc_slice {
    const void *bytes;
    size_t len;
};

/* Fills up to max slices with what has to be written, in order; returns how many. The bytes stay
 * valid until xsc_output_sent, xsc_output_refused, or the end of the session or its connection. */
VBD_API size_t xsc_output(struct xsc *x, struct xsc_slice *slices, size_t max);
/* Says that the first `bytes` bytes of the output were written. */
VBD_API void xsc_output_sent(struct xsc *x, size_t bytes);
/* Says that the transport refused the first message (/dev/xen/xenbus answers write() with an
 * error): its call completes with that negative errno. */
VBD_API void xsc_output_refused(struct xsc *x, int error);
/* Bounds how many requests may be written and not yet answered; 0, the default, is no bound. Output
 * beyond it waits for answers. */
VBD_API void xsc_set_window(struct xsc *x, size_t requests);
/* True while there is something to write. */
VBD_API bool xsc_wants_write(const struct xsc *x);

/* Says that the connection is lost, with a reason: all calls complete with -ECONNRESET. */
VBD_API void xsc_disconnected(struct xsc *x, const char *why);
/* Why the connection was lost, one sentence; "" while it is up. Valid as long as the session. */
VBD_API const char *xsc_why(const struct xsc *x);
/* How many calls wait for their answer; a client that is idle has none. */
VBD_API size_t xsc_pending(const struct xsc *x);
/* How many of them have been written whole: so many answers will come. */
VBD_API size_t xsc_awaited(const struct xsc *x);

/* Ends a session's connection in order, as before a domain is saved or xenstored is replaced: open
 * transactions and requests that were made are waited for, watches are cancelled, new requests
 * outside of transactions are kept. `done` is called once: with 0 when nothing is under way any
 * more; -ECONNRESET the connection was lost first; -ECANCELED xsc_resume or xsc_free came first.
 * While suspended, a lost connection is not noticed, and nothing is asked to be written.
 * Errors: -EBUSY suspended already, -ENOTCONN. */
VBD_API int xsc_suspend(struct xsc *x, void (*done)(void *ctx, int error), void *ctx);
/* Goes on after xsc_suspend, or after the connection was lost: every watch is set again, and told
 * by `fired` with a NULL path that it may have missed changes; then what was kept is sent. A watch
 * that the server refuses to set again is told so once more, and is not set until the next resume.
 * `new_connection` says that the transport was opened anew, which is for a session that is
 * suspended or lost. Errors: -ENOMEM, and nothing has changed. */
VBD_API int xsc_resume(struct xsc *x, bool new_connection);
/* True from the moment that xsc_suspend's `done` was called with 0 until xsc_resume. */
VBD_API bool xsc_is_suspended(const struct xsc *x);

/* A watch: `fired` is called with the changed path each time the server reports one; a NULL path
 * says, after xsc_resume, that changes may have been missed. The server fires each new watch once
 * by itself. Bounded by nature: nothing is queued for it. */
struct xsc_watch;
typedef void xsc_watch_fn(void *ctx, const char *path);
enum { XSC_DEPTH_ALL = -1 };

/* Sets a watch on `path` (or "@introduceDomain", "@releaseDomain") with a token of its own; any
 * number may watch one path. `completion` gets the server's answer. The watch must be removed, also
 * when the server refused it. Errors: as xsc_submit. */
VBD_API int xsc_watch_add(struct xsc *x, const char *path, xsc_watch_fn *fired, void *ctx,
                          struct xsc_completion completion, struct xsc_watch **ret);
/* The same for changes at most `depth` levels below the path: 0 for the node alone, XSC_DEPTH_ALL
 * for all. Servers before Xen's development head of 2026 answer -EINVAL to any other depth. */
VBD_API int xsc_watch_add_depth(struct xsc *x, const char *path, int depth, xsc_watch_fn *fired,
                                void *ctx, struct xsc_completion completion,
                                struct xsc_watch **ret);
/* Ends a watch: `fired` is not called again and the pointer is dead. A completion that has not been
 * called is called with -ECANCELED before this returns. Never fails; NULL is fine. */
VBD_API void xsc_watch_remove(struct xsc_watch *watch);

/* A batch: calls that travel together, in one write where the transport can, with one completion
 * at the end; plain, or inside one transaction that is begun, committed, and repeated on conflict.
 */
struct xsc_batch;
enum xsc_batch_kind { XSC_BATCH_PLAIN, XSC_BATCH_TRANSACTION };

/* Makes an empty batch. Errors: -ENOMEM. */
VBD_API int xsc_batch_new(struct xsc *x, enum xsc_batch_kind kind, struct xsc_batch **ret);
/* Forgets a batch. One that is still running ends without its completion; what was sent is sent,
 * but a transaction not yet committed is aborted. May be called from its own completion. NULL is
 * fine. */
VBD_API void xsc_batch_free(struct xsc_batch *b);

/* Adds a call; path and value are copied. Returns its index (from 0), or -EINVAL, -E2BIG as
 * xsc_submit, or -ENOMEM; xsc_batch_submit then reports it as well, so that callers may check there
 * alone. */
VBD_API int xsc_batch_add(struct xsc_batch *b, enum xsc_op op, const char *path, const void *value,
                          size_t value_len);
/* The same for the node "dir/key"; value is a string, or NULL. */
VBD_API int xsc_batch_add_key(struct xsc_batch *b, enum xsc_op op, const char *dir, const char *key,
                              const char *value);
/* Says whether the last added call may be answered with ENOENT without failing the batch. By
 * default READ may, and nothing else. A READ that may is also let off EACCES, which is what a
 * domain is told of a missing node whose parent it may not read. */
VBD_API void xsc_batch_may_miss(struct xsc_batch *b, bool may);
/* Sets a function that is called, with the ctx of xsc_batch_submit, when all answers are there and
 * before the end or the commit: it may look at them and add calls, which are then made too (in the
 * same transaction), or return -errno to fail the batch. It is called once a try, and the calls
 * that it added go with the try. */
VBD_API void xsc_batch_then(struct xsc_batch *b, int (*more)(void *ctx, struct xsc_batch *b));

/* Lets the commit of a transaction travel with its calls instead of waiting for their answers: a
 * round trip less. Only for calls that this domain is sure to be allowed: when one fails all the
 * same, the batch ends with its error, but the others have been committed. Has no effect where
 * xsc_batch_then was used. */
VBD_API void xsc_batch_commit_at_once(struct xsc_batch *b, bool at_once);

/* Sends the batch, again too, and from its own completion. A transaction that is one too many for
 * this domain waits until another of the session has ended. `done` is called once with 0 or the
 * first error (-EAGAIN when a transaction still conflicted after XSC_BATCH_TRIES); a failed
 * transaction changed nothing. Errors: those of xsc_batch_add and xsc_submit, -EBUSY it is running,
 * -EINVAL nothing could be sent; `done` is then not called. */
enum { XSC_BATCH_TRIES = 64 };
VBD_API int xsc_batch_submit(struct xsc_batch *b,
                             void (*done)(void *ctx, struct xsc_batch *b, int error), void *ctx);
/* The answer to call `index`, until the batch is submitted again or freed; -EINPROGRESS before
 * there is one, -EINVAL for an index out of range. */
VBD_API const struct xsc_reply *xsc_batch_reply(const struct xsc_batch *b, int index);
/* The value of a READ as a string, or NULL when the node is missing, unreadable or holds a NUL. */
VBD_API const char *xsc_batch_string(const struct xsc_batch *b, int index);
/* What failed, as a sentence: operation, path, the server's word. "" when nothing did. */
VBD_API const char *xsc_batch_why(const struct xsc_batch *b);

/* Checks a path as the daemons do: 0, or -EINVAL with *ret_why pointing to a static sentence. */
VBD_API int xsc_check_path(const char *path, const char **ret_why);
/* The name of an operation in lower case, "read". */
VBD_API const char *xsc_op_name(enum xsc_op op);
/* Translates a server's error word of len bytes: -errno; -EDQUOT for oxenstored's EQUOTA;
 * -EREMOTEIO for a word that is not known. */
VBD_API int xsc_errno(const char *name, size_t len);

#ifdef __cplusplus
}
#endif
#endif
