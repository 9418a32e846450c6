/* state.h - the states a device's two halves show each other in xenstore (public/io/xenbus.h). */
#ifndef XENBUS_STATE_H
#define XENBUS_STATE_H

enum vbd_state {
    VBD_STATE_UNKNOWN = 0, /* the node is missing or holds no state */
    VBD_STATE_INITIALISING = 1,
    VBD_STATE_INIT_WAIT = 2,
    VBD_STATE_INITIALISED = 3,
    VBD_STATE_CONNECTED = 4,
    VBD_STATE_CLOSING = 5,
    VBD_STATE_CLOSED = 6,
    VBD_STATE_RECONFIGURING = 7,
    VBD_STATE_RECONFIGURED = 8
};

/* Reads the value of a state node; NULL, or anything but a number from 1 to 8, is UNKNOWN. */
enum vbd_state vbd_state_parse(const char *value);
/* "Connected", as the field writes it. */
const char *vbd_state_name(enum vbd_state state);

#endif
