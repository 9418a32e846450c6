/* fronted.c - see fronted.h. */
#include "support/fronted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

enum { FRONT_PORTS_FROM = 4 };

/* --- the guest's seam, on the stage's guest --- */

static int share(void *ctx, unsigned domid, size_t count, uint32_t *ret_grants, void **ret)
{
    struct fronted *t = ctx;

    assert_int_equal(domid, 0);
    if (t->next_page + count > SIM_PAGES)
        t->next_page = FRONTED_PAGES_FROM; /* those of earlier connections are free */
    *ret = sim_page(t->s->sim, t->next_page);
    memset(*ret, 0, count * SIM_PAGE);
    for (size_t i = 0; i < count; i++)
        ret_grants[i] = sim_grant(t->s->sim, t->next_page++, false);
    t->shared += (int)count;
    return 0;
}

static void unshare(void *ctx, void *pages, size_t count, const uint32_t *grants)
{
    struct fronted *t = ctx;

    (void)pages;
    for (size_t i = 0; i < count; i++)
        sim_revoke(t->s->sim, grants[i]);
    t->shared -= (int)count;
}

static int offer(void *ctx, unsigned domid, uint32_t *ret_port, struct vbd_event_channel **ret)
{
    struct fronted *t = ctx;

    (void)domid;
    *ret_port = t->next_port++;
    if (t->next_port == SIM_PORTS)
        t->next_port = FRONT_PORTS_FROM;
    *ret = (struct vbd_event_channel *)(uintptr_t)*ret_port;
    t->offered++;
    return 0;
}

static void withdraw(void *ctx, struct vbd_event_channel *channel)
{
    (void)channel;
    ((struct fronted *)ctx)->offered--;
}

static void notify(void *ctx, struct vbd_event_channel *channel)
{
    sim_send(((struct fronted *)ctx)->s->sim, (uint32_t)(uintptr_t)channel);
}

static bool take_event(void *ctx, struct vbd_event_channel *channel)
{
    return sim_wait(((struct fronted *)ctx)->s->sim, (uint32_t)(uintptr_t)channel, 0);
}

/* --- the owner --- */

static void event(void *ctx, struct vbd_front *front, enum vbd_front_event what)
{
    (void)front;
    ((struct fronted *)ctx)->events[what]++;
}

struct expected {
    struct fronted *t;
    enum vbd_front_event what;
    int times;
};

static bool came(void *arg)
{
    struct expected *e = arg;

    while (e->t->front != NULL && vbd_front_process(e->t->front))
        ;
    return e->t->events[e->what] >= e->times;
}

void fronted_await(struct fronted *t, enum vbd_front_event what, int times)
{
    struct expected e = {t, what, times};

    if (!stage_wait(t->s, came, &e))
        fail_msg("event %d did not come; the front: \"%s\", the log:\n%s", what,
                 vbd_front_why(t->front), t->s->log);
}

void fronted_begin(struct fronted *t, const struct vbd_front_options *options)
{
    struct vbd_front_config config = {.vdev = FRONTED_VDEV,
                                      .home = "/local/domain/5/",
                                      .options = options,
                                      .event = event,
                                      .ctx = t};

    assert_int_equal(
        vbd_front_connect(&t->platform, xsc_client_session(t->s->client), &config, &t->front), 0);
}

void fronted_connect(struct fronted *t, unsigned queues)
{
    struct vbd_front_options options;

    vbd_front_options_init(&options);
    options.queues = queues;
    assert_int_equal(stage_create(t->s, FRONTED_VDEV, t->s->image, false), 0);
    stage_run(t->s, FRONTED_VDEV);
    fronted_begin(t, &options);
    fronted_await(t, VBD_FRONT_CONNECTED, 1);
}

void fronted_leave(struct fronted *t)
{
    vbd_front_disconnect(t->front);
    fronted_await(t, VBD_FRONT_CLOSED, 1);
    stage_remove_device(t->s, FRONTED_VDEV);
}

int fronted_set_up(void **state)
{
    struct fronted *t = calloc(1, sizeof *t);

    t->s = stage_new();
    t->next_page = FRONTED_PAGES_FROM;
    t->next_port = FRONT_PORTS_FROM;
    t->guest =
        (struct vbd_guest){sizeof t->guest, t, share, unshare, offer, withdraw, notify, take_event};
    t->platform = (struct vbd_front_platform){.allocator = &vbd_libc_allocator, .guest = &t->guest};
    *state = t;
    return 0;
}

int fronted_tear_down(void **state)
{
    struct fronted *t = *state;

    vbd_front_free(t->front);
    assert_int_equal(t->shared, 0);
    assert_int_equal(t->offered, 0);
    stage_free(t->s);
    free(t);
    return 0;
}

/* --- operations --- */

void fronted_op_done(struct vbd_io *io, int result)
{
    struct fronted_op *op = VBD_CONTAINER(io, struct fronted_op, io);

    op->done++;
    op->result = result;
}

static bool op_is_done(void *arg)
{
    struct fronted_op *op = arg;

    while (vbd_front_process(op->t->front))
        ;
    return op->done > 0;
}

void fronted_submit(struct fronted *t, struct fronted_op *op, enum vbd_io_op what, uint64_t offset,
                    uint64_t length, void *bytes)
{
    struct vbd_channel *channel = vbd_front_channel(t->front);
    struct vbd_io *io = &op->io;

    *op = (struct fronted_op){.t = t, .memory = {bytes, length}};
    op->io = (struct vbd_io){.op = what,
                             .offset = offset,
                             .length = length,
                             .memory = &op->memory,
                             .memory_count = bytes != NULL,
                             .done = fronted_op_done};
    channel->ops->submit(channel, &io, 1);
}

int fronted_finish(struct fronted_op *op)
{
    if (!stage_wait(op->t->s, op_is_done, op))
        fail_msg("the operation is not done; the front: \"%s\", the log:\n%s",
                 vbd_front_why(op->t->front), op->t->s->log);
    assert_int_equal(op->done, 1);
    return op->result;
}

int fronted_run(struct fronted *t, enum vbd_io_op what, uint64_t offset, uint64_t length,
                void *bytes)
{
    struct fronted_op op;

    fronted_submit(t, &op, what, offset, length, bytes);
    return fronted_finish(&op);
}

void fronted_check_io(struct fronted *t, uint64_t offset, int byte)
{
    unsigned char out[12288], in[12288];

    memset(out, byte, sizeof out);
    assert_int_equal(fronted_run(t, VBD_IO_WRITE, offset, sizeof out, out), 0);
    assert_int_equal(fronted_run(t, VBD_IO_READ, offset, sizeof in, in), 0);
    assert_memory_equal(in, out, sizeof in);
}
