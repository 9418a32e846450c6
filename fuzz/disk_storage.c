/* disk_storage.c - a storage that holds its operations until it is told, and looks at each: does it
 * belong to requests that were taken, does it lie on the disk, is its time right, are its bytes
 * those of the guest. */
#include <errno.h>

#include "disk.h"

enum { READ, WRITE, BARRIER, FLUSH, DISCARD = 5 };

void disk_content(uint64_t content, uint32_t sector, void *ret)
{
    uint64_t words[SECTOR / 8];

    for (uint32_t i = 0; i < SECTOR / 8; i++)
        words[i] = (content << 32 | sector << 8 | i) * 0x9e3779b97f4a7c15u;
    memcpy(ret, words, SECTOR);
}

/* --- an operation's memory, sector by sector --- */

static char *sector_of(const struct vbd_io *io, uint32_t sector)
{
    uint64_t at = (uint64_t)sector * SECTOR;
    uint32_t i = 0;

    for (; i < io->memory_count && at >= io->memory[i].len; i++)
        at -= io->memory[i].len;
    must(i < io->memory_count);
    return (char *)io->memory[i].base + at;
}

/* A guest's page must be mapped, and one that is read into; ASan knows the rest. */
static void check_reach(const struct world *w, const struct vbd_io *io, uint32_t i)
{
    size_t page = ((uintptr_t)io->memory[i].base - (uintptr_t)w->guest) / PAGE;

    if (page < PAGES)
        must(io->op == VBD_IO_READ && w->pages[page].mapped > 0 &&
             io->memory[i].len % w->config.in_place == 0);
}

static void check_memory(const struct world *w, const struct vbd_io *io)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < io->memory_count; i++) {
        check_reach(w, io, i);
        must(io->memory[i].len > 0 && io->memory[i].len % SECTOR == 0);
        must((uintptr_t)io->memory[i].base % SECTOR == 0);
        sum += io->memory[i].len;
    }
    must(sum == io->length);
}

static uint64_t digest(const struct vbd_io *io, uint32_t from, uint64_t sectors)
{
    uint64_t sum = 14695981039346656037u, word;

    for (uint64_t s = from; s < from + sectors; s++)
        for (int i = 0; i < SECTOR; i += 8) {
            memcpy(&word, sector_of(io, (uint32_t)s) + i, 8);
            sum = (sum ^ word) * 1099511628211u;
        }
    return sum;
}

/* --- whose it is --- */

/* An id may have been used twice, also for requests of which one failed before it came here. */
static bool has_data_of(const struct record *r, const struct vbd_slot *slot)
{
    if (r->effect == DISCARD)
        return r->sectors == slot->request.discard.sectors;
    if (r->count != slot->request.segment_count)
        return false;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct vbd_extent *e = &slot->parts[i].extent;
        uint32_t page = e->grant - GRANTS;

        if (r->segments[i].page != (page < PAGES ? page : PAGES) ||
            r->segments[i].first * VBD_SECTOR != e->offset ||
            r->segments[i].count * VBD_SECTOR != e->len)
            return false;
    }
    return true;
}

static bool is_of(const struct record *r, const struct vbd_slot *slot)
{
    return r->slot == NULL && !r->finished && r->verdict == 0 && r->id == slot->request.id &&
           r->op == slot->request.operation && r->effect == slot->request.effect &&
           r->sector == slot->request.sector && has_data_of(r, slot);
}

/* The request behind an engine's slot: the one it was before, or the first that looks like it. */
static struct record *owner(struct world *w, const struct vbd_slot *slot)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->order[i]->slot == slot)
            return w->order[i];
    for (unsigned i = 0; i < w->count; i++)
        if (is_of(w->order[i], slot)) {
            w->order[i]->slot = slot;
            return w->order[i];
        }
    must(!"an operation of no request");
    return NULL;
}

static void find_owners(struct world *w, struct operation *o)
{
    const struct vbd_slot *slot = VBD_CONTAINER(o->io, struct vbd_slot, io);

    o->of[o->count++] = owner(w, slot);
    for (slot = slot->merged.first; slot != NULL; slot = slot->next) {
        must(o->count < TOGETHER);
        o->of[o->count++] = owner(w, slot);
    }
}

/* --- whether its time has come --- */

static bool modifies(const struct record *r)
{
    return r->effect == WRITE || r->effect == BARRIER || r->effect == DISCARD;
}

/* An earlier request is over as far as the storage goes, or must be from now on. */
static void is_over(struct record *r)
{
    if (r->finished || r->verdict != 0)
        return;
    must(r->may_fail && r->slot == NULL && !r->under_way);
    r->spoilt = true;
}

static void check_time(struct world *w, const struct record *r)
{
    bool earlier = true;

    for (unsigned i = 0; i < w->count; i++) {
        struct record *other = w->order[i];

        if (other == r) {
            earlier = false;
            continue;
        }
        must(!(other->effect == BARRIER && other->slot != NULL && !other->finished));
        if (!earlier)
            continue;
        if (other->effect == BARRIER || r->effect == BARRIER ||
            (r->effect == FLUSH && modifies(other)))
            is_over(other);
    }
}

/* --- whether it is what was asked for --- */

static enum vbd_io_op expected_op(const struct record *r)
{
    switch (r->effect) {
    case READ:
        return VBD_IO_READ;
    case WRITE:
        return VBD_IO_WRITE;
    case BARRIER:
        return r->step == 1 ? VBD_IO_WRITE : VBD_IO_FLUSH;
    case DISCARD:
        return VBD_IO_DISCARD;
    default:
        return VBD_IO_FLUSH;
    }
}

