/* fuzz_blkback.c - a queue of the backend between a guest that does as it likes and a storage that
 * completes when it likes. The first bytes of an input choose the device, the rest are steps; what
 * must hold is in disk.h. */
#include <errno.h>

#include "disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS = 300 };
enum { REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT };

/* --- the device --- */

static void choose_disk(struct world *w, uint8_t features, struct input *in)
{
    static const uint32_t indirect[] = {0, 12, 32, SEGMENTS};
    uint8_t shape = take_byte(in), sectors = take_byte(in);
    struct vbd_disk_limits *disk = &w->config.disk;

    disk->read_only = (features & 32) != 0;
    disk->discard = (features & 64) != 0;
    disk->secure_discard = (features & 128) != 0;
    disk->segments_indirect = indirect[shape & 3];
    disk->block_mask = shape & 4 ? 7 : 0;
    disk->sectors = sectors == 0 ? 1ull << 54 : sectors * 3ull * (disk->block_mask + 1);
    w->wild = (shape & 0x38) == 0x38;
}

/* Returns the index that the ring begins at. */
static uint32_t choose(struct world *w, struct input *in)
{
    uint8_t features = take_byte(in), limits;
    static const uint32_t kept[] = {1, 2, 4, 32};

    w->config.layout = features & 1 ? VBD_LAYOUT_X86_32 : VBD_LAYOUT_X86_64;
    w->slot_bytes = features & 1 ? 108 : 112;
    w->config.ring_page_count = 1u << (features >> 1 & 3) % 3;
    w->config.in_order = (features & 16) != 0;
    w->config.in_flight_max = 1 + take_byte(in) % 128u;
    w->config.memory_pages = take_byte(in) % 64;
    choose_disk(w, features, in);
    limits = take_byte(in);
    w->config.persistent_max = features & 8 ? kept[limits >> 4 & 3] : 0;
    if (w->wild && limits & 64)
        w->config.in_place = limits & 128 ? PAGE : SECTOR;
    w->fail_allocation = limits % 16;
    w->at_once = take_byte(in);
    return 0u - take_byte(in) % 64u;
}

static bool begin(struct world *w, struct input *in)
{
    uint32_t index = choose(w, in);
    int r;

    guest_begin(w);
    storage_begin(w);
    model_begin(w);
    w->req_prod = w->rsp_seen = w->taken = index;
    guest_set_word(w, REQ_PROD, index);
    guest_set_word(w, REQ_EVENT, index + 1);
    guest_set_word(w, RSP_PROD, index);
    guest_set_word(w, RSP_EVENT, index + 1);
    r = vbd_queue_new(&w->config, &w->queue);
    must(r == 0 || (r == -ENOMEM && w->fail_allocation > 0 && w->live == 0));
    if (r == 0)
        vbd_queue_begin(w->queue, &w->channel);
    return r == 0;
}

/* --- steps --- */

static void push(struct world *w, bool awake)
{
    guest_set_word(w, REQ_PROD, w->req_prod);
    if (awake)
        guest_set_word(w, RSP_EVENT, w->rsp_seen + 1);
}

static void passes(struct world *w, unsigned most)
{
    while (most > 0 && model_pass(w))
        most--;
}

static void complete(struct world *w, uint8_t how)
{
    static const int results[] = {0, 0, 0, 0, -EIO, -EOPNOTSUPP, -ENOSPC, 0};

    if (w->held_count > 0)
        storage_complete(w, (how >> 3) % w->held_count, results[how & 7]);
}

static void complete_all(struct world *w, bool backwards)
{
    while (w->held_count > 0)
        storage_complete(w, backwards ? w->held_count - 1 : 0, 0);
}

static void move_far(struct world *w, struct input *in)
{
    uint8_t how = take_byte(in);

    guest_set_word(w, REQ_PROD,
                   how < 100   ? w->req_prod + (uint32_t)(int8_t)take_byte(in)
                   : how < 200 ? w->rsp_seen + w->ring_size + (how & 1)
                               : take_word(in));
}

/* Nothing that the front writes into rsp_prod may look like what the back publishes. */
static void scribble_word(struct world *w, struct input *in)
{
    uint8_t how = take_byte(in);

    if (how < 80)
        guest_set_word(w, RSP_EVENT, w->rsp_seen + (uint32_t)(int8_t)take_byte(in));
    else if (how < 160)
        guest_set_word(w, RSP_PROD, w->rsp_seen + 0x40000000u + take_byte(in));
    else if (how < 200)
        guest_set_word(w, RSP_EVENT, take_word(in));
    else
        guest_set_word(w, REQ_EVENT, take_word(in));
}

static void scribble(struct world *w, struct input *in)
{
    uint32_t page = take_byte(in) % PAGES, offset = take_byte(in) * 16u;
    const uint8_t *bytes;
    size_t len = take_bytes(in, &bytes, take_byte(in) % 32);

    if (page == 0 && offset < 64)
        offset += 64;
    if (len > 0)
        guest_write(w, page, offset, bytes, len);
}

static void change_grant(struct world *w, uint8_t how)
{
    guest_grant(w, RING_PAGES + how % DATA_PAGES, (how & 16) != 0, (how & 32) != 0);
}

static void resize(struct world *w, uint8_t how)
{
    w->config.disk.sectors = how == 0 ? 1ull << 54 : how * 3ull * (w->config.disk.block_mask + 1);
    if (w->config.disk.sectors > w->disk_max)
        w->disk_max = w->config.disk.sectors;
    vbd_queue_resize(w->queue, w->config.disk.sectors);
}

static void fail(struct world *w, uint8_t how)
{
    if (how & 1)
        w->fail_copy = 1 + how / 2 % 4;
    else
        w->fail_map = 1 + how / 2 % 4;
}

static void rare_step(struct world *w, uint8_t op, struct input *in)
{
    if (op < 205)
        move_far(w, in);
    else if (op < 210)
        scribble_word(w, in);
    else if (op < 217)
        scribble(w, in);
    else if (op < 223)
        change_grant(w, take_byte(in));
    else if (op < 227)
        w->now += take_byte(in) * 1000000000ull;
    else if (op < 228)
        vbd_queue_stop(w->queue), w->stopped = true;
    else if (op < 232)
        resize(w, take_byte(in));
    else if (op < 236)
        fail(w, take_byte(in));
    else if (op < 240)
        w->evil = take_word(in);
    else
        keys_step(in);
}

static void step(struct world *w, struct input *in)
{
    uint8_t op = take_byte(in);

    if (op < 100) {
        request_put(w, in);
    } else if (op < 150) {
        push(w, op % 2 == 0);
        if (op >= 120)
            passes(w, 4);
    } else if (op < 180) {
        complete(w, take_byte(in));
    } else if (op < 190) {
        complete_all(w, op % 2 == 0);
        passes(w, 4);
    } else if (op < 200) {
        passes(w, op % 2 == 0 ? 1 : 4);
    } else {
        rare_step(w, op, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct input in = {data, size};

    memset(&w, 0, offsetof(struct world, records));
    memset(&w.order, 0, sizeof w - offsetof(struct world, order));
    for (size_t i = 0; i < RECORDS; i++)
        w.records[i].used = false;
    if (!begin(&w, &in))
        return 0;
    for (int steps = 0; in.left > 0 && steps < STEPS; steps++)
        step(&w, &in);
    model_end(&w);
    return 0;
}
