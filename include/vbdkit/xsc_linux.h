/* xsc_linux.h - libxsc on Linux: a session over the Unix socket of a xenstored or over
 * /dev/xen/xenbus, driven by an event loop, by calls that block, or by both at once.
 *
 * Threads: the blocking calls may be used from any number of threads at once on one client; their
 * requests are pipelined on its one connection. There is no hidden thread: one of the callers that
 * wait reads for all. Callbacks of the session run on whichever thread reads or writes, with the
 * client locked: they may use the calls of xsc.h on xsc_client_session, and nothing of this header.
 * Fork: a client belongs to the process that opened it. Signals: no handler is installed; SIGPIPE
 * is never raised.
 */
#ifndef VBDKIT_XSC_LINUX_H
#define VBDKIT_XSC_LINUX_H

#include "vbdkit/xsc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The C library's calloc and free. */
VBD_API extern const struct vbd_allocator vbd_libc_allocator;

struct xsc_client;

/* Connects to `address`: a socket's path or a character device. NULL looks where libxenstore looks:
 * at $XENSTORED_PATH alone; else at $XENSTORED_RUNDIR/socket, or /var/run/xenstored/socket without
 * that, then /dev/xen/xenbus, /proc/xen/xenbus. On /dev/xen/xenbus one request is under way at a
 * time, as Linux' driver demands. Errors: the -errno of the last address tried (all are named in
 * *why), -ENOMEM. */
VBD_API int xsc_client_open(const char *address, struct xsc_client **ret, struct vbd_error *why);
/* Uses a connected, bidirectional descriptor, which the client then owns (also on failure). A
 * socket is made blocking and a device non-blocking, for whoever shares it. */
VBD_API int xsc_client_adopt(int fd, struct xsc_client **ret);
/* Uses a domain's own ring page, for a program that is its domain's kernel. The calls of `port` run
 * with the client locked; page and port stay the caller's and must outlive the client.
 * Errors: -EINVAL the port is none, -ENOMEM. */
struct xsc_ring_port {
    size_t struct_size; /* sizeof(struct xsc_ring_port) */
    void *ctx;
    int wait_fd;                   /* polls readable while an event waits */
    int (*notify)(void *ctx);      /* sends an event to xenstored */
    bool (*take_event)(void *ctx); /* takes a waiting event, lets the next one in; must not block */
};
VBD_API int xsc_client_open_ring(void *page, const struct xsc_ring_port *port,
                                 struct xsc_client **ret);
/* Suspends the session (see xsc_suspend): returns when all that was asked for is answered, every
 * transaction has ended and every watch is cancelled. Calls of other threads then wait. The
 * connection may be closed by the other side meanwhile. timeout_ms < 0 waits for ever. Errors:
 * -ETIMEDOUT, and everything goes on as before; -ENOMEM the time is over, but there is no memory to
 * go on: the suspension takes its course, and xsc_client_continue tries again; -EBUSY, -ENOTCONN,
 * -ECONNRESET, -EDEADLK. */
VBD_API int xsc_client_suspend(struct xsc_client *c, int timeout_ms, struct vbd_error *why);
/* Connects anew, at an address as in xsc_client_open, and goes on (see xsc_resume): after
 * xsc_client_suspend, or when the connection was lost, in which case the calls that were under way
 * have failed. Queues get a rescan; waits run their function again. The descriptor of
 * xsc_client_fd is another one afterwards. Of several threads that resume at once, one does, and
 * the others find the connection up. Errors: as xsc_client_open, -EBUSY the connection is neither
 * suspended nor lost, -EDEADLK. */
VBD_API int xsc_client_resume(struct xsc_client *c, const char *address, struct vbd_error *why);
/* The same after xsc_client_suspend with the connection there is. Errors: -ENOTCONN it was lost
 * before, -ENOMEM, -EDEADLK. */
VBD_API int xsc_client_continue(struct xsc_client *c);
/* Ends the session (see xsc_free) and closes the connection. No thread may be inside a call, and
 * its queues have been freed. Returns NULL. */
VBD_API struct xsc_client *xsc_client_close(struct xsc_client *c);

