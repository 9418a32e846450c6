/* front_disk.c - the short parts of "vbdkit front": list, info, flush, discard; and what the long
 * ones begin with. Called by front.c. */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vbdkit/front_tool.h"

/* SIGUSR1: the domain is going to be saved; SIGUSR2: it goes on. They come as input. */
static int signals = -1;

static void open_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGUSR2);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void take_signal(struct vbd_disk *disk)
{
    struct signalfd_siginfo signal;

    if (read(signals, &signal, sizeof signal) != sizeof signal)
        return;
    if (signal.ssi_signo == SIGUSR1)
        vbd_disk_suspend(disk);
    else
        (void)vbd_disk_resume(disk, NULL); /* xenstore is tried again each second */
}

int front_open(const struct front_args *a, struct vbd_disk **ret)
{
    struct vbd_disk_config config = {.struct_size = sizeof config,
                                     .xenstore = a->xenstore,
                                     .options = &a->options,
                                     .timeout_ms = a->timeout_ms,
                                     .poll_us = (unsigned)a->poll_us};
    struct vbd_error why = {""};

    open_signals();
    return vbd_disk_open(a->name, &config, ret, &why) < 0 ? tool_fail(a->part, "%s", why.text)
                                                          : EXIT_OK;
}

int front_range(const struct front_args *a, struct vbd_disk *disk, uint64_t *ret_offset,
                uint64_t *ret_length)
{
    struct vbd_front_info info;
    uint64_t size, length;

    vbd_disk_info(disk, &info);
    size = info.disk.sectors * 512;
    length = a->length == UINT64_MAX && a->offset <= size ? size - a->offset : a->length;
    if (a->offset > size || length > size - a->offset)
        return tool_fail(a->part, "the disk ends at %llu", (unsigned long long)size);
    if ((a->offset | length) % info.disk.sector_size != 0)
        return tool_fail(a->part, "offset and length must be multiples of the sector, %u bytes",
                         info.disk.sector_size);
    *ret_offset = a->offset;
    *ret_length = length;
    return EXIT_OK;
}

/* Whether `fd` can be read. */
static bool turn(struct vbd_disk *disk, int fd)
{
    struct pollfd fds[] = {{.fd = vbd_disk_fd(disk), .events = POLLIN},
                           {.fd = signals, .events = POLLIN},
                           {.fd = fd, .events = POLLIN}};

    (void)poll(fds, 3, vbd_disk_look(disk) ? 0 : -1);
    if (fds[1].revents != 0)
        take_signal(disk);
    vbd_disk_process(disk);
    return fds[2].revents != 0;
}

void front_turn(struct vbd_disk *disk)
{
    (void)turn(disk, -1);
}

void front_drain(struct vbd_disk *disk, int fd)
{
    char bytes[64];
    ssize_t n = 1;

    while (n > 0 || (n < 0 && errno == EINTR))
        if (turn(disk, fd))
            n = read(fd, bytes, sizeof bytes);
}

static void print_json(json_object *document)
{
    (void)puts(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE));
    (void)json_object_put(document);
}

/* --- list --- */

struct listing {
    const struct front_args *args;
    bool done;
    int error;
};

static json_object *as_json(const struct vbd_front_device *d, const char *name)
{
    json_object *o = json_object_new_object();

    (void)json_object_object_add(o, "device", json_object_new_string(name));
    (void)json_object_object_add(o, "vdev", json_object_new_int64(d->vdev));
    (void)json_object_object_add(o, "backend-domid", json_object_new_int64(d->backend_domid));
    (void)json_object_object_add(o, "backend", json_object_new_string(d->backend));
    (void)json_object_object_add(o, "image", json_object_new_string(d->params));
    return o;
}

static void print_list(void *ctx, int error, const struct vbd_front_list *list)
{
    struct listing *l = ctx;
    json_object *all = json_object_new_array();

    l->done = true;
    l->error = error;
    if (error == 0 && !l->args->json)
        (void)printf("%-10s %-9s %5s %s\n", "DEVICE", "VDEV", "DOMID", "IMAGE");
    for (size_t i = 0; error == 0 && i < list->count; i++) {
        const struct vbd_front_device *d = &list->devices[i];
        char name[24];

        vbd_vdev_name(d->vdev, name);
        if (l->args->json)
            (void)json_object_array_add(all, as_json(d, name));
        else
            (void)printf("%-10s %-9u %5u %s\n", name, d->vdev, d->backend_domid,
                         d->params[0] != '\0' ? d->params : "-");
    }
    if (error == 0 && l->args->json)
        print_json(json_object_get(all));
    (void)json_object_put(all);
}

