/* fuzz_blkfront.c - a front's queue under a backend that is honest or lies, refuses what it
 * offered, leaves and comes back, while calls of the seams fail. The first bytes of an input choose
 * the device, the rest are steps. While nobody has lied, data is held against what was written, and
 * what flushes and barriers promise against what the backend did; the other promises hold always.
 */
#include <errno.h>

#include "front.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS = 200 };

struct world w;

/* --- operations --- */

static uint8_t pattern(uint8_t tag, uint64_t sector, uint64_t i)
{
    return tag == 0 ? 0 : (uint8_t)(tag + sector * 7 + i);
}

static void submit(uint8_t what, uint8_t where, uint8_t length, uint8_t cuts);

static void check(const struct op *o)
{
    const uint8_t *bytes = o->io.op == VBD_IO_READ ? (uint8_t *)o->bytes : w.model + o->io.offset;

    for (uint64_t i = 0; i < o->io.length; i++) {
        uint64_t sector = (o->io.offset + i) / 512;
        if (o->io.op != VBD_IO_READ || w.known[sector])
            must(bytes[i] ==
                 pattern(o->io.op == VBD_IO_READ ? w.tags[sector] : o->tag, sector, i % 512));
    }
}

static bool offers(uint8_t kind, bool offered)
{
    return offered && !w.refused[kind].said;
}

/* What was done before it was submitted is on stable storage; of a barrier, what was submitted
 * before it, and itself. */
static void check_order(const struct op *o)
{
    must(w.stable >= o->before);
    if (o->io.op != VBD_IO_BARRIER)
        return;
    must(!o->alone || w.stable >= back_changed(&o->io));
    for (const struct op *p = w.ops; p < w.ops + OPS; p++)
        must(!p->used || !back_changes(&p->io) || o->number - p->number > UINT32_MAX / 2);
}

static void check_result(const struct op *o, int result)
{
    bool orders = o->io.op == VBD_IO_FLUSH || o->io.op == VBD_IO_BARRIER;

    must(result <= 0 && (result < 0 || w.open));
    if (w.lied)
        return;
    if (result == 0 && o->io.length > 0 && o->io.op != VBD_IO_FLUSH && o->alone)
        check(o);
    if (result == 0 && orders)
        check_order(o);
    if (result == -EOPNOTSUPP && orders && !w.refused[WRITE].said)
        must(!offers(FLUSH, w.disk.flush) && !offers(BARRIER, w.disk.barrier));
}

/* What the disk holds from now on, as far as one can say. */
static void note(const struct op *o, int result)
{
    const struct vbd_io *io = &o->io;

    if (io->offset > sizeof w.model || io->length > sizeof w.model - io->offset)
        return;
    for (uint64_t s = io->offset / 512; s < (io->offset + io->length) / 512; s++) {
        w.known[s] = result == 0 && o->alone;
        w.tags[s] = o->tag;
    }
    if (result == 0 && io->op != VBD_IO_DISCARD && back_changed(io) > w.done)
        w.done = back_changed(io);
}

static void done(struct vbd_io *io, int result)
{
    struct op *o = VBD_CONTAINER(io, struct op, io);

    must(o->used);
    o->used = false;
    check_result(o, result);
    if (back_changes(io))
        note(o, result);
    if (o->shared)
        vbd_buffers_remove(&w.buffers, o->bytes);
    else
        free(o->bytes);
    if (w.again > 0) {
        w.again--;
        submit((uint8_t)(w.again * 3), (uint8_t)(w.again * 11), 9, 3);
    }
}

/* Operations that overlap while they are under way have no order: they are not held to data. */
static void overlaps(struct op *o)
{
    for (struct op *p = w.ops; p < w.ops + OPS; p++)
        if (p != o && p->used && (back_changes(&p->io) || back_changes(&o->io)) &&
            p->io.offset < o->io.offset + o->io.length &&
            o->io.offset < p->io.offset + p->io.length)
            p->alone = o->alone = false;
}

static void give_memory(struct op *o, uint8_t what, uint8_t cuts)
{
    uint64_t length = o->io.length, at = 0;
    void *memory;

    if ((what & 64) && vbd_buffers_add(&w.buffers, length + 4096, &memory) == 0)
        o->shared = true, o->bytes = memory;
    else
        o->bytes = malloc(length);
    for (uint64_t i = 0; back_changes(&o->io) && i < length; i++)
        o->bytes[i] = (char)pattern(o->tag, (o->io.offset + i) / 512, i % 512);
    o->io.memory_count = 1 + cuts % 4u;
    for (uint32_t i = 0; i < o->io.memory_count; i++) {
        uint64_t n = cuts & 4 ? cuts * 13u : cuts / 8 * 512u;
        if (i + 1 == o->io.memory_count || n > length - at)
            n = length - at;
        o->memory[i] = (struct vbd_iovec){o->bytes + at, n};
        at += n;
    }
}

