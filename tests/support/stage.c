/* stage.c - see stage.h. */
#include "support/stage.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void log_line(void *ctx, enum vbd_log_level level, const char *subject, const char *text)
{
    struct stage *s = ctx;
    size_t used = strlen(s->log);

    (void)level;
    (void)snprintf(s->log + used, sizeof s->log - used, "%s: %s\n", subject, text);
}

struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof *s);
    struct vbd_error why = {""};
    struct vbd_log log = {.ctx = s, .write = log_line};
    int fd;

    (void)snprintf(s->dir, sizeof s->dir, "/tmp/vbdkit-stage-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    (void)snprintf(s->image, sizeof s->image, "%s/disk.img", s->dir);
    fd = open(s->image, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0 && ftruncate(fd, STAGE_DISK_BYTES) == 0);
    close(fd);
    if (xsc_client_open(NULL, &s->client, &why) < 0 || xsc_client_open(NULL, &s->devices, &why) < 0)
        fail_msg("%s", why.text);
    s->sim = sim_new(STAGE_GUEST);
    s->other = sim_add(s->sim, STAGE_OTHER_GUEST);
    assert_int_equal(vbd_linux_open(&s->sim->seam, log, &s->platform, &why), 0);
    stage_write(s, "/local/domain/0/domid", "0");
    stage_write(s, "/local/domain/5/name", "guest");
    stage_write(s, "/local/domain/4/name", "other");
    return s;
}

void stage_free(struct stage *s)
{
    stage_remove(s, "/local/domain/5");
    stage_remove(s, "/local/domain/4");
    stage_remove(s, "/local/domain/0/backend");
    stage_remove(s, "/local/domain/0/error");
    assert_int_equal(s->sim->mapped_pages, 0);
    assert_int_equal(s->sim->bound_ports, 0);
    vbd_linux_close(s->platform);
    xsc_client_close(s->client);
    xsc_client_close(s->devices);
    sim_free(s->sim);
    (void)unlink(s->image);
    (void)rmdir(s->dir);
    free(s);
}

int stage_set_up(void **state)
{
    *state = stage_new();
    return 0;
}

int stage_tear_down(void **state)
{
    stage_free(*state);
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One turn; wakes at least every 10 ms, so that conditions outside of the loop are seen too. */
static void tell_time(struct stage *s)
{
    for (int i = 0; i < STAGE_BACKS; i++)
        if (s->tells_time && s->backs[i] != NULL)
            (void)vbd_back_tick(s->backs[i], (uint64_t)now_ms() * 1000000);
}

static void turn(struct stage *s)
{
    struct pollfd fds[] = {
        {.fd = xsc_client_fd(s->client), .events = xsc_client_events(s->client)},
        {.fd = xsc_client_fd(s->devices), .events = xsc_client_events(s->devices)},
        {.fd = vbd_linux_fd(s->platform), .events = POLLIN}};

    tell_time(s);
    (void)poll(fds, 3, 10);
    vbd_linux_process(s->platform);
    assert_int_equal(xsc_client_process(s->client), 0);
    (void)xsc_client_process(s->devices); /* a test may cut it */
}

bool stage_wait(struct stage *s, bool (*condition)(void *arg), void *arg)
{
    int64_t deadline = now_ms() + STAGE_DEADLINE_MS;

    while (!condition(arg)) {
        if (now_ms() > deadline)
            return false;
        turn(s);
    }
    return true;
}

/* --- xenstore --- */

struct access {
    const char *path, *value;
    char *read;
    int count;
};

static int read_fn(struct xsc_handle *h, void *arg)
{
    struct access *a = arg;
    size_t len;

    return xsc_read(h, a->path, &a->read, &len);
}

static int write_fn(struct xsc_handle *h, void *arg)
{
    struct access *a = arg;

    return xsc_write(h, a->path, a->value, strlen(a->value));
}

static int remove_fn(struct xsc_handle *h, void *arg)
{
    return xsc_rm(h, ((struct access *)arg)->path);
}

static int count_below(struct xsc_handle *h, const char *path)
{
    char **names, below[512];
    size_t n;
    int count = 1;

    if (xsc_directory(h, path, &names, &n) < 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(below, sizeof below, "%s/%s", path, names[i]);
        count += count_below(h, below);
    }
    free(names);
    return count;
}

static int count_fn(struct xsc_handle *h, void *arg)
{
    struct access *a = arg;

    a->count = count_below(h, a->path);
    return 0;
}

char *stage_read(struct stage *s, const char *path)
{
    struct access a = {.path = path};

    return xsc_immediate(s->client, read_fn, &a, NULL) == 0 ? a.read : NULL;
}

void stage_write(struct stage *s, const char *path, const char *value)
{
    struct access a = {.path = path, .value = value};

    assert_int_equal(xsc_immediate(s->client, write_fn, &a, NULL), 0);
}

void stage_remove(struct stage *s, const char *path)
{
    struct access a = {.path = path};

    (void)xsc_immediate(s->client, remove_fn, &a, NULL);
}

int stage_count(struct stage *s, const char *path)
{
    struct access a = {.path = path};

    assert_int_equal(xsc_immediate(s->client, count_fn, &a, NULL), 0);
    return a.count;
}

struct expectation {
    struct stage *s;
    const char *path, *value;
};

static bool as_expected(void *arg)
{
    struct expectation *e = arg;
    char *value = stage_read(e->s, e->path);
    bool good = e->value == NULL ? value == NULL : value != NULL && strcmp(value, e->value) == 0;

    free(value);
    return good;
}

void stage_expect(struct stage *s, const char *path, const char *value)
{
    struct expectation e = {s, path, value};

    if (!stage_wait(s, as_expected, &e))
        fail_msg("%s is \"%s\", not \"%s\"; log:\n%s", path, stage_read(s, path),
                 value != NULL ? value : "(missing)", s->log);
}

static const char *key_at(const char *dir, uint32_t vdev, const char *key)
{
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%u%s%s", dir, vdev & ~STAGE_OTHERS, key[0] ? "/" : "",
                   key);
    return path;
}

