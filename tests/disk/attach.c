/* attach.c - how long many vbds take from their nodes to their connection, in two halves that tell
 * each other by the clock: one in domain 0 makes the nodes, one in the guest has fronts that wait
 * for them. Called by bench/attach and tests/hyperless/disk.bats.
 *
 * usage: attach create DOMID COUNT IMAGE   prints the time at which it began, in ns
 *        attach fronts COUNT               says "waiting", then prints the time at which all were
 *                                          connected; leaves when its input ends
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vbdkit/front_linux.h"
#include "vbdkit/vbd.h"

enum { FIRST = 1 << 28, COUNT_MAX = 1024 };

static int64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int fail(const char *why)
{
    (void)fprintf(stderr, "attach: %s\n", why);
    return 1;
}

/* Any disks: their numbers are those of xvda, xvdb, ... in the extended form. */
static uint32_t vdev_of(unsigned n)
{
    return (uint32_t)FIRST | n << 8;
}

static void turn(struct xsc_client *client)
{
    struct pollfd fd = {.fd = xsc_client_fd(client), .events = xsc_client_events(client)};

    (void)poll(&fd, 1, -1);
    (void)xsc_client_process(client);
}

/* --- domain 0: one after the other, as a toolstack does --- */

static void created(void *ctx, int error, const char *why)
{
    if (error < 0)
        exit(fail(why));
    ++*(unsigned *)ctx;
}

static int create(struct xsc_client *client, unsigned domid, unsigned count, const char *image)
{
    unsigned done = 0;

    (void)printf("%lld\n", (long long)now_ns());
    for (unsigned i = 0; i < count; i++) {
        struct vbd_spec spec = {.id = {"vbd", 0, domid, vdev_of(i)}, .params = image};

        if (vbd_back_create(&vbd_libc_allocator, xsc_client_session(client), &spec, created,
                            &done) < 0)
            return fail("cannot create");
        while (done <= i)
            turn(client);
    }
    return 0;
}

/* --- the guest --- */

struct fronts {
    struct xsc_client *client;
    struct vbd_xen_guest *guest;
    struct vbd_front *each[COUNT_MAX];
    unsigned count, connected, closed;
};

static void event(void *ctx, struct vbd_front *front, enum vbd_front_event what)
{
    struct fronts *f = ctx;

    if (what == VBD_FRONT_FAILED)
        exit(fail(vbd_front_why(front)));
    f->connected += what == VBD_FRONT_CONNECTED;
    f->closed += what == VBD_FRONT_CLOSED;
}

/* Until *counter has reached the count. */
static void await(struct fronts *f, const unsigned *counter)
{
    while (*counter < f->count) {
        struct pollfd fds[] = {
            {.fd = xsc_client_fd(f->client), .events = xsc_client_events(f->client)},
            {.fd = vbd_xen_guest_fd(f->guest), .events = POLLIN}};

        (void)poll(fds, 2, -1);
        if (xsc_client_process(f->client) < 0)
            exit(fail("the connection to xenstore was lost"));
        for (unsigned i = 0; fds[1].revents != 0 && i < f->count; i++)
            while (vbd_front_process(f->each[i]))
                ;
    }
}

static int use(struct fronts *f)
{
    struct vbd_front_platform platform = {.allocator = &vbd_libc_allocator,
                                          .guest = vbd_xen_guest_seam(f->guest)};
    struct vbd_front_options options;
    char byte;

    vbd_front_options_init(&options);
    options.ring_order = 0;
    options.pool = 16;
    for (unsigned i = 0; i < f->count; i++) {
        struct vbd_front_config config = {
            .vdev = vdev_of(i), .options = &options, .event = event, .ctx = f};

        if (vbd_front_connect(&platform, xsc_client_session(f->client), &config, &f->each[i]) < 0)
            return fail("cannot connect");
    }
    (void)xsc_client_process(f->client);
    (void)puts("waiting");
    (void)fflush(stdout);
    await(f, &f->connected);
    (void)printf("%lld\n", (long long)now_ns());
    (void)fflush(stdout);
    (void)!read(STDIN_FILENO, &byte, 1);
    for (unsigned i = 0; i < f->count; i++)
        vbd_front_disconnect(f->each[i]);
    await(f, &f->closed);
    for (unsigned i = 0; i < f->count; i++)
        vbd_front_free(f->each[i]);
    return 0;
}

int main(int argc, char **argv)
{
    static struct fronts f;
    struct vbd_error why = {""};
    int r = 2;

    if (xsc_client_open(NULL, &f.client, &why) < 0)
        return fail(why.text);
    if (argc == 5 && strcmp(argv[1], "create") == 0)
        r = create(f.client, (unsigned)strtoul(argv[2], NULL, 10),
                   (unsigned)strtoul(argv[3], NULL, 10), argv[4]);
    else if (argc == 3 && strcmp(argv[1], "fronts") == 0) {
        f.count = (unsigned)strtoul(argv[2], NULL, 10);
        if (f.count == 0 || f.count > COUNT_MAX)
            return fail("1 to 1024 fronts");
        if (vbd_xen_guest_open(&f.guest, &why) < 0)
            return fail(why.text);
        r = use(&f);
        vbd_xen_guest_close(f.guest);
    }
    xsc_client_close(f.client);
    return r;
}
