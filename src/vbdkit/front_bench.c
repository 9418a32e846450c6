/* front_bench.c - "vbdkit front bench": how fast a vbd is, loaded from user space with as many
 * operations under way as asked for. Called by front.c, and by what measures backends. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/histogram.h"
#include "vbdkit/front_tool.h"
#include "vbdkit/progress.h"

enum { FEW = 4 /* operations under way: the disk looks for their answers */ };

struct shot {
    struct vbd_io io;
    struct vbd_iovec memory;
    struct bench *bench;
    uint64_t began; /* ns */
};

struct bench {
    const struct front_args *args;
    struct vbd_disk *disk;
    bool random, reads, writes;
    uint64_t offset, blocks; /* of the part that is used */
    uint64_t next, draw;
    uint64_t began, deadline; /* ns */
    uint64_t now;             /* of this turn; 0: not asked yet */
    uint64_t done[2];         /* reads, writes */
    uint32_t under_way;
    int error;
    char *memory;
    bool shared;
    struct shot shots[256];
    uint64_t latency[VBD_HISTOGRAM_RANGES];
};

/* --- operations --- */

static uint64_t draw(struct bench *b)
{
    b->draw ^= b->draw << 13;
    b->draw ^= b->draw >> 7;
    b->draw ^= b->draw << 17;
    return b->draw;
}

/* In order, or anywhere. */
static uint64_t place(struct bench *b)
{
    uint64_t block = b->random ? draw(b) % b->blocks : b->next++ % b->blocks;

    return b->offset + block * b->args->block;
}

static void shoot(struct bench *b, struct shot *s, uint64_t at)
{
    struct vbd_io *io = &s->io;

    io->op = b->reads && (!b->writes || draw(b) & 1) ? VBD_IO_READ : VBD_IO_WRITE;
    io->offset = place(b);
    io->length = s->memory.len = b->args->block;
    io->memory = &s->memory;
    io->memory_count = 1;
    s->began = at;
    b->under_way++;
    vbd_disk_submit(b->disk, &io, 1);
}

/* One look at the clock serves all that a turn completes and sends in their place: in a PV domain
 * it is a system call, and would be most of what an operation costs. But a turn that looks for
 * answers takes longer than few operations do. */
static uint64_t turn_now(struct bench *b)
{
    if (b->now == 0)
        b->now = tool_now_ns();
    return b->now;
}

static void shot_done(struct vbd_io *io, int result)
{
    struct shot *s = (struct shot *)(void *)io; /* its first member */
    struct bench *b = s->bench;
    uint64_t at;

    if (s->began == b->now || b->args->depth <= FEW)
        b->now = 0;
    at = turn_now(b);
    b->under_way--;
    b->latency[vbd_histogram_range(at - s->began)]++;
    b->done[io->op == VBD_IO_WRITE]++;
    if (result < 0)
        b->error = result;
    if (b->error == 0 && at < b->deadline)
        shoot(b, s, at);
}

static void run(struct bench *b)
{
    struct progress progress;
    uint64_t length = (uint64_t)b->args->seconds_ms * 1000000;

    progress_begin(&progress, "bench", length, b->args->quiet);
    b->began = tool_now_ns();
    b->deadline = b->began + length;
    for (uint32_t i = 0; i < b->args->depth; i++) {
        struct shot *s = &b->shots[i];

        s->bench = b;
        s->io.done = shot_done;
        s->memory.base = b->memory + i * b->args->block;
        shoot(b, s, b->began);
    }
    while (b->under_way > 0) {
        b->now = 0;
        front_turn(b->disk);
        progress_at(&progress, turn_now(b) - b->began);
    }
    progress_end(&progress, length);
}

/* --- results --- */

static double range_begin(unsigned range)
{
    return range == 0 ? 0 : (double)vbd_histogram_end(range - 1);
}

/* As if those of a range were spread evenly over it. */
static double percentile(const struct bench *b, double part)
{
    double wanted = (double)(b->done[0] + b->done[1]) * part, seen = 0;

    for (unsigned i = 0; i < VBD_HISTOGRAM_RANGES; i++) {
        double here = (double)b->latency[i], begin = range_begin(i);

        if (here > 0 && seen + here >= wanted)
            return (begin + ((double)vbd_histogram_end(i) - begin) * (wanted - seen) / here) / 1000;
        seen += here;
    }
    return 0;
}

