/* front_copy.c - "vbdkit front read", "write" and "verify VBD FILE": a disk's bytes to, from and
 * against a file or a pipe, many pieces under way at once, taken from and given to the file in
 * order. Called by front.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vbdkit/front_tool.h"
#include "vbdkit/progress.h"

enum { PIECE = 1 << 20 };

struct piece {
    struct vbd_io io;
    struct vbd_iovec memory;
    int result;
    bool busy;
};

struct copy {
    const struct front_args *args;
    struct vbd_disk *disk;
    enum vbd_io_op op;
    int file;
    const char *file_name;
    uint64_t at, end; /* of the disk: where the next piece begins, and the last ends */
    uint64_t done;    /* bytes that are through */
    char *memory;     /* the pieces', shared with the backend where that can be */
    bool shared;
    char *beside; /* what a piece is compared with */
    struct piece pieces[256];
    uint64_t first, next; /* counts of pieces: the oldest under way, the next to begin */
    struct progress progress;
};

/* --- the file --- */

/* As much as there is, up to size; -1 with errno. */
static ssize_t read_whole(int fd, char *bytes, size_t size)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = read(fd, bytes + got, size - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

static int write_whole(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

static int file_failed(const struct copy *c, const char *what)
{
    return tool_fail(c->args->part, "%s %s: %s", what, c->file_name, strerror(errno));
}

static int open_file(struct copy *c, int flags)
{
    const char *name = c->args->file;
    bool standard = name == NULL || strcmp(name, "-") == 0;

    c->file = (flags & O_ACCMODE) == O_RDONLY ? STDIN_FILENO : STDOUT_FILENO;
    c->file_name = c->file == STDIN_FILENO ? "standard input" : "standard output";
    if (standard)
        return EXIT_OK;
    c->file_name = name;
    c->file = open(name, flags | O_CLOEXEC, 0666);
    return c->file < 0 ? file_failed(c, "cannot open") : EXIT_OK;
}

/* --- pieces --- */

static void piece_done(struct vbd_io *io, int result)
{
    struct piece *p = (struct piece *)(void *)io; /* its first member */

    p->result = result;
    p->busy = false;
}

/* The last piece of a file may end within a sector: the rest of that is zeroes. */
static int fill(struct copy *c, struct piece *p)
{
    struct vbd_front_info info;
    ssize_t n = read_whole(c->file, p->memory.base, p->memory.len);
    size_t whole;

    if (n < 0)
        return file_failed(c, "cannot read");
    vbd_disk_info(c->disk, &info);
    whole = ((size_t)n + info.disk.sector_size - 1) / info.disk.sector_size * info.disk.sector_size;
    memset((char *)p->memory.base + n, 0, whole - (size_t)n);
    if (whole < p->memory.len)
        c->end = c->at + whole; /* the file is over */
    p->memory.len = whole;
    return EXIT_OK;
}

static int begin_piece(struct copy *c)
{
    struct piece *p = &c->pieces[c->next % c->args->depth];
    struct vbd_io *io = &p->io;
    uint64_t rest = c->end - c->at;
    int r;

    p->memory = (struct vbd_iovec){c->memory + c->next % c->args->depth * PIECE,
                                   rest < PIECE ? rest : PIECE};
    r = c->op == VBD_IO_WRITE ? fill(c, p) : EXIT_OK;
    if (r != EXIT_OK || p->memory.len == 0)
        return r;
    *io = (struct vbd_io){.op = c->op,
                          .offset = c->at,
                          .length = p->memory.len,
                          .memory = &p->memory,
                          .memory_count = 1,
                          .done = piece_done};
    p->busy = true;
    c->at += io->length;
    c->next++;
    vbd_disk_submit(c->disk, &io, 1);
    return EXIT_OK;
}

static int compare(struct copy *c, const struct piece *p)
{
    const char *bytes = c->memory + (size_t)(p - c->pieces) * PIECE;
    ssize_t n = read_whole(c->file, c->beside, p->io.length);
    unsigned long long at = p->io.offset;

    if (n < 0)
        return file_failed(c, "cannot read");
    for (uint64_t i = 0; i < (uint64_t)n; i++, at++)
        if (bytes[i] != c->beside[i])
            return tool_fail(c->args->part, "byte %llu is %u on the disk, %u in %s", at,
                             (unsigned char)bytes[i], (unsigned char)c->beside[i], c->file_name);
    if ((size_t)n < p->io.length)
        return tool_fail(c->args->part, "%s ends at byte %llu of the disk, which goes on",
                         c->file_name, at);
    return EXIT_OK;
}

static int finish_piece(struct copy *c)
{
    struct piece *p = &c->pieces[c->first % c->args->depth];
    const char *bytes = c->memory + c->first % c->args->depth * PIECE;

    while (p->busy)
        front_turn(c->disk);
    c->first++;
    if (p->result < 0)
        return tool_fail(c->args->part, "at %llu: %s", (unsigned long long)p->io.offset,
                         strerror(-p->result));
    c->done += p->io.length;
    progress_at(&c->progress, c->done);
    if (c->beside != NULL)
        return compare(c, p);
    if (c->op == VBD_IO_READ && write_whole(c->file, bytes, p->io.length) < 0)
        return file_failed(c, "cannot write");
    return EXIT_OK;
}

static int move_all(struct copy *c)
{
    int r = EXIT_OK;

    while (r == EXIT_OK) {
        while (r == EXIT_OK && c->at < c->end && c->next - c->first < c->args->depth)
            r = begin_piece(c);
        if (r != EXIT_OK || c->first == c->next)
            break;
        r = finish_piece(c);
    }
    while (c->first < c->next) /* their memory is ours */
        if (c->pieces[c->first % c->args->depth].busy)
            front_turn(c->disk);
        else
            c->first++;
    return r;
}

/* --- from beginning to end --- */

static int make_memory(struct copy *c, bool compares)
{
    size_t size = (size_t)c->args->depth * PIECE;

    c->shared = vbd_disk_buffer_new(c->disk, size, (void **)&c->memory) == 0;
    if (!c->shared)
        c->memory = malloc(size);
    c->beside = compares ? malloc(PIECE) : NULL;
    return c->memory == NULL || (compares && c->beside == NULL)
               ? tool_fail(c->args->part, "no memory")
               : EXIT_OK;
}

/* What is left over in the file does not fit on the disk. */
static int check_rest(struct copy *c, uint64_t end)
{
    char byte;

    if (c->op != VBD_IO_WRITE || c->end < end || c->args->length != UINT64_MAX)
        return EXIT_OK;
    return read_whole(c->file, &byte, 1) == 1
               ? tool_fail(c->args->part, "%s goes on where the disk ends, at byte %llu",
                           c->file_name, (unsigned long long)end)
               : EXIT_OK;
}

/* Not before it is known that something will be read: what the file had is lost. */
static int empty_file(struct copy *c)
{
    bool is_named = c->file > STDERR_FILENO;

    if (is_named && ftruncate(c->file, 0) < 0 && errno != EINVAL /* a pipe or a device */)
        return file_failed(c, "cannot write");
    return EXIT_OK;
}

static int run(struct copy *c, const char *what, bool compares)
{
    struct vbd_error why = {""};
    uint64_t length, end;
    int r = front_range(c->args, c->disk, &c->at, &length);

    if (r == EXIT_OK)
        r = make_memory(c, compares);
    if (r == EXIT_OK && c->op == VBD_IO_READ && !compares)
        r = empty_file(c);
    if (r != EXIT_OK)
        return r;
    c->end = end = c->at + length;
    progress_begin(&c->progress, what, length, c->args->quiet);
    r = move_all(c);
    if (r == EXIT_OK)
        r = check_rest(c, end);
    if (r == EXIT_OK && c->op == VBD_IO_WRITE) {
        struct vbd_front_info info;

        vbd_disk_info(c->disk, &info);
        if ((info.disk.flush || info.disk.barrier) && vbd_disk_flush(c->disk, &why) < 0)
            r = tool_fail(c->args->part, "%s", why.text);
    }
    progress_end(&c->progress, c->done);
    return r;
}

static int copy(const struct front_args *a, enum vbd_io_op op, int flags, const char *what,
                bool compares)
{
    struct copy *c = calloc(1, sizeof *c);
    int r;

    if (c == NULL)
        return tool_fail(a->part, "no memory");
    c->args = a;
    c->op = op;
    r = open_file(c, flags);
    if (r == EXIT_OK)
        r = front_open(a, &c->disk);
    if (r == EXIT_OK)
        r = run(c, what, compares);
    if (c->shared)
        vbd_disk_buffer_free(c->disk, c->memory);
    else
        free(c->memory);
    vbd_disk_close(c->disk);
    if (c->file > STDERR_FILENO && close(c->file) < 0 && r == EXIT_OK)
        r = file_failed(c, "cannot write");
    free(c->beside);
    free(c);
    return r;
}

int front_read(const struct front_args *a)
{
    return copy(a, VBD_IO_READ, O_WRONLY | O_CREAT, "read", false);
}

int front_write(const struct front_args *a)
{
    return copy(a, VBD_IO_WRITE, O_RDONLY, "write", false);
}

int front_compare(const struct front_args *a)
{
    return copy(a, VBD_IO_READ, O_RDONLY, "verify", true);
}
