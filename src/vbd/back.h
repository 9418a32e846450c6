/* back.h - the inside of a back: one device's life, between xenstore on one side and an engine on
 * the other. For the back_*.c files.
 *
 *   look (back.c)      read both states -> vbd_next_step -> carry out -> look again
 *   open (back_open.c)       the toolstack's keys, the storage
 *   publish (back_publish.c) keys and states out, in one transaction each
 *   connect (back_connect.c) the front's keys, the ring, the queue, its run
 *
 * One step is under way at a time (`busy`); an event meanwhile only sets `again`, so a guest that
 * flaps its state costs one look after another, and no memory.
 */
#ifndef VBD_BACK_H
#define VBD_BACK_H

#include "blkback/queue.h"
#include "vbdkit/vbd.h"
#include "xenbus/keys.h"
#include "xenbus/lifecycle.h"
#include "xenbus/negotiate.h"

/* Why the ring is being given back, and so what comes after. */
enum vbd_leaving {
    VBD_LEAVING_NOT,
    VBD_LEAVING_CLOSE,   /* the front closes: publish Closing */
    VBD_LEAVING_BROKEN,  /* a run ended by itself: say why and close the connection */
    VBD_LEAVING_MEDIUM,  /* not really: the runs end, to begin again on another storage */
    VBD_LEAVING_PARK,    /* this daemon goes: mark the ring as whole */
    VBD_LEAVING_REMOVED, /* the device is gone */
    VBD_LEAVING_LOST     /* xenstore is gone */
};

/* One queue of a connected front: its ring, mapped and served. */
struct vbd_link {
    struct vbd_back *back;
    void *ring_pages;
    struct vbd_event_channel *channel;
    struct vbd_queue *queue;
    struct vbd_run *run;
};

struct vbd_back {
    const struct vbd_platform *platform;
    struct xsc *x;
    struct vbd_back_config config;
    char class_name[33];
    char name[40]; /* "dom3/vbd-51712" */
    char back_path[VBD_PATH_MAX];
    char front_path[VBD_PATH_MAX];
    char guest_path[32]; /* /local/domain/DOMID */
    char error_path[VBD_PATH_MAX + 32];

    enum vbd_phase phase;
    enum vbd_state published; /* what this back wrote last, or found when it began */
    /* Of the batch that publishes; facts when it has been committed. */
    enum vbd_state next_state;
    enum vbd_phase next_phase;
    bool writes_state;
    void (*then)(struct vbd_back *b); /* what comes next; NULL: look again */
    unsigned failures;                /* of xenstore, one after the other */
    enum vbd_state front;             /* as last seen */
    bool busy, again;
    bool held;                       /* a look waits for the next tick */
    uint32_t looks_left, lines_left; /* until the limit is reached; time gives more */
    uint64_t ticked_at;              /* 0: nobody tells the time, and there is no limit */
    uint64_t looks, looks_held, log_dropped;
    bool has_looked;   /* the states were read once */
    bool park;         /* vbd_back_park was called */
    bool fresh;        /* no front was ever connected, as far as the states tell */
    bool adopts;       /* connecting to the ring that an earlier daemon parked */
    bool script_waits; /* block-vbdkit, which hands hotplug-error on to xl */
    bool refused;      /* the server refused a watch: nothing would be noticed */
    bool refresh;      /* the image is to be looked at again */
    bool told;         /* `ended` was called */

    struct xsc_watch *back_watch, *front_watch, *guest_watch, *params_watch;
    struct xsc_batch *batch; /* of the step under way, or NULL */

    struct vbd_back_options usual;              /* the daemon's */
    struct vbd_back_options options;            /* and over them the device's */
    struct vbd_storage *storage, *next_storage; /* next: while a medium is changed */
    char *params;                               /* what names it */
    struct vbd_disk_limits disk;                /* what is offered; requests are judged by it */
    bool asked_read_only, read_only, cdrom, removable;
    bool discard; /* the toolstack has nothing against it */

    /* While connected. */
    struct vbd_agreement agreement;
    struct vbd_link links[VBD_QUEUES_MAX];
    unsigned link_count, running;
    bool run_over; /* a run ended by itself; the next look closes the connection */
    enum vbd_run_end run_end;
    enum vbd_leaving leaving;

