/* hyperless_domains.c - "vbdkit hyperless exec, create, destroy, list": the domains of a machine,
 * from its domain 0. "run" is in another file; this one only asks. */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hyperless/host/host.h"
#include "hyperless/lib/connection.h"
#include "vbdkit/hyperless.h"
#include "vbdkit/program.h"

struct domain {
    char folder[PATH_MAX];
    struct hl_connection connection;
    uint32_t domid;
    uint32_t flags;
    char faults[1024];
    char **command;
};

static int parse_domid(const char *text, uint32_t *ret)
{
    char *end;
    unsigned long n;

    errno = 0;
    n = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n == 0 || n > HL_DOMID_MAX)
        return tool_fail("hyperless", "\"%s\" is no domain: a number from 1 to %u", text,
                         (unsigned)HL_DOMID_MAX);
    *ret = (uint32_t)n;
    return EXIT_OK;
}

static int connect_to_machine(struct domain *d)
{
    if (!hl_machine_folder(d->folder, sizeof d->folder))
        return tool_fail("hyperless", "this is no machine's domain 0: begin with "
                                      "\"vbdkit hyperless run\"");
    if (hl_connect(&d->connection) < 0)
        return tool_fail("hyperless", "cannot reach the machine of %s: %s", d->folder,
                         strerror(errno));
    return EXIT_OK;
}

static int ask(struct domain *d, enum hl_op op, const char *what)
{
    struct hl_request request = {.op = op, .domid = d->domid, .flags = d->flags};
    struct hl_reply reply;

    if (hl_ask(&d->connection, &request, &reply, NULL) == 0)
        return EXIT_OK;
    return tool_fail("hyperless", "cannot %s domain %u: %s", what, d->domid,
                     errno == ESRCH    ? "there is none of that number"
                     : errno == EEXIST ? "there is one of that number"
                                       : strerror(errno));
}

/* --- create, destroy --- */

static int ask_once(struct domain *d, enum hl_op op, const char *what)
{
    int r = connect_to_machine(d);

    if (r != EXIT_OK)
        return r;
    r = ask(d, op, what);
    hl_close(&d->connection);
    return r;
}

static int parse(struct domain *d, int argc, char **argv)
{
    static const struct option options[] = {{"unikernel", no_argument, NULL, 'u'},
                                            {"domid", required_argument, NULL, 'd'},
                                            {"fault", required_argument, NULL, 'f'},
                                            {0}};
    size_t len = 0;
    int o, n;

    optind = 1;
    while ((o = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
        if (o == 'u') {
            d->flags = HL_NO_KERNEL;
        } else if (o == 'd') {
            if (parse_domid(optarg, &d->domid) != EXIT_OK)
                return EXIT_USAGE;
        } else if (o == 'f') {
            n = snprintf(d->faults + len, sizeof d->faults - len, "%s%s", len > 0 ? "," : "",
                         optarg);
            len += n > 0 ? (size_t)n : 0;
            if (len >= sizeof d->faults)
                return tool_fail("hyperless", "too many faults");
        } else {
            return hyperless_usage();
        }
    }
    d->command = argv + optind;
    return EXIT_OK;
}

static int parse_one(struct domain *d, int argc, char **argv)
{
    int r = parse(d, argc, argv);

    if (r == EXIT_OK && (argc - optind != 1 || d->domid != 0 || d->faults[0] != '\0'))
        r = hyperless_usage();
    return r == EXIT_OK && parse_domid(d->command[0], &d->domid) != EXIT_OK ? EXIT_USAGE : r;
}

int hyperless_create(int argc, char **argv)
{
    struct domain d = {.domid = 0};
    int r = parse_one(&d, argc, argv);

    return r == EXIT_OK ? ask_once(&d, HL_CREATE, "create") : r;
}

int hyperless_destroy(int argc, char **argv)
{
    struct domain d = {.domid = 0};
    int r = parse_one(&d, argc, argv);

    return r == EXIT_OK ? ask_once(&d, HL_DESTROY, "destroy") : r;
}

/* --- exec --- */

static void become_command(const struct domain *d, const sigset_t *before)
{
    struct vbd_error why = {""};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)sigprocmask(SIG_SETMASK, before, NULL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    if (hl_enter_domain(d->folder, d->domid, &why) < 0) {
        (void)tool_fail("hyperless", "%s", why.text);
        _exit(126);
    }
    if (d->faults[0] != '\0')
        (void)setenv(HL_FAULTS, d->faults, 1);
    hyperless_become(d->command);
}

/* Passes signals on; when the domain dies under the command, the command goes with it. */
static int supervise(struct domain *d, pid_t child, int signals)
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                           {.fd = d->connection.fd, .events = POLLIN}};
    int wait_status;

    while (waitpid(child, &wait_status, WNOHANG) == 0) {
        struct signalfd_siginfo info;

        (void)poll(fds, 2, -1);
        if (fds[0].revents != 0 && read(signals, &info, sizeof info) > 0 &&
            info.ssi_signo != SIGCHLD)
            (void)kill(child, (int)info.ssi_signo);
        if (fds[1].revents != 0) {
            (void)kill(child, SIGKILL);
            fds[1].fd = -1;
        }
    }
    return hyperless_status(wait_status);
}

