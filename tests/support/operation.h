/* operation.h - one operation on a storage's channel, for tests that stand in a queue's place: with
 * memory of its own, and a count of its answers.
 */
#ifndef TESTS_OPERATION_H
#define TESTS_OPERATION_H

#include "vbdkit/storage.h"

struct operation {
    struct vbd_io io;
    struct vbd_iovec memory;
    char data[1024];
    int answers, result;
};

/* Submits it; reads and writes are of the whole of `data`, and discards as long. */
void operation_submit(struct operation *o, struct vbd_channel *channel, enum vbd_io_op op,
                      uint64_t offset);
/* It was answered once, with this. */
void operation_expect(const struct operation *o, int result);
/* For those who submit io themselves: its `done`. */
void operation_done(struct vbd_io *io, int result);

#endif