    struct vbd_counters ended_counters; /* of queues that are gone */
    struct vbd_latency ended_latency;
};

/* back.c: the step is over; look again when something happened meanwhile (or `look` is set). */
void vbd_back_settle(struct vbd_back *b, bool look);
/* back.c: the device is over. Gives everything back and tells the owner. */
void vbd_back_finish(struct vbd_back *b, enum vbd_back_end end);
/* back.c: something happened: look now, or when the step under way is over. */
void vbd_back_wake(struct vbd_back *b);
/* back.c: makes b->batch, to be filled and submitted; each ends the device when it can't, and says
 * so by false or by not calling `done`. */
bool vbd_back_begin(struct vbd_back *b, enum xsc_batch_kind kind);
void vbd_back_submit(struct vbd_back *b,
                     void (*done)(void *ctx, struct xsc_batch *batch, int error));
/* back.c: an error that means that the connection to xenstore is gone. */
bool vbd_back_is_lost(int error);
/* back.c: counts a failure of xenstore; false after too many in a row. */
bool vbd_back_may_retry(struct vbd_back *b);
/* back.c: both, to read "dir/name" for each name. */
void vbd_back_read(struct vbd_back *b, const char *dir, const char *const *names, size_t count,
                   void (*done)(void *ctx, struct xsc_batch *batch, int error));
/* back.c: logs a line about this back; the strings up to a NULL are joined. */
void vbd_back_log(struct vbd_back *b, enum vbd_log_level level, ...) __attribute__((sentinel));

/* back_open.c: reads the toolstack's keys and opens the storage, then offers or adopts. */
void vbd_back_open(struct vbd_back *b);
/* back_open.c: what is offered, from the storage and what was asked for. */
void vbd_back_describe(struct vbd_back *b);
void vbd_back_keep_params(struct vbd_back *b, const char *params);
/* back_options.c: whether each is one that could be told. */
bool vbd_back_options_good(const struct vbd_back_options *o);
/* back_connect.c: in what the storage reads into the guest's own pages, in bytes; 0: it does not.
 */
uint32_t vbd_back_read_unit(const struct vbd_back *b);

/* no_medium.c */
extern struct vbd_storage vbd_no_medium;

/* back_medium.c: looks at the image again: its size, or which medium it is. */
void vbd_back_look_at_image(struct vbd_back *b);
/* back_medium.c: the runs have ended: the next storage takes the place of the old one. */
void vbd_back_medium_out(struct vbd_back *b);

/* back_publish.c */
void vbd_back_offer_keys(struct vbd_back *b);
/* The disk's size has changed: the key is written again and the state as well, by which a connected
 * front notices. */
void vbd_back_publish_size(struct vbd_back *b);
void vbd_back_publish_state(struct vbd_back *b, enum vbd_state state, enum vbd_phase then);
/* Tells log and toolstack that the device failed, for good, and why. `lost` says that a ring was
 * left behind whose requests are lost: no later daemon may take it up, until the front has begun
 * anew. */
void vbd_back_fail(struct vbd_back *b, const char *why, bool lost);
/* Takes the mark of parking away, then connects: never is a request taken while it is there. */
void vbd_back_unpark(struct vbd_back *b);
/* The front's fault: tells the same, and closes this connection. */
void vbd_back_refuse(struct vbd_back *b, const char *why);
void vbd_back_mark_parked(struct vbd_back *b);
void vbd_back_clean_error(struct vbd_back *b);

/* back_connect.c */
void vbd_back_connect(struct vbd_back *b);
/* Starts a run for each queue, on b->storage. On failure those started go on. */
int vbd_back_start_runs(struct vbd_back *b, struct vbd_text *why);
/* Ends the run; when it has ended, the ring is given back and what `why` says comes next. */
void vbd_back_disconnect(struct vbd_back *b, enum vbd_leaving why);
/* A run ended by itself: gives all rings back and closes the connection. */
void vbd_back_run_over(struct vbd_back *b);

#endif