static void submit(uint8_t what, uint8_t where, uint8_t length, uint8_t cuts)
{
    static const enum vbd_io_op kinds[] = {VBD_IO_READ,    VBD_IO_WRITE, VBD_IO_READ,
                                           VBD_IO_WRITE,   VBD_IO_FLUSH, VBD_IO_DISCARD,
                                           VBD_IO_BARRIER, VBD_IO_ZERO};
    static uint8_t tag;
    uint32_t unit = what & 128 ? 512 : w.disk.sector_size;
    static uint64_t end;
    struct op *o = w.ops;

    while (o < w.ops + OPS && o->used)
        o++;
    if (o == w.ops + OPS)
        return;
    *o = (struct op){.used = true, .alone = true, .number = w.submitted++, .before = w.done};
    o->io = (struct vbd_io){
        .op = kinds[what & 7], .secure = (what & 8) != 0, .memory = o->memory, .done = done};
    if (o->io.op != VBD_IO_FLUSH) {
        o->io.offset = where == 0 ? end : where * 2ull * unit;
        o->io.length = length * (uint64_t)unit;
    }
    end = o->io.offset + o->io.length;
    if (end >= sizeof w.model)
        end = 0;
    if (o->io.op == VBD_IO_WRITE || o->io.op == VBD_IO_BARRIER)
        o->tag = tag = (uint8_t)(tag % 255 + 1);
    if (o->io.op <= VBD_IO_WRITE || o->io.op == VBD_IO_BARRIER)
        give_memory(o, what, cuts);
    overlaps(o);
    vbd_front_queue_submit(&w.q, &o->io, o->number);
}

/* --- steps --- */

static void leave(void)
{
    w.open = false;
    if (w.q.broken)
        vbd_front_queue_fail(&w.q, -EIO);
    vbd_front_queue_close(&w.q);
    must(!vbd_front_queue_pass(&w.q));
}

static uint32_t count_waiting(void)
{
    uint32_t n = 0;

    for (struct vbd_list *at = w.q.waiting.next; at != &w.q.waiting; at = at->next)
        n++;
    return n;
}

/* Where it fails, nothing is held and operations wait. */
static void open_queue(void)
{
    long live = w.live, ports = w.ports;
    uint32_t waiting = count_waiting();
    bool failing = w.fail > 0;
    int r = vbd_front_queue_open(&w.q, &w.config);

    w.open = r == 0;
    if (w.open)
        return;
    must((r == -ENOMEM || r == -ENOSPC) && (failing || w.next_grant > GRANTS / 2));
    must(w.live == live && w.ports == ports && w.q.channel == NULL);
    must(count_waiting() == waiting && !vbd_front_queue_pass(&w.q));
}

static void come(uint8_t features, uint8_t limits)
{
    static const uint32_t segments[] = {1, 3, 11, 12, 32, 64, 600, 11};

    if (w.open)
        return;
    w.disk = (struct vbd_front_disk){.sectors = SECTORS - (features & 1) * 64u,
                                     .sector_size = features & 2 ? 4096 : 512,
                                     .read_only = (limits & 0xe0) == 0xe0,
                                     .flush = (features & 4) == 0,
                                     .barrier = (features & 8) == 0,
                                     .discard = (features & 16) == 0,
                                     .secure_discard = (features & 32) == 0,
                                     .segments = segments[limits & 7]};
    if (w.disk.sector_size == 4096 && w.disk.segments == 0)
        w.disk.segments = 1;
    w.config.segments_max = w.disk.segments;
    w.config.pool_pages = 2 + (limits >> 3) % 30u;
    w.config.ring_pages = features & 64 ? 2 : 1;
    w.config.trusted = (features & 128) != 0;
    open_queue();
    if (!w.open)
        return;
    back_begin();
    vbd_front_queue_start(&w.q, &w.disk);
}

static void step(struct input *in)
{
    uint8_t op = take_byte(in), a, b, c;

    if (op < 120) {
        a = take_byte(in), b = take_byte(in), c = take_byte(in);
        submit(a, b, c, take_byte(in));
    } else if (op < 160 || !w.open) {
        if (!w.open)
            come(op, take_byte(in));
        if (w.open)
            back_pass(op & 1);
    } else if (op < 225) {
        if (w.pending > 0)
            back_answer(take_byte(in) % w.pending, op < 215 ? 0 : -1 - (op & 1));
    } else if (op >= 233 && op < 235) {
        w.fail = 1 + take_byte(in) % 8u;
    } else if (op < 235) {
        w.again = op - 225u;
    } else if (op < 245) {
        leave();
    } else {
        back_lie(in);
    }
}

static void finish(void)
{
    leave();
    w.fail = 0;
    come(0, 0xa);
    for (int i = 0; i < 20000 && w.open && !w.lied && !vbd_front_queue_idle(&w.q); i++) {
        back_pass(true);
        while (w.pending > 0)
            back_answer(w.pending - 1, 0);
    }
    must(w.lied || !w.open || vbd_front_queue_idle(&w.q));
    w.again = 0;
    w.q.broken = true; /* what a liar left is given up */
    leave();
    vbd_front_queue_fail(&w.q, -EIO);
    vbd_buffers_remove_all(&w.buffers);
    for (int i = 0; i < OPS; i++)
        must(!w.ops[i].used);
    must(w.live == 0 && w.ports == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t features;

    memset(&w, 0, sizeof w);
    guest_begin();
    w.config = (struct vbd_front_queue_config){
        .allocator = &w.allocator, .guest = &w.guest, .buffers = &w.buffers};
    vbd_buffers_init(&w.buffers, &w.allocator, &w.guest);
    memset(w.known, 1, sizeof w.known);
    w.disk.sector_size = 512;
    vbd_front_queue_init(&w.q);
    features = take_byte(&in);
    come(features, take_byte(&in));
    for (int steps = 0; in.left > 0 && steps < STEPS; steps++)
        step(&in);
    finish();
    return 0;
}
