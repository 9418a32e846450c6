/* devices.c - the devices of one class: found by a watch, each run as a back of libvbd, forgotten
 * when it has ended. Called by serve.c; what happens to one device touches no other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbdkit/server.h"

struct device {
    struct device *next;
    struct devices *devices;
    struct vbd_back *back;
    unsigned domid;
    uint32_t vdev;
};

struct devices {
    struct devices_config config;
    char base[VBD_PATH_MAX]; /* /local/domain/N/backend/CLASS */
    struct xsc_watch *watch;
    struct device *first;
    bool parking, failed;
};

/* --- one device --- */

static struct device **find(struct devices *d, unsigned domid, uint32_t vdev)
{
    struct device **at = &d->first;

    while (*at != NULL && ((*at)->domid != domid || (*at)->vdev != vdev))
        at = &(*at)->next;
    return at;
}

static void scan(struct devices *d, const char *dir);

static void complain(const struct devices *d, const char *subject, const char *text)
{
    const struct vbd_log *log = &d->config.platform->log;

    if (log->write != NULL)
        log->write(log->ctx, VBD_LOG_ERROR, subject, text);
}

/* A device of the same name may have been made while the old one finished: its events came to a
 * device that was still known. */
static void look_again(struct devices *d, unsigned domid)
{
    char dir[VBD_PATH_MAX + 16];

    (void)snprintf(dir, sizeof dir, "%s/%u", d->base, domid);
    if (!d->parking)
        scan(d, dir);
}

static void ended(void *ctx, struct vbd_back *back, enum vbd_back_end end)
{
    struct device *device = ctx;
    struct devices *d = device->devices;
    struct device **at = find(d, device->domid, device->vdev);

    *at = device->next;
    vbd_back_free(back);
    if (end == VBD_BACK_REMOVED)
        look_again(d, device->domid);
    free(device);
}

static void add(struct devices *d, unsigned domid, uint32_t vdev)
{
    struct vbd_back_config config = {.id = {.backend_class = d->config.backend_class,
                                            .backend_domid = d->config.domid,
                                            .domid = domid,
                                            .vdev = vdev},
                                     .source = image_source,
                                     .options = &d->config.options,
                                     .ended = ended};
    struct device *device;

    if (d->parking || (d->config.only_guest >= 0 && (unsigned)d->config.only_guest != domid) ||
        *find(d, domid, vdev) != NULL)
        return;
    device = calloc(1, sizeof *device);
    if (device == NULL) {
        complain(d, d->base, "no memory for a device");
        return;
    }
    *device = (struct device){.next = d->first, .devices = d, .domid = domid, .vdev = vdev};
    config.ctx = device;
    if (vbd_back_run(d->config.platform, d->config.x, &config, &device->back) < 0) {
        free(device);
        complain(d, d->base, "a device could not be begun");
        return;
    }
    d->first = device;
}

/* --- finding them --- */

/* Reads "/NUMBER" at *at and moves on; false when there is none. */
static bool take_number(const char **at, unsigned long max, unsigned long *ret)
{
    char *end;

    if ((*at)[0] != '/' || (*at)[1] < '0' || (*at)[1] > '9')
        return false;
    errno = 0;
    *ret = strtoul(*at + 1, &end, 10);
    *at = end;
    return errno == 0 && *ret <= max && (*end == '\0' || *end == '/');
}

struct scan {
    struct devices *devices;
    char dir[VBD_PATH_MAX + 16];
};

/* A directory's children: domains below the base, devices below a domain. */
static void scanned(void *ctx, const struct xsc_reply *reply)
{
    struct scan *s = ctx;
    const char *at = reply->data;

    if (reply->error < 0 && reply->error != -ENOENT && reply->error != -ECANCELED)
        complain(s->devices, s->dir, "xenstore does not list this directory: devices are missed");

    for (size_t left = reply->error == 0 ? reply->len : 0; left > 0;) {
        size_t size = strlen(at) + 1;
        char path[VBD_PATH_MAX + 32];
        const char *below = path + strlen(s->devices->base);
        unsigned long domid, vdev;

        (void)snprintf(path, sizeof path, "%s/%s", s->dir, at);
        if (take_number(&below, 0x7fff, &domid)) {
            if (*below == '\0')
                scan(s->devices, path);
            else if (take_number(&below, UINT32_MAX, &vdev))
                add(s->devices, (unsigned)domid, (uint32_t)vdev);
        }
        at += size;
        left -= size < left ? size : left;
    }
}

