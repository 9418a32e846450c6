/* frontcheck.c - our front against any backend: runs in the domain that has the vbd, connects by
 * src/vbd's front, and does reads, writes, zeroes, discards, barriers and flushes at random, many
 * at once, whose every byte is held against a model; in the end it reads the whole disk. Prints
 * what was agreed, for the test to compare. Exit status: 0, 1 something did not match, 2 wrong
 * usage.
 *
 * usage: frontcheck [OPTION=NUMBER]... VDEV; the options are those of front.h, and seed,
 * operations, depth. The disk's contents are lost.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/list.h"
#include "linux/guest.h"
#include "vbd/front.h"
#include "vbdkit/xsc_linux.h"

enum { DEPTH_MAX = 256, LENGTH_MAX = 512 * 1024, PATIENCE_MS = 30000 };

struct job {
    struct check *check;
    struct vbd_io io;
    struct vbd_iovec memory;
    unsigned char *bytes;
    bool busy;
};

struct check {
    struct xsc_client *client;
    struct vbd_xen_guest *guest;
    struct vbd_front *front;
    bool connected, closed;
    const char *failure;
    uint32_t vdev, seed, operations, depth;
    struct vbd_front_options options;
    uint64_t size;
    unsigned char *disk; /* what it must hold */
    unsigned char
        *locked; /* by sector: an operation that writes is under way there, or one that reads */
    struct job jobs[DEPTH_MAX];
    uint64_t last_end;
    uint32_t under_way, done;
};

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint32_t draw(struct check *c, uint32_t below)
{
    c->seed = c->seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)c->seed * below) >> 32);
}

/* --- waiting --- */

/* Until *flag; false when it takes too long, or something failed. */
static bool wait_for(struct check *c, const bool *flag)
{
    int64_t deadline = now_ms() + PATIENCE_MS;

    while (!*flag && c->failure == NULL) {
        struct pollfd fds[] = {
            {.fd = xsc_client_fd(c->client), .events = xsc_client_events(c->client)},
            {.fd = vbd_xen_guest_fd(c->guest), .events = POLLIN}};

        if (now_ms() > deadline)
            c->failure = "it takes too long";
        if (!vbd_front_process(c->front))
            (void)poll(fds, 2, 1000);
        if (xsc_client_process(c->client) < 0)
            c->failure = "the connection to xenstore was lost";
    }
    return c->failure == NULL;
}

static void event(void *ctx, struct vbd_front *front, enum vbd_front_event what)
{
    struct check *c = ctx;

    if (what == VBD_FRONT_CONNECTED)
        c->connected = true;
    else if (what == VBD_FRONT_CLOSED)
        c->closed = true;
    else if (what == VBD_FRONT_FAILED)
        c->failure = vbd_front_why(front);
}

/* --- operations --- */

static bool lock(struct check *c, uint64_t offset, uint64_t length)
{
    if (memchr(c->locked + offset / 512, 1, length / 512) != NULL)
        return false;
    memset(c->locked + offset / 512, 1, length / 512);
    return true;
}

/* What the disk holds after a discard is the backend's: it is read by nobody until written again,
 * so zeroes are written over it at once. */
static void job_done(struct vbd_io *io, int result)
{
    struct job *j = VBD_CONTAINER(io, struct job, io);
    struct check *c = j->check;

    if (result < 0 && c->failure == NULL) {
        (void)fprintf(stderr, "operation %d at %llu, %llu bytes: %s\n", (int)io->op,
                      (unsigned long long)io->offset, (unsigned long long)io->length,
                      strerror(-result));
        c->failure = "an operation failed";
    }
    if (io->op == VBD_IO_READ && memcmp(j->bytes, c->disk + io->offset, io->length) != 0)
        c->failure = "what was read is not what was written";
    if (io->op == VBD_IO_DISCARD && c->failure == NULL) {
        struct vbd_channel *channel = vbd_front_channel(c->front);
        struct vbd_io *again = io;

        io->op = VBD_IO_ZERO;
        channel->ops->submit(channel, &again, 1);
        return;
    }
    if (io->op != VBD_IO_FLUSH)
        memset(c->locked + io->offset / 512, 0, io->length / 512);
    j->busy = false;
    c->under_way--;
    c->done++;
}

static enum vbd_io_op choose(struct check *c)
{
    const struct vbd_front_disk *disk = &vbd_front_info(c->front)->disk;
    uint32_t n = draw(c, 100);

