/* control.c - the daemon's control socket: whoever connects gets one JSON document and the end of
 * the connection. Called by serve.c. Only root can connect. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "vbdkit/program.h"
#include "vbdkit/server.h"

struct control {
    int fd;
    char path[CONTROL_PATH_MAX];
};

void control_path(const char *backend_class, char path[CONTROL_PATH_MAX])
{
    const char *folder = getenv("VBDKIT_RUNDIR");

    (void)snprintf(path, CONTROL_PATH_MAX, "%.64s/%.32s.sock",
                   folder != NULL ? folder : "/run/vbdkit", backend_class);
}

static void make_parent(const char *path)
{
    char dir[CONTROL_PATH_MAX];
    char *slash;

    (void)snprintf(dir, sizeof dir, "%s", path);
    slash = strrchr(dir, '/');
    if (slash != NULL && slash != dir) {
        *slash = '\0';
        (void)mkdir(dir, 0755); /* there already is as good */
    }
}

/* A socket left behind by a daemon that died is nobody's. */
static bool somebody_listens(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answered = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;

    if (fd >= 0)
        (void)close(fd);
    return answered;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t before;
    int fd, r;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    make_parent(path);
    if (somebody_listens(&address)) {
        (void)close(fd);
        return -EADDRINUSE;
    }
    (void)unlink(path);
    before = umask(0177);
    r = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 8) < 0 ? -errno
                                                                                       : fd;
    (void)umask(before);
    if (r < 0)
        (void)close(fd);
    return r;
}

int control_open(const char *path, struct control **ret, struct vbd_error *why)
{
    struct control *c = calloc(1, sizeof *c);
    int fd = c == NULL ? -ENOMEM : listen_at(path);

    if (fd < 0) {
        free(c);
        (void)snprintf(why->text, sizeof why->text, "cannot listen at %s: %s", path,
                       fd == -EADDRINUSE ? "another daemon serves this class" : strerror(-fd));
        return fd;
    }
    c->fd = fd;
    (void)snprintf(c->path, sizeof c->path, "%s", path);
    *ret = c;
    return 0;
}

void control_close(struct control *c)
{
    if (c == NULL)
        return;
    (void)close(c->fd);
    (void)unlink(c->path);
    free(c);
}

int control_fd(const struct control *c)
{
    return c->fd;
}

static void send_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

        if (n <= 0)
            return; /* a client that does not read loses its answer, not our time */
        text += n;
        left -= (size_t)n;
    }
}

void control_answer(struct control *c, const struct devices *d)
{
    struct timeval limit = {.tv_usec = 500000};
    int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
    json_object *document;

    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    document = devices_json(d);
    (void)json_object_object_add(document, "clock_ns", json_object_new_uint64(tool_now_ns()));
    send_all(fd, json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE));
    (void)json_object_put(document);
    (void)close(fd);
}
