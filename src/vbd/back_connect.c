/* back_connect.c - from a front's keys to a served ring, and back: what is taken here is given back
 * here, in the other order. Called by back.c. */
#include <errno.h>

#include "base/text.h"
#include "vbd/back.h"

_Static_assert((int)VBD_PROTOCOL_X86_64 == (int)VBD_LAYOUT_X86_64, "protocols are layouts");
_Static_assert((int)VBD_PROTOCOL_X86_32 == (int)VBD_LAYOUT_X86_32, "protocols are layouts");

/* --- giving back --- */

static void release_link(struct vbd_back *b, struct vbd_link *link)
{
    const struct vbd_hypervisor *h = b->platform->hypervisor;

    if (link->queue != NULL) {
        vbd_queue_count(link->queue, &b->ended_counters);
        vbd_queue_latency(link->queue, &b->ended_latency);
    }
    vbd_queue_free(link->queue);
    if (link->channel != NULL)
        h->unbind(h->ctx, link->channel);
    if (link->ring_pages != NULL)
        h->unmap(h->ctx, link->ring_pages, b->agreement.ring_pages);
    *link = (struct vbd_link){0};
}

static void release(struct vbd_back *b)
{
    while (b->link_count > 0)
        release_link(b, &b->links[--b->link_count]);
}

static const char *run_end_why(enum vbd_run_end end)
{
    return end == VBD_RUN_BROKEN ? "the guest broke its ring: a producer index out of range"
                                 : "the queue could not be run";
}

/* All runs are over. */
static void left(struct vbd_back *b)
{
    enum vbd_leaving why = b->leaving;

    b->leaving = VBD_LEAVING_NOT;
    b->run_over = false;
    if (why == VBD_LEAVING_MEDIUM) {
        vbd_back_medium_out(b);
        return;
    }
    release(b);
    switch (why) {
    case VBD_LEAVING_NOT:
    case VBD_LEAVING_MEDIUM:
        break;
    case VBD_LEAVING_CLOSE:
        b->phase = VBD_PHASE_CLOSING;
        vbd_back_publish_state(b, VBD_STATE_CLOSING, VBD_PHASE_CLOSING);
        break;
    case VBD_LEAVING_BROKEN:
        vbd_back_refuse(b, run_end_why(b->run_end));
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
    struct vbd_link *link = arg;
    struct vbd_back *b = link->back;

    link->run = NULL;
    b->running--;
    if (b->leaving != VBD_LEAVING_NOT) {
        if (b->running == 0)
            left(b);
        return;
    }
    b->run_end = end;
    b->run_over = true;
    vbd_back_wake(b);
}

void vbd_back_disconnect(struct vbd_back *b, enum vbd_leaving why)
{
    const struct vbd_runner *runner = b->platform->runner;

    b->leaving = why;
    for (unsigned i = 0; i < b->link_count; i++)
        if (b->links[i].run != NULL)
            runner->stop(runner->ctx, b->links[i].run);
    if (b->running == 0)
        left(b);
}

void vbd_back_run_over(struct vbd_back *b)
{
    b->run_over = false;
    vbd_back_disconnect(b, VBD_LEAVING_BROKEN);
}

/* --- connecting --- */

uint32_t vbd_back_read_unit(const struct vbd_back *b)
{
    const struct vbd_storage_info *info = &b->storage->info;

    if (!info->in_place || !b->platform->hypervisor->in_place)
        return 0;
    return info->memory_alignment > info->logical_sector ? info->memory_alignment
                                                         : info->logical_sector;
}

static int make_queue(struct vbd_back *b, struct vbd_link *link, struct vbd_text *why)
{
    const struct vbd_back_options *o = &b->options;
    struct vbd_queue_config config = {
        .allocator = b->platform->allocator,
        .hypervisor = b->platform->hypervisor,
        .channel = link->channel,
        .domid = b->config.id.domid,
        .ring_pages = link->ring_pages,
        .ring_page_count = b->agreement.ring_pages,
        .layout = (enum vbd_layout)b->agreement.protocol,
        .disk = b->disk,
        .in_order = o->in_order != 0,
        .now = b->platform->runner->now,
        .patience = o->poll * UINT64_C(1000),
        .in_flight_max = o->in_flight,
        .memory_pages = o->memory / (VBD_RING_PAGE / 1024),
        .persistent_max = b->agreement.persistent ? o->persistent : 0,
        .in_place = vbd_back_read_unit(b),
    };
    int r = vbd_queue_new(&config, &link->queue);

    if (r < 0) {
        link->queue = NULL;
        vbd_text_str(why, "cannot make a queue: no memory");
    }
    return r;
}

static int start_run(struct vbd_back *b, struct vbd_link *link, struct vbd_text *why)
{
    const struct vbd_runner *runner = b->platform->runner;
    int r = runner->start(runner->ctx, link->queue, b->link_count, link->channel, b->storage,
                          run_ended, link, &link->run);

    if (r < 0) {
        link->run = NULL;
        vbd_text_str(why, "cannot start a thread for the queue");
    } else {
        b->running++;
    }
    return r;
}

/* Maps, binds and makes; on failure what was taken stays for release(). */
static int take(struct vbd_back *b, struct vbd_link *link, const struct vbd_agreed_queue *agreed,
                struct vbd_text *why)
{
    const struct vbd_hypervisor *h = b->platform->hypervisor;
    unsigned domid = b->config.id.domid;
    int r =
        h->map(h->ctx, domid, agreed->ring_refs, b->agreement.ring_pages, true, &link->ring_pages);

    if (r < 0) {
        link->ring_pages = NULL;
        vbd_text_u64(vbd_text_str(why, "ring-ref: cannot map the frontend's grant "),
                     agreed->ring_refs[0]);
        return r;
    }
    r = h->bind(h->ctx, domid, agreed->remote_port, &link->channel);
    if (r < 0) {
        link->channel = NULL;
        vbd_text_u64(vbd_text_str(why, "event-channel: cannot bind to the frontend's port "),
                     agreed->remote_port);
        return r;
    }
    return make_queue(b, link, why);
}

static int take_all(struct vbd_back *b, struct vbd_text *why)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < b->agreement.queue_count; i++) {
        struct vbd_link *link = &b->links[b->link_count++];

        *link = (struct vbd_link){.back = b};
        r = take(b, link, &b->agreement.queues[i], why);
    }
    return r;
}

