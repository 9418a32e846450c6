/* serve.c - "vbdkit serve": the daemon. Opens xenstore and the hypervisor, serves every vbd of a
 * class, and on SIGTERM finishes what it took, leaves its guests connected and ends. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vbdkit/program.h"
#include "vbdkit/server.h"

static const char usage[] =
    "serve [--class CLASS] [--guest DOMID] [--option NAME=VALUE[,...]]... [--control PATH]\n"
    "                    [--log error|warning|info|debug] [--xenstore ADDRESS]";

struct serve {
    struct tool tool;
    struct vbd_linux *platform;
    struct devices *devices;
    struct control *control;
    int signals;
    bool stopping;
    bool lost;   /* xenstore is gone */
    bool failed; /* finish, and end with a failure */
    /* options */
    const char *backend_class, *xenstore;
    char control_at[CONTROL_PATH_MAX];
    int only_guest;
    struct vbd_back_options options;
    enum vbd_log_level log;
};

/* --- options --- */

static bool parse_count(const char *text, unsigned long max, unsigned long *ret)
{
    char *end;

    errno = 0;
    *ret = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *ret <= max;
}

static bool parse_option(struct serve *s, int o, const char *value)
{
    struct vbd_error why = {""};
    unsigned long n;
    int level;

    switch (o) {
    case 'c':
        s->backend_class = value;
        return true;
    case 'g':
        s->only_guest = parse_count(value, 0x7fef, &n) ? (int)n : -2;
        return s->only_guest >= 0;
    case 'p':
        if (vbd_back_options_parse(value, &s->options, &why) == 0)
            return true;
        (void)tool_fail("serve", "--option: %s", why.text);
        return false;
    case 'o':
        return (size_t)snprintf(s->control_at, sizeof s->control_at, "%s", value) <
               sizeof s->control_at;
    case 'x':
        s->xenstore = value;
        return true;
    case 'l':
        level = log_level_parse(value);
        s->log = level >= 0 ? (enum vbd_log_level)level : VBD_LOG_INFO;
        return level >= 0;
    case 'h':
        tool_help(usage);
    default:
        return false;
    }
}

static int parse(struct serve *s, int argc, char **argv)
{
    static const struct option options[] = {
        {"class", required_argument, NULL, 'c'},  {"guest", required_argument, NULL, 'g'},
        {"option", required_argument, NULL, 'p'}, {"control", required_argument, NULL, 'o'},
        {"log", required_argument, NULL, 'l'},    {"xenstore", required_argument, NULL, 'x'},
        {"help", no_argument, NULL, 'h'},         {0}};
    struct vbd_id id = {.backend_class = ""};
    char path[VBD_PATH_MAX];
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0)
        if (!parse_option(s, o, optarg))
            return tool_usage(usage);
    if (optind != argc)
        return tool_usage(usage);
    id.backend_class = s->backend_class;
    if (vbd_back_path(&id, path) < 0)
        return tool_fail("serve", "\"%s\" is no class: use lower case letters, as in vbd or qdisk",
                         s->backend_class);
    if (s->control_at[0] == '\0')
        control_path(s->backend_class, s->control_at);
    return EXIT_OK;
}

/* --- beginning --- */

/* The kernel's backend, once loaded, answers every front of class vbd as well. */
static int refuse_rival(const struct serve *s)
{
    static const char driver[] = "/sys/bus/xen-backend/drivers/vbd";

    if (strcmp(s->backend_class, "vbd") != 0 || access(driver, F_OK) != 0)
        return EXIT_OK;
    return tool_fail("serve", "the kernel's xen-blkback is loaded and serves class vbd too: "
                              "\"modprobe -r xen-blkback\", or serve another --class");
}

static int open_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_devices(struct serve *s)
{
    struct devices_config config = {.backend_class = s->backend_class,
                                    .domid = s->tool.domid,
                                    .only_guest = s->only_guest,
                                    .options = s->options,
                                    .platform = vbd_linux_platform(s->platform),
                                    .x = xsc_client_session(s->tool.client)};
    int r = devices_new(&config, &s->devices);

    return r < 0 ? tool_fail("serve", "cannot watch backend/%s: %s", s->backend_class, strerror(-r))
                 : EXIT_OK;
}

