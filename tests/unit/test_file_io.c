/* test_file_io.c - operations on an image: on a disk, where io_uring does them, and in memory,
 * where they are done at once. What is asked for and what comes back is the same in both places. On
 * a block device as well, whose node is in memory and whose operations must not be done at once. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "linux/loop.h"
#include "vbdkit/vbd_linux.h"

enum { BYTES = 1 << 20, PIECES = 5, PIECE = 4096, MANY = 40 };

struct place {
    const char *dir;
    bool at_once;
};

static const struct place disk = {"/var/tmp", false}, memory = {"/dev/shm", true};

struct world {
    const struct place *place;
    struct vbd_loop loop;
    struct vbd_storage *storage;
    struct vbd_channel *channel;
    int fd; /* the image's */
    unsigned under_way;
    char bytes[PIECES * MANY][PIECE] __attribute__((aligned(4096)));
};

static struct world w;

struct operation {
    struct vbd_io io;
    struct vbd_iovec memory[PIECES];
    int result;
};

/* A loop device of the image; false where none can be made. */
static bool make_device(char *ret_path, int size)
{
    char command[96];
    FILE *f;
    bool good;

    (void)snprintf(command, sizeof command, "losetup --find --show /proc/%d/fd/%d", getpid(), w.fd);
    f = popen(command, "r");
    good = f != NULL && fgets(ret_path, size, f) != NULL;
    if (f == NULL || pclose(f) != 0 || !good)
        return false;
    ret_path[strcspn(ret_path, "\n")] = '\0';
    return true;
}

static void remove_device(const char *path)
{
    char command[96];

    (void)snprintf(command, sizeof command, "losetup --detach %s", path); /* when it is closed */
    assert_int_equal(system(command), 0);
}

static int begin(void **state)
{
    char path[64];
    struct vbd_error why;
    int fd;

    w = (struct world){.place = *state};
    (void)snprintf(path, sizeof path, "%s/vbdkit-io-XXXXXX", w.place->dir);
    fd = w.fd = mkstemp(path);
    if (fd < 0 || ftruncate(fd, BYTES) < 0 || vbd_loop_init(&w.loop) < 0 ||
        vbd_file_open(path, false, &w.storage, &why) < 0)
        return -1;
    (void)unlink(path);
    return w.storage->ops->open_channel(w.storage, &w.loop, &w.channel);
}

static int end(void **state)
{
    (void)state;
    w.channel->ops->close(w.channel);
    w.storage->ops->close(w.storage);
    vbd_loop_free(&w.loop);
    return close(w.fd);
}

static void done(struct vbd_io *io, int result)
{
    ((struct operation *)(void *)io)->result = result; /* its first member */
    w.under_way--;
}

/* Of `pieces` pages at the place of that number, from the bytes of that number on. */
static struct operation operation(enum vbd_io_op op, uint32_t number, uint32_t pieces)
{
    struct operation o = {.io = {.op = op,
                                 .offset = (uint64_t)number * PIECE,
                                 .length = (uint64_t)pieces * PIECE,
                                 .memory_count = pieces,
                                 .done = done},
                          .result = 1};

    for (uint32_t i = 0; i < pieces; i++)
        o.memory[i] = (struct vbd_iovec){w.bytes[number + i], PIECE};
    return o;
}

static void hand_in(struct operation *all, size_t count)
{
    struct vbd_io *ios[MANY];

    for (size_t i = 0; i < count; i++) {
        all[i].io.memory = all[i].memory;
        ios[i] = &all[i].io;
    }
    w.under_way = (unsigned)count;
    w.channel->ops->submit(w.channel, ios, count);
}

static void await(void)
{
    while (w.under_way > 0)
        assert_int_equal(vbd_loop_turn(&w.loop, true, 0), 0);
}

static void submit(struct operation *all, size_t count)
{
    unsigned before = w.loop.calls;

    hand_in(all, count);
    if (w.place->at_once && all[0].io.op != VBD_IO_DISCARD) {
        assert_int_equal(w.under_way, 0);
        assert_true(w.loop.calls >= before + count || all[0].result == -EOPNOTSUPP);
    }
    await();
}

static int run(struct operation o)
{
    submit(&o, 1);
    return o.result;
}

static void fill(char with)
{
    for (size_t i = 0; i < sizeof w.bytes; i++)
        (&w.bytes[0][0])[i] = (char)(i % 251 + (size_t)with);
}

