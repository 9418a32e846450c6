/* threads.c - the runner seam on Linux. The control thread starts, stops and joins; each run's
 * thread turns its loop: a pass over the ring, then one system call that submits and waits. */
#include "linux/threads.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/list.h"
#include "linux/clock.h"
#include "linux/loop.h"
#include "linux/polling.h"
#include "vbdkit/queue.h"

struct vbd_threads {
    struct vbd_runner seam;
    const struct vbd_hypervisor *hypervisor;
    int ended_fd;
    pthread_mutex_t lock;  /* of `ended` */
    struct vbd_list ended; /* struct vbd_run whose thread is over */
};

struct vbd_run {
    struct vbd_threads *threads;
    struct vbd_queue *queue;
    struct vbd_event_channel *channel;
    struct vbd_storage *storage;
    unsigned siblings;
    void (*ended)(void *arg, enum vbd_run_end end);
    void *arg;
    pthread_t thread;
    int stop_fd;
    atomic_bool stop;
    /* The thread's own, and the control thread's again once it is on `ended`. */
    struct vbd_list link;
    enum vbd_run_end end;
    struct vbd_loop loop;
    struct vbd_loop_entry event, stopped;
    bool armed; /* the loop polls the event channel */
    struct vbd_polling polling;
};

/* --- the run's thread --- */

static void event_came(struct vbd_loop_entry *entry, int result, uint32_t flags)
{
    struct vbd_run *run = VBD_CONTAINER(entry, struct vbd_run, event);
    const struct vbd_hypervisor *h = run->threads->hypervisor;

    run->armed = (flags & IORING_CQE_F_MORE) != 0;
    /* One: the next event wakes the poll again, and a guest that sends without end must not keep
     * this thread from its pass. */
    if (result >= 0) {
        (void)h->take_event(h->ctx, run->channel);
        vbd_queue_count_calls(run->queue, 2); /* read and unmask */
    }
}

static void stop_came(struct vbd_loop_entry *entry, int result, uint32_t flags)
{
    (void)entry; /* turn() looks at `stop`; this only wakes the loop */
    (void)result;
    (void)flags;
}

static bool poll_fd(struct vbd_run *run, int fd, struct vbd_loop_entry *entry, bool multishot)
{
    struct io_uring_sqe *sqe = vbd_loop_sqe(&run->loop, entry);

    if (sqe == NULL)
        return false;
    if (multishot)
        io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    else
        io_uring_prep_poll_add(sqe, fd, POLLIN);
    io_uring_sqe_set_data(sqe, entry);
    return true;
}

/* How long to wait at most for the deadline; 0: there is none. */
static uint64_t patience(uint64_t deadline, uint64_t now)
{
    if (deadline == 0)
        return 0;
    return deadline > now ? deadline - now : 1;
}

static bool has_come(void *ctx)
{
    struct vbd_run *run = ctx;

    return vbd_queue_waits(run->queue) || vbd_loop_ready(&run->loop);
}

/* Whether there is more to do, after looking for a while: what is queued has been submitted then,
 * and the guest was not asked to notify. Otherwise it was. */
static bool look(struct vbd_run *run)
{
    uint64_t patience = vbd_queue_patience(run->queue);

    if (patience == 0 || vbd_loop_submit(&run->loop) < 0)
        return false;
    return vbd_polling_look(&run->polling, patience, has_come, run);
}

static bool is_over(struct vbd_run *run)
{
    if (vbd_queue_broken(run->queue))
        run->end = VBD_RUN_BROKEN;
    return (atomic_load(&run->stop) || vbd_queue_broken(run->queue)) && vbd_queue_idle(run->queue);
}

/* One turn: false when the run is over. A whole pass comes before each sleep. */
static bool turn(struct vbd_run *run)
{
    const struct vbd_hypervisor *h = run->threads->hypervisor;
    uint64_t now = vbd_now_ns();
    bool more, good;

    if (atomic_load(&run->stop))
        vbd_queue_stop(run->queue);
    more = vbd_queue_patience(run->queue) > 0 && vbd_queue_poll(run->queue, now);
    if (!more && !is_over(run))
        more = look(run) || vbd_queue_pass(run->queue, now);
    if (is_over(run))
        return false;
    if (!run->armed)
        run->armed = poll_fd(run, h->wait_handle(h->ctx, run->channel), &run->event, true);
    if (more && !vbd_loop_ready(&run->loop))
        good = vbd_loop_submit(&run->loop) == 0;
    else
        good = vbd_loop_turn(&run->loop, !more, patience(vbd_queue_deadline(run->queue), now)) == 0;
    vbd_queue_count_calls(run->queue, run->loop.calls);
    run->loop.calls = 0;
    return good;
}