static double own_cpu_us(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* X(name, value) */
#define RESULTS(X)                                                                                 \
    X("iops", all / seconds)                                                                       \
    X("mib-per-s", all *(double)b->args->block / seconds / 1048576)                                \
    X("p50-us", percentile(b, 0.5))                                                                \
    X("p99-us", percentile(b, 0.99))                                                               \
    X("p99.9-us", percentile(b, 0.999))                                                            \
    X("front-cpu-us", cpu_us / all)                                                                \
    X("requests-per-pass", (double)n->requests / (double)(n->passes > 0 ? n->passes : 1))          \
    X("events-per-request", (double)n->notified / (double)(n->requests > 0 ? n->requests : 1))

static void report(const struct bench *b, const struct vbd_front_counters *n, double cpu_us,
                   double seconds)
{
    double all = (double)(b->done[0] + b->done[1]);
    json_object *o = json_object_new_object();

    (void)json_object_object_add(o, "rw", json_object_new_string(b->args->rw));
    (void)json_object_object_add(o, "block", json_object_new_uint64(b->args->block));
    (void)json_object_object_add(o, "depth", json_object_new_int64(b->args->depth));
#define ADD(name, value) (void)json_object_object_add(o, name, json_object_new_double(value));
    RESULTS(ADD)
#undef ADD
    if (b->args->json)
        (void)puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
    else {
        json_object_object_foreach(o, key, value)
        {
            if (json_object_is_type(value, json_type_double))
                (void)printf("%-19s %.2f\n", key, json_object_get_double(value));
            else
                (void)printf("%-19s %s\n", key, json_object_get_string(value));
        }
    }
    (void)json_object_put(o);
}

/* --- from beginning to end --- */

static bool read_pattern(struct bench *b)
{
    const char *rw = b->args->rw;

    b->random = strncmp(rw, "rand", 4) == 0;
    rw += b->random ? 4 : 0;
    b->reads = strcmp(rw, "read") == 0 || strcmp(rw, "rw") == 0;
    b->writes = strcmp(rw, "write") == 0 || strcmp(rw, "rw") == 0;
    return b->reads || b->writes;
}

static int prepare(struct bench *b)
{
    struct vbd_front_info info;
    size_t size = b->args->depth * b->args->block;
    uint64_t length;
    int r = front_range(b->args, b->disk, &b->offset, &length);

    vbd_disk_info(b->disk, &info);
    if (r != EXIT_OK)
        return r;
    if (b->args->block % info.disk.sector_size != 0 || length < b->args->block)
        return tool_fail(b->args->part,
                         "a block must be a multiple of the sector, %u bytes, and "
                         "not larger than the disk",
                         info.disk.sector_size);
    b->blocks = length / b->args->block;
    b->draw = b->args->seed * 2 + 1;
    b->shared = vbd_disk_buffer_new(b->disk, size, (void **)&b->memory) == 0;
    if (!b->shared)
        b->memory = calloc(1, size);
    return b->memory != NULL ? EXIT_OK : tool_fail(b->args->part, "no memory");
}

static int measure(struct bench *b)
{
    struct vbd_front_counters counters;
    double cpu, seconds;

    if (b->args->await)
        front_drain(b->disk, STDIN_FILENO); /* others that are to begin at once connect meanwhile */
    cpu = own_cpu_us();
    run(b);
    seconds = (double)(tool_now_ns() - b->began) / 1e9;
    if (b->error < 0)
        return tool_fail(b->args->part, "%s", strerror(-b->error));
    vbd_disk_count(b->disk, &counters);
    report(b, &counters, own_cpu_us() - cpu, seconds);
    return EXIT_OK;
}

int front_bench(const struct front_args *a)
{
    struct bench *b = calloc(1, sizeof *b);
    int r;

    if (b == NULL)
        return tool_fail(a->part, "no memory");
    b->args = a;
    r = read_pattern(b) ? EXIT_OK : EXIT_USAGE;
    if (r != EXIT_OK)
        (void)tool_fail(a->part, "\"%s\" is none of read, write, randread, randwrite, rw, randrw",
                        a->rw);
    if (r == EXIT_OK && b->writes && !a->destroy) {
        (void)tool_fail(a->part, "writing overwrites what the disk holds: say --destroy");
        r = EXIT_USAGE;
    }
    if (r == EXIT_OK)
        r = front_open(a, &b->disk);
    if (r == EXIT_OK)
        r = prepare(b);
    if (r == EXIT_OK)
        r = measure(b);
    if (b->shared)
        vbd_disk_buffer_free(b->disk, b->memory);
    else
        free(b->memory);
    vbd_disk_close(b->disk);
    free(b);
    return r;
}
