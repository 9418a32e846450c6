/* xenstored.c - starts one of Debian's real xenstore daemons in domain 0 of a machine. See host.h.
 * Both run unmodified; see xenstored/preload.c for what is answered in the kernel's place.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "hyperless/host/host.h"

static const char *const programs[] = {[HL_XENSTORED_C] = "/usr/lib/xen-4.17/bin/xenstored",
                                       [HL_XENSTORED_OCAML] = "/usr/lib/xen-4.17/bin/oxenstored"};

static void in_folder(const char *folder, const char *name, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/xenstored/%s", folder, name);
}

void hl_xenstored_socket(const char *folder, char *path, size_t size)
{
    in_folder(folder, "socket", path, size);
}

static int write_configuration(const char *path, const char *folder)
{
    FILE *f = fopen(path, "we");

    if (f == NULL)
        return -errno;
    (void)fprintf(f,
                  "pid-file = %s/xenstored/pid\n"
                  "xenstored-log-file = %s/xenstored/own-log\n"
                  "xenstored-kva = /proc/xen/xsd_kva\n"
                  "xenstored-port = /proc/xen/xsd_port\n",
                  folder, folder);
    return fclose(f) == 0 ? 0 : -errno;
}

/* --- in the child --- */

static void preload_both(void)
{
    char one[PATH_MAX], two[PATH_MAX], value[PATH_MAX * 2 + 1];

    if (!hl_library_path("libhyperless.so", one, sizeof one) ||
        !hl_library_path("hyperless-xenstored.so", two, sizeof two))
        return;
    (void)snprintf(value, sizeof value, "%s:%s", one, two);
    (void)setenv("LD_PRELOAD", value, 1);
}

static void log_to(const char *path)
{
    int null = open("/dev/null", O_RDONLY);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

    if (null >= 0)
        (void)dup2(null, 0);
    if (log >= 0) {
        (void)dup2(log, 1);
        (void)dup2(log, 2);
    }
}

static void become(enum hl_xenstored which, const char *folder)
{
    char pid[PATH_MAX], log[PATH_MAX], configuration[PATH_MAX], run[PATH_MAX];
    struct vbd_error why;
    sigset_t none;

    in_folder(folder, "pid", pid, sizeof pid);
    in_folder(folder, "log", log, sizeof log);
    in_folder(folder, "oxenstored.conf", configuration, sizeof configuration);
    (void)snprintf(run, sizeof run, "%s/xenstored", folder);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setsid(); /* Ctrl-C at the terminal is for the command */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (hl_enter_domain(folder, 0, &why) < 0)
        _exit(127);
    preload_both();
    (void)setenv("XENSTORED_RUNDIR", run, 1);
    log_to(log);
    if (which == HL_XENSTORED_C)
        (void)execl(programs[which], "xenstored", "-N", "--pid-file", pid, (char *)NULL);
    else
        (void)execl(programs[which], "oxenstored", "--no-fork", "--no-access-log", "--config-file",
                    configuration, (char *)NULL);
    _exit(127);
}

/* --- in the parent --- */

pid_t hl_xenstored_start(enum hl_xenstored which, const char *folder, struct vbd_error *why)
{
    char path[PATH_MAX];
    pid_t pid;
    int r;

    if (access(programs[which], X_OK) < 0) {
        (void)snprintf(why->text, sizeof why->text,
                       "%s: %s (Debian's package xen-utils-4.17 has it)", programs[which],
                       strerror(errno));
        return -ENOENT;
    }
    (void)snprintf(path, sizeof path, "%s/xenstored", folder);
    r = mkdir(path, 0700) < 0 ? -errno : 0;
    if (r == 0) {
        in_folder(folder, "oxenstored.conf", path, sizeof path);
        r = write_configuration(path, folder);
    }
    pid = r == 0 ? fork() : r;
    if (pid == 0)
        become(which, folder);
    if (pid < 0)
        (void)snprintf(why->text, sizeof why->text, "cannot start xenstored: %s",
                       strerror(r < 0 ? -r : errno));
    return pid;
}

static int try_to_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    if (fd < 0 || strlen(path) >= sizeof address.sun_path)
        return fd < 0 ? -errno : -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    r = connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    (void)close(fd);
    return r;
}

int hl_xenstored_wait(const char *folder)
{
    char path[PATH_MAX];
    struct timespec pause = {.tv_nsec = 2000000};
    int r = -ETIMEDOUT;

    hl_xenstored_socket(folder, path, sizeof path);
    for (int i = 0; i < 5000 && r != 0; i++) {
        r = try_to_connect(path);
        if (r != 0)
            (void)nanosleep(&pause, NULL);
    }
    return r;
}

void hl_xenstored_explain(const char *folder)
{
    char path[PATH_MAX], line[256];
    FILE *log;

    in_folder(folder, "log", path, sizeof path);
    log = fopen(path, "re");
    while (log != NULL && fgets(line, sizeof line, log) != NULL)
        (void)fprintf(stderr, "  xenstored: %s", line);
    if (log != NULL)
        (void)fclose(log);
}
