/* diskcheck.c - the calls of front_linux.h in a domain that has a vbd: threads that block, an event
 * loop beside them, callbacks, memory that the backend reaches, and what is refused. The disk's
 * contents are lost. Called by tests/hyperless/disk.bats.
 *
 * usage: diskcheck NAME; exit status 0 when all is as the header says, 1 with a sentence if not.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbdkit/front_linux.h"

enum { THREADS = 8, ROUNDS = 200, BYTES = 20480, LOOP_IOS = 4, RESUMES = 10 };

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "diskcheck: line %d: %s: %s\n", __LINE__, #condition, why.text); \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct vbd_disk *disk;
static struct vbd_error why;
static int connected; /* how often; written with the disk locked, read by this thread's turns */
static bool resumed;  /* atomic */

static int events[VBD_FRONT_CLOSED + 1]; /* likewise */

/* Also from suspend, and from close. */
static void event(void *ctx, enum vbd_front_event what)
{
    struct vbd_front_info info;

    (void)ctx;
    if (disk != NULL)
        vbd_disk_info(disk, &info);
    __atomic_add_fetch(&events[what], 1, __ATOMIC_RELAXED);
    if (what == VBD_FRONT_CONNECTED)
        __atomic_add_fetch(&connected, 1, __ATOMIC_RELAXED);
}

/* --- threads --- */

/* Each has a part of the disk of its own. */
static void *use(void *arg)
{
    uint64_t at = (uint64_t)(uintptr_t)arg * BYTES * 2;
    char *written = malloc(BYTES), *read = malloc(BYTES);
    struct vbd_error own = {""};

    for (int i = 0; i < ROUNDS || !__atomic_load_n(&resumed, __ATOMIC_RELAXED); i++) {
        uint64_t length = BYTES - (uint64_t)(i % 8) * 512;

        memset(written, i + (int)(uintptr_t)arg, length);
        if (vbd_disk_write(disk, written, length, at + (uint64_t)(i % 8) * 512, &own) < 0 ||
            (i % 16 == 0 && vbd_disk_flush(disk, &own) < 0) ||
            vbd_disk_read(disk, read, length, at + (uint64_t)(i % 8) * 512, &own) < 0 ||
            memcmp(read, written, length) != 0) {
            (void)fprintf(stderr, "diskcheck: thread %d: %s\n", (int)(uintptr_t)arg, own.text);
            exit(1);
        }
    }
    free(written);
    free(read);
    return NULL;
}

/* --- event loop --- */

struct looped {
    struct vbd_io io;
    struct vbd_iovec memory;
    int left;     /* how often it is still submitted, from inside its callback */
    int deadlock; /* what a call that blocks said there */
};

static int looped_done; /* atomic: another thread may drive */

static void done(struct vbd_io *io, int result)
{
    struct looped *l = (struct looped *)(void *)io; /* its first member */
    struct vbd_front_info info;

    CHECK(result == 0);
    vbd_disk_info(disk, &info);
    CHECK(info.disk.sectors > 0);
    l->deadlock = vbd_disk_flush(disk, NULL);
    vbd_disk_process(disk); /* does nothing here */
    if (l->left-- > 0)
        vbd_disk_submit(disk, &io, 1);
    else
        __atomic_add_fetch(&looped_done, 1, __ATOMIC_RELEASE);
}

static void loop(void)
{
    static struct looped ios[LOOP_IOS];
    struct pollfd fd = {.fd = vbd_disk_fd(disk), .events = POLLIN};
    void *shared;

    CHECK(vbd_disk_buffer_new(disk, (size_t)LOOP_IOS * 8192, &shared) == 0);
    for (int i = 0; i < LOOP_IOS; i++) {
        struct vbd_io *io = &ios[i].io;

        ios[i].memory = (struct vbd_iovec){(char *)shared + (ptrdiff_t)i * 8192, 8192};
        ios[i].left = ROUNDS;
        *io = (struct vbd_io){.op = VBD_IO_READ,
                              .offset = (uint64_t)i * 8192,
                              .length = 8192,
                              .memory = &ios[i].memory,
                              .memory_count = 1,
                              .done = done};
        vbd_disk_submit(disk, &io, 1);
    }
    while (__atomic_load_n(&looped_done, __ATOMIC_ACQUIRE) < LOOP_IOS) {
        bool found = vbd_disk_look(disk);

        (void)poll(&fd, 1, found ? 0 : 100); /* another thread may take the event */
        vbd_disk_process(disk);
    }
    for (int i = 0; i < LOOP_IOS; i++)
        CHECK(ios[i].deadlock == -EDEADLK);
    vbd_disk_buffer_free(disk, shared);
}

