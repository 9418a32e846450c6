/* tool.c - see program.h. Called by the subcommands that talk to xenstore and exit. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vbdkit/program.h"

int tool_fail(const char *command, const char *format, ...)
{
    va_list args;

    (void)fprintf(stderr, "vbdkit %s: ", command);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return EXIT_FAILED;
}

void tool_help(const char *usage)
{
    (void)printf("usage: vbdkit %s\n", usage);
    exit(EXIT_OK);
}

int tool_usage(const char *usage)
{
    (void)fprintf(stderr, "usage: vbdkit %s\n", usage);
    return EXIT_USAGE;
}

uint64_t tool_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

char *tool_read(struct xsc_handle *h, const char *dir, const char *key)
{
    char path[XSC_ABSOLUTE_PATH_MAX + 1];
    char *value;
    size_t len;

    (void)snprintf(path, sizeof path, "%s%s%s", dir, dir[0] != '\0' ? "/" : "", key);
    return xsc_read(h, path, &value, &len) < 0 ? NULL : value;
}

static int read_own_domid(struct xsc_handle *h, void *arg)
{
    unsigned *domid = arg;
    char *value, *end;
    size_t len;
    int r = xsc_read(h, "domid", &value, &len);

    if (r < 0)
        return r;
    *domid = (unsigned)strtoul(value, &end, 10);
    r = end == value || *end != '\0' ? -EPROTO : 0;
    free(value);
    return r;
}

int tool_open(struct tool *t, const char *command, const char *address)
{
    struct vbd_error why = {""};

    *t = (struct tool){.command = command};
    if (xsc_client_open(address, &t->client, &why) < 0)
        return tool_fail(command, "%s", why.text);
    if (xsc_immediate(t->client, read_own_domid, &t->domid, &why) < 0) {
        tool_close(t);
        return tool_fail(command, "cannot tell which domain this is: %s", why.text);
    }
    return EXIT_OK;
}

void tool_close(struct tool *t)
{
    t->client = xsc_client_close(t->client);
}

/* --- arguments --- */

struct guest_search {
    const char *name;
    unsigned domid;
};

static int find_guest(struct xsc_handle *h, void *arg)
{
    struct guest_search *s = arg;
    char **domids;
    size_t count;
    int r = xsc_directory(h, "/local/domain", &domids, &count);
    bool found = false;

    if (r < 0)
        return r;
    for (size_t i = 0; i < count && !found; i++) {
        char dir[64];
        char *name;

        (void)snprintf(dir, sizeof dir, "/local/domain/%s", domids[i]);
        name = tool_read(h, dir, "name");
        found = strcmp(domids[i], s->name) == 0 || (name != NULL && strcmp(name, s->name) == 0);
        if (found)
            s->domid = (unsigned)strtoul(domids[i], NULL, 10);
        free(name);
    }
    free(domids);
    return found ? 0 : -ENOENT;
}

int tool_guest(struct tool *t, const char *guest, unsigned *ret)
{
    struct guest_search s = {.name = guest};

    if (xsc_immediate(t->client, find_guest, &s, NULL) < 0)
        return tool_fail(t->command, "there is no guest \"%s\"", guest);
    *ret = s.domid;
    return EXIT_OK;
}

int tool_vdev(struct tool *t, const char *name, uint32_t *ret)
{
    if (vbd_vdev_parse(name, ret) < 0)
        return tool_fail(t->command, "\"%s\" is no device: use a name such as xvdb, or a number",
                         name);
    return EXIT_OK;
}

int tool_seconds(const char *command, const char *text, int *ret_ms)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !(seconds >= 0) || seconds > 86400)
        return tool_fail(command, "\"%s\" is no number of seconds from 0 to 86400", text);
    *ret_ms = (int)(seconds * 1000);
    return EXIT_OK;
}

/* --- calls --- */

struct outcome {
    bool done;
    int error;
    struct vbd_error *why;
};

static void ended(void *ctx, int error, const char *why)
{
    struct outcome *o = ctx;

    o->done = true;
    o->error = error;
    (void)snprintf(o->why->text, sizeof o->why->text, "%s", why);
}

static int wait_for(struct tool *t, struct outcome *o, int submitted)
{
    if (submitted < 0) {
        (void)snprintf(o->why->text, sizeof o->why->text, "%s", strerror(-submitted));
        return submitted;
    }
    while (!o->done) {
        struct pollfd fd = {.fd = xsc_client_fd(t->client), .events = xsc_client_events(t->client)};

        (void)poll(&fd, 1, -1);
        (void)xsc_client_process(t->client); /* a lost connection ends the call as well */
    }
    return o->error;
}

int tool_call(struct tool *t, toolstack_call *call, const struct vbd_id *id, struct vbd_error *why)
{
    struct outcome o = {.why = why};

    return wait_for(t, &o, call(&vbd_libc_allocator, xsc_client_session(t->client), id, ended, &o));
}

int tool_create(struct tool *t, const struct vbd_spec *spec, struct vbd_error *why)
{
    struct outcome o = {.why = why};

    return wait_for(
        t, &o,
        vbd_back_create(&vbd_libc_allocator, xsc_client_session(t->client), spec, ended, &o));
}