int front_list(const struct front_args *a)
{
    struct listing l = {.args = a};
    struct tool t;
    int r = tool_open(&t, a->part, a->xenstore);

    if (r != EXIT_OK)
        return r;
    l.error = vbd_front_enumerate(&vbd_libc_allocator, xsc_client_session(t.client), NULL,
                                  print_list, &l);
    while (l.error == 0 && !l.done) {
        struct pollfd fd = {.fd = xsc_client_fd(t.client), .events = xsc_client_events(t.client)};

        (void)poll(&fd, 1, -1);
        (void)xsc_client_process(t.client); /* a lost connection ends the listing as well */
    }
    if (l.error < 0)
        r = tool_fail(a->part, "cannot read device/vbd: %s", strerror(-l.error));
    tool_close(&t);
    return r;
}

/* --- info --- */

/* X(name, value): what is told of a disk. */
#define FACTS(X)                                                                                   \
    X("bytes", i->disk.sectors * 512)                                                              \
    X("sector-size", i->disk.sector_size)                                                          \
    X("physical-sector-size", i->physical_sector)                                                  \
    X("read-only", i->disk.read_only)                                                              \
    X("cdrom", i->cdrom)                                                                           \
    X("removable", i->removable)                                                                   \
    X("flush", i->disk.flush)                                                                      \
    X("barrier", i->disk.barrier)                                                                  \
    X("discard", i->disk.discard)                                                                  \
    X("secure-discard", i->disk.secure_discard)                                                    \
    X("discard-granularity", i->discard_granularity)                                               \
    X("discard-alignment", i->discard_alignment)                                                   \
    X("queues", i->queues)                                                                         \
    X("ring-pages", i->ring_pages)                                                                 \
    X("segments", i->disk.segments)                                                                \
    X("persistent", i->persistent)                                                                 \
    X("backend-domid", i->backend_domid)

static void print_info(const struct vbd_front_info *i, bool json)
{
    json_object *o = json_object_new_object();

#define ADD(name, value)                                                                           \
    (void)json_object_object_add(o, name,                                                          \
                                 _Generic((value), bool                                            \
                                          : json_object_new_boolean((value) != 0), default         \
                                          : json_object_new_uint64(value)));
    FACTS(ADD)
#undef ADD
    if (json) {
        print_json(o);
        return;
    }
    json_object_object_foreach(o, key, fact)(void)
        printf("%-21s %s\n", key,
               json_object_is_type(fact, json_type_boolean)
                   ? (json_object_get_boolean(fact) ? "yes" : "no")
                   : json_object_get_string(fact));
    (void)json_object_put(o);
}

int front_info(const struct front_args *a)
{
    struct vbd_front_info info;
    struct vbd_disk *disk;
    int r = front_open(a, &disk);

    if (r != EXIT_OK)
        return r;
    vbd_disk_info(disk, &info);
    print_info(&info, a->json);
    vbd_disk_close(disk);
    return EXIT_OK;
}

/* --- flush, discard --- */

int front_flush(const struct front_args *a)
{
    struct vbd_error why = {""};
    struct vbd_disk *disk;
    int r = front_open(a, &disk);

    if (r != EXIT_OK)
        return r;
    if (vbd_disk_flush(disk, &why) < 0)
        r = tool_fail(a->part, "%s", why.text);
    vbd_disk_close(disk);
    return r;
}

int front_discard(const struct front_args *a)
{
    struct vbd_error why = {""};
    struct vbd_disk *disk;
    uint64_t offset = 0, length = 0;
    int r = front_open(a, &disk);

    if (r != EXIT_OK)
        return r;
    r = front_range(a, disk, &offset, &length);
    if (r == EXIT_OK && vbd_disk_discard(disk, offset, length, a->secure, &why) < 0)
        r = tool_fail(a->part, "%s", why.text);
    vbd_disk_close(disk);
    return r;
}