const char *back_key(uint32_t vdev, const char *key)
{
    return key_at(vdev & STAGE_OTHERS ? "/local/domain/0/backend/vbd/4"
                                      : "/local/domain/0/backend/vbd/5",
                  vdev, key);
}

const char *front_key(uint32_t vdev, const char *key)
{
    return key_at(vdev & STAGE_OTHERS ? "/local/domain/4/device/vbd" : "/local/domain/5/device/vbd",
                  vdev, key);
}

/* --- the toolstack --- */

struct outcome {
    bool done;
    int error;
};

static void ended_call(void *ctx, int error, const char *why)
{
    struct outcome *o = ctx;

    assert_non_null(why);
    o->done = true;
    o->error = error;
}

static bool is_done(void *arg)
{
    return ((struct outcome *)arg)->done;
}

static struct vbd_id id_of(uint32_t vdev)
{
    return (struct vbd_id){.backend_class = "vbd",
                           .domid = vdev & STAGE_OTHERS ? STAGE_OTHER_GUEST : STAGE_GUEST,
                           .vdev = vdev & ~STAGE_OTHERS};
}

int stage_create(struct stage *s, uint32_t vdev, const char *params, bool read_only)
{
    struct vbd_spec spec = {
        .id = id_of(vdev), .params = params, .device = "xvda", .read_only = read_only};
    struct outcome o = {0};

    assert_int_equal(
        vbd_back_create(&vbd_libc_allocator, xsc_client_session(s->client), &spec, ended_call, &o),
        0);
    assert_true(stage_wait(s, is_done, &o));
    return o.error;
}

static int call(struct stage *s, uint32_t vdev,
                int (*fn)(const struct vbd_allocator *, struct xsc *, const struct vbd_id *,
                          vbd_toolstack_done *, void *))
{
    struct vbd_id id = id_of(vdev);
    struct outcome o = {0};

    assert_int_equal(fn(&vbd_libc_allocator, xsc_client_session(s->client), &id, ended_call, &o),
                     0);
    assert_true(stage_wait(s, is_done, &o));
    return o.error;
}

int stage_request_close(struct stage *s, uint32_t vdev)
{
    return call(s, vdev, vbd_back_request_close);
}

int stage_force_close(struct stage *s, uint32_t vdev)
{
    return call(s, vdev, vbd_back_force_close);
}

int stage_destroy(struct stage *s, uint32_t vdev)
{
    return call(s, vdev, vbd_back_destroy);
}

