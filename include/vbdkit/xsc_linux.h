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
/* Uses a connected, bidirectional descriptor, which the client then owns (also on failure). */
VBD_API int xsc_client_adopt(int fd, struct xsc_client **ret);
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
/* The descriptor to poll, and the events wanted now: POLLIN, and POLLOUT while output waits.
 * /dev/xen/xenbus can't be polled for output: there the second call writes what it can. */
VBD_API int xsc_client_fd(const struct xsc_client *c);
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

/* Runs fn, which may answer -EAGAIN for "not yet": it is run again when a node that it read, listed
 * or asked the permissions of has changed. timeout_ms < 0 waits for ever. The watches that this
 * needs are gone when it returns. Errors: fn's, -ETIMEDOUT, -ENOTCONN, -EDEADLK, and the
 * server's. */
VBD_API int xsc_wait(struct xsc_client *c, int timeout_ms, xsc_handle_fn *fn, void *arg,
                     struct vbd_error *why);

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
/* DIRECTORY: the names of the children, in one allocation. -E2BIG when they exceed a message. */
VBD_API int xsc_directory(struct xsc_handle *h, const char *path, char ***ret, size_t *ret_count);
/* MKDIR: does nothing when the node is there. */
VBD_API int xsc_mkdir(struct xsc_handle *h, const char *path);
/* RM: the node and all below it; -ENOENT only when the parent is missing too. */
VBD_API int xsc_rm(struct xsc_handle *h, const char *path);
/* GET_DOMAIN_PATH: "/local/domain/N", whether that domain exists or not. */
VBD_API int xsc_get_domain_path(struct xsc_handle *h, unsigned domid, char **ret);

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
/* IS_DOMAIN_INTRODUCED: whether xenstored knows the domain. Any domain may ask. */
VBD_API int xsc_is_introduced(struct xsc_handle *h, unsigned domid, bool *ret);

/* A queue of watch events for one user of the client, bounded. */
struct xsc_queue;
struct xsc_event {
    char *path;  /* what changed; NULL when rescan */
    char *token; /* the token given to xsc_watch; NULL when rescan */
    bool rescan; /* events were dropped at the limit: read everything again */
};
/* Makes a queue for up to `limit` events. Errors: -EINVAL limit is 0, -ENOMEM. */
VBD_API int xsc_queue_new(struct xsc_client *c, size_t limit, struct xsc_queue **ret);
/* Ends its watches and frees it. Returns NULL. */
VBD_API struct xsc_queue *xsc_queue_free(struct xsc_queue *q);
/* Watches path; events carry token, any string. Errors: -EEXIST the queue has that pair. */
VBD_API int xsc_watch(struct xsc_queue *q, const char *path, const char *token,
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
