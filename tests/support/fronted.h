/* fronted.h - a front on a stage (stage.h): the guest's seam on the stage's guest, the front's
 * owner, who counts events, and operations. Fails the test when the front has not given everything
 * back.
 */
#ifndef TESTS_FRONTED_H
#define TESTS_FRONTED_H

#include "support/stage.h"
#include "vbdkit/front.h"

enum { FRONTED_VDEV = 51712, FRONTED_PAGES_FROM = 1024 /* of guest memory: what is shared */ };

struct fronted {
    struct stage *s;
    struct vbd_guest guest;
    struct vbd_front_platform platform;
    struct vbd_front *front;
    unsigned next_page;
    uint32_t next_port;
    int shared, offered;
    int events[VBD_FRONT_CLOSED + 1]; /* how often each came */
};

struct fronted_op {
    struct fronted *t;
    struct vbd_io io;
    struct vbd_iovec memory;
    int done, result;
};

/* For cmocka: *state is a struct fronted. */
int fronted_set_up(void **state);
int fronted_tear_down(void **state);

/* Connects; NULL: the usual options. */
void fronted_begin(struct fronted *t, const struct vbd_front_options *options);
/* Until the event has come so often. */
void fronted_await(struct fronted *t, enum vbd_front_event what, int times);
/* The whole of it: makes the device, serves it, and connects with so many queues. */
void fronted_connect(struct fronted *t, unsigned queues);
/* By the book, and the device is removed. */
void fronted_leave(struct fronted *t);

/* What an operation ends with, if its io.done is not replaced. */
void fronted_op_done(struct vbd_io *io, int result);
void fronted_submit(struct fronted *t, struct fronted_op *op, enum vbd_io_op what, uint64_t offset,
                    uint64_t length, void *bytes);
/* Until it is done, which it must be once: its result. */
int fronted_finish(struct fronted_op *op);
/* Both. */
int fronted_run(struct fronted *t, enum vbd_io_op what, uint64_t offset, uint64_t length,
                void *bytes);
/* Writes and reads back 12 KiB of that byte. */
void fronted_check_io(struct fronted *t, uint64_t offset, int byte);

#endif
