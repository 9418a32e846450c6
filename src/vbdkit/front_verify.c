/* front_verify.c - "vbdkit front verify --destroy VBD": reads, writes, zeroes, discards, barriers
 * and flushes at random, many at once, whose every byte is held against a model; in the end the
 * whole is read. Called by front.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "vbdkit/front_tool.h"
#include "vbdkit/progress.h"

enum { DEPTH_MAX = 256, LENGTH_MAX = 512 * 1024 };

struct job {
    struct check *check;
    struct vbd_io io;
    struct vbd_iovec memory;
    unsigned char *bytes;
    bool busy;
};

struct check {
    const struct front_args *args;
    struct vbd_disk *disk;
    struct vbd_front_info info;
    bool failed;
    uint32_t seed;
    uint64_t offset, size; /* the part that is used */
    unsigned char *model;  /* what it must hold */
    unsigned char *locked; /* by sector: an operation is under way there */
    struct job jobs[DEPTH_MAX];
    uint64_t last_end, under_way, done;
    struct progress progress;
};

static uint32_t draw(struct check *c, uint32_t below)
{
    c->seed = c->seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)c->seed * below) >> 32);
}

/* --- the model --- */

static bool lock(struct check *c, uint64_t offset, uint64_t length)
{
    if (memchr(c->locked + offset / 512, 1, length / 512) != NULL)
        return false;
    memset(c->locked + offset / 512, 1, length / 512);
    return true;
}

static void unlock(struct check *c, const struct vbd_io *io)
{
    if (io->op != VBD_IO_FLUSH)
        memset(c->locked + (io->offset - c->offset) / 512, 0, io->length / 512);
}

static void fail(struct check *c, const struct vbd_io *io, const char *what)
{
    if (!c->failed)
        (void)tool_fail(c->args->part, "operation %d at %llu, %llu bytes: %s", (int)io->op,
                        (unsigned long long)io->offset, (unsigned long long)io->length, what);
    c->failed = true;
}

static void compare(struct check *c, const struct job *j)
{
    const unsigned char *expected = c->model + (j->io.offset - c->offset);
    uint64_t i = 0;
    unsigned long long at;

    while (i < j->io.length && j->bytes[i] == expected[i])
        i++;
    if (i == j->io.length)
        return;
    at = j->io.offset + i;
    fail(c, &j->io, "what was read is not what was written");
    (void)fprintf(stderr, "  the first is byte %llu: %u, and not %u\n", at, j->bytes[i],
                  expected[i]);
}

/* What the disk holds after a discard is the backend's: it is read by nobody until written again,
 * so zeroes are written over it at once. */
static void job_done(struct vbd_io *io, int result)
{
    struct job *j = VBD_CONTAINER(io, struct job, io);
    struct check *c = j->check;

    if (result < 0)
        fail(c, io, strerror(-result));
    else if (io->op == VBD_IO_READ)
        compare(c, j);
    if (io->op == VBD_IO_DISCARD && !c->failed) {
        io->op = VBD_IO_ZERO;
        vbd_disk_submit(c->disk, &io, 1);
        return;
    }
    unlock(c, io);
    j->busy = false;
    c->under_way--;
    c->done++;
}

/* --- operations --- */

static enum vbd_io_op choose(struct check *c)
{
    const struct vbd_front_disk *disk = &c->info.disk;
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
    uint32_t block = c->info.disk.sector_size;
    uint64_t blocks = c->size / block, at;
    uint32_t most = draw(c, 4) == 0 ? LENGTH_MAX / block : 16384 / block;

    io->length = (uint64_t)(1 + draw(c, most)) * block;
    at = (uint64_t)draw(c, (uint32_t)(blocks - io->length / block + 1)) * block;
    if (draw(c, 2) == 0 && c->last_end + io->length <= c->size)
        at = c->last_end;
    c->last_end = at + io->length;
    io->offset = c->offset + at;
    return lock(c, at, io->length);
}

