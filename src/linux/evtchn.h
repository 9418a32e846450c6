/* evtchn.h - what both ends of an event channel do alike with libxenevtchn. For xen.c and guest.c.
 */
#ifndef LINUX_EVTCHN_H
#define LINUX_EVTCHN_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <xenevtchn.h>

/* Non-blocking, so that taking an event that is not there answers at once. On failure *ret is what
 * has still to be closed, or NULL. */
static inline int vbd_evtchn_open(xenevtchn_handle **ret)
{
    int fd;

    *ret = xenevtchn_open(NULL, 0);
    if (*ret == NULL)
        return -errno;
    fd = xenevtchn_fd(*ret);
    return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : 0;
}

static inline bool vbd_evtchn_take(xenevtchn_handle *handle)
{
    xenevtchn_port_or_error_t port = xenevtchn_pending(handle);

    return port >= 0 && xenevtchn_unmask(handle, (evtchn_port_t)port) == 0;
}

#endif
