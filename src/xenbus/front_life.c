/* front_life.c - see front_life.h. A backend may come, go, close first, or come back as another one
 * at any time; whatever it does, this side closes by the book and begins anew. */
#include "xenbus/front_life.h"

static bool is_closed(const struct vbd_front_view *v)
{
    return !v->backend_known || v->back == VBD_STATE_CLOSED;
}

static bool closes(const struct vbd_front_view *v)
{
    return is_closed(v) || v->back == VBD_STATE_CLOSING;
}

/* Rings of an earlier front are in the way until the backend has closed them. */
static enum vbd_front_action when_new(const struct vbd_front_view *v)
{
    if (v->front == VBD_STATE_INITIALISING || v->front == VBD_STATE_UNKNOWN)
        return VBD_FRONT_STEP_BEGIN;
    return VBD_FRONT_STEP_RESET;
}

static enum vbd_front_action when_waiting(const struct vbd_front_view *v)
{
    return v->backend_known && (v->back == VBD_STATE_INIT_WAIT || v->back == VBD_STATE_INITIALISED)
               ? VBD_FRONT_STEP_OFFER
               : VBD_FRONT_STEP_NONE;
}

static enum vbd_front_action when_offered(const struct vbd_front_view *v)
{
    if (v->moved || closes(v))
        return VBD_FRONT_STEP_RESET;
    return v->back == VBD_STATE_CONNECTED ? VBD_FRONT_STEP_SERVE : VBD_FRONT_STEP_NONE;
}

static enum vbd_front_action when_served(const struct vbd_front_view *v)
{
    if (v->moved || closes(v) || v->back == VBD_STATE_INIT_WAIT ||
        v->back == VBD_STATE_INITIALISING)
        return VBD_FRONT_STEP_RESET;
    if (v->leave)
        return VBD_FRONT_STEP_LEAVE;
    return v->back == VBD_STATE_CONNECTED ? VBD_FRONT_STEP_LOOK : VBD_FRONT_STEP_NONE;
}

/* A backend that waits for a front, or another one than before, has no ring of ours. */
static enum vbd_front_action when_resetting(const struct vbd_front_view *v)
{
    bool free = is_closed(v) || v->moved || v->back == VBD_STATE_INIT_WAIT ||
                v->back == VBD_STATE_INITIALISING;

    if (!free)
        return VBD_FRONT_STEP_NONE;
    return v->leave ? VBD_FRONT_STEP_END : VBD_FRONT_STEP_BEGIN;
}

enum vbd_front_action vbd_front_next(enum vbd_front_phase phase, const struct vbd_front_view *v)
{
    switch (phase) {
    case VBD_FRONT_NEW:
        return v->leave ? VBD_FRONT_STEP_END : when_new(v);
    case VBD_FRONT_WAITING:
        return v->leave ? VBD_FRONT_STEP_END : when_waiting(v);
    case VBD_FRONT_OFFERED:
        return v->leave ? VBD_FRONT_STEP_LEAVE : when_offered(v);
    case VBD_FRONT_SERVED:
        return when_served(v);
    case VBD_FRONT_LEAVING:
        return closes(v) || v->moved ? VBD_FRONT_STEP_RESET : VBD_FRONT_STEP_NONE;
    case VBD_FRONT_RESETTING:
        return when_resetting(v);
    case VBD_FRONT_OVER:
        break;
    }
    return VBD_FRONT_STEP_NONE;
}

const char *vbd_front_phase_name(enum vbd_front_phase phase)
{
    static const char *const names[] = {
        [VBD_FRONT_NEW] = "new",         [VBD_FRONT_WAITING] = "waiting",
        [VBD_FRONT_OFFERED] = "offered", [VBD_FRONT_SERVED] = "served",
        [VBD_FRONT_LEAVING] = "leaving", [VBD_FRONT_RESETTING] = "resetting",
        [VBD_FRONT_OVER] = "over",
    };

    return names[phase];
}