int vbd_back_start_runs(struct vbd_back *b, struct vbd_text *why)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < b->link_count; i++)
        r = start_run(b, &b->links[i], why);
    return r;
}

/* The agreement is whole: from here on it is served, or the front is told why not. */
static void connect_rings(struct vbd_back *b)
{
    char sentence[200];
    struct vbd_text why = vbd_text_on(sentence, sizeof sentence);

    if (take_all(b, &why) < 0) {
        release(b);
        vbd_back_refuse(b, sentence);
        return;
    }
    if (vbd_back_start_runs(b, &why) < 0) {
        b->run_end = VBD_RUN_FAILED;
        vbd_back_disconnect(b, VBD_LEAVING_BROKEN);
        return;
    }
    b->phase = VBD_PHASE_CONNECTED;
    /* A parked device may have been asked to close: its state is left as it is. */
    vbd_back_publish_state(b, b->adopts ? b->published : VBD_STATE_CONNECTED, VBD_PHASE_CONNECTED);
    b->adopts = false;
}

/* --- the front's keys --- */

/* Takes the answers of the batch under way: values[i] for each key. */
static bool take_answers(struct vbd_back *b, int error)
{
    b->batch = NULL;
    if (error == 0)
        return true;
    vbd_back_finish(b, VBD_BACK_LOST);
    return false;
}

static void queue_keys_read(void *ctx, struct xsc_batch *keys, int error)
{
    struct vbd_back *b = ctx;
    const char *values[VBD_FRONT_KEYS] = {NULL};
    char sentence[200];
    struct vbd_text why = vbd_text_on(sentence, sizeof sentence);
    int r = 0;

    for (uint32_t q = 0; error == 0 && r == 0 && q < b->agreement.queue_count; q++) {
        for (unsigned k = 0; k < VBD_FRONT_KEYS_OF_QUEUE; k++)
            values[VBD_FRONT_QUEUE_KEY + k] =
                xsc_batch_string(keys, (int)(q * VBD_FRONT_KEYS_OF_QUEUE + k));
        r = vbd_negotiate_queue(values, &b->agreement, q, &why);
    }
    xsc_batch_free(keys);
    if (!take_answers(b, error))
        return;
    if (r < 0)
        vbd_back_refuse(b, sentence);
    else
        connect_rings(b);
}

static void read_queues(struct vbd_back *b)
{
    char dir[VBD_PATH_MAX + 16];

    if (!vbd_back_begin(b, XSC_BATCH_PLAIN))
        return;
    for (uint32_t q = 0; q < b->agreement.queue_count; q++) {
        struct vbd_text t = vbd_text_on(dir, sizeof dir);

        vbd_text_u64(vbd_text_str(vbd_text_str(&t, b->front_path), "/queue-"), q);
        for (unsigned k = VBD_FRONT_QUEUE_KEY; k < VBD_FRONT_KEYS; k++)
            (void)xsc_batch_add_key(b->batch, XSC_OP_READ, dir, vbd_front_key_names[k], NULL);
    }
    vbd_back_submit(b, queue_keys_read);
}

/* A front with one queue writes its keys beside the others; one that said so may use queue-0. */
static bool is_flat(const struct vbd_back *b, const char *const values[VBD_FRONT_KEYS])
{
    return b->agreement.queue_count == 1 &&
           (values[VBD_FRONT_QUEUES] == NULL || values[VBD_FRONT_EVENT_CHANNEL] != NULL);
}

static void front_keys_read(void *ctx, struct xsc_batch *keys, int error)
{
    struct vbd_back *b = ctx;
    const struct vbd_negotiable offered = {.native = (enum vbd_protocol)VBD_LAYOUT_NATIVE,
                                           .ring_order_max = b->options.ring_order,
                                           .queues_max = b->options.queues};
    const char *values[VBD_FRONT_KEYS];
    char sentence[200];
    struct vbd_text why = vbd_text_on(sentence, sizeof sentence);
    bool flat = false;
    int r;

    for (int i = 0; i < VBD_FRONT_KEYS; i++)
        values[i] = xsc_batch_string(keys, i);
    r = error < 0 ? error : vbd_negotiate(values, &offered, &b->agreement, &why);
    if (r == 0) {
        flat = is_flat(b, values);
        r = flat ? vbd_negotiate_queue(values, &b->agreement, 0, &why) : 0;
    }
    xsc_batch_free(keys);
    if (!take_answers(b, error))
        return;
    if (r < 0)
        vbd_back_refuse(b, sentence);
    else if (flat)
        connect_rings(b);
    else
        read_queues(b);
}

void vbd_back_connect(struct vbd_back *b)
{
    vbd_back_read(b, b->front_path, vbd_front_key_names, VBD_FRONT_KEYS, front_keys_read);
}
