/* front_list.c - which vbds a domain has: their numbers, then their backends, then those backends'
 * params. Called by the owner of fronts, before it has one. */
#include <errno.h>

#include "base/memory.h"
#include "base/names.h"
#include "base/text.h"
#include "vbdkit/front.h"
#include "vbdkit/vbd.h"

struct listing {
    const struct vbd_allocator *allocator;
    struct xsc *x;
    void (*done)(void *ctx, int error, const struct vbd_front_list *list);
    void *ctx;
    struct xsc_batch *batch;
    size_t count;
    struct vbd_front_device *devices;
    char dir[64]; /* "device/vbd" below home */
};

enum { KEYS = 2 /* of a device in the batch: backend, backend-id; later one more: params */ };

static void finish(struct listing *l, int error, size_t count)
{
    struct vbd_front_list list = {.count = count, .devices = l->devices};

    l->done(l->ctx, error, error == 0 ? &list : NULL);
    xsc_batch_free(l->batch);
    vbd_free(l->allocator, l->devices);
    vbd_free(l->allocator, l);
}

/* --- backends --- */

/* Adds the read of a backend's params; false when its path is none that xenstore could have. */
static bool add_params(struct xsc_batch *batch, const char *backend)
{
    char path[VBD_PATH_MAX + 8];
    const char *why;

    return vbd_text_join(path, sizeof path, backend, "/params", NULL) &&
           xsc_check_path(path, &why) == 0 && xsc_batch_add(batch, XSC_OP_READ, path, NULL, 0) >= 0;
}

/* Devices that have a backend move to the front of the array; their params are asked for. */
static int ask_for_params(void *ctx, struct xsc_batch *batch)
{
    struct listing *l = ctx;
    size_t known = 0;

    for (size_t i = 0; i < l->count; i++) {
        const char *backend = xsc_batch_string(batch, (int)(i * KEYS));
        const char *domid = xsc_batch_string(batch, (int)(i * KEYS) + 1);
        uint64_t n = 0;

        if (backend == NULL || domid == NULL ||
            !vbd_parse_u64(domid, vbd_str_len(domid), UINT16_MAX, &n) ||
            !add_params(batch, backend))
            continue;
        l->devices[known++] = (struct vbd_front_device){
            .vdev = l->devices[i].vdev, .backend_domid = (unsigned)n, .backend = backend};
    }
    for (size_t i = known; i < l->count; i++)
        l->devices[i].backend = NULL;
    return 0;
}

static void sort(struct vbd_front_device *devices, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && devices[k].vdev < devices[k - 1].vdev; k--) {
            struct vbd_front_device device = devices[k];

            devices[k] = devices[k - 1];
            devices[k - 1] = device;
        }
}

static void told(void *ctx, struct xsc_batch *batch, int error)
{
    struct listing *l = ctx;
    size_t known = 0;

    for (; error == 0 && known < l->count && l->devices[known].backend != NULL; known++) {
        const char *params = xsc_batch_string(batch, (int)(l->count * KEYS + known));

        l->devices[known].params = params != NULL ? params : "";
    }
    sort(l->devices, known);
    finish(l, error, known);
}

/* --- numbers --- */

/* Counts the names that are numbers, and keeps them where there is room. */
static size_t take_numbers(const struct xsc_reply *reply, struct vbd_front_device *devices)
{
    size_t count = 0;

    for (size_t at = 0; at < reply->len; at += vbd_str_len(reply->data + at) + 1) {
        uint64_t n = 0;

        if (!vbd_parse_u64(reply->data + at, vbd_str_len(reply->data + at), UINT32_MAX, &n))
            continue;
        if (devices != NULL)
            devices[count].vdev = (uint32_t)n;
        count++;
    }
    return count;
}

static int ask_for_backends(struct listing *l)
{
    int r = xsc_batch_new(l->x, XSC_BATCH_PLAIN, &l->batch);

    if (r < 0)
        return r;
    for (size_t i = 0; i < l->count; i++) {
        char dir[80];
        struct vbd_text t = vbd_text_on(dir, sizeof dir);

        vbd_text_u64(vbd_text_str(vbd_text_str(&t, l->dir), "/"), l->devices[i].vdev);
        (void)xsc_batch_add_key(l->batch, XSC_OP_READ, dir, "backend", NULL);
        (void)xsc_batch_add_key(l->batch, XSC_OP_READ, dir, "backend-id", NULL);
    }
    xsc_batch_then(l->batch, ask_for_params);
    return xsc_batch_submit(l->batch, told, l);
}

static void numbered(void *ctx, const struct xsc_reply *reply)
{
    struct listing *l = ctx;
    int r;

    if (reply->error < 0 && reply->error != -ENOENT) {
        finish(l, reply->error, 0);
        return;
    }
    l->count = reply->error < 0 ? 0 : take_numbers(reply, NULL);
    if (l->count == 0) {
        finish(l, 0, 0);
        return;
    }
    l->devices = vbd_alloc_array(l->allocator, l->count, sizeof *l->devices);
    if (l->devices != NULL)
        (void)take_numbers(reply, l->devices);
    r = l->devices != NULL ? ask_for_backends(l) : -ENOMEM;
    if (r < 0)
        finish(l, r, 0);
}

int vbd_front_enumerate(const struct vbd_allocator *allocator, struct xsc *x, const char *home,
                        void (*done)(void *ctx, int error, const struct vbd_front_list *list),
                        void *ctx)
{
    struct listing *l = VBD_NEW(allocator, struct listing);
    int r = -EINVAL;

    if (l == NULL)
        return -ENOMEM;
    l->allocator = allocator;
    l->x = x;
    l->done = done;
    l->ctx = ctx;
    if (vbd_text_join(l->dir, sizeof l->dir, home != NULL ? home : "", "device/vbd", NULL))
        r = xsc_list(x, 0, l->dir, (struct xsc_completion){.done = numbered, .ctx = l});
    if (r < 0)
        vbd_free(allocator, l);
    return r;
}