static int execute(struct domain *d)
{
    sigset_t set, before;
    int signals, status;
    pid_t child;

    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, &before);
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    child = signals < 0 ? -1 : fork();
    if (child == 0)
        become_command(d, &before);
    if (child < 0)
        return tool_fail("hyperless", "cannot start a program: %s", strerror(errno));
    status = supervise(d, child, signals);
    (void)close(signals);
    return status;
}

int hyperless_exec(int argc, char **argv)
{
    struct domain d = {.domid = 0};
    int r = parse(&d, argc, argv);

    if (r != EXIT_OK)
        return r;
    if (d.domid == 0 || d.command == NULL || d.command[0] == NULL)
        return hyperless_usage();
    r = connect_to_machine(&d);
    if (r != EXIT_OK)
        return r;
    r = ask(&d, HL_HOLD, "enter");
    if (r == EXIT_OK)
        r = execute(&d);
    hl_close(&d.connection); /* the domain ends with its last holder, unless it was created */
    return r;
}

/* --- list --- */

static int read_domains(struct domain *d, uint32_t first, struct hl_reply *reply)
{
    struct hl_request request = {.op = HL_DOMAINS, .domid = first, .count = HL_DOMAINS_MAX};

    return hl_ask(&d->connection, &request, reply, NULL);
}

static json_object *collect(struct domain *d)
{
    json_object *list = json_object_new_array();
    uint32_t first = 0;
    struct hl_reply reply = {.count = 1};

    while (reply.count > 0 && read_domains(d, first, &reply) == 0) {
        for (uint32_t i = 0; i < reply.count; i++) {
            json_object *one = json_object_new_object();

            (void)json_object_object_add(one, "domid",
                                         json_object_new_int((int)reply.domains[i].domid));
            (void)json_object_object_add(
                one, "dying", json_object_new_boolean(reply.domains[i].flags & HL_DYING));
            (void)json_object_array_add(list, one);
            first = reply.domains[i].domid + 1;
        }
    }
    return list;
}

static void print(json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *one = json_object_array_get_idx(list, i);

        (void)printf("dom%s%s\n", json_object_get_string(json_object_object_get(one, "domid")),
                     json_object_get_boolean(json_object_object_get(one, "dying")) ? " (dying)"
                                                                                   : "");
    }
}

int hyperless_list(int argc, char **argv)
{
    struct domain d = {.domid = 0};
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
    struct hl_request request = {.op = HL_OPEN_GNTSHR};
    struct hl_reply reply;
    json_object *list;
    int r;

    if (argc > 2 || (argc == 2 && !json))
        return hyperless_usage();
    r = connect_to_machine(&d);
    if (r != EXIT_OK)
        return r;
    if (hl_ask(&d.connection, &request, &reply, NULL) < 0)
        return tool_fail("hyperless", "the machine does not answer: %s", strerror(errno));
    list = collect(&d);
    if (json)
        (void)puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY));
    else
        print(list);
    (void)json_object_put(list);
    hl_close(&d.connection);
    return EXIT_OK;
}
