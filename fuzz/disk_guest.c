/* disk_guest.c - the guest's memory and a shadow of it, and the hypervisor's side of its grants: no
 * system call, so that runs are short. */
#include <errno.h>

#include "disk.h"

static char memory[PAGES][PAGE] __attribute__((aligned(PAGE)));
static char shadow_memory[PAGES][PAGE] __attribute__((aligned(PAGE)));

/* --- the guest's side --- */

static void note_change(struct world *w, uint32_t page)
{
    for (unsigned i = 0; i < w->count; i++)
        w->order[i]->changed |= 1u << page;
}

void guest_write(struct world *w, uint32_t page, uint32_t offset, const void *bytes, size_t len)
{
    if (len > PAGE - offset)
        len = PAGE - offset;
    memcpy(w->guest[page] + offset, bytes, len);
    memcpy(w->shadow[page] + offset, bytes, len);
    note_change(w, page);
}

uint32_t guest_word(const struct world *w, unsigned k)
{
    uint32_t value;

    memcpy(&value, w->guest[0] + 4 * (size_t)k, sizeof value);
    return value;
}

void guest_set_word(struct world *w, unsigned k, uint32_t value)
{
    guest_write(w, 0, 4 * k, &value, sizeof value);
}

uint32_t guest_slot(const struct world *w, uint32_t index)
{
    return 64 + index % w->ring_size * w->slot_bytes;
}

void guest_grant(struct world *w, uint32_t page, bool granted, bool read_only)
{
    w->pages[page].granted = granted;
    w->pages[page].read_only = read_only;
    for (unsigned i = 0; i < w->count; i++) {
        w->order[i]->must_fail = false;
        for (uint32_t k = 0; k < w->order[i]->count; k++)
            if (w->order[i]->segments[k].page == page)
                w->order[i]->may_fail = true;
    }
}

bool guest_reachable(const struct world *w, uint32_t page, bool writable)
{
    return page < PAGES && ((w->pages[page].granted && !(writable && w->pages[page].read_only)) ||
                            w->pages[page].mapped > 0 || w->pages[page].was_mapped);
}

/* --- what the back did to the memory --- */

enum sector_state { UNTOUCHED, MAY_DIFFER, MUST_DIFFER, DIFFERS };

static void deliver_segment(struct world *w, const struct record *r, uint32_t k, uint32_t at,
                            uint8_t *states)
{
    uint32_t page = r->segments[k].page;
    uint8_t *state = &states[page * 8 + r->segments[k].first];
    char want[SECTOR];

    for (uint32_t i = 0; i < r->segments[k].count; i++, state++) {
        const char *is = w->guest[page] + (size_t)(r->segments[k].first + i) * SECTOR;

        disk_content(r->content, at + i, want);
        if (memcmp(is, want, SECTOR) == 0)
            *state = DIFFERS;
        else if (*state != DIFFERS && *state != MUST_DIFFER)
            *state = r->may_fail ? MAY_DIFFER : MUST_DIFFER;
    }
}

static void deliver(struct world *w, struct record *r, uint8_t *states)
{
    uint32_t at = r->content_at;

    for (uint32_t k = 0; k < r->count; at += r->segments[k++].count)
        if (guest_reachable(w, r->segments[k].page, true))
            deliver_segment(w, r, k, at, states);
        else
            must(r->may_fail);
    r->delivered = true;
}

void guest_check(struct world *w)
{
    uint8_t states[PAGES * 8] = {0};

    for (unsigned i = 0; i < w->count; i++) {
        struct record *r = w->order[i];

        if (r->effect == 0 && r->finished && r->result == 0 && !r->delivered)
            deliver(w, r, states);
    }
    for (uint32_t i = 0; i < PAGES * 8; i++) {
        char *is = w->guest[i / 8] + (size_t)(i % 8) * SECTOR;
        char *was = w->shadow[i / 8] + (size_t)(i % 8) * SECTOR;

        if (states[i] == UNTOUCHED)
            continue;
        must(states[i] != MUST_DIFFER);
        must(states[i] == DIFFERS || memcmp(is, was, SECTOR) == 0);
        memcpy(was, is, SECTOR);
        note_change(w, i / 8);
    }
    must(memcmp(w->guest, w->shadow, (size_t)PAGES * PAGE) == 0);
}

