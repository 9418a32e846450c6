/* xsc_handle.h - the inside of a handle, for the xsc_*.c files of this room. */
#ifndef LINUX_XSC_HANDLE_H
#define LINUX_XSC_HANDLE_H

#include "vbdkit/xsc_linux.h"

struct xsc_wait_state;
struct xsc_patience;

/* Writes that travel with the transaction's end; see xsc_write_later. */
struct xsc_later {
    size_t outstanding;
    int error; /* the first */
    bool done; /* nothing is outstanding */
    struct vbd_error why;
};

struct xsc_handle {
    struct xsc_client *client;
    uint32_t tx;                         /* open transaction, or 0 */
    bool conflict;                       /* the last commit was refused for one */
    bool unsent;                         /* the last call could not even be queued */
    struct xsc_wait_state *wait;         /* inside xsc_wait, else NULL */
    const struct xsc_patience *patience; /* likewise; for each operation */
    struct xsc_later later;              /* under the client's lock */
    struct vbd_error why;                /* the last failed operation */
};

/* An answer on its way to the thread that asked. */
struct xsc_answer {
    bool done;
    bool unwanted; /* the data are */
    bool deserted; /* nobody waits any more: its completion frees it */
    int error;
    char word[24];
    char *data;
    size_t len;
};

/* The completion of a request whose context is a struct xsc_answer. */
void xsc_answer_keep(void *ctx, const struct xsc_reply *reply);
/* The server's word, or what the error means. */
const char *xsc_answer_reason(const struct xsc_answer *a, int error);

/* Makes a call in the handle's transaction and waits for its answer (malloc'ed; ret may be NULL). A
 * directory comes back whole. */
int xsc_handle_call(struct xsc_handle *h, const struct xsc_call *call, char **ret, size_t *ret_len);
/* The same for an operation that reads a path: inside a wait, the path is watched first. */
int xsc_handle_reads(struct xsc_handle *h, enum xsc_op op, const char *path, char **ret,
                     size_t *ret_len);
/* Inside a wait: watches a path that is about to be read. Else does nothing. */
int xsc_handle_track(struct xsc_handle *h, const char *path);
/* Says in the handle what failed, and returns the error. */
int xsc_handle_fail(struct xsc_handle *h, const struct xsc_call *call, int error, const char *word);
/* What a call that ran a function returns: r, and the handle's sentence when it failed. */
int xsc_handle_ended(const struct xsc_handle *h, int r, struct vbd_error *why);

#endif
