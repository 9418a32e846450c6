/* xenstored_alone.c - lets Debian's real xenstored run without Xen, for clients on its Unix socket.
 *
 * Preloaded into /usr/lib/xen-4.17/bin/xenstored by xenstored.sh. Answers the few calls it makes to
 * the hypervisor: one domain (0) with a store page of its own, event channels that never fire, and
 * every other domain number is said to exist, so that permissions may name it.
 */
#undef _FILE_OFFSET_BITS /* or open would be another name for open64 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

static int memory_file(const char *content, size_t size)
{
    int fd = memfd_create("xenstored-alone", MFD_CLOEXEC);

    if (fd >= 0 &&
        (ftruncate(fd, (off_t)size) < 0 || pwrite(fd, content, strlen(content), 0) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int special(const char *path)
{
    if (strcmp(path, "/proc/xen/xsd_port") == 0)
        return memory_file("1", 1);
    if (strcmp(path, "/proc/xen/xsd_kva") == 0)
        return memory_file("", 4096);
    return -2;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        int (*next)(const char *, int, ...) =                                                      \
            (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                              \
        int fd = special(path);                                                                    \
        mode_t mode = 0;                                                                           \
        va_list args;                                                                              \
        if (fd != -2)                                                                              \
            return fd;                                                                             \
        va_start(args, flags);                                                                     \
        if (flags & O_CREAT)                                                                       \
            mode = va_arg(args, mode_t);                                                           \
        va_end(args);                                                                              \
        return next(path, flags, mode);                                                            \
    }
OPEN(open)
OPEN(open64)

xc_interface *xc_interface_open(xentoollog_logger *a, xentoollog_logger *b, unsigned flags)
{
    (void)a, (void)b, (void)flags;
    return calloc(1, 65536);
}

int xc_interface_close(xc_interface *x)
{
    free(x);
    return 0;
}

int xc_domain_getinfo(xc_interface *x, uint32_t first, unsigned max, xc_dominfo_t *info)
{
    (void)x;
    if (max == 0)
        return 0;
    memset(info, 0, sizeof *info);
    info->domid = first;
    return 1;
}

xengnttab_handle *xengnttab_open(xentoollog_logger *l, unsigned flags)
{
    (void)l, (void)flags;
    return calloc(1, 64);
}

int xengnttab_close(xengnttab_handle *h)
{
    free(h);
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot)
{
    (void)h, (void)domid, (void)ref;
    return mmap(NULL, 4096, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

int xengnttab_unmap(xengnttab_handle *h, void *page, uint32_t count)
{
    (void)h;
    return munmap(page, count * 4096ul);
}

int xengnttab_set_max_grants(xengnttab_handle *h, uint32_t n)
{
    (void)h, (void)n;
    return 0;
}

struct xenevtchn_handle {
    int fd;
};

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *l, unsigned flags)
{
    xenevtchn_handle *h = calloc(1, sizeof *h);

    (void)l, (void)flags;
    h->fd = eventfd(0, EFD_NONBLOCK);
    return h;
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *l, int fd, unsigned flags)
{
    xenevtchn_handle *h = calloc(1, sizeof *h);

    (void)l, (void)flags;
    h->fd = fd;
    return h;
}

int xenevtchn_close(xenevtchn_handle *h)
{
    close(h->fd);
    free(h);
    return 0;
}

int xenevtchn_fd(xenevtchn_handle *h)
{
    return h->fd;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h, unsigned virq)
{
    (void)h;
    return (int)virq + 10;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
                                                     evtchn_port_t port)
{
    (void)h, (void)domid;
    return (int)port + 100;
}

int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
    (void)h;
    errno = EAGAIN;
    return -1;
}

int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
    (void)h, (void)port;
    return 0;
}