static void scan(struct devices *d, const char *dir)
{
    struct scan *s = calloc(1, sizeof *s);

    if (s == NULL)
        return;
    s->devices = d;
    (void)snprintf(s->dir, sizeof s->dir, "%s", dir);
    (void)xsc_list(d->config.x, 0, s->dir, (struct xsc_completion){scanned, s, free});
    /* cppcheck-suppress memleak ; the completion frees it, also when submitting fails */
}

static void changed(void *ctx, const char *path)
{
    struct devices *d = ctx;
    const char *at;
    unsigned long domid, vdev;

    if (path == NULL)
        path = d->base; /* changes may have been missed: look at all */
    at = path + strlen(d->base);
    if (strncmp(path, d->base, strlen(d->base)) != 0)
        return;
    if (take_number(&at, 0x7fff, &domid) && take_number(&at, UINT32_MAX, &vdev))
        add(d, (unsigned)domid, (uint32_t)vdev);
    else if (*at == '\0')
        scan(d, path);
}

static void watching(void *ctx, const struct xsc_reply *reply)
{
    struct devices *d = ctx;

    if (reply->error == 0 || reply->error == -ECANCELED)
        return;
    complain(d, d->base, "xenstore refused to watch this directory");
    d->failed = true;
}

int devices_new(const struct devices_config *config, struct devices **ret)
{
    struct devices *d = calloc(1, sizeof *d);
    int r;

    if (d == NULL)
        return -ENOMEM;
    d->config = *config;
    (void)snprintf(d->base, sizeof d->base, "/local/domain/%u/backend/%.32s", config->domid,
                   config->backend_class);
    r = xsc_watch_add(config->x, d->base, changed, d,
                      (struct xsc_completion){.done = watching, .ctx = d}, &d->watch);
    if (r < 0) {
        free(d);
        return r;
    }
    *ret = d;
    return 0;
}

/* --- the end --- */

void devices_park(struct devices *d)
{
    struct device *device = d->first;

    d->parking = true;
    xsc_watch_remove(d->watch);
    d->watch = NULL;
    while (device != NULL) {
        struct device *next = device->next; /* parking may end it at once */

        vbd_back_park(device->back);
        device = next;
    }
}

uint64_t devices_tick(struct devices *d, uint64_t now)
{
    struct device *device = d->first;
    uint64_t first = 0;

    while (device != NULL) {
        struct device *next = device->next; /* a look may end it at once */
        uint64_t wanted = vbd_back_tick(device->back, now);

        if (wanted != 0 && (first == 0 || wanted < first))
            first = wanted;
        device = next;
    }
    return first;
}

bool devices_all_ended(const struct devices *d)
{
    return d->first == NULL;
}

bool devices_failed(const struct devices *d)
{
    return d->failed;
}

void devices_free(struct devices *d)
{
    if (d == NULL)
        return;
    xsc_watch_remove(d->watch);
    free(d);
}

/* --- showing them --- */

json_object *devices_json(const struct devices *d)
{
    json_object *document = json_object_new_object();
    json_object *list = json_object_new_array();

    for (const struct device *at = d->first; at != NULL; at = at->next)
        (void)json_object_array_add(list, back_json(at->back));
    (void)json_object_object_add(document, "class",
                                 json_object_new_string(d->config.backend_class));
    (void)json_object_object_add(document, "domid", json_object_new_int64(d->config.domid));
    (void)json_object_object_add(document, "devices", list);
    return document;
}
