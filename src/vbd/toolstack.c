/* toolstack.c - the toolstack's side of a vbd: its nodes made, asked to close, removed. Called by
 * tools; each call is one transaction with one completion. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "vbdkit/vbd.h"

struct task {
    const struct vbd_allocator *allocator;
    struct xsc_batch *batch;
    vbd_toolstack_done *done;
    void *ctx;
    char back[VBD_PATH_MAX], front[VBD_PATH_MAX], parent[VBD_PATH_MAX];
    char libxl[VBD_PATH_MAX]; /* where libxl notes a guest's disk */
    struct vbd_spec spec;     /* of a create; its strings are copies behind this struct */
    const char *refusal;      /* why `more` refused, a static sentence */
    int first;                /* index of the answers that `more` looks at */
};

static void finished(void *ctx, struct xsc_batch *batch, int error)
{
    struct task *t = ctx;
    vbd_toolstack_done *done = t->done;
    void *done_ctx = t->ctx;
    char why[256];

    (void)vbd_text_join(why, sizeof why, t->refusal != NULL ? t->back : "",
                        t->refusal != NULL ? ": " : "",
                        t->refusal != NULL ? t->refusal : xsc_batch_why(batch), NULL);
    xsc_batch_free(batch);
    vbd_free(t->allocator, t);
    done(done_ctx, error, why);
}

static void name_parent(struct task *t)
{
    struct vbd_text text = vbd_text_on(t->parent, sizeof t->parent);
    size_t len = vbd_str_len(t->back);

    while (len > 0 && t->back[len - 1] != '/')
        len--;
    vbd_text_bytes(&text, t->back, len - 1);
}

static void name_libxl(struct task *t, const struct vbd_id *id)
{
    struct vbd_text text = vbd_text_on(t->libxl, sizeof t->libxl);

    vbd_text_u64(vbd_text_str(&text, "/libxl/"), id->domid);
    vbd_text_u64(vbd_text_str(&text, "/device/vbd/"), id->vdev);
}

/* `extra` bytes behind the struct are the caller's. */
static int task_new(const struct vbd_allocator *a, struct xsc *x, const struct vbd_id *id,
                    size_t extra, vbd_toolstack_done *done, void *ctx, struct task **ret)
{
    struct task *t = vbd_alloc(a, sizeof *t + extra);
    int r;

    if (t == NULL)
        return -ENOMEM;
    *t = (struct task){.allocator = a, .done = done, .ctx = ctx};
    r = vbd_back_path(id, t->back);
    if (r == 0)
        r = xsc_batch_new(x, XSC_BATCH_TRANSACTION, &t->batch);
    if (r < 0) {
        vbd_free(a, t);
        return r;
    }
    vbd_front_path(id, t->front);
    name_parent(t);
    name_libxl(t, id);
    *ret = t;
    return 0;
}

static int submit(struct task *t, int (*more)(void *ctx, struct xsc_batch *b))
{
    int r;

    xsc_batch_then(t->batch, more);
    r = xsc_batch_submit(t->batch, finished, t);
    if (r < 0) {
        xsc_batch_free(t->batch);
        vbd_free(t->allocator, t);
    }
    return r;
}

static void put(struct task *t, const char *dir, const char *key, const char *value)
{
    (void)xsc_batch_add_key(t->batch, XSC_OP_WRITE, dir, key, value);
}

static void put_number(struct task *t, const char *dir, const char *key, uint64_t n)
{
    char digits[24];
    struct vbd_text text = vbd_text_on(digits, sizeof digits);

    vbd_text_u64(&text, n);
    put(t, dir, key, digits);
}

/* A directory owned by one domain that another may read: "nOWNER" NUL "rREADER" NUL. */
static void make_directory(struct task *t, const char *path, unsigned owner, unsigned reader)
{
    char perms[32];
    struct vbd_text text = vbd_text_on(perms, sizeof perms);

    vbd_text_u64(vbd_text_str(&text, "n"), owner);
    vbd_text_bytes(&text, "", 1);
    vbd_text_u64(vbd_text_str(&text, "r"), reader);
    vbd_text_bytes(&text, "", 1);
    (void)xsc_batch_add(t->batch, XSC_OP_MKDIR, path, NULL, 0);
    (void)xsc_batch_add(t->batch, XSC_OP_SET_PERMS, path, perms, text.len);
}

