/* options.c - see options.h. Called by back_options.c and front_options.c. */
#include "vbd/options.h"

#include <errno.h>

#include "base/names.h"
#include "base/text.h"

static void set(void *fields, const struct vbd_option *option, uint64_t value)
{
    *(uint32_t *)(void *)((char *)fields + option->at) = (uint32_t)value;
}

void vbd_options_init(const struct vbd_option_table *table, void *fields)
{
    for (size_t i = 0; i < table->count; i++)
        set(fields, &table->rows[i], table->rows[i].usual);
}

static bool in_range(const struct vbd_option *option, uint64_t n)
{
    return n >= option->least && n <= option->most;
}

static const char *objection_to(const struct vbd_option_table *table,
                                const struct vbd_option *option, uint64_t n)
{
    return table->object != NULL ? table->object(option, n) : NULL;
}

bool vbd_options_good(const struct vbd_option_table *table, const void *fields)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct vbd_option *row = &table->rows[i];
        uint32_t n = *(const uint32_t *)(const void *)((const char *)fields + row->at);

        if (!in_range(row, n) || objection_to(table, row, n) != NULL)
            return false;
    }
    return true;
}

static int refuse(struct vbd_error *why, const char *text, size_t len, const char *objection,
                  const char *whose)
{
    if (why != NULL) {
        struct vbd_text t = vbd_text_on(why->text, sizeof why->text);

        vbd_text_bytes(vbd_text_str(&t, "\""), text, len < 60 ? len : 60);
        vbd_text_str(vbd_text_str(vbd_text_str(&t, "\" "), objection), whose);
        vbd_text_make_printable(why->text);
    }
    return -EINVAL;
}

static const struct vbd_option *find(const struct vbd_option_table *table, const char *name,
                                     size_t len)
{
    for (size_t i = 0; i < table->count; i++)
        if (vbd_str_len(table->rows[i].name) == len && vbd_str_starts(name, table->rows[i].name))
            return &table->rows[i];
    return NULL;
}

/* One "name=value" of len bytes. */
static int parse_one(const struct vbd_option_table *table, const char *text, size_t len,
                     void *fields, struct vbd_error *why)
{
    const char *equals = vbd_bytes_find(text, len, '=');
    size_t name = equals != NULL ? (size_t)(equals - text) : len;
    const struct vbd_option *option = find(table, text, name);
    const char *objection;
    uint64_t n = 1;

    if (option == NULL)
        return refuse(why, text, name, "is no option of ", table->whose);
    if ((equals != NULL && !vbd_parse_u64(equals + 1, len - name - 1, option->most, &n)) ||
        !in_range(option, n))
        return refuse(why, text, len, "is not in the option's range", "");
    objection = objection_to(table, option, n);
    if (objection != NULL)
        return refuse(why, text, len, objection, "");
    set(fields, option, n);
    return 0;
}

int vbd_options_parse(const struct vbd_option_table *table, const char *text, void *fields,
                      struct vbd_error *why)
{
    while (*text != '\0') {
        const char *comma = vbd_bytes_find(text, vbd_str_len(text), ',');
        size_t len = comma != NULL ? (size_t)(comma - text) : vbd_str_len(text);
        int r = parse_one(table, text, len, fields, why);

        if (r < 0)
            return r;
        text += len + (comma != NULL);
    }
    return 0;
}
