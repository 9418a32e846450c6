/* xsc_transport.c - see xsc_transport.h. Called by xsc_client.c; knows descriptors, not messages.
 */
#include "linux/xsc_transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "linux/error.h"
#include "vbdkit/xsc_ring.h"

enum {
    SLICES = 64 /* messages per writev */
};

int xsc_transport_adopt(int fd, struct xsc_transport *ret)
{
    struct stat st;
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fstat(fd, &st) < 0)
        return -errno;
    /* A socket is told at each call whether to wait. */
    flags = S_ISSOCK(st.st_mode) ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    if (fcntl(fd, F_SETFL, flags) < 0)
        return -errno;
    *ret = (struct xsc_transport){
        .fd = fd, .kind = S_ISCHR(st.st_mode) ? XSC_TRANSPORT_DEVICE : XSC_TRANSPORT_SOCKET};
    return 0;
}

int xsc_transport_ring(void *page, const struct xsc_ring_port *port, struct xsc_transport *ret)
{
    if (port->struct_size != sizeof *port)
        return -EINVAL;
    *ret = (struct xsc_transport){
        .kind = XSC_TRANSPORT_RING, .fd = port->wait_fd, .page = page, .port = port};
    return 0;
}

void xsc_transport_close(struct xsc_transport *t)
{
    if (t->kind != XSC_TRANSPORT_RING)
        (void)close(t->fd);
    t->fd = -1;
}

static int open_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = -errno;

        (void)close(fd);
        return error;
    }
    return fd;
}

static int open_address(const char *path)
{
    struct stat st;
    int fd;

    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISCHR(st.st_mode))
        return open_socket(path);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Writes the i-th default address, or returns false behind the last. */
static bool default_address(int i, char *path, size_t size)
{
    static const char *const fixed[] = {"/var/run/xenstored/socket", "/dev/xen/xenbus",
                                        "/proc/xen/xenbus"};
    const char *whole = getenv("XENSTORED_PATH");
    const char *rundir = getenv("XENSTORED_RUNDIR");

    if (whole != NULL)
        return i == 0 && snprintf(path, size, "%s", whole) >= 0;
    if (i == 0 && rundir != NULL)
        return snprintf(path, size, "%s/socket", rundir) >= 0;
    return i < 3 && snprintf(path, size, "%s", fixed[i]) >= 0;
}

static int open_default(struct vbd_error *why)
{
    char path[4096], tried[200] = "";
    int fd = -ENOENT;

    for (int i = 0; default_address(i, path, sizeof path); i++) {
        size_t used = strlen(tried);

        fd = open_address(path);
        if (fd >= 0)
            return fd;
        (void)snprintf(tried + used, sizeof tried - used, "%s%.100s (%s)", used > 0 ? ", " : "",
                       path, strerror(-fd));
    }
    return vbd_fail(why, fd, "no xenstore found: %s", tried);
}

int xsc_transport_open(const char *address, struct xsc_transport *ret, struct vbd_error *why)
{
    int fd, r;

    if (address == NULL) {
        fd = open_default(why);
    } else {
        fd = open_address(address);
        if (fd < 0)
            (void)vbd_fail(why, fd, "cannot connect to xenstore at %s: %s", address, strerror(-fd));
    }
    if (fd < 0)
        return fd;
    r = xsc_transport_adopt(fd, ret);
    if (r < 0)
        (void)close(fd);
    return r;
}

static ssize_t write_slices(const struct xsc_transport *t, const struct xsc_slice *slices, size_t n)
{
    struct iovec iov[SLICES];
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};

    if (t->kind == XSC_TRANSPORT_DEVICE)
        return write(t->fd, slices[0].bytes, slices[0].len);
    for (size_t i = 0; i < n; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)slices[i].bytes, slices[i].len};
    return sendmsg(t->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int write_ring(const struct xsc_transport *t, struct xsc *x)
{
    bool moved = false;
    int r = xsc_ring_send(x, t->page, &moved);

    if (moved)
        (void)t->port->notify(t->port->ctx);
    return r;
}

int xsc_transport_write(const struct xsc_transport *t, struct xsc *x)
{
    struct xsc_slice slices[SLICES];
    size_t n;

    if (t->kind == XSC_TRANSPORT_RING)
        return write_ring(t, x);
    while ((n = xsc_output(x, slices, SLICES)) > 0) {
        ssize_t wrote = write_slices(t, slices, n);

        if (wrote >= 0)
            xsc_output_sent(x, (size_t)wrote);
        else if (errno == EAGAIN)
            return 0;
        else if (errno != EINTR && t->kind == XSC_TRANSPORT_SOCKET)
            return -errno;
        else if (errno != EINTR)
            xsc_output_refused(x, -errno);
    }
    return 0;
}

int xsc_transport_receive(const struct xsc_transport *t, struct xsc *x)
{
    bool moved = false;
    int r;

    /* The event is taken before the ring is read: what comes later brings another. */
    (void)t->port->take_event(t->port->ctx);
    r = xsc_ring_receive(x, t->page, &moved);
    if (moved)
        (void)t->port->notify(t->port->ctx);
    return r;
}

long xsc_transport_read(const struct xsc_transport *t, void *buffer, size_t size, bool wait)
{
    ssize_t n = t->kind == XSC_TRANSPORT_SOCKET ? recv(t->fd, buffer, size, wait ? 0 : MSG_DONTWAIT)
                                                : read(t->fd, buffer, size);

    if (n > 0)
        return n;
    if (n == 0)
        return -ECONNRESET;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}