/* --- create --- */

/* Keys as libxl writes them, below the backend's directory and in its own notes alike. */
static void write_description(struct task *t, const char *dir)
{
    const struct vbd_spec *spec = &t->spec;

    put(t, dir, "frontend", t->front);
    put_number(t, dir, "frontend-id", spec->id.domid);
    put(t, dir, "params", spec->params);
    put(t, dir, "online", "1");
    put(t, dir, "removable", spec->cdrom ? "1" : "0");
    put(t, dir, "bootable", spec->bootable ? "1" : "0");
    if (spec->device != NULL)
        put(t, dir, "dev", spec->device);
    if (spec->options != NULL)
        put(t, dir, "vbdkit-options", spec->options);
    put(t, dir, "type", "phy");
    put(t, dir, "script", "/bin/true"); /* libxl runs one when it removes the disk */
    put(t, dir, "mode", spec->read_only ? "r" : "w");
    put(t, dir, "device-type", spec->cdrom ? "cdrom" : "disk");
    put(t, dir, "specification", "xen");
    put(t, dir, "state", "1");
}

/* The directory comes first, so that the keys inherit its permissions. */
static void write_back(struct task *t)
{
    make_directory(t, t->back, t->spec.id.backend_domid, t->spec.id.domid);
    write_description(t, t->back);
}

/* With this xl lists the disk, detaches it, and removes it with its guest. */
static void write_libxl(struct task *t)
{
    put(t, t->libxl, "backend", t->back);
    write_description(t, t->libxl);
}

static void write_front(struct task *t)
{
    const struct vbd_spec *spec = &t->spec;

    make_directory(t, t->front, spec->id.domid, spec->id.backend_domid);
    put(t, t->front, "backend", t->back);
    put_number(t, t->front, "backend-id", spec->id.backend_domid);
    put_number(t, t->front, "virtual-device", spec->id.vdev);
    if (spec->id.vdev >= 1u << 28) /* extended: some fronts look for those here */
        put_number(t, t->front, "virtual-device-ext", spec->id.vdev);
    put(t, t->front, "device-type", spec->cdrom ? "cdrom" : "disk");
    put(t, t->front, "state", "1");
}

static int create_if_new(void *ctx, struct xsc_batch *b)
{
    struct task *t = ctx;

    if (xsc_batch_string(b, 0) == NULL) {
        t->refusal = "there is no such guest";
        return -ENOENT;
    }
    if (xsc_batch_string(b, 1) != NULL || xsc_batch_string(b, 2) != NULL) {
        t->refusal = "the guest has this device already";
        return -EEXIST;
    }
    write_back(t);
    write_front(t);
    if (xsc_batch_string(b, 3) != NULL)
        write_libxl(t);
    return 0;
}

/* Keeps a string behind the task; *at moves on. */
static const char *keep(char **at, const char *s)
{
    char *kept = *at;
    size_t size = s != NULL ? vbd_str_len(s) + 1 : 0;

    if (s == NULL)
        return NULL;
    memcpy(kept, s, size);
    *at += size;
    return kept;
}

