/* back_options.c - what a back offers and how far a guest may go, from text. Called by the daemon
 * for its own options and by back_open.c for a device's. */
#include "base/names.h"
#include "vbd/back.h"
#include "vbd/options.h"

#define VBD_OPTION_OWNER struct vbd_back_options
static const struct vbd_option rows[] = {VBD_BACK_OPTIONS(VBD_OPTION_ROW)};

static const char *object(const struct vbd_option *option, uint64_t n)
{
    if (option->at == offsetof(struct vbd_back_options, sector_size) && n != 0 && n != 512 &&
        n != 4096)
        return "is neither 512 nor 4096";
    if (option->at == offsetof(struct vbd_back_options, physical) &&
        (n % 512 != 0 || (n & (n - 1)) != 0))
        return "is no power of two from 512 on";
    return NULL;
}

static const struct vbd_option_table table = {rows, VBD_COUNT(rows), "a backend", object};

void vbd_back_options_init(struct vbd_back_options *ret)
{
    vbd_options_init(&table, ret);
}

bool vbd_back_options_good(const struct vbd_back_options *o)
{
    return vbd_options_good(&table, o);
}

int vbd_back_options_parse(const char *text, struct vbd_back_options *o, struct vbd_error *why)
{
    struct vbd_back_options parsed = *o;
    int r = vbd_options_parse(&table, text, &parsed, why);

    if (r == 0)
        *o = parsed;
    return r;
}
