/* names.c - the words of the protocol: errors and operations. Called by session.c and by users. */
#include "base/names.h"

#include <errno.h>

#include "vbdkit/xsc.h"

/* xs_wire.h's xsd_errors, and EQUOTA, which oxenstored sends for an excess of a guest's quota. */
static const struct vbd_name errors[] = {
    {"EINVAL", EINVAL}, {"EACCES", EACCES},   {"EEXIST", EEXIST},       {"EISDIR", EISDIR},
    {"ENOENT", ENOENT}, {"ENOMEM", ENOMEM},   {"ENOSPC", ENOSPC},       {"EIO", EIO},
    {"ENOSYS", ENOSYS}, {"EROFS", EROFS},     {"EBUSY", EBUSY},         {"EAGAIN", EAGAIN},
    {"E2BIG", E2BIG},   {"EISCONN", EISCONN}, {"ENOTEMPTY", ENOTEMPTY}, {"EPERM", EPERM},
    {"EQUOTA", EDQUOT},
};

static const struct vbd_name operations[] = {
    {"control", XSC_OP_CONTROL},
    {"directory", XSC_OP_DIRECTORY},
    {"read", XSC_OP_READ},
    {"getperms", XSC_OP_GET_PERMS},
    {"watch", XSC_OP_WATCH},
    {"unwatch", XSC_OP_UNWATCH},
    {"transaction start", XSC_OP_TRANSACTION_START},
    {"transaction end", XSC_OP_TRANSACTION_END},
    {"introduce", XSC_OP_INTRODUCE},
    {"isintroduced", XSC_OP_IS_INTRODUCED},
    {"release", XSC_OP_RELEASE},
    {"getdomainpath", XSC_OP_GET_DOMAIN_PATH},
    {"write", XSC_OP_WRITE},
    {"mkdir", XSC_OP_MKDIR},
    {"rm", XSC_OP_RM},
    {"setperms", XSC_OP_SET_PERMS},
    {"watch event", XSC_OP_WATCH_EVENT},
    {"error", XSC_OP_ERROR},
    {"resume", XSC_OP_RESUME_DOMAIN},
    {"settarget", XSC_OP_SET_TARGET},
    {"resetwatches", XSC_OP_RESET_WATCHES},
    {"directorypart", XSC_OP_DIRECTORY_PART},
    {"getfeature", XSC_OP_GET_FEATURE},
    {"setfeature", XSC_OP_SET_FEATURE},
    {"getquota", XSC_OP_GET_QUOTA},
    {"setquota", XSC_OP_SET_QUOTA},
    {"restrict", XSC_OP_RESTRICT},
};

int xsc_errno(const char *name, size_t len)
{
    const struct vbd_name *row = vbd_name_find(errors, VBD_COUNT(errors), name, len);

    return row != NULL ? -row->value : -EREMOTEIO;
}

const char *xsc_op_name(enum xsc_op op)
{
    return vbd_name_of(operations, VBD_COUNT(operations), (int)op, "unknown operation");
}
