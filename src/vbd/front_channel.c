/* front_channel.c - operations onto a front's queues, and what the owner asks of it. Called by the
 * owner, through the channel and by its other calls. */
#include <errno.h>

#include "vbd/front_inside.h"

/* Queues in turn, for a batch each: what is submitted together may be neighbours, which go as one.
 */
static void submit(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    struct vbd_front *f = VBD_CONTAINER(channel, struct vbd_front, channel);
    uint32_t queue = f->next_queue < f->queue_count ? f->next_queue : 0;

    f->next_queue = queue + 1;
    f->unsent = true;
    for (size_t i = 0; i < count; i++)
        if (f->error < 0)
            ios[i]->done(ios[i], f->error);
        else
            vbd_front_queue_submit(&f->queues[queue], ios[i], f->submitted++);
}

static const struct vbd_channel_ops ops = {.struct_size = sizeof ops, .submit = submit};

void vbd_front_channel_init(struct vbd_front *f)
{
    f->channel.ops = &ops;
    vbd_buffers_init(&f->buffers, f->platform->allocator, f->platform->guest);
    for (uint32_t i = 0; i < VBD_QUEUES_MAX; i++)
        vbd_front_queue_init(&f->queues[i]);
}

struct vbd_channel *vbd_front_channel(struct vbd_front *f)
{
    return &f->channel;
}

bool vbd_front_is_idle(const struct vbd_front *f)
{
    for (uint32_t i = 0; i < VBD_QUEUES_MAX; i++)
        if (!vbd_front_queue_idle(&f->queues[i]))
            return false;
    return true;
}

void vbd_front_fail_operations(struct vbd_front *f, int error)
{
    for (uint32_t i = 0; i < VBD_QUEUES_MAX; i++)
        vbd_front_queue_fail(&f->queues[i], error);
}

/* After each queue had its pass: whether another has more to do. What a callback submits may be for
 * a queue that has had its pass. */
static bool look_around(struct vbd_front *f)
{
    bool more = f->unsent, broken = false;

    for (uint32_t i = 0; i < f->queue_count; i++) {
        more |= f->queues[i].held && !vbd_front_queue_is_held(&f->queues[i]);
        broken |= f->queues[i].broken;
    }
    if (broken || f->again || (f->leave && f->phase == VBD_FRONT_SERVED && vbd_front_is_idle(f)))
        vbd_front_wake(f);
    return more;
}

bool vbd_front_process(struct vbd_front *f)
{
    const struct vbd_guest *g = f->platform->guest;
    bool more = false;

    if (f->passing) /* a callback's */
        return false;
    f->passing = true;
    f->unsent = false;
    for (uint32_t i = 0; i < f->queue_count; i++) {
        (void)g->take_event(g->ctx, f->queues[i].channel);
        more |= vbd_front_queue_pass(&f->queues[i]);
    }
    f->passing = false;
    return look_around(f) || more;
}

bool vbd_front_poll(struct vbd_front *f)
{
    if (f->passing)
        return false;
    f->passing = true;
    f->unsent = false;
    for (uint32_t i = 0; i < f->queue_count; i++)
        vbd_front_queue_poll(&f->queues[i]);
    f->passing = false;
    return look_around(f);
}

bool vbd_front_waits(const struct vbd_front *f)
{
    bool broken;

    for (uint32_t i = 0; i < f->queue_count; i++)
        if (f->queues[i].started_up &&
            (vbd_front_ring_waiting(&f->queues[i].ring, &broken) > 0 || broken))
            return true;
    return false;
}

uint32_t vbd_front_under_way(const struct vbd_front *f)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < f->queue_count; i++)
        sum += f->queues[i].ring.req_prod - f->queues[i].ring.rsp_cons;
    return sum;
}

const struct vbd_front_info *vbd_front_info(const struct vbd_front *f)
{
    return &f->info;
}

const char *vbd_front_why(const struct vbd_front *f)
{
    return f->why;
}

int vbd_front_error(const struct vbd_front *f)
{
    return f->error;
}

int vbd_front_buffer_new(struct vbd_front *f, size_t bytes, void **ret)
{
    if (!f->connected)
        return -ENOTCONN;
    f->buffers.domid = f->backend_domid;
    return vbd_buffers_add(&f->buffers, bytes, ret);
}

void vbd_front_buffer_free(struct vbd_front *f, void *buffer)
{
    vbd_buffers_remove(&f->buffers, buffer);
}

void vbd_front_count(const struct vbd_front *f, struct vbd_front_counters *ret)
{
    *ret = (struct vbd_front_counters){0};
    for (uint32_t i = 0; i < VBD_QUEUES_MAX; i++) {
#define ADD(name, text) ret->name += f->queues[i].counters.name;
        VBD_FRONT_COUNTERS(ADD)
#undef ADD
    }
}
