/* front_store.c - the nodes in xenstore: reading them, both sides' states, and what a front writes.
 * Called by front_xenbus.c and the commands. Must not touch pages or ports. */
#include "front/front.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 256 };

const char *front_state_name(enum front_state state)
{
    static const char *const names[] = {"Unknown",   "Initialising", "InitWait", "Initialised",
                                        "Connected", "Closing",      "Closed"};

    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : names[FRONT_UNKNOWN];
}

int front_store_open(struct front *f)
{
    struct vbd_error why = {""};

    if (xsc_client_open(NULL, &f->xenstore, &why) < 0)
        return front_fail(f, "%s", why.text);
    return 0;
}

void front_store_close(struct front *f)
{
    f->xenstore = xsc_client_close(f->xenstore);
    f->watch = NULL; /* it went with its session */
}

/* --- reading --- */

struct lookup {
    char path[PATH_SIZE];
    char *value;
    char **children;
    size_t count;
};

static void join(char path[PATH_SIZE], const char *dir, const char *key)
{
    (void)snprintf(path, PATH_SIZE, "%s%s%s", dir, key[0] != '\0' ? "/" : "", key);
}

static int read_one(struct xsc_handle *h, void *arg)
{
    struct lookup *l = arg;
    size_t len;

    return xsc_read(h, l->path, &l->value, &len);
}

static int list_one(struct xsc_handle *h, void *arg)
{
    struct lookup *l = arg;

    return xsc_directory(h, l->path, &l->children, &l->count);
}

char *front_node(struct front *f, const char *dir, const char *key)
{
    struct lookup l = {0};

    join(l.path, dir, key);
    return xsc_immediate(f->xenstore, read_one, &l, NULL) < 0 ? NULL : l.value;
}

uint64_t front_number(struct front *f, const char *dir, const char *key, uint64_t otherwise)
{
    char *value = front_node(f, dir, key);
    char *end = value;
    uint64_t n = 0;

    if (value != NULL && value[0] >= '0' && value[0] <= '9')
        n = strtoull(value, &end, 10);
    if (value == NULL || end == value || *end != '\0')
        n = otherwise;
    free(value);
    return n;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t front_children(struct front *f, const char *dir, char ***ret)
{
    struct lookup l = {0};

    join(l.path, dir, "");
    *ret = NULL;
    if (xsc_immediate(f->xenstore, list_one, &l, NULL) < 0)
        return 0;
    if (l.count > 0)
        qsort(l.children, l.count, sizeof l.children[0], by_name);
    *ret = l.children;
    return l.count;
}

/* The two states that fronts and backs of disks do not use are 7 and 8. */
enum front_state front_state_of(struct front *f, const char *dir)
{
    uint64_t state = front_number(f, dir, "state", FRONT_UNKNOWN);

    return state <= FRONT_CLOSED ? (enum front_state)state : FRONT_UNKNOWN;
}

/* --- waiting for the backend --- */

static void state_changed(void *ctx, const char *path)
{
    struct front *f = ctx;

    (void)path;
    f->changed = true;
}

static int watch_backend(struct front *f)
{
    char path[PATH_SIZE];
    int r;

    join(path, f->backend, "state");
    xsc_client_lock(f->xenstore);
    r = xsc_watch_add(xsc_client_session(f->xenstore), path, state_changed, f,
                      (struct xsc_completion){NULL, NULL, NULL}, &f->watch);
    xsc_client_unlock(f->xenstore);
    return r < 0 ? front_fail(f, "cannot watch %s: %s", path, strerror(-r)) : 0;
}

/* A signal ends the wait, but for the last steps of closing. */
static bool must_stop(const struct front *f)
{
    return f->stopped != 0 && f->published != FRONT_CLOSING && f->published != FRONT_CLOSED;
}

/* Waits until the watch has fired since f->changed was cleared, before `state` was read. */
static int await_change(struct front *f, enum front_state state, int64_t deadline, const char *why)
{
    while (!f->changed) {
        if (must_stop(f))
            return front_fail(f, "waiting for %s: ended by signal %d", why, f->stopped);
        if (front_now() >= deadline)
            return front_fail(f, "waiting for %s: after %d s the backend's state is %s", why,
                              f->options.timeout_ms / 1000, front_state_name(state));
        if (front_wait(f, -1, deadline, NULL) < 0)
            return -1;
    }
    return 0;
}

int front_await_state(struct front *f, unsigned wanted, unsigned refused, const char *why)
{
    int64_t deadline = front_now() + f->options.timeout_ms;

    if (f->watch == NULL && watch_backend(f) < 0)
        return -1;
    for (;;) {
        enum front_state state;

        f->changed = false;
        state = front_state_of(f, f->backend);
        if ((wanted & 1u << state) != 0)
            return 0;
        if ((refused & 1u << state) != 0)
            return front_fail(f, "waiting for %s: the backend went to state %s", why,
                              front_state_name(state));
        if (await_change(f, state, deadline, why) < 0)
            return -1;
    }
}

/* --- writing --- */

struct change {
    struct front *front;
    enum front_state state;
};

static int write_key(struct xsc_handle *h, const struct front *f, const char *key,
                     const char *value)
{
    char path[PATH_SIZE];

    join(path, f->dir, key);
    return xsc_write(h, path, value, strlen(value));
}

static int write_number(struct xsc_handle *h, const struct front *f, const char *key, unsigned n)
{
    char value[16];

    (void)snprintf(value, sizeof value, "%u", n);
    return write_key(h, f, key, value);
}

/* Fails where the toolstack has removed the directory, so that no node comes back to life. */
static int must_exist(struct xsc_handle *h, const struct front *f)
{
    char path[PATH_SIZE];
    char *value = NULL;
    size_t len;
    int r;

    join(path, f->dir, "backend");
    r = xsc_read(h, path, &value, &len);
    free(value);
    return r;
}

static int write_state(struct xsc_handle *h, void *arg)
{
    const struct change *c = arg;
    int r = must_exist(h, c->front);

    return r < 0 ? r : write_number(h, c->front, "state", c->state);
}

int front_set_state(struct front *f, enum front_state state)
{
    struct change c = {f, state};
    struct vbd_error why = {""};

    if (xsc_transaction(f->xenstore, write_state, &c, &why) < 0)
        return front_fail(f, "cannot go to state %s: %s", front_state_name(state), why.text);
    f->published = state;
    return 0;
}

/* What an earlier front of this vbd told and this one does not. */
static int remove_stale_keys(struct xsc_handle *h, const struct front *f)
{
    static const char *const keys[] = {
        "ring-ref",           "ring-page-order", "num-ring-pages", "multi-queue-num-queues",
        "feature-persistent", "event-channel",   "protocol"};
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        join(path, f->dir, keys[i]);
        (void)xsc_rm(h, path);
    }
    for (unsigned i = 0; i < FRONT_RING_PAGES_MAX; i++) {
        (void)snprintf(path, sizeof path, "%s/ring-ref%u", f->dir, i);
        (void)xsc_rm(h, path);
    }
    for (unsigned i = 0; i < FRONT_QUEUES_MAX; i++) {
        (void)snprintf(path, sizeof path, "%s/queue-%u", f->dir, i);
        (void)xsc_rm(h, path);
    }
    return 0;
}