/* --- (b) any event loop --- */

/* The session, for the calls of xsc.h. From outside a callback, and when other threads use the
 * client too, hold the lock around them. What is submitted goes out with the next
 * xsc_client_process or blocking call. */
VBD_API struct xsc *xsc_client_session(struct xsc_client *c);
VBD_API void xsc_client_lock(struct xsc_client *c);
VBD_API void xsc_client_unlock(struct xsc_client *c);
/* The descriptor to poll, the same until xsc_client_resume, and the events wanted now: POLLIN, and
 * POLLOUT while output waits.
 * /dev/xen/xenbus can't be polled for output: there the second call writes what it can. */
VBD_API int xsc_client_fd(struct xsc_client *c);
VBD_API short xsc_client_events(struct xsc_client *c);
/* Writes and reads what it can without blocking, and runs the callbacks.
 * Errors: -EPROTO, -ENOTCONN, -EDEADLK from a callback, or the -errno of the connection; xsc_why
 * has the sentence. */
VBD_API int xsc_client_process(struct xsc_client *c);

/* --- (c) calls that block --- */

/* What a caller works through: single operations, a transaction, or a wait. Valid inside the
 * function that was given it, on that thread. */
struct xsc_handle;
/* The caller's function: returns 0 or -errno, which the call that ran it returns. */
typedef int xsc_handle_fn(struct xsc_handle *h, void *arg);

/* Runs fn with a handle for single operations. Returns what fn returned; *why has the last failed
 * operation's sentence. */
VBD_API int xsc_immediate(struct xsc_client *c, xsc_handle_fn *fn, void *arg,
                          struct vbd_error *why);

enum { XSC_TRANSACTION_TRIES = 100 };
/* Runs fn inside a transaction and commits; runs it again on conflict, up to XSC_TRANSACTION_TRIES
 * times, so fn must not keep results of an earlier run. When fn fails, the transaction is aborted
 * and nothing it wrote remains. Errors: fn's, -EAGAIN still in conflict, -EPROTO, and the server's.
 */
VBD_API int xsc_transaction(struct xsc_client *c, xsc_handle_fn *fn, void *arg,
                            struct vbd_error *why);

/* How a transaction is tried. Begin with a copy of xsc_transaction_defaults. */
struct xsc_transaction_options {
    size_t struct_size;        /* sizeof(struct xsc_transaction_options) */
    unsigned tries;            /* at least 1 */
    unsigned first_pause_us;   /* after the third conflict; doubled from then on */
    unsigned longest_pause_us; /* but never more than this */
    /* The commit is sent with the writes of xsc_write_later, not after their answers: a round trip
     * less. When one of them is refused all the same, the call fails with its error, but the rest
     * has been committed. */
    bool commit_at_once;
};
VBD_API const struct xsc_transaction_options *xsc_transaction_defaults(void);
/* xsc_transaction with options (NULL: the defaults). Errors also: -EINVAL for options that are
 * none.
 */
VBD_API int xsc_transaction_with(struct xsc_client *c,
                                 const struct xsc_transaction_options *options, xsc_handle_fn *fn,
                                 void *arg, struct vbd_error *why);

/* Runs fn, which may answer -EAGAIN for "not yet": it is run again when a node that it read, listed
 * or asked the permissions of has changed. timeout_ms < 0 waits for ever; it bounds the operations
 * of fn too, but for 0, which asks once. The watches that this needs are gone when it returns.
 * Errors: fn's, -ETIMEDOUT, -ENOTCONN, -EDEADLK, and the server's. */
VBD_API int xsc_wait(struct xsc_client *c, int timeout_ms, xsc_handle_fn *fn, void *arg,
                     struct vbd_error *why);

/* Cancels waits from another thread, or from a callback, also where an operation of their function
 * waits for the server. One may be used by several waits, and stays cancelled. Free it when no wait
 * uses it any more. */
struct xsc_cancel;
VBD_API int xsc_cancel_new(struct xsc_client *c, struct xsc_cancel **ret);
VBD_API void xsc_cancel(struct xsc_cancel *cancel);
VBD_API struct xsc_cancel *xsc_cancel_free(struct xsc_cancel *cancel);