int vbd_back_create(const struct vbd_allocator *allocator, struct xsc *x,
                    const struct vbd_spec *spec, vbd_toolstack_done *done, void *ctx)
{
    size_t extra = vbd_str_len(spec->params) + vbd_str_len(spec->id.backend_class) + 2 +
                   (spec->device != NULL ? vbd_str_len(spec->device) + 1 : 0) +
                   (spec->options != NULL ? vbd_str_len(spec->options) + 1 : 0);
    char guest[VBD_PATH_MAX];
    struct vbd_text text = vbd_text_on(guest, sizeof guest);
    struct task *t;
    char *at;
    int r = task_new(allocator, x, &spec->id, extra, done, ctx, &t);

    if (r < 0)
        return r;
    at = (char *)(t + 1);
    t->spec = *spec;
    t->spec.params = keep(&at, spec->params);
    t->spec.device = keep(&at, spec->device);
    t->spec.options = keep(&at, spec->options);
    t->spec.id.backend_class = keep(&at, spec->id.backend_class);
    vbd_text_u64(vbd_text_str(&text, "/local/domain/"), spec->id.domid);
    (void)xsc_batch_add(t->batch, XSC_OP_READ, guest, NULL, 0);
    (void)xsc_batch_add_key(t->batch, XSC_OP_READ, t->back, "frontend", NULL);
    (void)xsc_batch_add_key(t->batch, XSC_OP_READ, t->front, "backend", NULL);
    text = vbd_text_on(guest, sizeof guest);
    vbd_text_u64(vbd_text_str(&text, "/libxl/"), spec->id.domid);
    (void)xsc_batch_add(t->batch, XSC_OP_READ, guest, NULL, 0);
    return submit(t, create_if_new);
}

/* --- close --- */

static int close_back(void *ctx, struct xsc_batch *b)
{
    struct task *t = ctx;
    const char *state = xsc_batch_string(b, 0);

    if (state == NULL) {
        t->refusal = "there is no such device";
        return -ENOENT;
    }
    put(t, t->back, "online", "0");
    if (!vbd_str_eq(state, "6"))
        put(t, t->back, "state", "5");
    return 0;
}

static int force_back(void *ctx, struct xsc_batch *b)
{
    struct task *t = ctx;
    int r = close_back(ctx, b);

    if (r < 0)
        return r;
    (void)xsc_batch_add(t->batch, XSC_OP_RM, t->front, NULL, 0);
    xsc_batch_may_miss(t->batch, true);
    return 0;
}

static int close_with(int (*more)(void *ctx, struct xsc_batch *b),
                      const struct vbd_allocator *allocator, struct xsc *x, const struct vbd_id *id,
                      vbd_toolstack_done *done, void *ctx)
{
    struct task *t;
    int r = task_new(allocator, x, id, 0, done, ctx, &t);

    if (r < 0)
        return r;
    (void)xsc_batch_add_key(t->batch, XSC_OP_READ, t->back, "state", NULL);
    return submit(t, more);
}

int vbd_back_request_close(const struct vbd_allocator *allocator, struct xsc *x,
                           const struct vbd_id *id, vbd_toolstack_done *done, void *ctx)
{
    return close_with(close_back, allocator, x, id, done, ctx);
}

int vbd_back_force_close(const struct vbd_allocator *allocator, struct xsc *x,
                         const struct vbd_id *id, vbd_toolstack_done *done, void *ctx)
{
    return close_with(force_back, allocator, x, id, done, ctx);
}

/* --- destroy --- */

static int remove_parent(void *ctx, struct xsc_batch *b)
{
    struct task *t = ctx;
    const struct xsc_reply *children = xsc_batch_reply(b, t->first);

    if (children->error == 0 && children->len == 0)
        (void)xsc_batch_add(t->batch, XSC_OP_RM, t->parent, NULL, 0);
    return 0;
}

int vbd_back_destroy(const struct vbd_allocator *allocator, struct xsc *x, const struct vbd_id *id,
                     vbd_toolstack_done *done, void *ctx)
{
    struct task *t;
    int r = task_new(allocator, x, id, 0, done, ctx, &t);

    if (r < 0)
        return r;
    (void)xsc_batch_add(t->batch, XSC_OP_RM, t->front, NULL, 0);
    xsc_batch_may_miss(t->batch, true);
    (void)xsc_batch_add(t->batch, XSC_OP_RM, t->back, NULL, 0);
    xsc_batch_may_miss(t->batch, true);
    (void)xsc_batch_add(t->batch, XSC_OP_RM, t->libxl, NULL, 0);
    xsc_batch_may_miss(t->batch, true);
    t->first = xsc_batch_add(t->batch, XSC_OP_DIRECTORY, t->parent, NULL, 0);
    xsc_batch_may_miss(t->batch, true);
    return submit(t, remove_parent);
}
