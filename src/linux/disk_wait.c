/* disk_wait.c - the calls of a disk that block, and who drives meanwhile. See disk.h. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "linux/disk.h"
#include "linux/error.h"

/* --- waiting --- */

static int ms_left(const struct timespec *until)
{
    struct timespec now;
    int64_t left;

    if (until == NULL)
        return -1;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    left =
        (until->tv_sec - now.tv_sec) * INT64_C(1000) + (until->tv_nsec - now.tv_nsec) / 1000000 + 1;
    return left < 0 ? 0 : (int)(left < 3600000 ? left : 3600000);
}

/* One turn as the driver, unlocked while it waits for events. */
static void drive(struct vbd_disk *d, struct vbd_disk_waiter *w, const struct timespec *until)
{
    unsigned ready;

    if (vbd_list_empty(&d->waiters) && vbd_disk_serve(d, &w->done)) {
        ready = vbd_disk_wait(d, 0); /* xenstore has its turn as well */
    } else {
        d->driver = w;
        vbd_disk_unlock(d);
        ready = vbd_disk_wait(d, ms_left(until));
        vbd_disk_lock(d);
        d->driver = NULL; /* what is taken may be its own: no kick */
    }
    vbd_disk_take(d, ready);
}

/* Until woken, or the time is over; another thread drives. */
static void sleep_until(struct vbd_disk *d, struct vbd_disk_waiter *w, const struct timespec *until)
{
    const struct vbd_disk *outer = d->outer;

    vbd_list_append(&d->waiters, &w->link);
    if (until == NULL)
        (void)pthread_cond_wait(&w->cond, &d->lock);
    else
        (void)pthread_cond_timedwait(&w->cond, &d->lock, until);
    vbd_list_remove(&w->link);
    d->outer = outer; /* others had the lock meanwhile */
}

static void leave_place(struct vbd_disk *d)
{
    if (d->driver == NULL && !vbd_list_empty(&d->waiters))
        (void)pthread_cond_signal(
            &VBD_CONTAINER(d->waiters.next, struct vbd_disk_waiter, link)->cond);
}

void vbd_disk_wake(struct vbd_disk *d, struct vbd_disk_waiter *w)
{
    w->done = true;
    if (d->driver == w)
        vbd_disk_kick(d);
    else
        (void)pthread_cond_signal(&w->cond);
}

int vbd_disk_await(struct vbd_disk *d, struct vbd_disk_waiter *w, int timeout_ms)
{
    struct timespec until;
    pthread_condattr_t monotonic;
    bool over = false;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    while (!w->done && !over) {
        over = timeout_ms >= 0 && ms_left(&until) == 0;
        if (d->driver == NULL)
            drive(d, w, timeout_ms >= 0 ? &until : NULL);
        else
            sleep_until(d, w, timeout_ms >= 0 ? &until : NULL);
    }
    leave_place(d);
    (void)pthread_cond_destroy(&w->cond);
    return w->done ? 0 : -ETIMEDOUT;
}

/* --- operations --- */

struct waited_io {
    struct vbd_io io;
    struct vbd_iovec memory;
    struct vbd_disk *disk;
    struct vbd_disk_waiter waiter;
    int result;
};

static void io_done(struct vbd_io *io, int result)
{
    struct waited_io *w = VBD_CONTAINER(io, struct waited_io, io);

    w->result = result;
    vbd_disk_wake(w->disk, &w->waiter);
}

static const char *name_of(enum vbd_io_op op)
{
    static const char *const names[] = {
        [VBD_IO_READ] = "read",       [VBD_IO_WRITE] = "write",     [VBD_IO_FLUSH] = "flush",
        [VBD_IO_DISCARD] = "discard", [VBD_IO_BARRIER] = "barrier", [VBD_IO_ZERO] = "zero"};

    return names[op];
}

/* Submits and waits, with the lock held. */
static void submit(struct vbd_disk *d, struct waited_io *w)
{
    struct vbd_channel *channel = vbd_front_channel(d->front);
    struct vbd_io *io = &w->io;

    w->disk = d;
    channel->ops->submit(channel, &io, 1);
    vbd_disk_send(d);
    (void)vbd_disk_await(d, &w->waiter, -1);
}

static int run(struct vbd_disk *d, const struct vbd_io *io, void *bytes, struct vbd_error *why)
{
    struct waited_io w = {.io = *io, .memory = {bytes, io->length}};

    if (vbd_disk_in_callback(d))
        return vbd_fail(why, -EDEADLK, "%s: called from a callback", name_of(io->op));
    w.io.memory = &w.memory;
    w.io.memory_count = bytes != NULL;
    w.io.done = io_done;
    vbd_disk_lock(d);
    submit(d, &w);
    if (w.result < 0)
        (void)vbd_fail(why, w.result, "%s at %llu, %llu bytes: %s", name_of(io->op),
                       (unsigned long long)io->offset, (unsigned long long)io->length,
                       d->failed ? vbd_front_why(d->front) : strerror(-w.result));
    vbd_disk_unlock(d);
    return w.result;
}

int vbd_disk_read(struct vbd_disk *d, void *bytes, size_t length, uint64_t offset,
                  struct vbd_error *why)
{
    struct vbd_io io = {.op = VBD_IO_READ, .offset = offset, .length = length};

    return run(d, &io, bytes, why);
}

/* A front does not change what it writes. */
static void *writable(const void *bytes)
{
    return (void *)(uintptr_t)bytes;
}

int vbd_disk_write(struct vbd_disk *d, const void *bytes, size_t length, uint64_t offset,
                   struct vbd_error *why)
{
    struct vbd_io io = {.op = VBD_IO_WRITE, .offset = offset, .length = length};

    return run(d, &io, writable(bytes), why);
}

int vbd_disk_flush(struct vbd_disk *d, struct vbd_error *why)
{
    struct vbd_io io = {.op = VBD_IO_FLUSH};

    return run(d, &io, NULL, why);
}

int vbd_disk_barrier(struct vbd_disk *d, const void *bytes, size_t length, uint64_t offset,
                     struct vbd_error *why)
{
    struct vbd_io io = {.op = VBD_IO_BARRIER, .offset = offset, .length = length};

    return run(d, &io, writable(bytes), why);
}

int vbd_disk_discard(struct vbd_disk *d, uint64_t offset, uint64_t length, bool secure,
                     struct vbd_error *why)
{
    struct vbd_io io = {.op = VBD_IO_DISCARD, .offset = offset, .length = length, .secure = secure};

    return run(d, &io, NULL, why);
}

int vbd_disk_zero(struct vbd_disk *d, uint64_t offset, uint64_t length, struct vbd_error *why)
{
    struct vbd_io io = {.op = VBD_IO_ZERO, .offset = offset, .length = length};

    return run(d, &io, NULL, why);
}