static void check_written(struct world *w, struct record *r, const struct vbd_io *io, uint32_t at)
{
    uint64_t sum = digest(io, at, r->sectors);

    must(!w->config.disk.read_only && !r->must_fail);
    must(!r->alone || r->digest == sum);
    r->digest = sum;
    for (uint32_t k = 0; k < r->count; k++)
        for (uint32_t i = 0; i < r->segments[k].count; i++, at++) {
            uint32_t page = r->segments[k].page;

            if (r->changed >> page & 1)
                continue;
            must(memcmp(sector_of(io, at),
                        w->guest[page] + (size_t)(r->segments[k].first + i) * SECTOR, SECTOR) == 0);
        }
}

static void check_part(struct world *w, struct record *r, const struct vbd_io *io, uint32_t at)
{
    must(r->verdict == 0 && !r->finished && !r->under_way && !r->spoilt);
    must(io->op == expected_op(r));
    check_time(w, r);
    r->under_way = true;
    if (io->op == VBD_IO_FLUSH)
        return;
    must(io->offset + (uint64_t)at * SECTOR == r->sector * SECTOR);
    must(r->sector + r->sectors <= r->disk && r->sectors > 0);
    must((r->sector | r->sectors) % (w->config.disk.block_mask + 1) == 0);
    if (io->op == VBD_IO_WRITE)
        check_written(w, r, io, at);
    if (io->op == VBD_IO_DISCARD)
        must(io->secure == r->secure && w->config.disk.discard);
}

static void check_operation(struct world *w, struct operation *o)
{
    uint64_t sectors = 0;

    find_owners(w, o);
    for (unsigned i = 0; i < o->count; i++) {
        must(o->count == 1 || !o->of[i]->alone);
        check_part(w, o->of[i], o->io, (uint32_t)sectors);
        sectors += o->of[i]->sectors;
    }
    must(o->count == 1 || o->io->op == VBD_IO_READ || o->io->op == VBD_IO_WRITE);
    if (o->io->op != VBD_IO_FLUSH)
        must(o->io->length == sectors * SECTOR);
}

/* What must hold of any operation, whoever it is for. */
static void check_range(const struct world *w, const struct vbd_io *io)
{
    uint64_t end;

    must(io->done != NULL);
    if (io->op == VBD_IO_FLUSH)
        return;
    must(!__builtin_add_overflow(io->offset, io->length, &end) && end <= w->disk_max * SECTOR);
    must(io->length > 0);
    must(io->op == VBD_IO_READ || !w->config.disk.read_only);
    must((io->offset | io->length) % ((w->config.disk.block_mask + 1) * (uint64_t)SECTOR) == 0);
    if (io->op != VBD_IO_DISCARD)
        check_memory(w, io);
}

/* --- completing --- */

static void note_result(struct world *w, struct record *r, const struct operation *o, int result)
{
    unsigned steps = r->effect == BARRIER && r->sectors > 0 ? 3 : 1;

    r->under_way = false;
    if (result < 0 && o->count > 1) {
        r->alone = true; /* and tried again */
        return;
    }
    r->result = result;
    r->content = w->contents;
    r->finished = result < 0 || ++r->step == steps;
}

static void fill(struct world *w, const struct vbd_io *io, int result)
{
    w->contents++;
    for (uint32_t s = 0; s < io->length / SECTOR; s++)
        if (result == 0)
            disk_content(w->contents, s, sector_of(io, s));
        else
            memset(sector_of(io, s), 0xee, SECTOR);
}

void storage_complete(struct world *w, unsigned k, int result)
{
    struct operation o = w->held[k];
    uint32_t at = 0;

    memmove(&w->held[k], &w->held[k + 1], (--w->held_count - k) * sizeof w->held[0]);
    if (o.io->op == VBD_IO_WRITE) {
        must(w->wild || digest(o.io, 0, o.io->length / SECTOR) == o.digest);
    } else if (o.io->op == VBD_IO_READ) {
        check_memory(w, o.io); /* its pages are there still */
        fill(w, o.io, result);
    }
    for (unsigned i = 0; i < o.count; i++) {
        o.of[i]->content_at = at;
        at += (uint32_t)o.of[i]->sectors;
        note_result(w, o.of[i], &o, result);
    }
    o.io->done(o.io, result);
}

static int result_at_once(struct world *w)
{
    static const int results[] = {0, 0, 0, -EIO, 0, -EOPNOTSUPP, 0, 0};

    return results[w->at_once >> 2 & 7 & (w->contents + w->held_count)];
}

static void submit(struct vbd_channel *channel, struct vbd_io *const *ios, size_t count)
{
    struct world *w = VBD_CONTAINER(channel, struct world, channel);

    model_sync(w);
    must(w->in_pass && count > 0);
    for (size_t i = 0; i < count; i++) {
        struct operation *o = &w->held[w->held_count];

        must(w->held_count < RECORDS);
        *o = (struct operation){.io = ios[i]};
        check_range(w, o->io);
        if (!w->wild)
            check_operation(w, o);
        if (o->io->op == VBD_IO_WRITE)
            o->digest = digest(o->io, 0, o->io->length / SECTOR);
        w->held_count++;
        if ((w->at_once & 3) > i % 4)
            storage_complete(w, w->held_count - 1, result_at_once(w));
    }
}

void storage_begin(struct world *w)
{
    static const struct vbd_channel_ops ops = {.struct_size = sizeof ops, .submit = submit};

    w->channel.ops = &ops;
    w->disk_max = w->config.disk.sectors;
}
