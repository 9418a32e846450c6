/* attach.c - "vbdkit attach": makes the nodes of a new disk and waits until a backend has taken it
 * and the guest has it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbdkit/program.h"

static const char usage[] =
    "attach [--class CLASS] [--read-only] [--cdrom] [--option NAME=VALUE[,...]]\n"
    "                     [--timeout SECONDS] [--no-wait] [--xenstore ADDRESS] GUEST IMAGE "
    "[DEVICE]";

struct attach {
    struct tool tool;
    struct vbd_spec spec;
    char back[VBD_PATH_MAX], front[VBD_PATH_MAX];
    char device[24];
    char *image;
    const char *xenstore;
    int timeout_ms;
    bool wait;
    char *hotplug_error; /* what the backend wrote */
};

/* Said here, before anything is made; the backend would say it too. */
static int check_options(const char *text)
{
    struct vbd_back_options o;
    struct vbd_error why = {""};

    vbd_back_options_init(&o);
    if (text == NULL || vbd_back_options_parse(text, &o, &why) == 0)
        return EXIT_OK;
    return tool_fail("attach", "--option: %s", why.text);
}

static int parse(struct attach *a, int argc, char **argv)
{
    static const struct option options[] = {{"class", required_argument, NULL, 'c'},
                                            {"read-only", no_argument, NULL, 'r'},
                                            {"cdrom", no_argument, NULL, 'd'},
                                            {"option", required_argument, NULL, 'p'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"no-wait", no_argument, NULL, 'n'},
                                            {"xenstore", required_argument, NULL, 'x'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (o == 'c')
            a->spec.id.backend_class = optarg;
        else if (o == 'r')
            a->spec.read_only = true;
        else if (o == 'd')
            a->spec.cdrom = a->spec.read_only = true;
        else if (o == 'p')
            a->spec.options = optarg;
        else if (o == 'n')
            a->wait = false;
        else if (o == 'h')
            tool_help(usage);
        else if (o == 'x')
            a->xenstore = optarg;
        else if (o != 't' || tool_seconds("attach", optarg, &a->timeout_ms) != EXIT_OK)
            return tool_usage(usage);
    }
    if (argc - optind < 2 || argc - optind > 3)
        return tool_usage(usage);
    return check_options(a->spec.options);
}

/* --- the first free device --- */

static bool is_free(struct xsc_handle *h, const struct attach *a, uint32_t vdev)
{
    struct vbd_id id = a->spec.id;
    char front[VBD_PATH_MAX];
    char *backend;
    bool taken;

    id.vdev = vdev;
    vbd_front_path(&id, front);
    backend = tool_read(h, front, "backend");
    taken = backend != NULL;
    free(backend);
    return !taken;
}

static int pick_device(struct xsc_handle *h, void *arg)
{
    struct attach *a = arg;
    char name[8] = "xvda";

    for (; name[3] <= 'z'; name[3]++) {
        if (vbd_vdev_parse(name, &a->spec.id.vdev) == 0 && is_free(h, a, a->spec.id.vdev))
            return 0;
    }
    return -ENOSPC;
}

/* --- waiting --- */

static int backend_has_taken_it(struct xsc_handle *h, void *arg)
{
    struct attach *a = arg;
    char *status = tool_read(h, a->back, "hotplug-status");
    int r = -EAGAIN;

    if (status != NULL && strcmp(status, "connected") == 0) {
        r = 0;
    } else if (status != NULL && strcmp(status, "error") == 0) {
        a->hotplug_error = tool_read(h, a->back, "hotplug-error");
        r = -EIO;
    }
    free(status);
    return r;
}

static int both_are_connected(struct xsc_handle *h, void *arg)
{
    struct attach *a = arg;
    char *back = tool_read(h, a->back, "state");
    char *front = tool_read(h, a->front, "state");
    bool up = back != NULL && front != NULL && strcmp(back, "4") == 0 && strcmp(front, "4") == 0;

    free(back);
    free(front);
    return up ? 0 : -EAGAIN;
}

/* What could not be brought up is taken away again. */
static int undo(struct attach *a)
{
    struct vbd_error why = {""};

    if (tool_call(&a->tool, vbd_back_destroy, &a->spec.id, &why) < 0)
        (void)tool_fail("attach", "could not clean up: %s", why.text);
    return EXIT_FAILED;
}

static int wait_for_backend(struct attach *a)
{
    int r = xsc_wait(a->tool.client, a->timeout_ms, backend_has_taken_it, a, NULL);

    if (r == 0)
        return EXIT_OK;
    if (a->hotplug_error != NULL)
        (void)tool_fail("attach", "dom%u/vbd-%u: %s", a->spec.id.domid, a->spec.id.vdev,
                        a->hotplug_error);
    else if (r == -ETIMEDOUT)
        (void)tool_fail("attach",
                        "no backend took the disk: is \"vbdkit serve --class %s\" running?",
                        a->spec.id.backend_class);
    else
        (void)tool_fail("attach", "waiting for the backend: %s", strerror(-r));
    return undo(a);
}

static int bring_up(struct attach *a)
{
    struct vbd_error why = {""};
    int r = tool_create(&a->tool, &a->spec, &why);

    if (r < 0)
        return tool_fail("attach", "%s", why.text);
    r = wait_for_backend(a);
    if (r != EXIT_OK)
        return r;
    if (!a->wait) {
        (void)printf("dom%u/vbd-%u: %s is offered\n", a->spec.id.domid, a->spec.id.vdev, a->device);
        return EXIT_OK;
    }
    if (xsc_wait(a->tool.client, a->timeout_ms, both_are_connected, a, NULL) < 0) {
        (void)printf("dom%u/vbd-%u: %s is offered, but the guest has not connected\n",
                     a->spec.id.domid, a->spec.id.vdev, a->device);
        return EXIT_NOT_CONNECTED;
    }
    (void)printf("dom%u/vbd-%u: %s is connected\n", a->spec.id.domid, a->spec.id.vdev, a->device);
    return EXIT_OK;
}

/* The daemon has another working directory. What is no file here may mean something there. */
static char *absolute(const char *image)
{
    char *path = realpath(image, NULL);

    return path != NULL ? path : strdup(image);
}

static int run(struct attach *a, char **arguments)
{
    const char *device = arguments[2];
    int r = tool_guest(&a->tool, arguments[0], &a->spec.id.domid);

    if (r != EXIT_OK)
        return r;
    if (device != NULL)
        r = tool_vdev(&a->tool, device, &a->spec.id.vdev);
    else if (xsc_immediate(a->tool.client, pick_device, a, NULL) < 0)
        r = tool_fail("attach", "the guest has no free device from xvda to xvdz");
    if (r != EXIT_OK)
        return r;
    vbd_vdev_name(a->spec.id.vdev, a->device);
    a->spec.id.backend_domid = a->tool.domid;
    a->image = absolute(arguments[1]);
    a->spec.params = a->image;
    a->spec.device = a->device;
    if (a->image == NULL || vbd_back_path(&a->spec.id, a->back) < 0)
        return tool_fail("attach", "\"%s\" is no class", a->spec.id.backend_class);
    vbd_front_path(&a->spec.id, a->front);
    return bring_up(a);
}

int attach_main(int argc, char **argv)
{
    struct attach a = {.spec = {.id = {.backend_class = "vbd"}}, .timeout_ms = 10000, .wait = true};
    int r = parse(&a, argc, argv);

    if (r == EXIT_OK)
        r = tool_open(&a.tool, "attach", a.xenstore);
    if (r != EXIT_OK)
        return r;
    r = run(&a, argv + optind);
    free(a.image);
    free(a.hotplug_error);
    tool_close(&a.tool);
    return r;
}