static int open_loop(struct vbd_run *run, struct vbd_channel **ret)
{
    int r = vbd_loop_init(&run->loop);

    if (r < 0)
        return r;
    run->event.completed = event_came;
    run->stopped.completed = stop_came;
    r = poll_fd(run, run->stop_fd, &run->stopped, false) ? 0 : -EIO;
    if (r == 0)
        r = run->storage->ops->open_channel(run->storage, &run->loop, ret);
    if (r < 0)
        vbd_loop_free(&run->loop);
    return r;
}

static void report(struct vbd_run *run)
{
    struct vbd_threads *t = run->threads;
    uint64_t one = 1;

    (void)pthread_mutex_lock(&t->lock);
    vbd_list_append(&t->ended, &run->link);
    (void)pthread_mutex_unlock(&t->lock);
    (void)!write(t->ended_fd, &one, sizeof one);
}

/* Whether the guest's device has one queue or many, its share of the processors is one: the kernel
 * gives each of n threads the n-th part of a thread's weight, a fifth less for each step of nice.
 */
static void take_a_share(unsigned siblings)
{
    int steps = 0;

    for (unsigned weight = siblings * 16; weight > 16; weight = weight * 4 / 5)
        steps++;
    if (steps > 0)
        (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + steps);
}

static void *run_thread(void *arg)
{
    struct vbd_run *run = arg;
    struct vbd_channel *storage;

    take_a_share(run->siblings);
    if (open_loop(run, &storage) == 0) {
        run->end = VBD_RUN_STOPPED;
        vbd_queue_begin(run->queue, storage);
        while (turn(run))
            ;
        if (!vbd_queue_idle(run->queue))
            run->end = VBD_RUN_FAILED;
        vbd_queue_end(run->queue);
        storage->ops->close(storage);
        vbd_loop_free(&run->loop);
    }
    report(run);
    return NULL;
}

/* --- the control thread --- */

static int make_thread(struct vbd_run *run)
{
    sigset_t all, before;
    int r;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = -pthread_create(&run->thread, NULL, run_thread, run);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0)
        (void)pthread_setname_np(run->thread, "vbd-queue");
    return r;
}

static int start(void *ctx, struct vbd_queue *queue, unsigned siblings,
                 struct vbd_event_channel *channel, struct vbd_storage *storage,
                 void (*ended)(void *arg, enum vbd_run_end end), void *arg, struct vbd_run **ret)
{
    struct vbd_run *run = calloc(1, sizeof *run);
    int r;

    if (run == NULL)
        return -ENOMEM;
    run->threads = ctx;
    run->queue = queue;
    run->channel = channel;
    run->storage = storage;
    run->siblings = siblings;
    run->ended = ended;
    run->arg = arg;
    run->end = VBD_RUN_FAILED;
    vbd_list_init(&run->link);
    run->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = run->stop_fd < 0 ? -errno : make_thread(run);
    if (r < 0) {
        if (run->stop_fd >= 0)
            (void)close(run->stop_fd);
        free(run);
        return r;
    }
    *ret = run;
    return 0;
}

static void stop(void *ctx, struct vbd_run *run)
{
    uint64_t one = 1;

    (void)ctx;
    atomic_store(&run->stop, true);
    (void)!write(run->stop_fd, &one, sizeof one);
}

int vbd_threads_new(const struct vbd_hypervisor *hypervisor, struct vbd_threads **ret)
{
    struct vbd_threads *t = calloc(1, sizeof *t);

    if (t == NULL)
        return -ENOMEM;
    t->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->ended_fd < 0) {
        free(t);
        return -errno;
    }
    t->hypervisor = hypervisor;
    t->seam = (struct vbd_runner){
        .struct_size = sizeof t->seam, .ctx = t, .start = start, .stop = stop, .now = vbd_now_ns};
    (void)pthread_mutex_init(&t->lock, NULL);
    vbd_list_init(&t->ended);
    *ret = t;
    return 0;
}

void vbd_threads_free(struct vbd_threads *t)
{
    if (t == NULL)
        return;
    (void)close(t->ended_fd);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

const struct vbd_runner *vbd_threads_seam(const struct vbd_threads *t)
{
    return &t->seam;
}

int vbd_threads_fd(const struct vbd_threads *t)
{
    return t->ended_fd;
}

void vbd_threads_process(struct vbd_threads *t)
{
    struct vbd_list *at;
    uint64_t count;

    (void)!read(t->ended_fd, &count, sizeof count);
    for (;;) {
        struct vbd_run *run;

        (void)pthread_mutex_lock(&t->lock);
        at = vbd_list_pop(&t->ended);
        (void)pthread_mutex_unlock(&t->lock);
        if (at == NULL)
            return;
        run = VBD_CONTAINER(at, struct vbd_run, link);
        (void)pthread_join(run->thread, NULL);
        (void)close(run->stop_fd);
        run->ended(run->arg, run->end);
        free(run);
    }
}
