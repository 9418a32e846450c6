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

struct xsc {
    const struct vbd_allocator *allocator;
    struct xsc_frame frame;
    struct vbd_list unsent;   /* struct xsc_request, the first may be half written */
    struct vbd_list awaiting; /* struct xsc_request, oldest first: servers answer in order */
    size_t pending;           /* requests in both lists */
    size_t on_wire;           /* requests in `awaiting` */
    size_t window;            /* bound of on_wire, or 0 */
    uint32_t last_id;
    struct xsc_watches watches;
    struct vbd_list batches; /* every struct xsc_batch of this session */
    bool lost;               /* sticky: nothing goes in or out any more */
    char why[160];           /* reason of lost */
};

/* Puts a request at the end of the output; the session owns it from here. */
void xsc_request_queue(struct xsc *x, struct xsc_request *request,
                       struct xsc_completion completion);
/* Marks the session lost and completes all requests with `error`. */
void xsc_lose(struct xsc *x, int error, const char *why);

/* pending.c: takes a request off its list, completes it, frees it. */
void xsc_request_complete(struct xsc *x, struct xsc_request *request,
                          const struct xsc_reply *reply);
/* pending.c: the awaiting request with this id, or NULL. */
struct xsc_request *xsc_request_find(struct xsc *x, uint32_t req_id);

/* watches.c */
void xsc_watches_dispatch(struct xsc *x, const char *payload, size_t len);
void xsc_watches_free(struct xsc *x);

/* batch.c */
void xsc_batches_free(struct xsc *x);

#endif