/* How many pages every ring has, where it is more than one. */
static int write_ring_size(struct xsc_handle *h, const struct front *f)
{
    unsigned order = 0;

    if (f->ring_pages == 1)
        return 0;
    if (f->options.scheme == FRONT_BY_PAGES)
        return write_number(h, f, "num-ring-pages", f->ring_pages);
    while (1u << order < f->ring_pages)
        order++;
    return write_number(h, f, "ring-page-order", order);
}

/* A ring and its port, in keys that begin with `prefix`: "" or "queue-1/". */
static int write_ring(struct xsc_handle *h, const struct front *f, const struct front_queue *q,
                      const char *prefix)
{
    char key[64];
    int r = 0;

    (void)snprintf(key, sizeof key, "%sring-ref", prefix);
    if (f->ring_pages == 1)
        r = write_number(h, f, key, q->refs[0]);
    for (unsigned i = 0; r == 0 && f->ring_pages > 1 && i < f->ring_pages; i++) {
        (void)snprintf(key, sizeof key, "%sring-ref%u", prefix, i);
        r = write_number(h, f, key, q->refs[i]);
    }
    (void)snprintf(key, sizeof key, "%sevent-channel", prefix);
    return r < 0 ? r : write_number(h, f, key, (unsigned)q->port);
}

static int write_rings(struct xsc_handle *h, const struct front *f)
{
    int r = write_ring_size(h, f);

    if (r < 0 || f->queue_count == 1)
        return r < 0 ? r : write_ring(h, f, &f->queues[0], "");
    r = write_number(h, f, "multi-queue-num-queues", f->queue_count);
    for (unsigned i = 0; r == 0 && i < f->queue_count; i++) {
        char prefix[24];

        (void)snprintf(prefix, sizeof prefix, "queue-%u/", i);
        r = write_ring(h, f, &f->queues[i], prefix);
    }
    return r;
}

static int write_protocol(struct xsc_handle *h, const struct front *f)
{
    if (f->options.layout == FRONT_NATIVE)
        return 0;
    return write_key(h, f, "protocol",
                     f->options.layout == FRONT_X86_32 ? "x86_32-abi" : "x86_64-abi");
}

static enum front_state told_state(const struct front *f)
{
    return f->options.straight ? FRONT_CONNECTED : FRONT_INITIALISED;
}

static int tell(struct xsc_handle *h, void *arg)
{
    struct front *f = arg;
    int r = must_exist(h, f);

    if (r == 0)
        r = remove_stale_keys(h, f);
    if (r == 0)
        r = write_rings(h, f);
    if (r == 0)
        r = write_protocol(h, f);
    if (r == 0 && f->options.persistent)
        r = write_number(h, f, "feature-persistent", 1);
    if (r == 0)
        r = write_number(h, f, "state", told_state(f));
    return r;
}

int front_tell_ring(struct front *f)
{
    struct vbd_error why = {""};

    if (xsc_transaction(f->xenstore, tell, f, &why) < 0)
        return front_fail(f, "cannot tell the backend about the ring: %s", why.text);
    f->published = told_state(f);
    return 0;
}