struct xsc_wait_options {
    size_t struct_size;        /* sizeof(struct xsc_wait_options) */
    int timeout_ms;            /* negative: for ever */
    struct xsc_cancel *cancel; /* may be NULL */
};
/* xsc_wait with options. Errors also: -ECANCELED; -EINVAL for options that are none. */
VBD_API int xsc_wait_with(struct xsc_client *c, const struct xsc_wait_options *options,
                          xsc_handle_fn *fn, void *arg, struct vbd_error *why);

/* The sentence of the handle's last failed operation: operation, path, the server's word. */
VBD_API const char *xsc_handle_why(const struct xsc_handle *h);

/* Operations of xenstore.txt. Paths are absolute, or relative to the own domain's. All return 0 or
 * -errno: -EINVAL not allowed here, what xsc_errno makes of the server's word, -ECONNRESET and
 * -ENOTCONN for a lost connection, -EDEADLK when called from a callback's thread, -ENOMEM.
 * Outputs are malloc'ed for the caller to free(), and untouched on failure. */

/* READ: len bytes of any value, and a NUL behind them. */
VBD_API int xsc_read(struct xsc_handle *h, const char *path, char **ret, size_t *ret_len);
/* WRITE: creates the node and its parents where they are missing. */
VBD_API int xsc_write(struct xsc_handle *h, const char *path, const void *value, size_t len);
/* A WRITE that is not waited for: in a transaction it is sent with what follows, at the latest with
 * the end, and a refusal fails the transaction there. Elsewhere it is xsc_write. */
VBD_API int xsc_write_later(struct xsc_handle *h, const char *path, const void *value, size_t len);
/* DIRECTORY: the names of the children, in one allocation, however many (see xsc_list). */
VBD_API int xsc_directory(struct xsc_handle *h, const char *path, char ***ret, size_t *ret_count);
/* MKDIR: does nothing when the node is there. */
VBD_API int xsc_mkdir(struct xsc_handle *h, const char *path);
/* RM: the node and all below it; -ENOENT only when the parent is missing too. */
VBD_API int xsc_rm(struct xsc_handle *h, const char *path);
/* GET_DOMAIN_PATH: "/local/domain/N", whether that domain exists or not. */
VBD_API int xsc_get_domain_path(struct xsc_handle *h, unsigned domid, char **ret);

/* One of many nodes that are read or written in one go: the requests travel together. */
struct xsc_item {
    const char *path;
    char *data; /* READ: malloc'ed, with a NUL behind; NULL on failure. WRITE: what to write */
    size_t len;
    int error; /* of this one: 0 or -errno */
};
/* READ of each item. Returns 0 when every item has its answer, a missing node being -ENOENT in its
 * item; the first other error otherwise. Free each item's data in either case. */
VBD_API int xsc_read_many(struct xsc_handle *h, struct xsc_item *items, size_t count);
/* WRITE of each item, in order. Returns 0 or the first error; outside of a transaction the others
 * have been written. */
VBD_API int xsc_write_many(struct xsc_handle *h, struct xsc_item *items, size_t count);

/* Permissions: the first entry names the owner and what everybody else may do. */
struct xsc_permission {
    unsigned domid;
    char access; /* 'n' none, 'r' read, 'w' write, 'b' both */
};
VBD_API int xsc_get_perms(struct xsc_handle *h, const char *path, struct xsc_permission **ret,
                          size_t *ret_count);
VBD_API int xsc_set_perms(struct xsc_handle *h, const char *path,
                          const struct xsc_permission *perms, size_t count);

/* Domains, for toolstacks: only domain 0 may make these calls, others are answered -EACCES. Errors:
 * those of the operations above. */

/* INTRODUCE: tells xenstored of a domain, the frame number of its store page, and the port that it
 * offers to xenstored's domain. */
VBD_API int xsc_introduce(struct xsc_handle *h, unsigned domid, unsigned long frame, uint32_t port);
/* RELEASE: xenstored lets go of a domain's ring; its nodes stay. -ENOENT, or -EINVAL: there is no
 * such domain there. */
