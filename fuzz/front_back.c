/* front_back.c - the backend. An honest one answers in any order, but holds what is behind a
 * barrier; it may refuse what it offered. What it wrote is stable once it has answered a flush that
 * it took after that, or a barrier. */
#include "front.h"

/* --- the ring --- */

uint32_t *back_word(unsigned k)
{
    return (uint32_t *)w.q.ring_memory + k;
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

static uint8_t op_of(const uint8_t *s)
{
    return s[0] == INDIRECT ? s[1] : s[0];
}

/* As the table of refusals has it. */
static uint8_t kind_of(const uint8_t *s)
{
    return s[0] == DISCARD && s[1] != 0 ? SECURE_DISCARD : op_of(s);
}

/* --- requests --- */

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

/* The barrier whose data lies there, if that is sure. */
static const struct op *barrier_at(uint64_t sector)
{
    for (const struct op *o = w.ops; o < w.ops + OPS; o++)
        if (o->used && o->alone && o->io.op == VBD_IO_BARRIER && sector * 512 >= o->io.offset &&
            sector * 512 - o->io.offset < o->io.length)
            return o;
    return NULL;
}

/* Whoever writes a barrier's data by itself has it wait for all before, and flushes that first. */
static void check_barrier(uint64_t sector)
{
    const struct op *barrier = barrier_at(sector);

    if (barrier == NULL || w.lied)
        return;
    for (const struct op *o = w.ops; o < w.ops + OPS; o++)
        must(!o->used || !back_changes(&o->io) || o->number - barrier->number <= UINT32_MAX / 2);
    for (uint64_t s = 0; s < SECTORS; s++)
        must(w.changed[s] <= w.stable || barrier_at(s) == barrier);
}

static void move(uint8_t op, uint64_t at, char *data, uint32_t sectors)
{
    if (op == READ) {
        memcpy(data, w.model + at * 512, sectors * 512);
        return;
    }
    memcpy(w.model + at * 512, data, sectors * 512);
    for (uint32_t i = 0; i < sectors; i++)
        w.changed[at + i] = w.changes;
}

static void discard(const uint8_t *s, bool really)
{
    uint64_t at = number(s + 16, 8), n = number(s + 24, 8);

    must(w.disk.discard && n > 0 && at <= w.disk.sectors && n <= w.disk.sectors - at);
    must((at | n) % (w.disk.sector_size / 512) == 0 && (!s[1] || w.disk.secure_discard));
    if (really)
        memset(w.model + at * 512, 0, n * 512);
}

/* Each segment is whole logical sectors: Linux' back asks for that. */
static void data(const uint8_t *s, uint32_t count, bool really)
{
    uint64_t at = number(s + 16, 8), unit = w.disk.sector_size / 512;

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *seg = (const uint8_t *)segment(s, s[0] == INDIRECT, i);
        char *page = granted(number(seg, 4));
        uint32_t n = seg[5] - seg[4] + 1u;

        must(seg[4] <= seg[5] && seg[5] < 8 && at <= w.disk.sectors && n <= w.disk.sectors - at);
        must((at | n) % unit == 0);
        if (really)
            move(op_of(s), at, page + seg[4] * 512, n);
        at += n;
    }
}

/* Looks at a request, and does it on the model when `really`. */
static void carry_out(const uint8_t *s, bool really)
{
    uint32_t count = s[0] == INDIRECT ? (uint32_t)number(s + 2, 2) : s[1];
    uint8_t op = op_of(s);

    must(op <= FLUSH || op == DISCARD);
    must(!w.disk.read_only || op == READ || op == FLUSH || (op == BARRIER && count == 0));
    if (op == DISCARD) {
        discard(s, really);
        return;
    }
    must(count > 0 || op == BARRIER || op == FLUSH);
    must(count <= (s[0] == INDIRECT ? w.disk.segments : 11) && count <= w.disk.segments);
    must((op != BARRIER || w.disk.barrier) && (op != FLUSH || (w.disk.flush && count == 0)));
    if (really && op == WRITE)
        check_barrier(number(s + 16, 8));
    w.changes += really && (op == WRITE || op == BARRIER);
    data(s, count, really);
}

/* --- taking --- */

/* What the front knows to be refused is not asked for again. */
static void take(uint32_t index)
{
    struct asked *a = &w.asked[w.pending];
    const struct refusal *r;

    memcpy(a->slot, slot(index), 112);
    carry_out(a->slot, false);
    r = &w.refused[kind_of(a->slot)];
    must(w.lied || !r->known || index - r->from >= UINT32_MAX / 2);
    a->changes = w.changes;
    w.pending++;
}

static void fetch(void)
{
    while (w.req_cons != w.q.ring.req_published) {
        must(w.q.ring.req_published - w.q.ring.rsp_cons <= w.q.ring.size);
        if (w.pending == w.q.ring.size && w.lied) /* some were answered by lies */
            w.pending--;
        must(w.pending < w.q.ring.size);
        take(w.req_cons++);
    }
}

