/* table.h - numbered things: a slot's number is its place, free places are taken again last in,
 * first out. For grant references, ports, pins and accesses.
 */
#ifndef HYPERLESS_TABLE_H
#define HYPERLESS_TABLE_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

struct hl_table {
    void **slots;        /* NULL: free */
    uint32_t *free;      /* stack of free places below `used` */
    uint32_t free_count; /* in it */
    uint32_t used;       /* places ever taken; numbers are below it */
    uint32_t room;
    uint32_t count; /* slots taken now */
};

static inline int hl_table_grow(struct hl_table *t)
{
    uint32_t room = t->room > 0 ? t->room * 2 : 16;
    void **slots = realloc(t->slots, room * sizeof(void *));
    uint32_t *free_places;

    if (slots == NULL)
        return -ENOMEM;
    t->slots = slots;
    free_places = realloc(t->free, room * sizeof *free_places);
    if (free_places == NULL)
        return -ENOMEM;
    t->free = free_places;
    t->room = room;
    return 0;
}

/* Makes sure that numbers begin at `first`. For a fresh table. */
static inline int hl_table_begin_at(struct hl_table *t, uint32_t first)
{
    while (t->used < first) {
        if (t->used == t->room && hl_table_grow(t) < 0)
            return -ENOMEM;
        t->slots[t->used++] = NULL;
    }
    return 0;
}

/* Takes a place for `thing`, below `limit`. 0, -ENOSPC, -ENOMEM. */
static inline int hl_table_add(struct hl_table *t, void *thing, uint32_t limit, uint32_t *ret)
{
    if (t->free_count > 0) {
        *ret = t->free[--t->free_count];
    } else {
        if (t->used >= limit)
            return -ENOSPC;
        if (t->used == t->room && hl_table_grow(t) < 0)
            return -ENOMEM;
        *ret = t->used++;
    }
    t->slots[*ret] = thing;
    t->count++;
    return 0;
}

static inline void *hl_table_get(const struct hl_table *t, uint32_t number)
{
    return number < t->used ? t->slots[number] : NULL;
}

static inline void hl_table_remove(struct hl_table *t, uint32_t number)
{
    t->slots[number] = NULL;
    t->free[t->free_count++] = number;
    t->count--;
}

static inline void hl_table_free(struct hl_table *t)
{
    free(t->slots);
    free(t->free);
    *t = (struct hl_table){0};
}

#endif
