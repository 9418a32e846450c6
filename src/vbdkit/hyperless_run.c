/* hyperless_run.c - "vbdkit hyperless run": a machine, a real xenstored in it, a command in its
 * domain 0; all of it ends when the command does.
 *
 * The machine's loop is this thread. Two things block, and have threads: waiting for xenstored to
 * be up, and the toolstack's work.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "hyperless/host/host.h"
#include "hyperless/machine/machine.h"
#include "vbdkit/hyperless.h"
#include "vbdkit/program.h"

enum { GRACE_SECONDS = 3 };

struct run {
    char folder[80];
    enum hl_xenstored which;
    char **command;
    struct hl_machine *machine;
    struct hl_toolstack *toolstack; /* set by the starter, before it says that it is done */
    struct hl_toolstack *ending;    /* it, while it ends */
    struct hl_source signals, started;
    struct rlimit files_before;
    sigset_t signals_before;
    pid_t xenstored, child;
    bool starter_runs, over;
    pthread_t starter;
    int start_error;
    struct vbd_error why;
    int status;
};

/* --- options --- */

static int parse(struct run *run, int argc, char **argv)
{
    static const struct option options[] = {{"xenstored", required_argument, NULL, 'x'}, {0}};
    static char sh[] = "sh", *shell[] = {sh, NULL};
    int o;

    optind = 1;
    while ((o = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
        if (o != 'x' || (strcmp(optarg, "c") != 0 && strcmp(optarg, "ocaml") != 0))
            return hyperless_usage();
        run->which = optarg[0] == 'c' ? HL_XENSTORED_C : HL_XENSTORED_OCAML;
    }
    run->command = optind < argc ? argv + optind : shell;
    return EXIT_OK;
}

/* --- the toolstack, as the machine calls it --- */

static void introduce(void *ctx, uint32_t domid, uint32_t port)
{
    struct run *run = ctx;

    if (run->toolstack != NULL)
        hl_toolstack_introduce(run->toolstack, domid, port);
    else
        hl_machine_born(run->machine, domid, -ENOTCONN);
}

static void bury(void *ctx, uint32_t domid)
{
    struct run *run = ctx;

    if (run->toolstack != NULL)
        hl_toolstack_bury(run->toolstack, domid);
    else
        hl_machine_buried(run->machine, domid);
}

/* --- starting --- */

static void *starter(void *arg)
{
    struct run *run = arg;
    uint64_t one = 1;

    run->start_error = hl_xenstored_wait(run->folder);
    if (run->start_error < 0)
        (void)snprintf(run->why.text, sizeof run->why.text, "xenstored does not answer: %s",
                       strerror(-run->start_error));
    else
        run->start_error = hl_toolstack_new(run->machine, run->folder, &run->toolstack, &run->why);
    (void)!write(run->started.fd, &one, sizeof one);
    return NULL;
}

void hyperless_become(char **command)
{
    int error;

    (void)execvp(command[0], command);
    error = errno;
    (void)tool_fail("hyperless", "cannot run \"%s\": %s", command[0], strerror(error));
    _exit(error == ENOENT ? 127 : 126);
}

static void become_command(struct run *run)
{
    struct vbd_error why = {""};

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)sigprocmask(SIG_SETMASK, &run->signals_before, NULL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    if (run->files_before.rlim_max > 0)
        (void)setrlimit(RLIMIT_NOFILE, &run->files_before);
    if (hl_enter_domain(run->folder, 0, &why) < 0) {
        (void)tool_fail("hyperless", "%s", why.text);
        _exit(126);
    }
    hyperless_become(run->command);
}

static void give_up(struct run *run, const char *text)
{
    (void)tool_fail("hyperless", "%s", text);
    hl_xenstored_explain(run->folder);
    run->status = EXIT_FAILED;
    run->over = true;
}

/* xenstored is up: the command may begin. */
static void started(struct hl_source *source, uint32_t events)
{
    struct run *run = VBD_CONTAINER(source, struct run, started);
    uint64_t count;

    (void)events;
    (void)!read(source->fd, &count, sizeof count);
    (void)pthread_join(run->starter, NULL);
    run->starter_runs = false;
    if (run->over)
        return;
    if (run->start_error < 0) {
        give_up(run, run->why.text);
        return;
    }
    run->child = fork();
    if (run->child == 0)
        become_command(run);
    if (run->child < 0)
        give_up(run, strerror(errno));
}

/* --- signals --- */

int hyperless_status(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

static void reap(struct run *run)
{
    int wait_status;
    pid_t pid;

    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        if (pid == run->child) {
            run->child = 0;
            if (!run->over) /* else it was ended, and why is known */
                run->status = hyperless_status(wait_status);
            run->over = true;
        } else if (pid == run->xenstored) {
            run->xenstored = 0;
            if (!run->over)
                give_up(run, "xenstored has ended");
        }
    }
}

static void signalled(struct hl_source *source, uint32_t events)
{
    struct run *run = VBD_CONTAINER(source, struct run, signals);
    struct signalfd_siginfo info;

    (void)events;
    while (read(source->fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(run);
        else if (run->child > 0)
            (void)kill(run->child, SIGTERM); /* it decides; its end is ours */
        else
            run->over = true;
    }
}

/* Ctrl-C at a terminal reaches the command by itself, as below a shell. */
static int open_signals(struct run *run)
{
    sigset_t set;

    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, &run->signals_before);
    run->signals = (struct hl_source){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
                                      .ready = signalled};
    return run->signals.fd < 0 ? -errno
                               : hl_loop_add(hl_machine_loop(run->machine), &run->signals, EPOLLIN);
}

/* --- all of it --- */

/* Each share is a descriptor of this process. */
static void raise_limit(struct run *run)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        run->files_before = limit;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start(struct run *run)
{
    struct hl_hooks hooks = {.ctx = run, .introduce = introduce, .bury = bury};
    int r = hl_machine_new(run->folder, &hooks, &run->machine);

    if (r == 0)
        r = open_signals(run);
    if (r < 0)
        return tool_fail("hyperless", "cannot make a machine in %s: %s", run->folder, strerror(-r));
    run->started = (struct hl_source){.fd = eventfd(0, EFD_CLOEXEC), .ready = started};
    r = run->started.fd < 0 ? -errno
                            : hl_loop_add(hl_machine_loop(run->machine), &run->started, EPOLLIN);
    if (r < 0)
        return tool_fail("hyperless", "%s", strerror(-r));
    run->xenstored = hl_xenstored_start(run->which, run->folder, &run->why);
    if (run->xenstored < 0)
        return tool_fail("hyperless", "%s", run->why.text);
    r = -pthread_create(&run->starter, NULL, starter, run);
    run->starter_runs = r == 0;
    return r < 0 ? tool_fail("hyperless", "%s", strerror(-r)) : EXIT_OK;
}

/* The order matters: domains need the loop and xenstored to end, the toolstack needs both. */
static void *end_toolstack(void *arg)
{
    struct run *run = arg;
    uint64_t one = 1;

    hl_toolstack_free(run->ending);
    (void)!write(run->started.fd, &one, sizeof one);
    return NULL;
}

static void toolstack_ended(struct hl_source *source, uint32_t events)
{
    struct run *run = VBD_CONTAINER(source, struct run, started);

    (void)events;
    (void)pthread_join(run->starter, NULL);
    run->starter_runs = false;
}

/* Turns the loop until the toolstack has finished what it was at. */
static void finish_toolstack(struct run *run)
{
    while (run->starter_runs)
        (void)hl_machine_process(run->machine, -1);
    if (run->toolstack == NULL)
        return;
    run->started.ready = toolstack_ended;
    run->ending = run->toolstack;
    run->toolstack = NULL; /* domains that come and go from now on are not its business */
    run->starter_runs = pthread_create(&run->starter, NULL, end_toolstack, run) == 0;
    while (run->starter_runs)
        (void)hl_machine_process(run->machine, -1);
}

static pid_t parent_of(const char *pid)
{
    char path[64], line[512], *end;
    FILE *f;
    long parent = 0;

    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    f = fopen(path, "re");
    if (f == NULL)
        return 0;
    end = fgets(line, sizeof line, f) != NULL ? strrchr(line, ')') : NULL; /* names have blanks */
    if (end != NULL && strlen(end) > 4)
        parent = strtol(end + 4, NULL, 10); /* behind ") S " */
    (void)fclose(f);
    return (pid_t)parent;
}

/* Signals every child but xenstored: the command's orphans are ours, for we are their reaper. False
 * when there is none. */
static bool signal_children(const struct run *run, int signal)
{
    DIR *proc = opendir("/proc");
    bool any = false;

    for (struct dirent *at; proc != NULL && (at = readdir(proc)) != NULL;) {
        pid_t pid = (pid_t)strtol(at->d_name, NULL, 10);

        if (pid <= 0 || pid == run->xenstored || parent_of(at->d_name) != getpid())
            continue;
        any = kill(pid, signal) == 0 || any; /* one with other rights is not ours to wait for */
    }
    if (proc != NULL)
        (void)closedir(proc);
    return any;
}

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What the command left running gets a moment to end well, with xenstored still there. */
static void end_children(struct run *run)
{
    double deadline = now() + GRACE_SECONDS;

    while (now() < deadline && signal_children(run, SIGTERM))
        (void)hl_machine_process(run->machine, 20);
    while (signal_children(run, SIGKILL))
        (void)hl_machine_process(run->machine, 20);
}

static void finish(struct run *run)
{
    if (run->machine != NULL && run->signals.fd >= 0) {
        run->over = true;
        end_children(run);
        finish_toolstack(run);
    }
    if (run->xenstored > 0)
        (void)kill(run->xenstored, SIGKILL); /* its store lived in memory */
    if (run->xenstored > 0)
        (void)waitpid(run->xenstored, NULL, 0);
    hl_machine_free(run->machine);
    if (run->signals.fd >= 0)
        (void)close(run->signals.fd);
    if (run->started.fd >= 0)
        (void)close(run->started.fd);
    hl_remove_tree(run->folder);
}

int hyperless_run(int argc, char **argv)
{
    struct run run = {.signals.fd = -1, .started.fd = -1};
    int r = parse(&run, argc, argv);

    if (r != EXIT_OK)
        return r;
    r = hl_temporary_folder(run.folder, sizeof run.folder);
    if (r < 0)
        return tool_fail("hyperless", "cannot make a folder: %s", strerror(-r));
    raise_limit(&run);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    run.status = start(&run);
    while (run.status == EXIT_OK && !run.over)
        if (hl_machine_process(run.machine, -1) < 0)
            run.over = true;
    finish(&run);
    return run.status;
}
