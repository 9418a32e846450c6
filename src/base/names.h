/* names.h - const tables that pair a name with a number: errors, states, operations, protocols. */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#include <string.h>

#include "base/text.h"

struct vbd_name {
    const char *name;
    int value;
};

/* The name of value in the table's first count rows, or `unknown`. */
static inline const char *vbd_name_of(const struct vbd_name *table, size_t count, int value,
                                      const char *unknown)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].value == value)
            return table[i].name;
    return unknown;
}

/* The row whose name is these len bytes, or NULL. */
static inline const struct vbd_name *vbd_name_find(const struct vbd_name *table, size_t count,
                                                   const char *bytes, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (vbd_str_len(table[i].name) == len && memcmp(table[i].name, bytes, len) == 0)
            return &table[i];
    return NULL;
}

#define VBD_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
