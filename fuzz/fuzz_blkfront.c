/* fuzz_blkfront.c - a front's queue under a backend that reads the ring by itself, is honest or
 * lies, leaves and comes back. The first bytes of an input choose the device, the rest are steps.
 * While nobody has lied, data is held against what was written; the other promises hold always. */
#include <errno.h>

#include "blkfront/queue.h"
#include "input.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SECTORS = 512, OPS = 24, GRANTS = 8192, STEPS = 200, SLOTS = 128 };

struct op {
    struct vbd_io io;
    struct vbd_iovec memory[4];
    char *bytes;
    bool used, shared, alone;
    uint8_t tag;
};

struct asked {
    uint8_t slot[112];
};

static struct world {
    struct vbd_guest guest;
    struct vbd_allocator allocator;
    struct vbd_front_queue q;
    struct vbd_front_queue_config config;
    struct vbd_front_disk disk;
    struct vbd_buffers buffers;
    char *grants[GRANTS];
    uint32_t next_grant, req_cons, rsp_prod, pending, again;
    long live, ports;
    bool open, lied;
    struct asked asked[SLOTS];
    struct op ops[OPS];
    uint8_t tags[SECTORS];
    bool known[SECTORS];
    uint8_t model[SECTORS * VBD_SECTOR];
} w;

/* --- the seams --- */

static void *get(void *ctx, size_t size)
{
    (void)ctx;
    w.live++;
    return calloc(1, size);
}

static void put_away(void *ctx, void *memory)
{
    (void)ctx;
    w.live -= memory != NULL;
    free(memory);
}

static int share(void *ctx, unsigned domid, size_t count, uint32_t *grants, void **ret)
{
    (void)ctx, (void)domid;
    if (w.next_grant + count > GRANTS)
        return -ENOSPC;
    *ret = aligned_alloc(VBD_GUEST_PAGE, count * VBD_GUEST_PAGE);
    memset(*ret, 0, count * VBD_GUEST_PAGE);
    for (size_t i = 0; i < count; i++) {
        grants[i] = w.next_grant++;
        w.grants[grants[i]] = (char *)*ret + i * VBD_GUEST_PAGE;
    }
    w.live++;
    return 0;
}

static void unshare(void *ctx, void *pages, size_t count, const uint32_t *grants)
{
    (void)ctx;
    for (size_t i = 0; i < count; i++)
        w.grants[grants[i]] = NULL;
    free(pages);
    w.live--;
}

static int offer(void *ctx, unsigned domid, uint32_t *port, struct vbd_event_channel **ret)
{
    (void)ctx, (void)domid;
    *port = 1;
    *ret = (struct vbd_event_channel *)(void *)&w;
    w.ports++;
    return 0;
}

static void withdraw(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx, (void)channel;
    w.ports--;
}

static void notify(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx, (void)channel;
}

/* --- the backend --- */

static uint32_t *word(unsigned i)
{
    return (uint32_t *)w.q.ring_memory + i; /* req_prod, req_event, rsp_prod, rsp_event */
}

static char *slot(uint32_t index)
{
    return (char *)w.q.ring_memory + 64 + (size_t)(index & (w.q.ring.size - 1)) * 112;
}

static uint64_t number(const void *at, size_t bytes)
{
    uint64_t n = 0;

    memcpy(&n, at, bytes);
    return n;
}

static char *granted(uint64_t grant)
{
    must(grant < GRANTS && w.grants[grant] != NULL);
    return w.grants[grant];
}

static const char *segment(const uint8_t *s, bool indirect, uint32_t i)
{
    if (!indirect)
        return (const char *)s + 24 + i * 8;
    return granted(number(s + 28 + i / 512 * 4, 4)) + i % 512 * 8;
}

/* Looks at a request, and does it on the model when `really`. */
static void carry_out(const uint8_t *s, bool really)
{
    bool indirect = s[0] == 6;
    uint32_t count = indirect ? (uint32_t)number(s + 2, 2) : s[1];
    uint8_t op = indirect ? s[1] : s[0];
    uint64_t at = number(s + 16, 8), first = at;

    must(op == 0 || op == 1 || op == 2 || op == 3 || op == 5);
    must(!w.disk.read_only || op == 0 || op == 3 || (op == 2 && count == 0));
    if (op == 5) {
        uint64_t n = number(s + 24, 8);
        must(w.disk.discard && n > 0 && at <= w.disk.sectors && n <= w.disk.sectors - at);
        must((at | n) % (w.disk.sector_size / 512) == 0 && (!s[1] || w.disk.secure_discard));
        if (really)
            memset(w.model + at * 512, 0, n * 512);
        return;
    }
    must(count > 0 || op == 2 || op == 3);
    must(count <= (indirect ? w.disk.segments : 11) && count <= w.disk.segments);
    must((op != 2 || w.disk.barrier) && (op != 3 || (w.disk.flush && count == 0)));
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *seg = (const uint8_t *)segment(s, indirect, i);
        char *page = granted(number(seg, 4));
        uint32_t n = seg[5] - seg[4] + 1u;

        must(seg[4] <= seg[5] && seg[5] < 8 && at <= w.disk.sectors && n <= w.disk.sectors - at);
        if (really && op == 0)
            memcpy(page + seg[4] * 512, w.model + at * 512, n * 512);
        else if (really)
            memcpy(w.model + at * 512, page + seg[4] * 512, n * 512);
        at += n;
    }
    must((first | at) % (w.disk.sector_size / 512) == 0);
}