/* --- the hypervisor --- */

static uint32_t page_of(const struct world *w, uint32_t grant, bool writable)
{
    uint32_t page = grant - GRANTS;

    return page < PAGES && w->pages[page].granted && !(writable && w->pages[page].read_only)
               ? page
               : PAGES;
}

static bool fails(struct world *w, unsigned *count)
{
    if (*count == 0 || --*count > 0)
        return false;
    for (unsigned i = 0; i < w->count; i++)
        w->order[i]->may_fail = true;
    return true;
}

/* The guest writes while the back works: into a slot or into data, never the indexes. */
static void be_evil(struct world *w)
{
    uint32_t page = w->evil % PAGES, offset = w->evil >> 8 & (PAGE - 1);

    if (w->evil != 0)
        guest_write(w, page, page == 0 && offset < 64 ? 64 : offset, &w->evil, 4);
    w->evil = 0;
}

static int map(void *ctx, unsigned domid, const uint32_t *grants, size_t count, bool writable,
               void **ret)
{
    struct world *w = ctx;
    uint32_t page;

    model_sync(w);
    must(domid == DOMAIN && count == 1 && w->config.persistent_max > 0);
    page = page_of(w, grants[0], writable);
    if (page == PAGES || fails(w, &w->fail_map))
        return -EINVAL;
    w->pages[page].mapped++;
    w->mapped++;
    *ret = w->guest[page];
    return 0;
}

static void unmap(void *ctx, void *address, size_t count)
{
    struct world *w = ctx;
    size_t page = (size_t)((char(*)[PAGE])address - w->guest);

    must(count == 1 && page < PAGES && w->pages[page].mapped > 0);
    w->pages[page].mapped--;
    w->mapped--;
}

static void copy_piece(struct world *w, enum vbd_copy_direction direction, struct vbd_grant_copy *p)
{
    uint32_t page = page_of(w, p->grant, direction == VBD_COPY_TO_GUEST);

    must(p->len > 0 && p->offset + p->len <= PAGE);
    p->status = page == PAGES ? -1 : 0;
    if (p->status == 0 && direction == VBD_COPY_TO_GUEST)
        memcpy(w->guest[page] + p->offset, p->local, p->len);
    else if (p->status == 0)
        memcpy(p->local, w->guest[page] + p->offset, p->len);
}

static int copy(void *ctx, unsigned domid, enum vbd_copy_direction direction,
                struct vbd_grant_copy *pieces, size_t count)
{
    struct world *w = ctx;
    int failed = 0;

    model_sync(w);
    must(domid == DOMAIN && count > 0);
    if (fails(w, &w->fail_copy))
        return -EIO;
    for (size_t i = 0; i < count; i++) {
        copy_piece(w, direction, &pieces[i]);
        failed += pieces[i].status != 0;
    }
    if (direction == VBD_COPY_FROM_GUEST)
        be_evil(w);
    return failed;
}

static int notify(void *ctx, struct vbd_event_channel *channel)
{
    struct world *w = ctx;

    must(channel == NULL);
    w->notified++;
    return 0;
}

void guest_begin(struct world *w)
{
    w->guest = memory;
    w->shadow = shadow_memory;
    for (size_t i = 0; i < PAGES; i++) {
        memset(w->guest[i], i < RING_PAGES ? 0 : (int)(0xa0 + i), PAGE);
        w->pages[i].granted = i >= RING_PAGES || w->wild;
    }
    memcpy(w->shadow, w->guest, (size_t)PAGES * PAGE);
    w->hypervisor = (struct vbd_hypervisor){.struct_size = sizeof w->hypervisor,
                                            .ctx = w,
                                            .map = map,
                                            .unmap = unmap,
                                            .copy = copy,
                                            .notify = notify};
}