    if (n < 45)
        return VBD_IO_READ;
    if (n < 85)
        return VBD_IO_WRITE;
    if (n < 90)
        return VBD_IO_ZERO;
    if (n < 94)
        return disk->discard ? VBD_IO_DISCARD : VBD_IO_WRITE;
    if (n < 97)
        return disk->flush || disk->barrier ? VBD_IO_BARRIER : VBD_IO_WRITE;
    return disk->flush || disk->barrier ? VBD_IO_FLUSH : VBD_IO_READ;
}

/* Every other one lies behind the one before. */
static bool place(struct check *c, struct vbd_io *io)
{
    uint32_t block = vbd_front_info(c->front)->disk.sector_size;
    uint64_t blocks = c->size / block;
    uint32_t most = draw(c, 4) == 0 ? LENGTH_MAX / block : 16384 / block;

    io->length = (uint64_t)(1 + draw(c, most)) * block;
    io->offset = (uint64_t)draw(c, (uint32_t)(blocks - io->length / block + 1)) * block;
    if (draw(c, 2) == 0 && c->last_end + io->length <= c->size)
        io->offset = c->last_end;
    c->last_end = io->offset + io->length;
    return lock(c, io->offset, io->length);
}

static void prepare(struct check *c, struct job *j)
{
    unsigned char *at = c->disk + j->io.offset;

    switch (j->io.op) {
    case VBD_IO_WRITE:
    case VBD_IO_BARRIER:
        for (uint64_t i = 0; i < j->io.length; i++)
            at[i] = j->bytes[i] = (unsigned char)((c->seed >> 3) + i * 31 + (i >> 9));
        break;
    case VBD_IO_ZERO:
    case VBD_IO_DISCARD:
        memset(at, 0, j->io.length);
        break;
    case VBD_IO_READ:
        memset(j->bytes, 0xee, j->io.length);
        break;
    case VBD_IO_FLUSH:
        break;
    }
}

static void submit(struct check *c, struct job *j, enum vbd_io_op op)
{
    struct vbd_channel *channel = vbd_front_channel(c->front);
    struct vbd_io *io = &j->io;

    *io = (struct vbd_io){.op = op, .done = job_done, .memory = &j->memory};
    if (op != VBD_IO_FLUSH && !place(c, io))
        return;
    io->memory_count = op == VBD_IO_READ || op == VBD_IO_WRITE || op == VBD_IO_BARRIER;
    j->memory = (struct vbd_iovec){j->bytes, io->length};
    prepare(c, j);
    j->busy = true;
    c->under_way++;
    channel->ops->submit(channel, &io, 1);
}

static void fill_up(struct check *c)
{
    for (uint32_t i = 0; i < c->depth; i++)
        if (!c->jobs[i].busy)
            submit(c, &c->jobs[i], choose(c));
}

static bool turn(struct check *c, uint32_t wanted)
{
    uint32_t before = c->done;
    bool moved = false;

    while (c->failure == NULL && c->done == before && c->done < wanted) {
        struct pollfd fd = {.fd = vbd_xen_guest_fd(c->guest), .events = POLLIN};

        if (!vbd_front_process(c->front) && c->done == before && poll(&fd, 1, PATIENCE_MS) == 0)
            c->failure = "no answer";
        moved = true;
    }
    return moved && c->failure == NULL;
}

static bool run_operations(struct check *c)
{
    while (c->done < c->operations && c->failure == NULL) {
        fill_up(c);
        (void)turn(c, UINT32_MAX);
    }
    while (c->under_way > 0 && c->failure == NULL)
        (void)turn(c, UINT32_MAX);
    return c->failure == NULL;
}

static bool read_all(struct check *c)
{
    for (uint64_t at = 0; at < c->size && c->failure == NULL; at += LENGTH_MAX) {
        struct vbd_channel *channel = vbd_front_channel(c->front);
        struct job *j = &c->jobs[0];
        struct vbd_io *io = &j->io;
        uint64_t rest = c->size - at;

        *io = (struct vbd_io){.op = VBD_IO_READ,
                              .offset = at,
                              .length = rest < LENGTH_MAX ? rest : LENGTH_MAX,
                              .memory = &j->memory,
                              .memory_count = 1,
                              .done = job_done};
        j->memory = (struct vbd_iovec){j->bytes, io->length};
        c->under_way++;
        channel->ops->submit(channel, &io, 1);
        while (c->under_way > 0 && c->failure == NULL)
            (void)turn(c, UINT32_MAX);
    }
    return c->failure == NULL;
}

/* --- from beginning to end --- */