static void fetch(void)
{
    while (w.req_cons != w.q.ring.req_published) {
        must(w.q.ring.req_published - w.q.ring.rsp_cons <= w.q.ring.size);
        if (w.pending == w.q.ring.size && w.lied) /* some were answered by lies */
            w.pending--;
        must(w.pending < w.q.ring.size);
        memcpy(w.asked[w.pending].slot, slot(w.req_cons++), 112);
        carry_out(w.asked[w.pending++].slot, false);
    }
}

static void respond(uint64_t id, uint8_t op, int16_t status)
{
    char *to = slot(w.rsp_prod++);

    memcpy(to, &id, 8);
    to[8] = (char)op;
    memcpy(to + 10, &status, 2);
    *word(2) = w.rsp_prod;
}

static void answer(uint32_t which, int16_t status)
{
    struct asked a = w.asked[which];

    w.asked[which] = w.asked[--w.pending];
    if (!w.lied) /* a lie may have ended it, and its grants with it */
        carry_out(a.slot, status == 0);
    respond(number(a.slot + 8, 8), a.slot[0] == 6 ? a.slot[1] : a.slot[0], status);
}

static void lie(struct input *in)
{
    uint8_t how = take_byte(in);

    w.lied = true;
    if (how < 60) /* stands for any ring word */
        *word(how & 3) += (uint32_t)(int8_t)take_byte(in);
    else if (how < 100)
        *word(how & 3) = take_word(in);
    else if (how < 160 && w.pending > 0)
        respond(number(w.asked[0].slot + 8, 8) ^ (1ull << how % 64), w.asked[0].slot[0], 0);
    else if (how < 220 && w.pending > 0)
        respond(number(w.asked[0].slot + 8, 8), how & 7, (int16_t)(how * 77));
    else
        memset((char *)w.q.pool.memory + take_byte(in) * 8, how, 64);
}

/* --- operations --- */

static uint8_t pattern(uint8_t tag, uint64_t sector, uint64_t i)
{
    return tag == 0 ? 0 : (uint8_t)(tag + sector * 7 + i);
}

static bool changes(const struct vbd_io *io)
{
    return io->op != VBD_IO_READ && io->op != VBD_IO_FLUSH;
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

static void done(struct vbd_io *io, int result)
{
    struct op *o = VBD_CONTAINER(io, struct op, io);
    bool inside = io->offset <= sizeof w.model && io->length <= sizeof w.model - io->offset;

    must(o->used && (result < 0 || w.open));
    o->used = false;
    if (result == 0 && io->length > 0 && io->op != VBD_IO_FLUSH && !w.lied && o->alone)
        check(o);
    for (uint64_t s = io->offset / 512;
         changes(io) && inside && s < (io->offset + io->length) / 512; s++) {
        w.known[s] = result == 0 && o->alone;
        w.tags[s] = o->tag;
    }
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
        if (p != o && p->used && (changes(&p->io) || changes(&o->io)) &&
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
    for (uint64_t i = 0; changes(&o->io) && i < length; i++)
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
    *o = (struct op){.used = true, .alone = true};
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
    vbd_front_queue_submit(&w.q, &o->io);
}

/* --- steps --- */

static void pass(void)
{
    bool more = vbd_front_queue_pass(&w.q);

    if (!w.open)
        return;
    must(w.lied || !w.q.broken);
    if (!more && !w.q.broken)
        must(*word(3) == w.q.ring.rsp_cons + 1);
    fetch();
}

static void leave(void)
{
    w.open = false;
    if (w.q.broken)
        vbd_front_queue_fail(&w.q, -EIO);
    vbd_front_queue_close(&w.q);
    vbd_front_queue_pass(&w.q);
    w.req_cons = w.rsp_prod = w.pending = 0;
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
    if (vbd_front_queue_open(&w.q, &w.config) < 0)
        return;
    w.open = true;
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
        pass();
    } else if (op < 225) {
        if (w.pending > 0)
            answer(take_byte(in) % w.pending, op < 215 ? 0 : -1 - (op & 1));
    } else if (op < 235) {
        w.again = op - 225u;
    } else if (op < 245) {
        leave();
    } else {
        lie(in);
    }
}

static void finish(void)
{
    leave();
    come(0, 0xa);
    for (int i = 0; i < 20000 && w.open && !w.lied && !vbd_front_queue_idle(&w.q); i++) {
        pass();
        while (w.pending > 0)
            answer(w.pending - 1, 0);
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
    w.guest =
        (struct vbd_guest){sizeof w.guest, NULL, share, unshare, offer, withdraw, notify, NULL};
    w.allocator = (struct vbd_allocator){NULL, get, put_away};
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
