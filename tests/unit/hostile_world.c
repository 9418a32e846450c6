/* hostile_world.c - what misdeeds are done with, and what must hold after each: see hostile.h. */
#include "hostile.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char error_dir[] = "/local/domain/0/error/backend/vbd/5/51712";
static const char error_node[] = "/local/domain/0/error/backend/vbd/5/51712/error";

/* --- memory and turns --- */

char *hostile_page(struct hostile *h, unsigned page)
{
    return h->view + (size_t)page * SIM_PAGE;
}

static bool is_zero(void *count)
{
    unsigned *n = count;

    return *n == 0 || (*n)-- == 0;
}

void hostile_turns(struct hostile *h, unsigned n)
{
    assert_true(stage_wait(h->s, is_zero, &n));
}

struct mapping {
    struct hostile *h;
    int pages;
};

static bool has_mapped(void *arg)
{
    struct mapping *m = arg;

    return __atomic_load_n(&m->h->s->sim->mapped_pages, __ATOMIC_RELAXED) == m->pages;
}

void hostile_mapped(struct hostile *h, int pages)
{
    struct mapping m = {h, pages};

    assert_true(stage_wait(h->s, has_mapped, &m));
}

/* --- xenstore --- */

struct written {
    const char *path, *value;
    size_t len;
};

static int write_fn(struct xsc_handle *handle, void *arg)
{
    struct written *w = arg;

    return xsc_write(handle, w->path, w->value, w->len);
}

void hostile_write(struct xsc_client *client, const char *path, const char *value, size_t len)
{
    struct written w = {path, value, len};

    if (xsc_immediate(client, write_fn, &w, NULL) < 0)
        abort(); /* maybe on the second thread: no assertion */
}

void hostile_state(struct hostile *h, const char *state)
{
    stage_write(h->s, front_key(HOSTILE, "state"), state);
}

static void write_key(struct hostile *h, const struct misdeed *m)
{
    const char *path = front_key(HOSTILE, m->key);

    if (m->value == NULL)
        stage_remove(h->s, path);
    else
        hostile_write(h->s->client, path, m->value,
                      m->value_length > 0 ? m->value_length : strlen(m->value));
}

void hostile_prepare(struct hostile *h)
{
    const struct misdeed *m = h->row;

    stage_expect(h->s, back_key(HOSTILE, "state"), "2");
    stage_front(h->s, &h->front, HOSTILE, m->pages > 0 ? m->pages : 1, HOSTILE_PORT, "1");
    if (m->key != NULL)
        write_key(h, m);
}

void hostile_go(struct hostile *h)
{
    hostile_state(h, "3");
    stage_expect(h->s, back_key(HOSTILE, "state"), "4");
    hostile_state(h, "4");
}

void hostile_close(struct hostile *h)
{
    hostile_state(h, "6");
    stage_expect(h->s, back_key(HOSTILE, "state"), "6");
}

void hostile_reconnect(struct hostile *h)
{
    hostile_close(h);
    hostile_state(h, "1");
    hostile_prepare(h);
    hostile_go(h);
}

void hostile_park(struct hostile *h)
{
    vbd_back_park(h->back);
    assert_true(stage_wait(h->s, stage_has_ended, h->s));
    assert_int_equal(h->s->last_end, VBD_BACK_PARKED);
    h->s->ended = 0;
}

/* --- images --- */

/* A file in memory, so that a busy disk makes no test slow; its path goes to `path`. */
static int make_file(const char *name, char *path, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    assert_true(fd >= 0);
    (void)snprintf(path, size, "/proc/self/fd/%d", fd);
    return fd;
}

static void make_image(const char *path, int fill, size_t len)
{
    char *bytes = malloc(len);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

    assert_true(fd >= 0 && bytes != NULL);
    memset(bytes, fill, len);
    assert_int_equal(fill == 0 ? ftruncate(fd, (off_t)len) : write(fd, bytes, len),
                     fill == 0 ? 0 : (ssize_t)len);
    close(fd);
    free(bytes);
}

