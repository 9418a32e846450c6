/* state.c - see state.h. */
#include "xenbus/state.h"

#include "base/names.h"

static const struct vbd_name states[] = {
    {"Unknown", VBD_STATE_UNKNOWN},
    {"Initialising", VBD_STATE_INITIALISING},
    {"InitWait", VBD_STATE_INIT_WAIT},
    {"Initialised", VBD_STATE_INITIALISED},
    {"Connected", VBD_STATE_CONNECTED},
    {"Closing", VBD_STATE_CLOSING},
    {"Closed", VBD_STATE_CLOSED},
    {"Reconfiguring", VBD_STATE_RECONFIGURING},
    {"Reconfigured", VBD_STATE_RECONFIGURED},
};

enum vbd_state vbd_state_parse(const char *value)
{
    uint64_t n;

    if (value == NULL || !vbd_parse_u64(value, vbd_str_len(value), VBD_STATE_RECONFIGURED, &n))
        return VBD_STATE_UNKNOWN;
    return (enum vbd_state)n;
}

const char *vbd_state_name(enum vbd_state state)
{
    return vbd_name_of(states, VBD_COUNT(states), (int)state, "Unknown");
}
