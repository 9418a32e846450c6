/* loop.h - an io_uring as an event loop: what a queue's thread and its storage share. */
#ifndef LINUX_LOOP_H
#define LINUX_LOOP_H

#include <liburing.h>

#include "vbdkit/common.h"

struct vbd_loop {
    struct io_uring ring;
    unsigned calls; /* system calls, of storages also; whoever counts them begins anew */
};

/* Something that waits for a completion; user_data of its SQE. It stays where it is until then. */
struct vbd_loop_entry {
    void (*completed)(struct vbd_loop_entry *entry, int result, uint32_t flags);
};

/* Must be made on the thread that will use it. -errno. */
int vbd_loop_init(struct vbd_loop *loop);
void vbd_loop_free(struct vbd_loop *loop);
/* A free SQE; submits when there is none. Its user_data is set to the entry. NULL never happens but
 * for a kernel that refuses submission. */
struct io_uring_sqe *vbd_loop_sqe(struct vbd_loop *loop, struct vbd_loop_entry *entry);
/* True when a completion is there, or would be after vbd_loop_turn. */
bool vbd_loop_ready(const struct vbd_loop *loop);
/* Submits what is queued; -errno. */
int vbd_loop_submit(struct vbd_loop *loop);
/* Submits what is queued, waits for a completion when `wait`, no longer than `patience` nanoseconds
 * unless that is 0, and runs all that have come. -errno. */
int vbd_loop_turn(struct vbd_loop *loop, bool wait, uint64_t patience);

#endif
