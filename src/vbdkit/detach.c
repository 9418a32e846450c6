/* detach.c - "vbdkit detach": asks for a disk back, waits until it is free, removes its nodes. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbdkit/program.h"

static const char usage[] = "detach [--class CLASS] [--force] [--timeout SECONDS]\n"
                            "                     [--xenstore ADDRESS] GUEST DEVICE";

struct detach {
    struct tool tool;
    struct vbd_id id;
    char back[VBD_PATH_MAX];
    const char *xenstore;
    int timeout_ms;
    bool force;
};

static int parse(struct detach *d, int argc, char **argv)
{
    static const struct option options[] = {
        {"class", required_argument, NULL, 'c'},   {"force", no_argument, NULL, 'f'},
        {"timeout", required_argument, NULL, 't'}, {"xenstore", required_argument, NULL, 'x'},
        {"help", no_argument, NULL, 'h'},          {0}};
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (o == 'c')
            d->id.backend_class = optarg;
        else if (o == 'f')
            d->force = true;
        else if (o == 'h')
            tool_help(usage);
        else if (o == 'x')
            d->xenstore = optarg;
        else if (o != 't' || tool_seconds("detach", optarg, &d->timeout_ms) != EXIT_OK)
            return tool_usage(usage);
    }
    return argc - optind != 2 ? tool_usage(usage) : EXIT_OK;
}

static int is_closed(struct xsc_handle *h, void *arg)
{
    struct detach *d = arg;
    char *state = tool_read(h, d->back, "state");
    bool closed = state == NULL || strcmp(state, "6") == 0;

    free(state);
    return closed ? 0 : -EAGAIN;
}

/* A daemon that has died does not close; forcing goes on without it. */
static int wait_until_closed(struct detach *d)
{
    int r = xsc_wait(d->tool.client, d->timeout_ms, is_closed, d, NULL);

    if (r == 0 || (d->force && r == -ETIMEDOUT))
        return EXIT_OK;
    if (r == -ETIMEDOUT)
        return tool_fail("detach",
                         "dom%u/vbd-%u: the guest did not give the disk back in time; it stays "
                         "asked to, and --force takes it",
                         d->id.domid, d->id.vdev);
    return tool_fail("detach", "waiting for the backend: %s", strerror(-r));
}

static int run(struct detach *d, char **arguments)
{
    struct vbd_error why = {""};
    int r = tool_guest(&d->tool, arguments[0], &d->id.domid);

    if (r == EXIT_OK)
        r = tool_vdev(&d->tool, arguments[1], &d->id.vdev);
    if (r != EXIT_OK)
        return r;
    d->id.backend_domid = d->tool.domid;
    if (vbd_back_path(&d->id, d->back) < 0)
        return tool_fail("detach", "\"%s\" is no class", d->id.backend_class);
    if (tool_call(&d->tool, d->force ? vbd_back_force_close : vbd_back_request_close, &d->id,
                  &why) < 0)
        return tool_fail("detach", "%s", why.text);
    r = wait_until_closed(d);
    if (r != EXIT_OK)
        return r;
    if (tool_call(&d->tool, vbd_back_destroy, &d->id, &why) < 0)
        return tool_fail("detach", "%s", why.text);
    (void)printf("dom%u/vbd-%u: detached\n", d->id.domid, d->id.vdev);
    return EXIT_OK;
}

int detach_main(int argc, char **argv)
{
    struct detach d = {.id = {.backend_class = "vbd"}, .timeout_ms = 10000};
    int r = parse(&d, argc, argv);

    if (r == EXIT_OK)
        r = tool_open(&d.tool, "detach", d.xenstore);
    if (r != EXIT_OK)
        return r;
    r = run(&d, argv + optind);
    tool_close(&d.tool);
    return r;
}
