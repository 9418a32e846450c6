/* front_options.c - what a front asks for, from text. Called by the owner. */
#include "base/names.h"
#include "vbd/front_inside.h"
#include "vbd/options.h"

#define VBD_OPTION_OWNER struct vbd_front_options
static const struct vbd_option rows[] = {VBD_FRONT_OPTIONS(VBD_OPTION_ROW)};
static const struct vbd_option_table table = {rows, VBD_COUNT(rows), "a frontend", NULL};

void vbd_front_options_init(struct vbd_front_options *ret)
{
    vbd_options_init(&table, ret);
}

bool vbd_front_options_good(const struct vbd_front_options *o)
{
    return vbd_options_good(&table, o);
}

int vbd_front_options_parse(const char *text, struct vbd_front_options *o, struct vbd_error *why)
{
    struct vbd_front_options parsed = *o;
    int r = vbd_options_parse(&table, text, &parsed, why);

    if (r == 0)
        *o = parsed;
    return r;
}
