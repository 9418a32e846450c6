/* disk_request.c - requests: read out of the ring and judged as public/io/blkif.h says, by nothing
 * of src/blkif; and written into it as the input says. */
#include "disk.h"

enum { READ, WRITE, BARRIER, FLUSH, DISCARD = 5, INDIRECT, DIRECT_MAX = 11 };
enum { ERROR = -1, NOT_SUPPORTED = -2 };

/* Offsets into a slot. x86_32 aligns 64-bit numbers to 4 bytes. */
struct offsets {
    uint32_t id, sector, tail;
};

static struct offsets offsets(const struct world *w)
{
    return w->config.layout == VBD_LAYOUT_X86_32 ? (struct offsets){4, 12, 20}
                                                 : (struct offsets){8, 16, 24};
}

static uint64_t little(const uint8_t *at, int bytes)
{
    uint64_t value = 0;

    for (int i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static void put(uint8_t *at, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

/* --- judging --- */

/* Whether a page's data can be reached is noted in the request. */
static void note_reach(const struct world *w, struct record *r, uint32_t page, bool writable)
{
    bool granted =
        page < PAGES && w->pages[page].granted && !(writable && w->pages[page].read_only);

    if (!granted)
        r->may_fail = true;
    if (!granted && (page >= PAGES || w->config.persistent_max == 0))
        r->must_fail = true;
}

static bool read_segment(struct record *r, uint32_t k, const uint8_t *at)
{
    uint32_t page = (uint32_t)little(at, 4) - GRANTS, first = at[4], last = at[5];

    if (first > last || last > 7)
        return false;
    r->segments[k].page = page < PAGES ? page : PAGES;
    r->segments[k].first = first;
    r->segments[k].count = last - first + 1;
    r->sectors += last - first + 1;
    return true;
}

/* Whether so many sectors lie on the disk, at logical sectors; none, of a barrier, lie nowhere. */
static bool has_place(const struct world *w, const struct record *r)
{
    uint64_t block = w->config.disk.block_mask + 1;

    if (r->sectors == 0)
        return true;
    return r->sector <= r->disk && r->sectors <= r->disk - r->sector && r->sector % block == 0 &&
           r->sectors % block == 0;
}

static int judge_count(const struct world *w, const struct record *r, uint32_t max)
{
    if (r->count > max || (r->count == 0 && r->op != BARRIER))
        return ERROR;
    return r->effect != READ && w->config.disk.read_only ? ERROR : 0;
}

static void judge_segments(const struct world *w, struct record *r, const uint8_t *at)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (!read_segment(r, i, at + 8 * (size_t)i)) {
            r->verdict = ERROR;
            return;
        }
    r->verdict = has_place(w, r) ? 0 : ERROR;
    for (uint32_t i = 0; i < r->count; i++)
        note_reach(w, r, r->segments[i].page, r->effect == READ);
}

static void judge_indirect(const struct world *w, struct record *r, const uint8_t *tail)
{
    static uint8_t descriptors[2 * PAGE];

    if (w->config.disk.segments_indirect == 0 || r->effect > WRITE) {
        r->verdict = NOT_SUPPORTED;
        return;
    }
    r->verdict = judge_count(w, r, w->config.disk.segments_indirect);
    if (r->verdict != 0)
        return;
    for (uint32_t i = 0; i * PAGE < r->count * 8; i++) {
        uint32_t page = (uint32_t)little(tail + 4 + 4 * (size_t)i, 4) - GRANTS;

        note_reach(w, r, page, false);
        if (page < PAGES)
            memcpy(descriptors + (size_t)i * PAGE, w->shadow[page], PAGE);
    }
    if (r->must_fail)
        r->verdict = ERROR;
    else
        judge_segments(w, r, descriptors);
}

static void judge_discard(const struct world *w, struct record *r)
{
    const struct vbd_disk_limits *disk = &w->config.disk;

    if (!disk->discard || (r->secure && !disk->secure_discard))
        r->verdict = NOT_SUPPORTED;
    else if (disk->read_only || r->sectors == 0 || !has_place(w, r))
        r->verdict = ERROR;
}

static void judge(const struct world *w, struct record *r, const uint8_t *tail)
{
    switch (r->op) {
    case READ:
    case WRITE:
    case BARRIER:
        r->verdict = judge_count(w, r, DIRECT_MAX);
        if (r->verdict == 0)
            judge_segments(w, r, tail);
        break;
    case FLUSH:
        r->verdict = r->count > 0 ? ERROR : 0;
        r->count = 0;
        break;
    case DISCARD:
        judge_discard(w, r);
        break;
    case INDIRECT:
        judge_indirect(w, r, tail);
        break;
    default:
        r->verdict = NOT_SUPPORTED;
    }
    if (r->verdict != 0)
        r->count = 0;
}

/* Out of the shadow, which has what the guest wrote: a response may lie in the slot already. */
void request_read(struct world *w, uint32_t index, struct record *ret)
{
    const uint8_t *slot = (const uint8_t *)w->shadow + guest_slot(w, index);
    struct offsets o = offsets(w);

    memset(ret, 0, offsetof(struct record, segments));
    memset(&ret->verdict, 0, sizeof *ret - offsetof(struct record, verdict));
    ret->used = true;
    ret->op = ret->effect = slot[0];
    ret->count = slot[1];
    ret->id = little(slot + o.id, 8);
    ret->sector = little(slot + o.sector, 8);
    ret->disk = w->config.disk.sectors;
    if (ret->op == INDIRECT) {
        ret->effect = slot[1];
        ret->count = (uint32_t)little(slot + 2, 2);
    } else if (ret->op == DISCARD) {
        ret->count = 0;
        ret->secure = (slot[1] & 1) != 0;
        ret->sectors = little(slot + o.tail, 8);
    }
    judge(w, ret, slot + o.tail);
}

/* --- putting --- */

/* Of a request: `many` segments, some bytes `mutated`. */
struct plan {
    uint8_t op, id, sector, shape, base;
    bool many, mutated;
    uint32_t count;
};

static uint64_t choose_sector(const struct world *w, const struct plan *p)
{
    uint64_t block = w->config.disk.block_mask + 1;

    if (p->sector < 0x80)
        return w->next_sector;
    if (p->sector < 0xf0)
        return (p->sector & 0x7f) * block;
    if (p->sector < 0xfa)
        return w->config.disk.sectors - (p->sector & 0xf) * block;
    return 0 - (p->sector & 7) * block; /* its end is beyond all numbers */
}

/* Returns its sectors. */
static uint32_t put_segment(const struct plan *p, uint32_t k, uint8_t *at)
{
    uint32_t page = RING_PAGES + (p->base + k) % DATA_PAGES, part = p->base >> 4 & 7;
    uint32_t first = (p->shape >> 6) % 3 == 0 ? 0 : part;
    uint32_t last = p->shape >> 6 < 2 ? 7 : part;

    if (p->id >= 250)
        last = 8; /* the least that is too much */
    else if (p->id >= 245)
        first = last + 1;
    if (p->id >= 240 && p->id < 245)
        page += DATA_PAGES;
    put(at, 4, GRANTS + page);
    at[4] = (uint8_t)first;
    at[5] = (uint8_t)last;
    return last - first + 1;
}

static uint32_t put_indirect(struct world *w, const struct plan *p, uint8_t *slot, uint8_t *tail)
{
    static uint8_t descriptors[2 * PAGE];
    uint32_t sectors = 0, page = RING_PAGES + (p->base >> 4);

    memset(descriptors, 0, 8 * (size_t)p->count);
    for (uint32_t i = 0; i < p->count; i++)
        sectors += put_segment(p, i, descriptors + 8 * (size_t)i);
    for (uint32_t i = 0; i * PAGE < p->count * 8; i++, page = RING_PAGES + page % DATA_PAGES) {
        uint32_t left = p->count * 8 - i * PAGE;

        guest_write(w, page, 0, descriptors + (size_t)i * PAGE, left < PAGE ? left : PAGE);
        put(tail + 4 + 4 * (size_t)i, 4, GRANTS + page);
    }
    slot[0] = INDIRECT;
    slot[1] = p->op - 6;
    put(slot + 2, 2, p->count);
    return sectors;
}

static uint32_t put_direct(const struct plan *p, uint8_t *slot, uint8_t *tail)
{
    uint32_t sectors = 0;

    slot[0] = p->op == 4 ? p->base : p->op;
    if (p->op == FLUSH)
        return 0;
    slot[1] = (uint8_t)p->count;
    for (uint32_t i = 0; i < p->count && i < DIRECT_MAX; i++)
        sectors += put_segment(p, i, tail + 8 * (size_t)i);
    if (p->op == DISCARD) {
        slot[1] = p->base >> 7;
        sectors = p->shape % 32 * 8;
        put(tail, 8, sectors);
    }
    return sectors;
}

static void mutate(const struct world *w, struct input *in, uint8_t *slot)
{
    for (unsigned n = take_byte(in) % 4 + 1; n > 0; n--) {
        uint8_t *at = slot + take_byte(in) % w->slot_bytes;

        *at = take_byte(in);
    }
}

static struct plan take_plan(struct input *in)
{
    struct plan p = {.op = take_byte(in)};

    p.mutated = (p.op & 0x80) != 0;
    p.many = (p.op & 0x40) != 0;
    p.op &= 7;
    p.id = take_byte(in);
    p.sector = take_byte(in);
    p.shape = take_byte(in);
    p.base = take_byte(in);
    p.count = p.op < 6 ? p.shape % 12u : (p.shape & 0x3fu) * (p.many ? 9 : 1);
    if (p.count > SEGMENTS)
        p.count = SEGMENTS;
    return p;
}

/* A slot may lie on two pages. */
static void put_slot(struct world *w, const uint8_t *slot)
{
    uint32_t at = guest_slot(w, w->req_prod++), len = w->slot_bytes, room = PAGE - at % PAGE;

    if (room > len)
        room = len;
    guest_write(w, at / PAGE, at % PAGE, slot, room);
    if (len > room)
        guest_write(w, at / PAGE + 1, 0, slot + room, len - room);
}

void request_put(struct world *w, struct input *in)
{
    struct plan p = take_plan(in);
    struct offsets o = offsets(w);
    uint8_t slot[112] = {0};
    uint64_t sector = choose_sector(w, &p);

    put(slot + o.id, 8, p.id < 200 ? w->next_id++ << 32 | p.id : p.id);
    put(slot + o.sector, 8, sector);
    w->next_sector = sector + (p.op < 6 ? put_direct(&p, slot, slot + o.tail)
                                        : put_indirect(w, &p, slot, slot + o.tail));
    if (p.mutated)
        mutate(w, in, slot);
    else if (w->req_prod - w->rsp_seen >= w->ring_size)
        return; /* no room */
    put_slot(w, slot);
}