/* Reads all of it: must have this length. */
static char *image_bytes(const char *path, size_t len)
{
    char *bytes = malloc(len);
    int fd = open(path, O_RDONLY);
    struct stat st;

    assert_true(fd >= 0 && bytes != NULL && fstat(fd, &st) == 0);
    assert_int_equal(st.st_size, len);
    assert_int_equal(pread(fd, bytes, len, 0), len);
    close(fd);
    return bytes;
}

static bool filled_with(const char *bytes, char fill, size_t len)
{
    return bytes[0] == fill && memcmp(bytes, bytes + 1, len - 1) == 0;
}

bool hostile_disk_is_empty(struct hostile *h)
{
    char *bytes = image_bytes(h->disk, STAGE_DISK_BYTES);
    bool empty = filled_with(bytes, 0, STAGE_DISK_BYTES);

    free(bytes);
    return empty;
}

/* --- devices in use --- */

/* Writes a page of `fill` at a sector and reads it back into the next guest page. */
static int16_t write_and_read(struct hostile *h, struct handfront *f, unsigned page,
                              uint64_t sector, int fill)
{
    struct hand_request r = {.op = 1,
                             .count = 1,
                             .id = h->next_id++,
                             .sector = sector,
                             .segments = {{sim_grant(f->sim, page, false), 0, 7}}};
    struct hand_response written;

    memset(sim_page(f->sim, page), fill, SIM_PAGE);
    handfront_put(f, &r);
    written = hostile_answers(h, f);
    assert_true(written.id == r.id);
    r.op = 0;
    r.id = h->next_id++;
    r.segments[0].grant = sim_grant(f->sim, page + 1, false);
    memset(sim_page(f->sim, page + 1), ~fill, SIM_PAGE);
    handfront_put(f, &r);
    assert_int_equal(hostile_answers(h, f).status, OKAY);
    if (written.status == OKAY)
        assert_memory_equal(sim_page(f->sim, page), sim_page(f->sim, page + 1), SIM_PAGE);
    return written.status;
}

static void check_neighbour(struct hostile *h, struct handfront *f, const char *image, int fill)
{
    char *bytes;

    assert_int_equal(write_and_read(h, f, HONEST_DATA, 64, fill), OKAY);
    bytes = image_bytes(image, GUARD_BYTES);
    assert_true(filled_with(bytes, 'G', 64 * 512));
    assert_true(filled_with(bytes + 64 * 512, (char)fill, SIM_PAGE));
    assert_true(filled_with(bytes + 72 * 512, 'G', GUARD_BYTES - 72 * 512));
    free(bytes);
}

void hostile_neighbours(struct hostile *h)
{
    unsigned round = h->honest_round++;

    check_neighbour(h, &h->honest, h->guard, 'a' + (int)(round % 26));
    check_neighbour(h, &h->other, h->other_guard, 'a' + (int)((round + 13) % 26));
}

static void use(struct hostile *h)
{
    (void)hostile_answers(h, &h->front); /* whatever is under way */
    if (h->row->read_only)
        assert_int_equal(write_and_read(h, &h->front, DATA + 500, 8, 'd'), FAULTY);
    else
        assert_int_equal(write_and_read(h, &h->front, DATA + 500, 8, 'd'), OKAY);
}

/* --- a row's beginning and end --- */

static void make_device(struct hostile *h, const struct misdeed *row)
{
    h->row = row;
    h->s->log[0] = '\0';
    h->s->ended = 0;
    make_image(h->disk, 0, STAGE_DISK_BYTES);
    assert_int_equal(stage_create(h->s, HOSTILE, h->disk, row->read_only), 0);
    if (row->options != NULL)
        stage_write(h->s, back_key(HOSTILE, "vbdkit-options"), row->options);
    if (row->begin != BEGINS_CREATED)
        h->back = stage_run(h->s, HOSTILE);
}

void hostile_begin(struct hostile *h, const struct misdeed *row)
{
    make_device(h, row);
    if (row->begin != BEGINS_CONNECTED)
        return;
    hostile_prepare(h);
    if (row->commit != NULL)
        hostile_go(h);
    else
        hostile_state(h, "3");
}

static void expect_sentence(struct hostile *h)
{
    char *text;

    stage_expect(h->s, back_key(HOSTILE, "state"), "5");
    text = stage_read(h->s, error_node);
    if (text == NULL || strstr(text, h->row->says) == NULL)
        fail_msg("the error node says \"%s\", not \"%s\"", text != NULL ? text : "(missing)",
                 h->row->says);
    free(text);
}