VBD_API int xsc_release(struct xsc_handle *h, unsigned domid);
/* IS_DOMAIN_INTRODUCED: whether xenstored knows the domain. */
VBD_API int xsc_is_introduced(struct xsc_handle *h, unsigned domid, bool *ret);

/* RESUME: xenstored forgets that the domain has shut down, as after a cancelled suspend. */
VBD_API int xsc_resume_domain(struct xsc_handle *h, unsigned domid);
/* SET_TARGET: domid may do what target may, as a device model needs it. */
VBD_API int xsc_set_target(struct xsc_handle *h, unsigned domid, unsigned target);

/* The server itself. A server without one of these answers -ENOSYS, and the sentence names it. */

/* CONTROL (debug): the words of a command, such as {"check"}; its answer. */
VBD_API int xsc_control(struct xsc_handle *h, const char *const *words, size_t count, char **ret,
                        size_t *ret_len);
/* RESTRICT: this connection may do what the domain may, and no more. Both daemons of Xen 4.17
 * refuse
 * (-ENOSYS): use a connection of the domain's own, its ring, or permissions, in its place. */
VBD_API int xsc_restrict(struct xsc_handle *h, unsigned domid);
/* RESET_WATCHES: ends every watch and transaction of this connection at the server, those of other
 * users of the client too: for a kernel at its start. */
VBD_API int xsc_reset_watches(struct xsc_handle *h);
/* GET_FEATURE, SET_FEATURE: the bits of what a domain is offered (xenstore-ring.txt). domid < 0:
 * what the server can do at all. Servers before Xen's development head of 2026: -ENOSYS. */
VBD_API int xsc_get_features(struct xsc_handle *h, int domid, uint32_t *ret);
VBD_API int xsc_set_features(struct xsc_handle *h, unsigned domid, uint32_t features);
/* GET_QUOTA, SET_QUOTA: a quota such as "nodes" or "watches"; domid < 0: the default of new
 * domains; 0 is no limit. Likewise. */
VBD_API int xsc_get_quota(struct xsc_handle *h, int domid, const char *quota, uint32_t *ret);
VBD_API int xsc_set_quota(struct xsc_handle *h, int domid, const char *quota, uint32_t value);
/* GET_QUOTA without a name: the names of all quotas, separated by blanks. */
VBD_API int xsc_quota_names(struct xsc_handle *h, char **ret);

/* A queue of watch events for one user of the client, bounded. */
struct xsc_queue;
struct xsc_event {
    char *path;  /* what changed; NULL when rescan */
    char *token; /* the token given to xsc_watch; NULL when rescan */
    bool rescan; /* events were dropped at the limit, or missed while the client was suspended or
                  * its connection lost: read everything again */
};
/* Makes a queue for up to `limit` events. Errors: -EINVAL limit is 0, -ENOMEM. */
VBD_API int xsc_queue_new(struct xsc_client *c, size_t limit, struct xsc_queue **ret);
/* Ends its watches and frees it. Returns NULL. */
VBD_API struct xsc_queue *xsc_queue_free(struct xsc_queue *q);
/* Watches path; events carry token, any string. Errors: -EEXIST the queue has that pair. */
VBD_API int xsc_watch(struct xsc_queue *q, const char *path, const char *token,
                      struct vbd_error *why);
/* The same with a depth (see xsc_watch_add_depth). */
VBD_API int xsc_watch_depth(struct xsc_queue *q, const char *path, const char *token, int depth,
                            struct vbd_error *why);
/* Ends a watch. Errors: -ENOENT the queue has no such pair. */
VBD_API int xsc_unwatch(struct xsc_queue *q, const char *path, const char *token);
/* Waits for the next event. timeout_ms < 0 waits for ever, 0 takes what has come. Errors:
 * -ETIMEDOUT, -ENOTCONN, -EDEADLK from a callback. Free the event with xsc_event_clear. */
VBD_API int xsc_queue_next(struct xsc_queue *q, int timeout_ms, struct xsc_event *ret);
VBD_API void xsc_event_clear(struct xsc_event *e);

#ifdef __cplusplus
}
#endif
#endif