static void prepare(struct check *c, struct job *j)
{
    unsigned char *at = c->model + (j->io.offset - c->offset);

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

static void send(struct check *c, struct job *j)
{
    struct vbd_io *io = &j->io;

    j->busy = true;
    c->under_way++;
    vbd_disk_submit(c->disk, &io, 1);
}

static void begin(struct check *c, struct job *j, enum vbd_io_op op)
{
    struct vbd_io *io = &j->io;

    *io = (struct vbd_io){.op = op, .done = job_done, .memory = &j->memory};
    if (op != VBD_IO_FLUSH && !place(c, io))
        return;
    io->memory_count = op == VBD_IO_READ || op == VBD_IO_WRITE || op == VBD_IO_BARRIER;
    j->memory = (struct vbd_iovec){j->bytes, io->length};
    prepare(c, j);
    send(c, j);
}

/* Waits until all but so many are done. */
static void await(struct check *c, uint64_t left)
{
    while (c->under_way > left)
        front_turn(c->disk);
}

static void run_operations(struct check *c)
{
    progress_begin(&c->progress, "verify", c->args->operations, c->args->quiet);
    while (c->done < c->args->operations && !c->failed) {
        for (uint32_t i = 0; i < c->args->depth; i++)
            if (!c->jobs[i].busy)
                begin(c, &c->jobs[i], choose(c));
        await(c, c->under_way > 0 ? c->under_way - 1 : 0);
        progress_at(&c->progress, c->done);
    }
    await(c, 0);
    progress_end(&c->progress, c->done);
}

/* --- before and after --- */

/* One operation on a part of the disk, and its end. */
static void one(struct check *c, enum vbd_io_op op, uint64_t at, uint64_t length)
{
    struct job *j = &c->jobs[0];

    j->memory = (struct vbd_iovec){j->bytes, length};
    j->io = (struct vbd_io){.op = op,
                            .offset = c->offset + at,
                            .length = length,
                            .memory = &j->memory,
                            .memory_count = op == VBD_IO_READ,
                            .done = job_done};
    send(c, j);
    await(c, 0);
}

static void read_all(struct check *c)
{
    for (uint64_t at = 0; at < c->size && !c->failed; at += LENGTH_MAX)
        one(c, VBD_IO_READ, at, c->size - at < LENGTH_MAX ? c->size - at : LENGTH_MAX);
}

static void print_agreement(const struct check *c)
{
    const struct vbd_front_info *i = &c->info;
    struct vbd_front_counters n;

    vbd_disk_count(c->disk, &n);
    (void)printf("agreed queues=%u ring-pages=%u segments=%u persistent=%d flush=%d barrier=%d "
                 "discard=%d sector-size=%u\n",
                 i->queues, i->ring_pages, i->disk.segments, i->persistent, i->disk.flush,
                 i->disk.barrier, i->disk.discard, i->disk.sector_size);
    (void)printf("used indirect=%d merged=%d recovered=%d\n", n.indirect > 0, n.merged > 0,
                 n.recovered > 0);
    (void)printf("verified %llu operations\n", (unsigned long long)c->done);
}

static bool make_room(struct check *c)
{
    c->model = calloc(1, c->size);
    c->locked = calloc(1, c->size / 512);
    for (uint32_t i = 0; i < c->args->depth; i++) {
        c->jobs[i].check = c;
        c->jobs[i].bytes = malloc(LENGTH_MAX);
        if (c->jobs[i].bytes == NULL)
            return false;
    }
    return c->model != NULL && c->locked != NULL;
}

static int check(struct check *c)
{
    int r = front_range(c->args, c->disk, &c->offset, &c->size);

    if (r != EXIT_OK)
        return r;
    vbd_disk_info(c->disk, &c->info);
    if (c->size < 2 * (uint64_t)LENGTH_MAX)
        return tool_fail(c->args->part, "less than %d KiB can't be verified so",
                         2 * LENGTH_MAX / 1024);
    if (!make_room(c))
        return tool_fail(c->args->part, "no memory for a model of %llu bytes",
                         (unsigned long long)c->size);
    one(c, VBD_IO_ZERO, 0, c->size); /* what it holds becomes known */
    run_operations(c);
    read_all(c);
    if (!c->failed)
        print_agreement(c);
    return c->failed ? EXIT_FAILED : EXIT_OK;
}

static int verify_at_random(const struct front_args *a)
{
    struct check *c = calloc(1, sizeof *c);
    int r;

    if (c == NULL)
        return tool_fail(a->part, "no memory");
    c->args = a;
    c->seed = (uint32_t)a->seed;
    r = front_open(a, &c->disk);
    if (r == EXIT_OK)
        r = check(c);
    vbd_disk_close(c->disk);
    for (uint32_t i = 0; i < a->depth; i++)
        free(c->jobs[i].bytes);
    free(c->model);
    free(c->locked);
    free(c);
    return r;
}

int front_verify(const struct front_args *a)
{
    if (a->destroy == (a->file != NULL))
        return tool_fail(a->part, "give a FILE to compare the disk with, or --destroy to overwrite "
                                  "it at random"),
               EXIT_USAGE;
    return a->destroy ? verify_at_random(a) : front_compare(a);
}
