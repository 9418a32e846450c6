/* front_life.h - what a front does next, from what both sides show. A pure function, the
 * counterpart of lifecycle.h; src/vbd carries the step out. */
#ifndef XENBUS_FRONT_LIFE_H
#define XENBUS_FRONT_LIFE_H

#include <stdbool.h>

#include "xenbus/state.h"

/* Where a front is in its life. */
enum vbd_front_phase {
    VBD_FRONT_NEW,       /* what an earlier front left is not looked at yet */
    VBD_FRONT_WAITING,   /* Initialising is published: for the backend's offer */
    VBD_FRONT_OFFERED,   /* rings are shared, Initialised is published */
    VBD_FRONT_SERVED,    /* both are Connected */
    VBD_FRONT_LEAVING,   /* Closing is published, until the backend has let go */
    VBD_FRONT_RESETTING, /* Closed is published, until the backend is closed too */
    VBD_FRONT_OVER       /* closed for good, or failed */
};

struct vbd_front_view {
    bool backend_known; /* there is a backend's directory, and it has a state */
    bool moved;         /* it is another one than before */
    bool leave;         /* the owner wants to go, and nothing is under way */
    enum vbd_state back;
    enum vbd_state front; /* ours, as it is in xenstore */
};

enum vbd_front_action {
    VBD_FRONT_STEP_NONE,
    VBD_FRONT_STEP_BEGIN, /* publish Initialising */
    VBD_FRONT_STEP_OFFER, /* share rings, write the keys and Initialised */
    VBD_FRONT_STEP_SERVE, /* read the disk's keys, publish Connected */
    VBD_FRONT_STEP_LOOK,  /* the disk may have changed: read its keys again */
    VBD_FRONT_STEP_LEAVE, /* publish Closing */
    VBD_FRONT_STEP_RESET, /* give the rings back, publish Closed */
    VBD_FRONT_STEP_END    /* all is given back */
};

enum vbd_front_action vbd_front_next(enum vbd_front_phase phase, const struct vbd_front_view *view);
const char *vbd_front_phase_name(enum vbd_front_phase phase);

#endif