/* --- answering --- */

/* A front that sleeps is woken by the first response. */
static void respond(uint64_t id, uint8_t op, int16_t status)
{
    char *to = slot(w.rsp_prod++);

    memcpy(to, &id, 8);
    to[8] = (char)op;
    memcpy(to + 10, &status, 2);
    must(w.lied || !w.front_sleeps || *back_word(3) == w.rsp_prod);
    w.front_sleeps = false;
    *back_word(2) = w.rsp_prod;
}

/* What a barrier allows to be answered, no later than this one. */
static uint32_t in_order(uint32_t which)
{
    for (uint32_t i = 0; i <= which; i++)
        if (w.asked[i].slot[0] == BARRIER)
            return i > 0 ? i - 1 : 0;
    return which;
}

static void done(const struct asked *a, int16_t status)
{
    uint8_t op = op_of(a->slot);

    if (op == BARRIER && status == 0)
        w.stable = w.changes;
    carry_out(a->slot, status == 0);
    if (op == BARRIER && status == 0)
        w.stable = w.changes;
    if (op == FLUSH && status == 0 && a->changes > w.stable)
        w.stable = a->changes;
    if (status == -2)
        w.refused[kind_of(a->slot)].said = true;
}

void back_answer(uint32_t which, int16_t status)
{
    struct asked a;

    which = in_order(which);
    a = w.asked[which];
    w.pending--;
    memmove(w.asked + which, w.asked + which + 1, (w.pending - which) * sizeof a);
    if (!w.lied) /* a lie may have ended it, and its grants with it */
        done(&a, status);
    respond(number(a.slot + 8, 8), op_of(a.slot), status);
}

void back_lie(struct input *in)
{
    uint8_t how = take_byte(in);

    w.lied = true;
    if (how < 60) /* stands for any ring word */
        *back_word(how & 3) += (uint32_t)(int8_t)take_byte(in);
    else if (how < 100)
        *back_word(how & 3) = take_word(in);
    else if (how < 160 && w.pending > 0)
        respond(number(w.asked[0].slot + 8, 8) ^ (1ull << how % 64), w.asked[0].slot[0], 0);
    else if (how < 220 && w.pending > 0)
        respond(number(w.asked[0].slot + 8, 8), how & 7, (int16_t)(how * 77));
    else
        memset((char *)w.q.pool.memory + take_byte(in) * 8, how, 64);
}

/* --- passes --- */

static void note_refusals(uint32_t published)
{
    for (unsigned i = BARRIER; i < KINDS; i++) {
        struct refusal *r = &w.refused[i];

        if (r->said && !r->known)
            *r = (struct refusal){true, true, published};
    }
}

/* An event when the backend asked for one, and no other. `old` requests were there before. */
static void check_event(uint32_t old, uint32_t req_event)
{
    uint32_t now = w.q.ring.req_published;

    must(w.notified == (now != old && now - req_event < now - old));
    must(w.lied || *back_word(0) == now);
}

/* A front that sleeps has asked for an event, and for something that will be answered. */
static void check_sleep(void)
{
    must(*back_word(3) == w.q.ring.rsp_cons + 1);
    must(w.lied || vbd_list_empty(&w.q.waiting) || w.q.ring.req_published != w.q.ring.rsp_cons);
    must(vbd_list_empty(&w.q.started) || w.q.ring.req_published != w.q.ring.rsp_cons);
}

void back_pass(bool sleep)
{
    uint32_t old = w.q.ring.req_published, req_event = *back_word(1);
    bool more;

    note_refusals(old);
    w.notified = 0;
    more = vbd_front_queue_pass(&w.q);
    must(w.lied || !w.q.broken);
    check_event(old, req_event);
    w.front_sleeps = !more && !w.q.broken;
    if (w.front_sleeps)
        check_sleep();
    if (w.notified > 0 || w.lied)
        w.back_sleeps = false;
    if (w.back_sleeps)
        return;
    fetch();
    w.back_sleeps = sleep && !w.lied;
    if (w.back_sleeps)
        *back_word(1) = w.req_cons + 1;
}

void back_begin(void)
{
    w.req_cons = w.rsp_prod = w.pending = 0;
    w.front_sleeps = false;
    w.back_sleeps = true; /* the front's ring says so */
    memset(w.refused, 0, sizeof w.refused);
}

bool back_changes(const struct vbd_io *io)
{
    return io->op != VBD_IO_READ && io->op != VBD_IO_FLUSH;
}

uint32_t back_changed(const struct vbd_io *io)
{
    uint32_t newest = 0;

    for (uint64_t s = io->offset / 512; s < (io->offset + io->length) / 512; s++)
        if (w.changed[s] > newest)
            newest = w.changed[s];
    return newest;
}
