/* options.h - options from text, for the calls of back and front that read theirs.
 *
 * A table has a row for each field of the owner's struct of uint32_t; it comes from the macro that
 * declares the fields.
 */
#ifndef VBD_OPTIONS_H
#define VBD_OPTIONS_H

#include "vbdkit/common.h"

struct vbd_option {
    const char *name;
    size_t at; /* of the field in the owner's struct */
    uint32_t usual, least, most;
};

/* The row of an X(field, name, default, least, most, text); OWNER is defined around it. */
#define VBD_OPTION_ROW(field, name, usual, least, most, text)                                      \
    {name, offsetof(VBD_OPTION_OWNER, field), usual, least, most},

struct vbd_option_table {
    const struct vbd_option *rows;
    size_t count;
    const char *whose; /* "a backend", for sentences */
    /* What is wrong with a value that is in its range; NULL: nothing. May be NULL. */
    const char *(*object)(const struct vbd_option *option, uint64_t value);
};

/* Sets every field to its default. */
void vbd_options_init(const struct vbd_option_table *table, void *fields);
/* Whether each field is one that could have been read. */
bool vbd_options_good(const struct vbd_option_table *table, const void *fields);
/* Reads "name=value,name=value" over the fields; a bare name means 1. -EINVAL with a sentence:
 * fields may have been changed by then. */
int vbd_options_parse(const struct vbd_option_table *table, const char *text, void *fields,
                      struct vbd_error *why);

#endif
