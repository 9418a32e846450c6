/* lifecycle.c - see lifecycle.h. Lenient where fronts differ: some go straight to Connected, some
 * close without Closing, some come back after Closed, some vanish. */
#include "xenbus/lifecycle.h"

/* The toolstack asks for an end by online=0, and by writing the backend's own state: Closing, or
 * Closed to force it. */
static bool asked_to_close(const struct vbd_view *v)
{
    return !v->online || (v->back != v->published &&
                          (v->back == VBD_STATE_CLOSING || v->back == VBD_STATE_CLOSED));
}

/* A toolstack removed the device and made one of the same name before anybody looked. It writes
 * both halves; a back's state alone is no sign of that. */
static bool made_anew(const struct vbd_view *v)
{
    return v->back == VBD_STATE_INITIALISING && v->front == VBD_STATE_INITIALISING &&
           v->published != VBD_STATE_INITIALISING;
}

static bool front_is_ready(const struct vbd_view *v)
{
    return v->front == VBD_STATE_INITIALISED || v->front == VBD_STATE_CONNECTED;
}

static bool front_has_closed(const struct vbd_view *v)
{
    return v->front == VBD_STATE_CLOSED || v->front == VBD_STATE_UNKNOWN ||
           v->front == VBD_STATE_INITIALISING;
}

/* A front that an earlier daemon connected is looked after first, whatever was asked. */
static enum vbd_step when_opening(const struct vbd_view *v)
{
    bool connected = v->front == VBD_STATE_CONNECTED || v->front == VBD_STATE_CLOSING;

    return !connected && (asked_to_close(v) || v->front == VBD_STATE_CLOSED) ? VBD_STEP_CLOSED
                                                                             : VBD_STEP_OFFER;
}

static enum vbd_step when_waiting(const struct vbd_view *v)
{
    if (asked_to_close(v) || v->front == VBD_STATE_CLOSING || v->front == VBD_STATE_CLOSED)
        return VBD_STEP_CLOSED;
    return front_is_ready(v) ? VBD_STEP_CONNECT : VBD_STEP_NONE;
}

/* Asked to close, a connected back waits: the front has seen the Closing as well and decides when.
 * A front in Closing may still use its disk, until it is Closed. Closed from the toolstack is an
 * order. */
static enum vbd_step when_connected(const struct vbd_view *v)
{
    if (front_has_closed(v) || (v->back == VBD_STATE_CLOSED && v->back != v->published))
        return VBD_STEP_CLOSE;
    return v->front == VBD_STATE_CLOSING && v->published != VBD_STATE_CLOSING ? VBD_STEP_CLOSING
                                                                              : VBD_STEP_NONE;
}

/* A toolstack that writes Closing over Closed waits for Closed again. */
static enum vbd_step when_closed(const struct vbd_view *v)
{
    if (v->back == VBD_STATE_CLOSING)
        return VBD_STEP_CLOSED;
    return v->online && v->front == VBD_STATE_INITIALISING ? VBD_STEP_OFFER : VBD_STEP_NONE;
}

/* Where InitWait is published a script waits, and no front has been told anything. */
static enum vbd_step when_failed(const struct vbd_view *v)
{
    bool told = v->published == VBD_STATE_CLOSING || v->published == VBD_STATE_CONNECTED;
    bool front_left = told && (v->front == VBD_STATE_CLOSED || v->front == VBD_STATE_UNKNOWN);

    if (v->published == VBD_STATE_CLOSED && v->back == VBD_STATE_CLOSED)
        return VBD_STEP_NONE;
    return asked_to_close(v) || front_left ? VBD_STEP_CLOSED : VBD_STEP_NONE;
}

static bool serves_nobody(enum vbd_phase phase)
{
    return phase == VBD_PHASE_WAITING || phase == VBD_PHASE_CLOSED || phase == VBD_PHASE_FAILED;
}

enum vbd_step vbd_next_step(enum vbd_phase phase, const struct vbd_view *v)
{
    if (v->back_gone || made_anew(v))
        return VBD_STEP_END;
    if (v->guest_gone && serves_nobody(phase))
        return VBD_STEP_REMOVE;
    switch (phase) {
    case VBD_PHASE_OPENING:
        return when_opening(v);
    case VBD_PHASE_WAITING:
        return when_waiting(v);
    case VBD_PHASE_CONNECTED:
        return when_connected(v);
    case VBD_PHASE_CLOSING:
        return front_has_closed(v) || v->back == VBD_STATE_CLOSED ? VBD_STEP_CLOSED : VBD_STEP_NONE;
    case VBD_PHASE_CLOSED:
        return when_closed(v);
    case VBD_PHASE_FAILED:
        return when_failed(v);
    }
    return VBD_STEP_NONE;
}

const char *vbd_phase_name(enum vbd_phase phase)
{
    static const char *const names[] = {
        [VBD_PHASE_OPENING] = "opening",     [VBD_PHASE_WAITING] = "waiting",
        [VBD_PHASE_CONNECTED] = "connected", [VBD_PHASE_CLOSING] = "closing",
        [VBD_PHASE_CLOSED] = "closed",       [VBD_PHASE_FAILED] = "failed",
    };

    return names[phase];
}
