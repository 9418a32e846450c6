/* disk_open.c - makes a disk from the name of a vbd, and closes it. See disk.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "linux/disk.h"
#include "linux/error.h"
#include "vbdkit/vbd.h"

/* --- parts --- */

static int open_parts(struct vbd_disk *d, struct vbd_error *why)
{
    int r = xsc_client_open(d->address, &d->client, why);

    if (r == 0)
        r = vbd_xen_guest_open(&d->guest, why);
    if (r < 0)
        return r;
    d->platform = (struct vbd_front_platform){.allocator = &vbd_libc_allocator,
                                              .guest = vbd_xen_guest_seam(d->guest)};
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    d->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->retry = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (d->epoll < 0 || d->kick < 0 || d->retry < 0)
        return vbd_fail(why, -errno, "cannot make a descriptor: %s", strerror(errno));
    r = vbd_disk_add_fd(d, vbd_xen_guest_fd(d->guest), VBD_DISK_GUEST);
    if (r == 0)
        r = vbd_disk_add_fd(d, d->kick, VBD_DISK_KICK);
    if (r == 0)
        r = vbd_disk_add_fd(d, d->retry, VBD_DISK_RETRY);
    return r < 0 ? vbd_fail(why, r, "cannot watch a descriptor: %s", strerror(-r)) : 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

static struct vbd_disk *discard(struct vbd_disk *d)
{
    vbd_disk_lock(d);
    vbd_front_free(d->front); /* runs callbacks */
    vbd_disk_unlock(d);
    vbd_xen_guest_close(d->guest);
    d->client = xsc_client_close(d->client);
    close_fd(d->retry);
    close_fd(d->kick);
    close_fd(d->epoll);
    (void)pthread_mutex_destroy(&d->lock);
    free(d->address);
    free(d);
    return NULL;
}

static struct vbd_disk *make(const struct vbd_disk_config *config)
{
    struct vbd_disk *d = calloc(1, sizeof *d);

    if (d == NULL)
        return NULL;
    d->epoll = d->kick = d->retry = d->client_fd = -1;
    d->timeout_ms = config->timeout_ms;
    d->patience = config->poll_us * UINT64_C(1000);
    d->event = config->event;
    d->ctx = config->ctx;
    vbd_list_init(&d->waiters);
    (void)pthread_mutex_init(&d->lock, NULL);
    if (config->xenstore != NULL) {
        d->address = strdup(config->xenstore);
        if (d->address == NULL)
            return discard(d);
    }
    return d;
}

/* --- what happens --- */

static void wake_state_waiter(struct vbd_disk *d)
{
    if (d->state_waiter != NULL)
        vbd_disk_wake(d, d->state_waiter);
}

/* With the lock held: the front is driven under it. */
static void event(void *ctx, struct vbd_front *front, enum vbd_front_event what)
{
    struct vbd_disk *d = ctx;

    if (what == VBD_FRONT_CONNECTED || what == VBD_FRONT_RESIZED)
        d->info = *vbd_front_info(front);
    d->connected |= what == VBD_FRONT_CONNECTED;
    d->failed |= what == VBD_FRONT_FAILED;
    d->closed |= what == VBD_FRONT_CLOSED;
    wake_state_waiter(d);
    if (d->event != NULL)
        d->event(d->ctx, what);
}

/* Waits, with the lock held, until one of the two is true. False: the time is over. */
static bool await_state(struct vbd_disk *d, const bool *state, const bool *other)
{
    bool in_time = true;

    while (!*state && !*other && in_time) {
        struct vbd_disk_waiter w = {.done = false};

        d->state_waiter = &w;
        in_time = vbd_disk_await(d, &w, d->timeout_ms) == 0;
        d->state_waiter = NULL;
    }
    return *state || *other;
}

/* --- which vbd --- */

struct search {
    struct vbd_disk *disk;
    const char *name;
    uint32_t vdev;
    struct vbd_error *why;
    int result;
};

/* A toolstack may let us read our vbds and not list them: then a number or name has to be right. */
static void listed(void *ctx, int error, const struct vbd_front_list *list)
{
    struct search *s = ctx;

    s->disk->listed = true;
    if (error == -EACCES && vbd_vdev_parse(s->name, &s->vdev) == 0)
        s->result = 0;
    else
        s->result = error < 0
                        ? vbd_fail(s->why, error, "cannot read device/vbd: %s", strerror(-error))
                        : vbd_front_choose(list, s->name, &s->vdev, s->why);
    wake_state_waiter(s->disk);
}

/* A connection that is lost meanwhile ends the listing with an error. */
static int find(struct vbd_disk *d, const char *name, uint32_t *ret, struct vbd_error *why)
{
    struct search s = {.disk = d, .name = name, .why = why};
    int r =
        vbd_front_enumerate(&vbd_libc_allocator, xsc_client_session(d->client), NULL, listed, &s);

    if (r < 0)
        return vbd_fail(why, r, "cannot read device/vbd: %s", strerror(-r));
    vbd_disk_take(d, VBD_DISK_CLIENT);
    if (!await_state(d, &d->listed, &d->listed)) {
        d->client = xsc_client_close(d->client); /* ends the listing, which is on this stack */
        return vbd_fail(why, -ETIMEDOUT, "xenstore does not answer");
    }
    *ret = s.vdev;
    return s.result;
}

/* --- connecting --- */

static int connect_front(struct vbd_disk *d, const char *name,
                         const struct vbd_front_options *options, struct vbd_error *why)
{
    struct vbd_front_config config = {.options = options, .event = event, .ctx = d};
    int r = find(d, name, &config.vdev, why);

    if (r < 0)
        return r;
    r = vbd_front_connect(&d->platform, xsc_client_session(d->client), &config, &d->front);
    if (r < 0)
        return vbd_fail(why, r, "cannot connect \"%s\": %s", name, strerror(-r));
    vbd_disk_send(d);
    if (!await_state(d, &d->connected, &d->failed))
        return vbd_fail(why, -ETIMEDOUT, "no backend has connected \"%s\" in %d ms", name,
                        d->timeout_ms);
    return d->failed ? vbd_fail(why, vbd_front_error(d->front), "%s", vbd_front_why(d->front)) : 0;
}

int vbd_disk_open(const char *name, const struct vbd_disk_config *config, struct vbd_disk **ret,
                  struct vbd_error *why)
{
    static const struct vbd_disk_config usual = {.struct_size = sizeof usual,
                                                 .timeout_ms = VBD_DISK_TIMEOUT_MS};
    struct vbd_disk *d;
    int r;

    if (config == NULL)
        config = &usual;
    if (config->struct_size != sizeof *config)
        return vbd_fail(why, -EINVAL, "the config is none");
    d = make(config);
    if (d == NULL)
        return vbd_fail(why, -ENOMEM, "no memory");
    r = open_parts(d, why);
    if (r == 0) {
        vbd_disk_lock(d);
        r = connect_front(d, name, config->options, why);
        vbd_disk_unlock(d);
    }
    if (r < 0)
        (void)discard(d);
    else
        *ret = d;
    return r;
}

struct vbd_disk *vbd_disk_close(struct vbd_disk *d)
{
    if (d == NULL)
        return NULL;
    vbd_disk_lock(d);
    vbd_front_disconnect(d->front);
    vbd_disk_send(d);
    (void)await_state(d, &d->closed, &d->failed);
    vbd_disk_unlock(d);
    return discard(d);
}
