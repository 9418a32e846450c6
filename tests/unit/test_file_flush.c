/* test_file_flush.c - a flush of the guest reaches the disk under an image file: pages that were
 * written to the file through the page cache are clean when the flush has been answered, and the
 * disk, where it has a cache of its own, was told to empty it. Against the real storage, through
 * the ring, the queue's thread and io_uring.
 *
 * The kernel tells of dirty pages in /proc/self/smaps, and of a disk's flushes in its `stat`. Both
 * are tried with fdatasync first; where they don't tell it, there is nothing to be seen and the
 * test is skipped. The disk's flushes are those of everybody: too few of them is a fault. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "linux/loop.h"
#include "support/operation.h"
#include "support/power.h"
#include "support/stage.h"

enum {
    VDEV = 51712,
    DATA = 1024, /* a guest page */
    DIRTY_KB = 64,
    ATTEMPTS = 20, /* the kernel may clean pages at any moment by itself */
    FLUSHES = 10
};

/* An image that is written through a mapping. */
struct image {
    int fd;
    char *mapping;
};

static struct image open_image(const char *path)
{
    struct image i = {.fd = open(path, O_RDWR | O_CLOEXEC)};

    assert_true(i.fd >= 0);
    i.mapping = mmap(NULL, STAGE_DISK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, i.fd, 0);
    assert_true(i.mapping != MAP_FAILED);
    return i;
}

static void close_image(struct image *i)
{
    munmap(i->mapping, STAGE_DISK_BYTES);
    close(i->fd);
}

/* Kilobytes of the mapping that are not on the disk. */
static int dirty_kb(const struct image *i)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    unsigned long from, to;
    bool inside = false;
    char line[512];
    int sum = 0, kb;

    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from == (unsigned long)(uintptr_t)i->mapping;
        else if (inside && (sscanf(line, "Shared_Dirty: %d", &kb) == 1 ||
                            sscanf(line, "Private_Dirty: %d", &kb) == 1))
            sum += kb;
    }
    fclose(f);
    return sum;
}

/* In the second half of the image, where no request of the guest writes. */
static void make_dirty(const struct image *i)
{
    static int pattern;

    memset(i->mapping + STAGE_DISK_BYTES / 2, ++pattern, DIRTY_KB * 1024);
}

/* Flushes of the disk that holds the file, by anybody; -1 where that is not told. */
static long long disk_flushes(const struct image *i)
{
    unsigned long long fields[17] = {0};
    struct stat st;
    char path[64];
    int n = 0;
    FILE *f;

    assert_int_equal(fstat(i->fd, &st), 0);
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/stat", major(st.st_dev),
                   minor(st.st_dev));
    f = fopen(path, "re");
    while (f != NULL && n < 17 && fscanf(f, "%llu", &fields[n]) == 1)
        n++;
    if (f != NULL)
        fclose(f);
    return n == 17 ? (long long)fields[15] : -1;
}

static void flush_by_hand(const struct image *i)
{
    make_dirty(i);
    assert_int_equal(fdatasync(i->fd), 0);
}

static void skip_where_nothing_is_seen(const struct image *i)
{
    make_dirty(i);
    if (dirty_kb(i) == 0)
        skip();
    flush_by_hand(i);
    if (dirty_kb(i) > 0)
        skip();
}

/* --- through the guest's ring --- */

/* Makes pages dirty and sends the request, until they were still dirty just before it. */
static void expect_to_clean(struct stage *s, struct handfront *f, const struct image *i,
                            struct hand_request *r)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        bool was_dirty;

        make_dirty(i);
        was_dirty = dirty_kb(i) >= DIRTY_KB;
        r->id++;
        assert_int_equal(stage_request(s, f, r), 0);
        assert_int_equal(dirty_kb(i), 0);
        if (was_dirty)
            return;
    }
    fail_msg("the pages were never dirty");
}

/* The same, for a request that leaves them alone. */
static void expect_to_leave(struct stage *s, struct handfront *f, const struct image *i,
                            struct hand_request *r)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        make_dirty(i);
        r->id++;
        assert_int_equal(stage_request(s, f, r), 0);
        if (dirty_kb(i) >= DIRTY_KB)
            return;
    }
    fail_msg("the pages were always clean");
}

static void expect_disk_flushes(struct stage *s, struct handfront *f, const struct image *i,
                                struct hand_request *flush)
{
    long long before = disk_flushes(i);

    flush_by_hand(i);
    if (before < 0 || disk_flushes(i) == before) {
        print_message("the disk does not tell of its flushes, or has no cache: not looked at\n");
        return;
    }
    before = disk_flushes(i);
    for (int n = 0; n < FLUSHES; n++) {
        make_dirty(i);
        flush->id++;
        assert_int_equal(stage_request(s, f, flush), 0);
    }
    assert_true(disk_flushes(i) >= before + FLUSHES);
}

static void test_a_flush_of_the_guest_reaches_the_disk(void **state)
{
    struct stage *s = *state;
    struct image image = open_image(s->image);
    struct hand_request write = {.op = 1, .count = 1, .id = 100};
    struct hand_request barrier = {.op = 2, .id = 200}, flush = {.op = 3, .id = 300};
    struct handfront f;

    skip_where_nothing_is_seen(&image);
    write.segments[0] = (struct hand_segment){sim_grant(s->sim, DATA, false), 0, 7};
    assert_int_equal(stage_create(s, VDEV, s->image, false), 0);
    assert_non_null(stage_run(s, VDEV));
    stage_connect(s, &f, VDEV, 1, 3);
    expect_to_leave(s, &f, &image, &write);
    expect_to_clean(s, &f, &image, &flush);
    expect_to_clean(s, &f, &image, &barrier);
    expect_disk_flushes(s, &f, &image, &flush);
    stage_remove_device(s, VDEV);
    close_image(&image);
}

/* --- the storage alone, and one that lies --- */

static void flush_storage(struct vbd_storage *storage)
{
    struct operation flush;
    struct vbd_channel *channel;
    struct vbd_loop loop;

    assert_int_equal(vbd_loop_init(&loop), 0);
    assert_int_equal(storage->ops->open_channel(storage, &loop, &channel), 0);
    operation_submit(&flush, channel, VBD_IO_FLUSH, 0);
    while (flush.answers == 0)
        assert_int_equal(vbd_loop_turn(&loop, true, 0), 0);
    operation_expect(&flush, 0);
    channel->ops->close(channel);
    vbd_loop_free(&loop);
}

static void test_a_storage_that_does_not_flush_is_found_out(void **state)
{
    struct stage *s = *state;
    struct image image = open_image(s->image);
    struct vbd_storage *storage;
    int left = 0;

    skip_where_nothing_is_seen(&image);
    assert_int_equal(vbd_file_open(s->image, false, &storage, NULL), 0);
    make_dirty(&image);
    flush_storage(storage);
    assert_int_equal(dirty_kb(&image), 0);
    storage = power_faulty(storage, POWER_NO_FLUSH);
    for (int attempt = 0; attempt < ATTEMPTS && left < DIRTY_KB; attempt++) {
        make_dirty(&image);
        flush_storage(storage);
        left = dirty_kb(&image);
    }
    assert_true(left >= DIRTY_KB);
    storage->ops->close(storage);
    close_image(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_flush_of_the_guest_reaches_the_disk, stage_set_up,
                                        stage_tear_down),
        cmocka_unit_test_setup_teardown(test_a_storage_that_does_not_flush_is_found_out,
                                        stage_set_up, stage_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