/* The domain goes on elsewhere, so it is told, while all threads have operations under way. */
static void resume(void)
{
    struct pollfd fd = {.fd = vbd_disk_fd(disk), .events = POLLIN};
    struct vbd_front_counters n;

    for (int i = 0; i < RESUMES; i++) {
        int before = __atomic_load_n(&connected, __ATOMIC_RELAXED);

        if (i % 2 == 0)
            vbd_disk_suspend(disk);
        CHECK(vbd_disk_resume(disk, &why) == 0);
        while (__atomic_load_n(&connected, __ATOMIC_RELAXED) == before) {
            (void)poll(&fd, 1, 100); /* another thread may take the event */
            vbd_disk_process(disk);
        }
    }
    vbd_disk_count(disk, &n);
    CHECK(n.recovered > 0);
    __atomic_store_n(&resumed, true, __ATOMIC_RELAXED);
}

static void threads_beside_a_loop(void)
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, use, (void *)(i + 1)) == 0);
    loop();
    resume();
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* The loop looks while a thread may be asleep: whoever takes an answer, each comes. */
static void one_thread_and_a_loop(void)
{
    pthread_t thread;

    looped_done = 0;
    CHECK(pthread_create(&thread, NULL, use, (void *)(uintptr_t)1) == 0);
    loop();
    CHECK(pthread_join(thread, NULL) == 0);
}

/* --- each call --- */

static void each_call(void)
{
    static char bytes[8192], back[8192], zeroes[8192];
    struct vbd_front_info info;
    struct vbd_front_counters n;

    vbd_disk_info(disk, &info);
    memset(bytes, 7, sizeof bytes);
    CHECK(vbd_disk_barrier(disk, bytes, 8192, 4096, &why) == 0);
    CHECK(vbd_disk_read(disk, back, 8192, 4096, &why) == 0);
    CHECK(memcmp(bytes, back, 8192) == 0);
    CHECK(vbd_disk_zero(disk, 4096, 8192, &why) == 0);
    CHECK(vbd_disk_read(disk, back, 8192, 4096, &why) == 0);
    CHECK(memcmp(zeroes, back, 8192) == 0);
    CHECK(vbd_disk_discard(disk, 4096, 8192, false, &why) == (info.disk.discard ? 0 : -EOPNOTSUPP));
    CHECK(vbd_disk_read(disk, back, 512, 1, &why) == -EINVAL);
    CHECK(strcmp(why.text, "read at 1, 512 bytes: Invalid argument") == 0);
    CHECK(vbd_disk_write(disk, back, 4096, info.disk.sectors * 512, &why) == -EINVAL);
    vbd_disk_count(disk, &n);
    CHECK(n.operations > 0 && n.errors == 0);
    why.text[0] = '\0';
}

static void what_is_refused(const char *name)
{
    struct vbd_disk_config config = {0};
    struct vbd_disk *other = NULL;

    CHECK(vbd_disk_open(name, &config, &other, &why) == -EINVAL);
    config = (struct vbd_disk_config){.struct_size = sizeof config, .xenstore = "/nowhere"};
    CHECK(vbd_disk_open(name, &config, &other, &why) == -ENOENT);
    CHECK(vbd_disk_open("xvdz", NULL, &other, &why) == -ENODEV);
    CHECK(strstr(why.text, "there are: xvda (51712") != NULL);
    CHECK(other == NULL && vbd_disk_close(NULL) == NULL);
    why.text[0] = '\0';
}

static void use_disk(const char *name, unsigned poll_us)
{
    struct vbd_disk_config config = {.struct_size = sizeof config,
                                     .timeout_ms = VBD_DISK_TIMEOUT_MS,
                                     .poll_us = poll_us,
                                     .event = event};

    looped_done = 0;
    resumed = false;
    CHECK(vbd_disk_open(name, &config, &disk, &why) == 0);
    threads_beside_a_loop();
    one_thread_and_a_loop();
    each_call();
    disk = vbd_disk_close(disk);
    CHECK(disk == NULL);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    what_is_refused(argv[1]);
    use_disk(argv[1], 0);
    use_disk(argv[1], 100);
    CHECK(vbd_disk_open(argv[1], NULL, &disk, &why) == 0); /* again, at once */
    vbd_disk_close(disk);
    return 0;
}