static void print_agreement(const struct check *c)
{
    const struct vbd_front_info *i = vbd_front_info(c->front);
    struct vbd_front_counters n;

    vbd_front_count(c->front, &n);
    (void)printf("agreed queues=%u ring-pages=%u segments=%u persistent=%d flush=%d barrier=%d "
                 "discard=%d sector-size=%u\n",
                 i->queues, i->ring_pages, i->disk.segments, i->persistent, i->disk.flush,
                 i->disk.barrier, i->disk.discard, i->disk.sector_size);
    (void)printf("used indirect=%d merged=%d\n", n.indirect > 0, n.merged > 0);
}

static bool make_room(struct check *c)
{
    c->size = vbd_front_info(c->front)->disk.sectors * 512;
    c->disk = calloc(1, c->size);
    c->locked = calloc(1, c->size / 512);
    for (uint32_t i = 0; i < c->depth; i++) {
        c->jobs[i].check = c;
        c->jobs[i].bytes = malloc(LENGTH_MAX);
        if (c->jobs[i].bytes == NULL)
            return false;
    }
    return c->disk != NULL && c->locked != NULL && c->size >= 4 * (uint64_t)LENGTH_MAX;
}

/* The disk's contents become known: zeroes. */
static bool clear(struct check *c)
{
    struct vbd_channel *channel = vbd_front_channel(c->front);
    struct job *j = &c->jobs[0];
    struct vbd_io *io = &j->io;

    *io = (struct vbd_io){.op = VBD_IO_ZERO, .length = c->size, .done = job_done};
    c->under_way++;
    channel->ops->submit(channel, &io, 1);
    while (c->under_way > 0 && c->failure == NULL)
        (void)turn(c, UINT32_MAX);
    return c->failure == NULL;
}

static int run(struct check *c)
{
    struct vbd_front_platform platform = {.allocator = &vbd_libc_allocator,
                                          .guest = vbd_xen_guest_seam(c->guest)};
    struct vbd_front_config config = {
        .vdev = c->vdev, .options = &c->options, .event = event, .ctx = c};

    if (vbd_front_connect(&platform, xsc_client_session(c->client), &config, &c->front) < 0)
        c->failure = "cannot begin";
    else if (wait_for(c, &c->connected) && !make_room(c))
        c->failure = "no memory, or the disk is too small";
    else if (c->failure == NULL && clear(c) && run_operations(c) && read_all(c)) {
        print_agreement(c);
        vbd_front_disconnect(c->front);
        (void)wait_for(c, &c->closed);
    }
    if (c->failure != NULL)
        (void)fprintf(stderr, "frontcheck: %s\n", c->failure);
    else
        (void)printf("verified %u operations\n", c->done);
    vbd_front_free(c->front); /* the sentence was the front's, and it needs the platform */
    return c->failure != NULL;
}

static bool take_option(struct check *c, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : 0;
    const struct {
        const char *name;
        uint32_t *number;
    } options[] = {
#define ROW(field, name, usual, least, most, text) {name, &c->options.field},
        VBD_FRONT_OPTIONS(ROW)
#undef ROW
            {"seed", &c->seed},
        {"operations", &c->operations},
        {"depth", &c->depth}};

    for (size_t i = 0; i < sizeof options / sizeof options[0] && len > 0; i++)
        if (strlen(options[i].name) == len && strncmp(options[i].name, text, len) == 0) {
            *options[i].number = (uint32_t)strtoul(equals + 1, NULL, 10);
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    static struct check c = {.seed = 1, .operations = 2000, .depth = 32};
    struct vbd_error why = {""};
    int r = 1;

    vbd_front_options_init(&c.options);
    for (int i = 1; i + 1 < argc; i++)
        if (!take_option(&c, argv[i]))
            argc = 0;
    if (argc < 2 || c.depth == 0 || c.depth > DEPTH_MAX) {
        (void)fputs("usage: frontcheck [OPTION=NUMBER]... VDEV\n", stderr);
        return 2;
    }
    c.vdev = (uint32_t)strtoul(argv[argc - 1], NULL, 10);
    if (xsc_client_open(NULL, &c.client, &why) < 0 || vbd_xen_guest_open(&c.guest, &why) < 0) {
        (void)fprintf(stderr, "frontcheck: %s\n", why.text);
        return 1;
    }
    r = run(&c);
    vbd_xen_guest_close(c.guest);
    xsc_client_close(c.client);
    for (uint32_t i = 0; i < c.depth; i++)
        free(c.jobs[i].bytes);
    free(c.disk);
    free(c.locked);
    return r;
}
