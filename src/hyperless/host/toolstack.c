/* toolstack.c - what xl does on Xen, as far as a machine without memory and processors needs it:
 * domains are introduced to xenstored and get their nodes; when one has died, its disks are closed
 * and its nodes removed. See host.h. Each of these is a thread on the one connection.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hyperless/host/host.h"
#include "hyperless/lib/store_page.h"
#include "hyperless/machine/machine.h"
#include "vbdkit/xsc_linux.h"

enum { CLOSE_WAIT_MS = 3000 /* for backends, until their nodes are taken away all the same */ };

struct hl_toolstack {
    struct hl_machine *machine;
    struct xsc_client *client;
    pthread_mutex_t lock; /* of `jobs` */
    pthread_cond_t done;
    int jobs;
};

struct job {
    struct hl_toolstack *t;
    uint32_t domid, port;
};

/* --- introducing --- */

static int write_text(struct xsc_handle *h, const char *path, const char *value)
{
    return xsc_write(h, path, value, strlen(value));
}

/* Nodes as libxl makes them: the domain may read its own, and write below a few. */
static int make_nodes(struct xsc_handle *h, void *arg)
{
    static const char *const writable[] = {"data", "drivers", "feature", "attr", "error"};
    const struct job *j = arg;
    struct xsc_permission readable[] = {{0, 'n'}, {j->domid, 'r'}}, owned[] = {{j->domid, 'n'}};
    char path[64], text[16];
    int r;

    (void)snprintf(path, sizeof path, "/local/domain/%u", j->domid);
    (void)snprintf(text, sizeof text, "%u", j->domid);
    r = xsc_rm(h, path);
    if (r == 0 || r == -ENOENT)
        r = xsc_mkdir(h, path);
    if (r == 0)
        r = xsc_set_perms(h, path, readable, 2);
    (void)snprintf(path, sizeof path, "/local/domain/%u/domid", j->domid);
    if (r == 0)
        r = write_text(h, path, text);
    (void)snprintf(path, sizeof path, "/local/domain/%u/name", j->domid);
    (void)snprintf(text, sizeof text, "dom%u", j->domid);
    if (r == 0)
        r = write_text(h, path, text);
    for (size_t i = 0; r == 0 && i < sizeof writable / sizeof writable[0]; i++) {
        (void)snprintf(path, sizeof path, "/local/domain/%u/%s", j->domid, writable[i]);
        r = xsc_mkdir(h, path);
        if (r == 0)
            r = xsc_set_perms(h, path, owned, 1);
    }
    return r;
}

static int introduce(struct xsc_handle *h, void *arg)
{
    const struct job *j = arg;

    return xsc_introduce(h, j->domid, HL_STORE_FRAME, j->port);
}

/* --- burying --- */

/* One vbd of the dead domain, at a backend. */
struct disk {
    char path[XSC_ABSOLUTE_PATH_MAX + 1];
};

static void below(const struct disk *d, const char *key, char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%s", d->path, key);
}

static int ask_to_close(struct xsc_handle *h, void *arg)
{
    char path[XSC_ABSOLUTE_PATH_MAX + 16], *state;
    size_t len;
    int r;

    below(arg, "state", path, sizeof path);
    r = xsc_read(h, path, &state, &len);
    if (r < 0)
        return r; /* gone already: writing would bring it back */
    if (strcmp(state, "6") != 0)
        r = write_text(h, path, "5");
    free(state);
    below(arg, "online", path, sizeof path);
    return r < 0 ? r : write_text(h, path, "0");
}

static int has_closed(struct xsc_handle *h, void *arg)
{
    char path[XSC_ABSOLUTE_PATH_MAX + 16], *state;
    size_t len;
    bool closed;

    below(arg, "state", path, sizeof path);
    if (xsc_read(h, path, &state, &len) < 0)
        return 0;
    closed = strcmp(state, "6") == 0;
    free(state);
    return closed ? 0 : -EAGAIN;
}

static int remove_it(struct xsc_handle *h, void *arg)
{
    return xsc_rm(h, ((struct disk *)arg)->path);
}

/* Calls visit for each child of a node; a node that is not there has none. */
static void each(struct hl_toolstack *t, const char *path,
                 void (*visit)(struct hl_toolstack *t, const char *path, uint32_t domid),
                 const char *suffix, uint32_t domid);

struct listing {
    const char *path;
    char **names;
    size_t count;
};

static int list(struct xsc_handle *h, void *arg)
{
    struct listing *l = arg;

    return xsc_directory(h, l->path, &l->names, &l->count);
}

static void each(struct hl_toolstack *t, const char *path,
                 void (*visit)(struct hl_toolstack *t, const char *path, uint32_t domid),
                 const char *suffix, uint32_t domid)
{
    struct listing l = {.path = path};

    if (xsc_immediate(t->client, list, &l, NULL) < 0)
        return;
    for (size_t i = 0; i < l.count; i++) {
        char child[XSC_ABSOLUTE_PATH_MAX + 1];

        if (snprintf(child, sizeof child, "%s/%s%s", path, l.names[i], suffix) < (int)sizeof child)
            visit(t, child, domid);
    }
    free(l.names);
}

