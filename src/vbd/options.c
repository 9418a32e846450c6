/* options.c - what a back offers and how far a guest may go, from text. Called by the daemon for
 * its own options and by back_open for a device's. */
#include <errno.h>

#include "base/names.h"
#include "base/text.h"
#include "vbdkit/vbd.h"

static const struct option {
    const char *name;
    size_t at;
    uint32_t usual, least, most;
} options[] = {
#define ROW(field, name, usual, least, most, text)                                                 \
    {name, offsetof(struct vbd_back_options, field), usual, least, most},
    VBD_BACK_OPTIONS(ROW)
#undef ROW
};

static uint32_t *field(struct vbd_back_options *o, const struct option *option)
{
    return (uint32_t *)(void *)((char *)o + option->at);
}

void vbd_back_options_init(struct vbd_back_options *ret)
{
    for (size_t i = 0; i < VBD_COUNT(options); i++)
        *field(ret, &options[i]) = options[i].usual;
}

static int refuse(struct vbd_error *why, const char *text, size_t len, const char *objection)
{
    if (why != NULL) {
        struct vbd_text t = vbd_text_on(why->text, sizeof why->text);

        vbd_text_bytes(vbd_text_str(&t, "\""), text, len < 60 ? len : 60);
        vbd_text_str(vbd_text_str(&t, "\" "), objection);
        vbd_text_make_printable(why->text);
    }
    return -EINVAL;
}

static const struct option *find(const char *name, size_t len)
{
    for (size_t i = 0; i < VBD_COUNT(options); i++)
        if (vbd_str_len(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
            return &options[i];
    return NULL;
}

static bool is_sector_size(uint64_t n)
{
    return n == 0 || n == 512 || n == 4096;
}

/* One "name=value" of len bytes. */
static int parse_one(const char *text, size_t len, struct vbd_back_options *o,
                     struct vbd_error *why)
{
    const char *equals = vbd_bytes_find(text, len, '=');
    size_t name = equals != NULL ? (size_t)(equals - text) : len;
    const struct option *option = find(text, name);
    uint64_t n = 1;

    if (option == NULL)
        return refuse(why, text, name, "is no option of a backend");
    if ((equals != NULL && !vbd_parse_u64(equals + 1, len - name - 1, option->most, &n)) ||
        n < option->least || n > option->most)
        return refuse(why, text, len, "is not in the option's range");
    if (option->at == offsetof(struct vbd_back_options, sector_size) && !is_sector_size(n))
        return refuse(why, text, len, "is neither 512 nor 4096");
    if (option->at == offsetof(struct vbd_back_options, physical) &&
        (n % 512 != 0 || (n & (n - 1)) != 0))
        return refuse(why, text, len, "is no power of two from 512 on");
    *field(o, option) = (uint32_t)n;
    return 0;
}

int vbd_back_options_parse(const char *text, struct vbd_back_options *o, struct vbd_error *why)
{
    struct vbd_back_options parsed = *o;

    while (*text != '\0') {
        const char *comma = vbd_bytes_find(text, vbd_str_len(text), ',');
        size_t len = comma != NULL ? (size_t)(comma - text) : vbd_str_len(text);
        int r = parse_one(text, len, &parsed, why);

        if (r < 0)
            return r;
        text += len + (comma != NULL);
    }
    *o = parsed;
    return 0;
}
