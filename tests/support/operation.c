/* operation.c - see operation.h. */
#include "support/operation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

void operation_done(struct vbd_io *io, int result)
{
    struct operation *o = VBD_CONTAINER(io, struct operation, io);

    o->answers++;
    o->result = result;
}

void operation_submit(struct operation *o, struct vbd_channel *channel, enum vbd_io_op op,
                      uint64_t offset)
{
    struct vbd_io *io = &o->io;

    o->memory = (struct vbd_iovec){o->data, sizeof o->data};
    *io = (struct vbd_io){.op = op,
                          .offset = offset,
                          .length = op == VBD_IO_FLUSH ? 0 : sizeof o->data,
                          .memory = &o->memory,
                          .memory_count = op == VBD_IO_READ || op == VBD_IO_WRITE,
                          .done = operation_done};
    o->answers = 0;
    channel->ops->submit(channel, &io, 1);
}

void operation_expect(const struct operation *o, int result)
{
    assert_int_equal(o->answers, 1);
    assert_int_equal(o->result, result);
}