/* .../backend/CLASS/DOMID/VDEV */
static void close_disk(struct hl_toolstack *t, const char *path, uint32_t domid)
{
    struct disk d;

    (void)domid;
    (void)snprintf(d.path, sizeof d.path, "%s", path);
    if (xsc_transaction(t->client, ask_to_close, &d, NULL) < 0)
        return;
    (void)xsc_wait(t->client, CLOSE_WAIT_MS, has_closed, &d, NULL);
    (void)xsc_immediate(t->client, remove_it, &d, NULL);
}

/* .../backend/CLASS */
static void close_class(struct hl_toolstack *t, const char *path, uint32_t domid)
{
    struct disk guest;

    (void)snprintf(guest.path, sizeof guest.path, "%s/%u", path, domid);
    each(t, guest.path, close_disk, "", domid);
    (void)xsc_immediate(t->client, remove_it, &guest, NULL);
}

/* /local/domain/BACKEND-DOMID/backend */
static void close_backend(struct hl_toolstack *t, const char *path, uint32_t domid)
{
    each(t, path, close_class, "", domid);
}

static int forget(struct xsc_handle *h, void *arg)
{
    const struct job *j = arg;
    char path[64];

    (void)xsc_release(h, j->domid); /* it may have found out by itself */
    (void)snprintf(path, sizeof path, "/local/domain/%u", j->domid);
    (void)xsc_rm(h, path);
    (void)snprintf(path, sizeof path, "/libxl/%u", j->domid);
    (void)xsc_rm(h, path);
    return 0;
}

/* --- jobs --- */

static void *run_introduce(void *arg)
{
    struct job *j = arg;
    struct hl_toolstack *t = j->t;
    int r = xsc_immediate(t->client, introduce, j, NULL);

    if (r == 0)
        r = xsc_transaction(t->client, make_nodes, j, NULL);
    hl_machine_born(t->machine, j->domid, r);
    return j;
}

static void *run_bury(void *arg)
{
    struct job *j = arg;
    struct hl_toolstack *t = j->t;

    (void)xsc_immediate(t->client, forget, j, NULL);
    each(t, "/local/domain", close_backend, "/backend", j->domid);
    hl_machine_buried(t->machine, j->domid);
    return j;
}

static void end_job(struct job *j)
{
    struct hl_toolstack *t = j->t;

    free(j);
    (void)pthread_mutex_lock(&t->lock);
    t->jobs--;
    (void)pthread_cond_broadcast(&t->done);
    (void)pthread_mutex_unlock(&t->lock);
}

static void *introduce_thread(void *arg)
{
    end_job(run_introduce(arg));
    return NULL;
}

static void *bury_thread(void *arg)
{
    end_job(run_bury(arg));
    return NULL;
}

static int start_job(struct hl_toolstack *t, void *(*thread)(void *), uint32_t domid, uint32_t port)
{
    struct job *j = calloc(1, sizeof *j);
    pthread_t id;
    int r;

    if (j == NULL)
        return -ENOMEM;
    *j = (struct job){.t = t, .domid = domid, .port = port};
    (void)pthread_mutex_lock(&t->lock);
    t->jobs++;
    (void)pthread_mutex_unlock(&t->lock);
    r = -pthread_create(&id, NULL, thread, j);
    if (r < 0)
        end_job(j);
    else
        (void)pthread_detach(id);
    return r;
}

void hl_toolstack_introduce(struct hl_toolstack *t, uint32_t domid, uint32_t port)
{
    int r = start_job(t, introduce_thread, domid, port);

    if (r < 0)
        hl_machine_born(t->machine, domid, r);
}

void hl_toolstack_bury(struct hl_toolstack *t, uint32_t domid)
{
    if (start_job(t, bury_thread, domid, 0) < 0)
        hl_machine_buried(t->machine, domid);
}

/* --- its life --- */

/* What xen-init-dom0 writes. */
static int begin_domain_zero(struct xsc_handle *h, void *arg)
{
    int r = write_text(h, "/local/domain/0/domid", "0");

    (void)arg;
    return r < 0 ? r : write_text(h, "/local/domain/0/name", "Domain-0");
}

int hl_toolstack_new(struct hl_machine *m, const char *folder, struct hl_toolstack **ret,
                     struct vbd_error *why)
{
    struct hl_toolstack *t = calloc(1, sizeof *t);
    char path[PATH_MAX];
    int r;

    if (t == NULL)
        return -ENOMEM;
    hl_xenstored_socket(folder, path, sizeof path);
    t->machine = m;
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_cond_init(&t->done, NULL);
    r = xsc_client_open(path, &t->client, why);
    if (r == 0)
        r = xsc_immediate(t->client, begin_domain_zero, NULL, why);
    if (r < 0) {
        hl_toolstack_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void hl_toolstack_free(struct hl_toolstack *t)
{
    if (t == NULL)
        return;
    (void)pthread_mutex_lock(&t->lock);
    while (t->jobs > 0)
        (void)pthread_cond_wait(&t->done, &t->lock);
    (void)pthread_mutex_unlock(&t->lock);
    t->client = xsc_client_close(t->client);
    (void)pthread_mutex_destroy(&t->lock);
    (void)pthread_cond_destroy(&t->done);
    free(t);
}
