/* preload.c - what xenstored asks of the C library and the kernel, and not of Xen's libraries:
 * where domain 0's own ring is, and, for oxenstored, a socket whose path is compiled in. Preloaded
 * into the real daemons by host/xenstored.c, beside the drop-in libraries; into nothing else.
 */
#undef _FILE_OFFSET_BITS /* or open would be another name for open64 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hyperless/lib/connection.h"

static const char compiled_in_socket[] = "/var/run/xenstored/socket";

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* --- /proc/xen/xsd_port and /proc/xen/xsd_kva --- */

/* The number without a newline: oxenstored takes every byte for a digit. */
static int port_file(uint32_t port)
{
    int fd = memfd_create("xsd_port", MFD_CLOEXEC);

    if (fd >= 0 && (dprintf(fd, "%u", port) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int ask_store(struct hl_reply *reply, int *page)
{
    struct hl_request request = {.op = HL_STORE};
    struct hl_connection c;
    int r;

    if (hl_open(&c, HL_OPEN_GNTSHR, NULL) < 0)
        return -1;
    r = hl_ask(&c, &request, reply, page);
    hl_close(&c);
    return r;
}

/* -2: not one of the two. */
static int open_special(const char *path)
{
    struct hl_reply reply;
    bool port = strcmp(path, "/proc/xen/xsd_port") == 0;
    int page;

    if (!port && strcmp(path, "/proc/xen/xsd_kva") != 0)
        return -2;
    if (ask_store(&reply, &page) < 0)
        return -1;
    if (!port)
        return page;
    (void)close(page);
    return port_file(reply.number);
}

#define OPEN(name)                                                                                 \
    HL_EXPORT int name(const char *path, int flags, ...)                                           \
    {                                                                                              \
        int fd = open_special(path);                                                               \
        mode_t mode = 0;                                                                           \
        va_list args;                                                                              \
                                                                                                   \
        if (fd != -2)                                                                              \
            return fd;                                                                             \
        va_start(args, flags);                                                                     \
        if (flags & (O_CREAT | O_TMPFILE))                                                         \
            mode = va_arg(args, mode_t);                                                           \
        va_end(args);                                                                              \
        return NEXT(name)(path, flags, mode);                                                      \
    }
OPEN(open)
OPEN(open64)

/* --- the compiled-in socket --- */

static const char *place(const char *path)
{
    const char *wanted = getenv("XENSTORED_PATH");

    return wanted != NULL && strcmp(path, compiled_in_socket) == 0 ? wanted : path;
}

HL_EXPORT int bind(int fd, const struct sockaddr *address, socklen_t len)
{
    struct sockaddr_un here;
    const struct sockaddr_un *there = (const struct sockaddr_un *)(const void *)address;

    if (address->sa_family != AF_UNIX || place(there->sun_path) == there->sun_path)
        return NEXT(bind)(fd, address, len);
    memset(&here, 0, sizeof here);
    here.sun_family = AF_UNIX;
    (void)snprintf(here.sun_path, sizeof here.sun_path, "%s", place(there->sun_path));
    return NEXT(bind)(fd, (const struct sockaddr *)&here, sizeof here);
}

HL_EXPORT int unlink(const char *path)
{
    return NEXT(unlink)(place(path));
}

HL_EXPORT int chmod(const char *path, mode_t mode)
{
    return NEXT(chmod)(place(path), mode);
}

/* oxenstored dies when it may not raise its limit of descriptors, which only root may. */
HL_EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    (void)NEXT(setrlimit)(resource, limit);
    return 0;
}