static void test_what_is_written_is_read_back(void **state)
{
    struct operation all[MANY];

    (void)state;
    fill(3);
    for (uint32_t i = 0; i < MANY; i++)
        all[i] = operation(VBD_IO_WRITE, i * PIECES, i % PIECES + 1);
    submit(all, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(all[i].result, 0);
    memset(w.bytes, 0, sizeof w.bytes);
    for (uint32_t i = 0; i < MANY; i++)
        all[i] = operation(VBD_IO_READ, i * PIECES, i % PIECES + 1);
    submit(all, MANY);
    for (size_t i = 0; i < sizeof w.bytes; i++) {
        uint32_t number = (uint32_t)(i / PIECE), of = number / PIECES;
        bool written = number % PIECES <= of % PIECES;

        assert_int_equal((&w.bytes[0][0])[i], written ? (char)(i % 251 + 3) : 0);
    }
    assert_int_equal(run(operation(VBD_IO_FLUSH, 0, 0)), 0);
}

static void test_a_device_is_not_done_at_once(void **state)
{
    struct operation all[MANY];
    struct vbd_error why = {""};
    char path[64];

    (void)state;
    if (!make_device(path, sizeof path)) {
        print_message("no loop device can be made here\n");
        skip();
    }
    w.channel->ops->close(w.channel);
    w.storage->ops->close(w.storage);
    assert_int_equal(vbd_file_open(path, false, &w.storage, &why), 0);
    remove_device(path);
    assert_int_equal(w.storage->ops->open_channel(w.storage, &w.loop, &w.channel), 0);
    fill(7);
    for (uint32_t i = 0; i < MANY; i++)
        all[i] = operation(i % 2 ? VBD_IO_READ : VBD_IO_WRITE, i * PIECES, 1);
    hand_in(all, MANY);
    assert_int_equal(w.under_way, MANY);
    await();
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(all[i].result, 0);
}

static void test_a_discard_leaves_a_hole(void **state)
{
    static const char nothing[PIECE];

    (void)state;
    fill(5);
    assert_int_equal(run(operation(VBD_IO_WRITE, 0, 3)), 0);
    assert_int_equal(run(operation(VBD_IO_DISCARD, 1, 1)), 0);
    memset(w.bytes, 9, sizeof w.bytes);
    assert_int_equal(run(operation(VBD_IO_READ, 0, 3)), 0);
    assert_memory_equal(w.bytes[1], nothing, PIECE);
    for (size_t i = 0; i < PIECE; i++) {
        assert_int_equal(w.bytes[0][i], (char)(i % 251 + 5));
        assert_int_equal(w.bytes[2][i], (char)((i + 2 * PIECE) % 251 + 5));
    }
}

/* The file has shrunk under its storage. */
static void test_what_is_not_there_is_an_error(void **state)
{
    struct operation half;

    (void)state;
    assert_int_equal(ftruncate(w.fd, 2 * PIECE), 0);
    assert_int_equal(run(operation(VBD_IO_READ, 3, 1)), -EIO);
    half = operation(VBD_IO_READ, 0, 4); /* the first two come */
    submit(&half, 1);
    assert_int_equal(half.result, -EIO);
    assert_int_equal(run(operation(VBD_IO_READ, 0, 2)), 0);
}

static void test_what_it_cannot_do_is_refused(void **state)
{
    struct operation o = operation(VBD_IO_DISCARD, 0, 1);

    (void)state;
    o.io.secure = true;
    assert_int_equal(run(o), -EOPNOTSUPP);
    assert_int_equal(run(operation(VBD_IO_ZERO, 0, 1)), -EOPNOTSUPP);
    assert_int_equal(run(operation(VBD_IO_BARRIER, 0, 0)), -EOPNOTSUPP);
}

#define IN(place, test)                                                                            \
    {                                                                                              \
        .name = #test " (" #place ")", .test_func = (test), .setup_func = begin,                   \
        .teardown_func = end, .initial_state = (void *)(uintptr_t) & (place)                       \
    }
#define IN_BOTH(test) IN(disk, test), IN(memory, test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOTH(test_what_is_written_is_read_back),  IN_BOTH(test_a_discard_leaves_a_hole),
        IN_BOTH(test_what_is_not_there_is_an_error), IN_BOTH(test_what_it_cannot_do_is_refused),
        IN(disk, test_a_device_is_not_done_at_once),
    };

    return cmocka_run_group_tests_name("file_io", tests, NULL, NULL);
}
