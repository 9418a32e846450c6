/* loop.c - see loop.h. Called by queue_thread.c and by storages; one thread each. */
#include "linux/loop.h"

#include <errno.h>
#include <string.h>

enum {
    ENTRIES = 256 /* SQEs; more are submitted in several goes */
};

int vbd_loop_init(struct vbd_loop *loop)
{
    struct io_uring_params params;
    int r;

    loop->calls = 0;
    memset(&params, 0, sizeof params);
    params.flags =
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    r = io_uring_queue_init_params(ENTRIES, &loop->ring, &params);
    if (r != -EINVAL)
        return r;
    /* Kernels before 6.1 do not know these flags. */
    return io_uring_queue_init(ENTRIES, &loop->ring, 0);
}

void vbd_loop_free(struct vbd_loop *loop)
{
    io_uring_queue_exit(&loop->ring);
}

static int submit(struct vbd_loop *loop)
{
    loop->calls++;
    return io_uring_submit(&loop->ring);
}

struct io_uring_sqe *vbd_loop_sqe(struct vbd_loop *loop, struct vbd_loop_entry *entry)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

    while (sqe == NULL && submit(loop) >= 0)
        sqe = io_uring_get_sqe(&loop->ring);
    if (sqe != NULL)
        io_uring_sqe_set_data(sqe, entry);
    return sqe;
}

/* Those that have come by now: without DEFER_TASKRUN each system call of a completion may bring the
 * next one, and a guest that sends events without end would keep the caller here. */
static void run_completions(struct vbd_loop *loop)
{
    unsigned left = io_uring_cq_ready(&loop->ring);
    struct io_uring_cqe *cqe;

    for (; left > 0 && io_uring_peek_cqe(&loop->ring, &cqe) == 0 && cqe != NULL; left--) {
        struct vbd_loop_entry *entry = io_uring_cqe_get_data(cqe);
        int result = cqe->res;
        uint32_t flags = cqe->flags;

        io_uring_cqe_seen(&loop->ring, cqe);
        entry->completed(entry, result, flags);
    }
}

/* With DEFER_TASKRUN a completion waits for the next system call, and a flag says so. */
bool vbd_loop_ready(const struct vbd_loop *loop)
{
    return io_uring_cq_ready(&loop->ring) > 0 ||
           (IO_URING_READ_ONCE(*loop->ring.sq.kflags) & IORING_SQ_TASKRUN) != 0;
}

int vbd_loop_submit(struct vbd_loop *loop)
{
    int r = io_uring_sq_ready(&loop->ring) > 0 ? submit(loop) : 0;

    return r == -EAGAIN || r == -EBUSY || r > 0 ? 0 : r;
}

static int submit_and_wait(struct vbd_loop *loop, uint64_t patience)
{
    struct __kernel_timespec t = {.tv_sec = (long long)(patience / 1000000000u),
                                  .tv_nsec = (long long)(patience % 1000000000u)};
    struct io_uring_cqe *cqe;

    if (patience == 0)
        return io_uring_submit_and_wait(&loop->ring, 1);
    return io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &t, NULL);
}

int vbd_loop_turn(struct vbd_loop *loop, bool wait, uint64_t patience)
{
    int r;

    loop->calls++;
    r = wait ? submit_and_wait(loop, patience) : io_uring_submit_and_get_events(&loop->ring);

    if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY && r != -ETIME)
        return r;
    run_completions(loop);
    return 0;
}