static void check_end(struct hostile *h)
{
    if (h->row->commit == NULL && h->row->end <= ENDS_UNTOUCHED)
        hostile_go(h);
    switch (h->row->end) {
    case ENDS_UNTOUCHED:
        (void)hostile_answers(h, &h->front);
        assert_true(hostile_disk_is_empty(h));
        use(h);
        break;
    case ENDS_SERVED:
        use(h);
        break;
    case ENDS_REFUSED:
        expect_sentence(h);
        break;
    case ENDS_CLOSED:
        stage_expect(h->s, back_key(HOSTILE, "state"), "6");
        return;
    case ENDS_EITHER:
        break;
    }
    hostile_close(h);
}

/* Nothing is held but what the neighbours hold. */
static void check_leaks(struct hostile *h)
{
    assert_int_equal(__atomic_load_n(&h->s->sim->mapped_pages, __ATOMIC_RELAXED), 2);
    assert_int_equal(__atomic_load_n(&h->s->sim->bound_ports, __ATOMIC_RELAXED), 2);
}

static void remove_device(struct hostile *h)
{
    stage_remove_device(h->s, HOSTILE);
    check_leaks(h);
    stage_expect(h->s, back_key(HOSTILE, ""), NULL);
    stage_expect(h->s, front_key(HOSTILE, ""), NULL);
    stage_expect(h->s, error_dir, NULL);
}

void hostile_check(struct hostile *h)
{
    static const struct misdeed none = {.name = "a fresh device"};
    struct stat st;

    hostile_neighbours(h);
    check_end(h);
    check_leaks(h);
    assert_int_equal(fstat(h->disk_fd, &st), 0);
    assert_int_equal(st.st_size, STAGE_DISK_BYTES);
    remove_device(h);
    make_device(h, &none);
    hostile_prepare(h);
    hostile_go(h);
    use(h);
    remove_device(h);
    hostile_neighbours(h);
}

/* --- the world --- */

static int settle(struct hostile *h, struct handfront *f, uint32_t vdev, const char *name,
                  char *path, size_t size)
{
    int fd = make_file(name, path, size);

    make_image(path, 'G', GUARD_BYTES);
    assert_int_equal(stage_create(h->s, vdev, path, false), 0);
    stage_run(h->s, vdev);
    stage_connect(h->s, f, vdev, 1, HONEST_PORT);
    return fd;
}

struct hostile *hostile_new(void)
{
    struct hostile *h = calloc(1, sizeof *h);
    struct vbd_error why = {""};

    assert_non_null(h);
    h->s = stage_new();
    stage_remove(h->s, "/local/domain/0/backend"); /* of a world that was left alone */
    stage_remove(h->s, "/local/domain/0/error");
    stage_remove(h->s, "/local/domain/5/device");
    stage_remove(h->s, "/local/domain/4/device");
    h->next_id = 1000;
    h->view = mmap(NULL, (size_t)SIM_PAGES * SIM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
                   h->s->sim->memory_fd, 0);
    assert_true(h->view != MAP_FAILED);
    assert_int_equal(xsc_client_open(NULL, &h->client, &why), 0);
    h->disk_fd = make_file("disk", h->disk, sizeof h->disk);
    h->guard_fd = settle(h, &h->honest, HONEST, "guard", h->guard, sizeof h->guard);
    h->other_guard_fd =
        settle(h, &h->other, OTHERS, "other", h->other_guard, sizeof h->other_guard);
    stage_write(h->s, "/local/domain/0/error/backend/vbd/5", ""); /* stays, once made */
    h->nodes = stage_count(h->s, "/local");
    return h;
}

void hostile_free(struct hostile *h)
{
    assert_int_equal(stage_count(h->s, "/local"), h->nodes);
    stage_remove_device(h->s, HONEST);
    stage_remove_device(h->s, OTHERS);
    xsc_client_close(h->client);
    (void)munmap(h->view, (size_t)SIM_PAGES * SIM_PAGE);
    close(h->disk_fd);
    close(h->guard_fd);
    close(h->other_guard_fd);
    stage_free(h->s);
    free(h);
}
