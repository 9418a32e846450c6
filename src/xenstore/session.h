/* session.h - the inside of a struct xsc, for the files of this room. */
#ifndef XENSTORE_SESSION_H
#define XENSTORE_SESSION_H

#include "base/list.h"
#include "vbdkit/xsc.h"
#include "xenstore/encode.h"
#include "xenstore/frame.h"

/* Watches by token. A token is "slot.generation": the slot finds the watch, the generation tells a
 * late event for an old watch from one for its successor. */
struct xsc_watches {
    struct xsc_watch **slots;
    size_t count; /* slots, used or not */
    uint64_t generation;
};

enum xsc_phase {
    XSC_RUNNING,
    XSC_DRAINING,   /* suspending: requests and transactions are waited for */
    XSC_CANCELLING, /* suspending: watches are cancelled */
    XSC_SUSPENDED
};

struct xsc {
    const struct vbd_allocator *allocator;
    struct xsc_frame frame;
    enum xsc_phase phase;
    void (*suspended)(void *ctx, int error); /* told once; NULL when it has been */
    void *suspended_ctx;
    struct vbd_list held;     /* struct xsc_request, made while suspending or suspended */
    struct vbd_list unsent;   /* struct xsc_request, the first may be half written */
    struct vbd_list awaiting; /* struct xsc_request, oldest first: servers answer in order */
    size_t pending;           /* requests in these three lists */
    size_t transactions;      /* asked for and not ended */
    size_t on_wire;           /* requests in `awaiting` */
    size_t window;            /* bound of on_wire, or 0 */
    uint32_t last_id;
    struct xsc_watches watches;
    struct vbd_list batches; /* every struct xsc_batch of this session */
    struct vbd_list crowded; /* those that wait for another's transaction to end */
    bool lost;               /* sticky: nothing goes in or out any more */
    char why[160];           /* reason of lost */
};

/* Puts a request at the end of the output, or keeps it while suspended; the session owns it from
 * here. */
void xsc_request_queue(struct xsc *x, struct xsc_request *request,
                       struct xsc_completion completion);
/* The same, also while suspending. */
void xsc_request_send(struct xsc *x, struct xsc_request *request, struct xsc_completion completion);
/* Marks the session lost and completes all requests with `error`. */
void xsc_lose(struct xsc *x, int error, const char *why);

/* pending.c: takes a request off its list, completes it, frees it. */
void xsc_request_complete(struct xsc *x, struct xsc_request *request,
                          const struct xsc_reply *reply);
/* pending.c: the awaiting request with this id, or NULL. */
struct xsc_request *xsc_request_find(struct xsc *x, uint32_t req_id);

/* suspend.c: looks whether suspending can go a step further. */
void xsc_suspend_step(struct xsc *x);
/* suspend.c: tells whoever suspends how it ended. */
void xsc_suspend_tell(struct xsc *x, int error);
/* suspend.c: whether a request must wait for resume. */
bool xsc_suspend_holds(const struct xsc *x, const struct xsc_request *request);

/* watches.c */
/* Cancels every watch that is set. */
void xsc_watches_cancel(struct xsc *x);
/* After a lost connection: none is set. */
void xsc_watches_forget(struct xsc *x);
/* Prepares to set those again that are not; -ENOMEM and nothing has changed. */
int xsc_watches_prepare(struct xsc *x);
/* Sets what was prepared; then tells each. */
void xsc_watches_set_again(struct xsc *x);
void xsc_watches_tell(struct xsc *x);
void xsc_watches_dispatch(struct xsc *x, const char *payload, size_t len);
void xsc_watches_free(struct xsc *x);

/* batch.c */
void xsc_batches_free(struct xsc *x);
/* A transaction has ended: one that waited for that begins; all end when the session is lost. */
void xsc_batches_go_on(struct xsc *x);

#endif
