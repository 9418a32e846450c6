/* lifecycle.h - what a back does next, from what both sides show. A pure function: strings were
 * parsed before, and src/vbd carries the step out. */
#ifndef XENBUS_LIFECYCLE_H
#define XENBUS_LIFECYCLE_H

#include <stdbool.h>

#include "xenbus/state.h"

/* Where a back is in its life. */
enum vbd_phase {
    VBD_PHASE_OPENING,   /* reading the toolstack's keys, opening the storage */
    VBD_PHASE_WAITING,   /* InitWait is published */
    VBD_PHASE_CONNECTED, /* the ring is mapped and served */
    VBD_PHASE_CLOSING,   /* the ring is given back; the front has still to close */
    VBD_PHASE_CLOSED,    /* Closed is published; a front may come again */
    VBD_PHASE_FAILED     /* could not be opened; says so until the toolstack removes it */
};

struct vbd_view {
    bool back_gone; /* the backend directory was removed */
    bool online;    /* the toolstack wants the device to stay */
    enum vbd_state back;
    enum vbd_state front;
    enum vbd_state published; /* the state this back wrote last */
    bool guest_gone;          /* the guest's own directory was removed */
};

enum vbd_step {
    VBD_STEP_NONE,
    VBD_STEP_OFFER,   /* publish the keys and InitWait */
    VBD_STEP_CONNECT, /* read the front's keys, map, serve, publish Connected */
    VBD_STEP_CLOSING, /* publish Closing, and go on serving */
    VBD_STEP_CLOSE,   /* finish what was taken, give the ring back, publish Closing */
    VBD_STEP_CLOSED,  /* publish Closed */
    VBD_STEP_REMOVE,  /* remove the nodes: there is no guest, and its toolstack has left them */
    VBD_STEP_END      /* give everything back; the device is gone, or another one */
};

enum vbd_step vbd_next_step(enum vbd_phase phase, const struct vbd_view *view);
const char *vbd_phase_name(enum vbd_phase phase);

#endif