static void ended_back(void *ctx, struct vbd_back *back, enum vbd_back_end end)
{
    struct stage *s = ctx;

    for (int i = 0; i < STAGE_BACKS; i++)
        if (s->backs[i] == back)
            s->backs[i] = NULL;
    s->ended++;
    s->last_end = end;
    vbd_back_free(back);
}

static int open_image(void *ctx, const struct vbd_image *image, struct vbd_storage **ret,
                      struct vbd_error *why)
{
    (void)ctx;
    *ret = NULL;
    if (image->cdrom && image->params[0] == '\0')
        return 0; /* no medium */
    return vbd_file_open(image->params, image->read_only, ret, why);
}

struct vbd_back *stage_run_on(struct stage *s, const struct vbd_platform *platform, uint32_t vdev)
{
    struct vbd_back_config config = {
        .id = id_of(vdev), .source = {.open = open_image}, .ended = ended_back, .ctx = s};
    struct vbd_back *back = NULL;

    int i = 0;

    if (vbd_back_run(platform, xsc_client_session(s->devices), &config, &back) < 0)
        return NULL;
    while (i < STAGE_BACKS && s->backs[i] != NULL)
        i++;
    assert_true(i < STAGE_BACKS);
    s->backs[i] = back;
    return back;
}

struct vbd_back *stage_run(struct stage *s, uint32_t vdev)
{
    struct vbd_back *back = stage_run_on(s, vbd_linux_platform(s->platform), vdev);

    assert_non_null(back);
    return back;
}

bool stage_has_ended(void *stage)
{
    return ((struct stage *)stage)->ended > 0;
}

void stage_remove_device(struct stage *s, uint32_t vdev)
{
    assert_int_equal(stage_destroy(s, vdev), 0);
    if (!stage_wait(s, stage_has_ended, s))
        fail_msg("the back has not ended; its state is \"%s\"; log:\n%s",
                 stage_read(s, back_key(vdev, "state")), s->log);
    assert_int_equal(s->last_end, VBD_BACK_REMOVED);
    s->ended = 0;
}

/* --- the front --- */

void stage_front(struct stage *s, struct handfront *f, uint32_t vdev, unsigned pages, uint32_t port,
                 const char *state)
{
    struct sim *guest = vdev & STAGE_OTHERS ? s->other : s->sim;
    unsigned first = port * 32;
    char number[16], key[16];

    handfront_init(f, guest, HAND_X86_64, first, pages, port);
    for (unsigned i = 0; i < pages; i++) {
        (void)snprintf(number, sizeof number, "%u", sim_grant(guest, first + i, false));
        (void)snprintf(key, sizeof key, pages == 1 ? "ring-ref" : "ring-ref%u", i);
        stage_write(s, front_key(vdev, key), number);
    }
    if (pages > 1) {
        (void)snprintf(number, sizeof number, "%d", __builtin_ctz(pages));
        stage_write(s, front_key(vdev, "ring-page-order"), number);
    }
    (void)snprintf(number, sizeof number, "%u", port);
    stage_write(s, front_key(vdev, "event-channel"), number);
    stage_write(s, front_key(vdev, "protocol"), "x86_64-abi");
    stage_write(s, front_key(vdev, "state"), state);
}

void stage_connect(struct stage *s, struct handfront *f, uint32_t vdev, unsigned pages,
                   uint32_t port)
{
    stage_expect(s, back_key(vdev, "state"), "2");
    stage_front(s, f, vdev, pages, port, "3");
    stage_expect(s, back_key(vdev, "state"), "4");
    stage_write(s, front_key(vdev, "state"), "4");
}

int16_t stage_request(struct stage *s, struct handfront *f, const struct hand_request *r)
{
    int64_t deadline = now_ms() + STAGE_DEADLINE_MS;
    struct hand_response response;

    handfront_put(f, r);
    if (handfront_push(f))
        sim_send(f->sim, f->port);
    while (!handfront_take(f, &response)) {
        if (now_ms() > deadline)
            fail_msg("no answer; log:\n%s", s->log);
        (void)sim_wait(f->sim, f->port, 10);
        turn(s);
    }
    assert_int_equal(response.id, r->id);
    return response.status;
}
