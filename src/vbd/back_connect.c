/* back_connect.c - from a front's keys to a served ring, and back: what is taken here is given back
 * here, in the other order. Called by back.c. */
#include <errno.h>

#include "base/text.h"
#include "vbd/back.h"

_Static_assert((int)VBD_PROTOCOL_X86_64 == (int)VBD_LAYOUT_X86_64, "protocols are layouts");
_Static_assert((int)VBD_PROTOCOL_X86_32 == (int)VBD_LAYOUT_X86_32, "protocols are layouts");

/* --- giving back --- */

static void release(struct vbd_back *b)
{
    const struct vbd_hypervisor *h = b->platform->hypervisor;

    if (b->queue != NULL)
        vbd_queue_count(b->queue, &b->ended_counters);
    vbd_queue_free(b->queue);
    if (b->channel != NULL)
        h->unbind(h->ctx, b->channel);
    if (b->ring_pages != NULL)
        h->unmap(h->ctx, b->ring_pages, b->agreement.ring_pages);
    b->queue = NULL;
    b->channel = NULL;
    b->ring_pages = NULL;
}

static void left(struct vbd_back *b)
{
    enum vbd_leaving why = b->leaving;

    release(b);
    b->leaving = VBD_LEAVING_NOT;
    b->run_over = false;
    switch (why) {
    case VBD_LEAVING_NOT:
        break;
    case VBD_LEAVING_CLOSE:
        b->phase = VBD_PHASE_CLOSING;
        vbd_back_publish_state(b, VBD_STATE_CLOSING, VBD_PHASE_CLOSING);
        break;
    case VBD_LEAVING_PARK:
        vbd_back_mark_parked(b);
        break;
    case VBD_LEAVING_REMOVED:
        vbd_back_finish(b, VBD_BACK_REMOVED);
        break;
    case VBD_LEAVING_LOST:
        vbd_back_finish(b, VBD_BACK_LOST);
        break;
    }
}

static void run_ended(void *arg, enum vbd_run_end end)
{
    struct vbd_back *b = arg;

    b->run = NULL;
    b->run_end = end;
    if (b->leaving != VBD_LEAVING_NOT) {
        left(b);
        return;
    }
    b->run_over = true;
    vbd_back_wake(b);
}

void vbd_back_disconnect(struct vbd_back *b, enum vbd_leaving why)
{
    const struct vbd_runner *runner = b->platform->runner;

    b->leaving = why;
    if (b->run != NULL)
        runner->stop(runner->ctx, b->run);
    else
        left(b);
}

void vbd_back_run_over(struct vbd_back *b)
{
    const char *why = b->run_end == VBD_RUN_BROKEN
                          ? "the guest broke its ring: a producer index out of range"
                          : "the queue could not be run";

    b->run_over = false;
    release(b);
    vbd_back_refuse(b, why);
}

/* --- connecting --- */

static int make_queue(struct vbd_back *b, struct vbd_text *why)
{
    struct vbd_queue_config config = {
        .allocator = b->platform->allocator,
        .hypervisor = b->platform->hypervisor,
        .channel = b->channel,
        .domid = b->config.id.domid,
        .ring_pages = b->ring_pages,
        .ring_page_count = b->agreement.ring_pages,
        .layout = (enum vbd_layout)b->agreement.protocol,
        .disk = {.sectors = b->storage->info.bytes / VBD_SECTOR, .read_only = b->read_only},
        .in_flight_max = b->config.in_flight_max,
    };
    int r = vbd_queue_new(&config, &b->queue);

    if (r < 0) {
        b->queue = NULL;
        vbd_text_str(why, "cannot make a queue: no memory");
    }
    return r;
}

static int start_run(struct vbd_back *b, struct vbd_text *why)
{
    const struct vbd_runner *runner = b->platform->runner;
    int r = runner->start(runner->ctx, b->queue, b->channel, b->storage, run_ended, b, &b->run);

    if (r < 0) {
        b->run = NULL;
        vbd_text_str(why, "cannot start a thread for the queue");
    }
    return r;
}

/* Maps, binds, makes and starts; on failure what was taken stays for release(). */
static int take(struct vbd_back *b, struct vbd_text *why)
{
    const struct vbd_hypervisor *h = b->platform->hypervisor;
    const struct vbd_agreement *a = &b->agreement;
    unsigned domid = b->config.id.domid;
    int r = h->map(h->ctx, domid, a->ring_refs, a->ring_pages, true, &b->ring_pages);

    if (r < 0) {
        b->ring_pages = NULL;
        vbd_text_u64(vbd_text_str(why, "ring-ref: cannot map the frontend's grant "),
                     a->ring_refs[0]);
        return r;
    }
    r = h->bind(h->ctx, domid, a->remote_port, &b->channel);
    if (r < 0) {
        b->channel = NULL;
        vbd_text_u64(vbd_text_str(why, "event-channel: cannot bind to the frontend's port "),
                     a->remote_port);
        return r;
    }
    r = make_queue(b, why);
    return r < 0 ? r : start_run(b, why);
}

static void front_keys_read(void *ctx, struct xsc_batch *keys, int error)
{
    struct vbd_back *b = ctx;
    const char *values[VBD_FRONT_KEYS];
    char sentence[200];
    struct vbd_text why = vbd_text_on(sentence, sizeof sentence);
    int r;

    for (int i = 0; i < VBD_FRONT_KEYS; i++)
        values[i] = xsc_batch_string(keys, i);
    b->batch = NULL;
    r = error < 0
            ? error
            : vbd_negotiate(values, (enum vbd_protocol)VBD_LAYOUT_NATIVE, &b->agreement, &why);
    xsc_batch_free(keys);
    if (error < 0) {
        vbd_back_finish(b, VBD_BACK_LOST);
        return;
    }
    if (r == 0)
        r = take(b, &why);
    if (r < 0) {
        release(b);
        vbd_back_refuse(b, sentence);
        return;
    }
    b->phase = VBD_PHASE_CONNECTED;
    /* A parked device may have been asked to close: its state is left as it is. */
    vbd_back_publish_state(b, b->adopts ? b->published : VBD_STATE_CONNECTED, VBD_PHASE_CONNECTED);
    b->adopts = false;
}

void vbd_back_connect(struct vbd_back *b)
{
    vbd_back_read(b, b->front_path, vbd_front_key_names, VBD_FRONT_KEYS, front_keys_read);
}
