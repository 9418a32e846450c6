/* vbd-serve-one.c - a whole backend for one disk of one guest, with libvbd: the image is the file
 * or block device that the toolstack named. SIGINT and SIGTERM leave the guest connected, and the
 * next run takes it up again.
 *
 *   cc -o vbd-serve-one vbd-serve-one.c $(pkg-config --cflags --libs libvbd)
 *   vbdkit attach --class mine --timeout 60 7 /srv/disk.img xvdb &
 *   ./vbd-serve-one mine 7 xvdb
 */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <vbdkit/vbd_linux.h>

static void log_line(void *ctx, enum vbd_log_level level, const char *subject, const char *text)
{
    (void)ctx;
    if (level <= VBD_LOG_INFO)
        (void)fprintf(stderr, "%s: %s\n", subject, text);
}

/* The source of storage: here what "params" says is a path, and nothing else. */
static int open_image(void *ctx, const struct vbd_image *image, struct vbd_storage **ret,
                      struct vbd_error *why)
{
    (void)ctx;
    return vbd_file_open(image->params, image->read_only, ret, why);
}

static void back_ended(void *ctx, struct vbd_back *back, enum vbd_back_end end)
{
    struct vbd_back **served = ctx;

    (void)end;
    vbd_back_free(back);
    *served = NULL;
}

/* Tells the back the time; the milliseconds until it wants to know it again, -1 when it does not.
 */
static int patience(struct vbd_back *back)
{
    struct timespec t;
    uint64_t now, next;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    next = vbd_back_tick(back, now);
    if (next == 0)
        return -1;
    return next > now ? (int)((next - now) / 1000000) + 1 : 0;
}

static int read_own_domid(struct xsc_handle *h, void *arg)
{
    char *value;
    size_t len;
    int r = xsc_read(h, "domid", &value, &len);

    if (r == 0) {
        *(unsigned *)arg = (unsigned)strtoul(value, NULL, 10);
        free(value);
    }
    return r;
}

static int fail(const char *why)
{
    (void)fprintf(stderr, "vbd-serve-one: %s\n", why);
    return 1;
}

/* Signals come as input of the loop. */
static int open_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Serves until the back has ended: the toolstack took the device, or it was parked. */
static void loop(struct xsc_client *client, struct vbd_linux *platform, struct vbd_back **back)
{
    bool parking = false, lost = false;
    int signals = open_signals();

    while (*back != NULL) {
        struct pollfd fds[] = {
            /* poll() passes over a negative descriptor */
            {.fd = lost ? -1 : xsc_client_fd(client), .events = xsc_client_events(client)},
            {.fd = parking ? -1 : signals, .events = POLLIN},
            {.fd = vbd_linux_fd(platform), .events = POLLIN}};

        (void)poll(fds, 3, patience(*back));
        lost = xsc_client_process(client) < 0;
        vbd_linux_process(platform);
        if (*back != NULL && !parking && (lost || fds[1].revents != 0)) {
            parking = true;
            vbd_back_park(*back); /* may end it at once */
        }
    }
    (void)close(signals);
}

int main(int argc, char **argv)
{
    struct vbd_back *back = NULL;
    struct vbd_back_config config = {
        .source = {.open = open_image}, .ended = back_ended, .ctx = &back};
    struct vbd_linux *platform = NULL;
    struct xsc_client *client = NULL;
    struct vbd_error why = {""};
    int r;

    if (argc != 4 || vbd_vdev_parse(argv[3], &config.id.vdev) < 0)
        return fail("usage: vbd-serve-one CLASS DOMID DEVICE");
    config.id.backend_class = argv[1];
    config.id.domid = (unsigned)strtoul(argv[2], NULL, 10);

    r = xsc_client_open(NULL, &client, &why);
    if (r == 0)
        r = xsc_immediate(client, read_own_domid, &config.id.backend_domid, &why);
    if (r == 0)
        r = vbd_linux_open(NULL, (struct vbd_log){.write = log_line}, &platform, &why);
    if (r < 0)
        (void)fail(why.text);
    if (r == 0) {
        r = vbd_back_run(vbd_linux_platform(platform), xsc_client_session(client), &config, &back);
        if (r < 0)
            (void)fail(strerror(-r));
    }
    if (r == 0)
        loop(client, platform, &back);
    vbd_linux_close(platform);
    xsc_client_close(client);
    return r < 0 ? 1 : 0;
}
