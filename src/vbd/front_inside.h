/* front_inside.h - the inside of a front, for the front*.c files.
 *
 *   look (front.c)          read both states -> vbd_front_next -> carry out -> look again
 *   connect (front_connect.c)  rings shared and told; the disk's keys read
 *   channel (front_channel.c)  operations onto queues, events, processing
 *
 * One step is under way at a time (`busy`); an event meanwhile only sets `again`.
 */
#ifndef VBD_FRONT_INSIDE_H
#define VBD_FRONT_INSIDE_H

#include "blkfront/queue.h"
#include "vbdkit/front.h"
#include "vbdkit/vbd.h"
#include "xenbus/front_life.h"
#include "xenbus/keys.h"

struct vbd_front {
    const struct vbd_front_platform *platform;
    struct xsc *x;
    struct vbd_front_config config;
    struct vbd_front_options options;
    char name[24];            /* "vbd-51712" */
    char dir[64];             /* device/vbd/VDEV below home */
    char back[VBD_PATH_MAX];  /* the backend's directory; "" while it is not known */
    char found[VBD_PATH_MAX]; /* as seen by the look under way */
    unsigned found_domid;
    unsigned backend_domid;

    enum vbd_front_phase phase;
    enum vbd_front_phase next_phase; /* when the batch under way is committed */
    void (*then)(struct vbd_front *f);
    bool busy, again;
    bool passing;     /* inside vbd_front_process or vbd_front_poll */
    bool leave;       /* vbd_front_disconnect was called */
    bool connected;   /* the owner was told */
    bool ended;       /* VBD_FRONT_CLOSED was sent */
    bool dying;       /* inside vbd_front_free */
    unsigned refused; /* offers that the backend closed instead of taking, in a row */
    unsigned failures;

    struct xsc_watch *own_watch, *back_watch;
    struct xsc_batch *batch;

    struct vbd_front_info info;
    struct vbd_back_offer offer;
    struct vbd_front_queue queues[VBD_QUEUES_MAX];
    uint32_t queue_count; /* open */
    uint32_t next_queue;  /* whose turn it is */
    bool unsent; /* something was submitted since vbd_front_process or vbd_front_poll began */
    uint64_t submitted; /* operations */
    struct vbd_buffers buffers;
    struct vbd_channel channel;
    int error; /* what every operation is done with; 0: none */
    char why[200];
};

/* front.c */
void vbd_front_settle(struct vbd_front *f, bool look);
void vbd_front_wake(struct vbd_front *f);
bool vbd_front_begin(struct vbd_front *f, enum xsc_batch_kind kind);
void vbd_front_ask(struct vbd_front *f,
                   void (*done)(void *ctx, struct xsc_batch *batch, int error));
/* Whether a batch's end was good; otherwise the front looks again, or fails. */
bool vbd_front_went_well(struct vbd_front *f, struct xsc_batch *batch, int error);
/* The front can't go on: operations are done with this error, and the owner is told. */
void vbd_front_fail_with(struct vbd_front *f, int error, const char *why);
void vbd_front_tell(struct vbd_front *f, enum vbd_front_event event);

/* front_connect.c */
void vbd_front_offer(struct vbd_front *f);
void vbd_front_serve(struct vbd_front *f);
void vbd_front_look_at_disk(struct vbd_front *f);
/* Writes our state, in a transaction that fails where the device is gone. */
void vbd_front_publish(struct vbd_front *f, enum vbd_state state, enum vbd_front_phase then);
void vbd_front_close_queues(struct vbd_front *f);

/* front_options.c: whether each is one that could be told. */
bool vbd_front_options_good(const struct vbd_front_options *o);

/* front_channel.c */
void vbd_front_channel_init(struct vbd_front *f);
bool vbd_front_is_idle(const struct vbd_front *f);
void vbd_front_fail_operations(struct vbd_front *f, int error);

#endif