static int open_all(struct serve *s)
{
    struct vbd_error why = {""};
    int r = refuse_rival(s);

    if (r == EXIT_OK)
        r = tool_open(&s->tool, "serve", s->xenstore);
    if (r != EXIT_OK)
        return r;
    s->signals = open_signals();
    if (s->signals < 0)
        return tool_fail("serve", "cannot take signals: %s", strerror(errno));
    if (vbd_linux_open(NULL, log_to_stderr(s->log), &s->platform, &why) < 0 ||
        control_open(s->control_at, &s->control, &why) < 0)
        return tool_fail("serve", "%s", why.text);
    return open_devices(s);
}

static void announce(const struct serve *s)
{
    (void)fprintf(stderr, "vbdkit serve: serving backend/%s of domain %u\n", s->backend_class,
                  s->tool.domid);
    notify_systemd("READY=1\nSTATUS=serving");
}

/* --- serving --- */

static void stop(struct serve *s)
{
    if (s->stopping)
        return;
    s->stopping = true;
    notify_systemd("STOPPING=1");
    (void)fprintf(stderr, "vbdkit serve: finishing what was taken\n");
    xsc_client_lock(s->tool.client);
    devices_park(s->devices);
    xsc_client_unlock(s->tool.client);
}

static void take_signal(struct serve *s)
{
    struct signalfd_siginfo info;

    while (read(s->signals, &info, sizeof info) > 0)
        ;
    stop(s);
}

/* Without xenstore no guest can come or go: what was taken is finished, and a new daemon may begin.
 */
static void process_xenstore(struct serve *s)
{
    bool well = s->lost || xsc_client_process(s->tool.client) == 0;

    if (well && !devices_failed(s->devices))
        return;
    if (!well)
        (void)tool_fail("serve", "%s", xsc_why(xsc_client_session(s->tool.client)));
    s->lost = s->lost || !well;
    s->failed = true;
    stop(s);
}

/* Tells the devices the time; returns the milliseconds until they want to know it again, -1: never.
 */
static int tick(struct serve *s)
{
    uint64_t now = tool_now_ns(), next;

    xsc_client_lock(s->tool.client);
    next = devices_tick(s->devices, now);
    xsc_client_unlock(s->tool.client);
    if (next == 0)
        return -1;
    return next > now ? (int)((next - now) / 1000000) + 1 : 0;
}

static int serve(struct serve *s)
{
    while (!s->stopping || !devices_all_ended(s->devices)) {
        int patience = tick(s); /* what it does may change what is waited for below */
        struct pollfd fds[] = {{.fd = s->lost ? -1 : xsc_client_fd(s->tool.client),
                                .events = xsc_client_events(s->tool.client)},
                               {.fd = vbd_linux_fd(s->platform), .events = POLLIN},
                               {.fd = s->signals, .events = POLLIN},
                               {.fd = control_fd(s->control), .events = POLLIN}};

        (void)poll(fds, 4, patience);
        if (fds[1].revents != 0)
            vbd_linux_process(s->platform);
        if (fds[2].revents != 0)
            take_signal(s);
        if (fds[3].revents != 0)
            control_answer(s->control, s->devices);
        process_xenstore(s);
    }
    return s->failed ? EXIT_FAILED : EXIT_OK;
}

int serve_main(int argc, char **argv)
{
    struct serve s = {.backend_class = "vbd", .only_guest = -1, .log = VBD_LOG_INFO, .signals = -1};
    int r;

    vbd_back_options_init(&s.options);
    r = parse(&s, argc, argv);
    if (r != EXIT_OK)
        return r;
    r = open_all(&s);
    if (r == EXIT_OK) {
        announce(&s);
        r = serve(&s);
    }
    devices_free(s.devices);
    control_close(s.control);
    vbd_linux_close(s.platform);
    tool_close(&s.tool);
    if (s.signals >= 0)
        (void)close(s.signals);
    return r;
}
