/* front_choose.c - which vbd a person means. Called by the owner of fronts, with a list from
 * front_list.c. */
#include <errno.h>

#include "base/text.h"
#include "vbdkit/front.h"
#include "vbdkit/vbd.h"

/* --- the ways to name one --- */

static bool has_number(const struct vbd_front_device *d, const char *name)
{
    uint32_t vdev;

    return vbd_vdev_parse(name, &vdev) == 0 && d->vdev == vdev;
}

static bool has_params(const struct vbd_front_device *d, const char *name)
{
    return name[0] != '\0' && vbd_str_eq(d->params, name);
}

/* "a.img" ends "/srv/a.img", and not "/srv/data.img": the end begins with a part of the path, or
 * behind the scheme of "aio:a.img". */
static bool ends_params(const struct vbd_front_device *d, const char *name)
{
    size_t len = vbd_str_len(d->params), end = vbd_str_len(name);

    return end > 0 && end < len && vbd_str_eq(d->params + len - end, name) &&
           (name[0] == '/' || d->params[len - end - 1] == '/' || d->params[len - end - 1] == ':');
}

/* In this order: a number is a number, whatever an image is called. */
static bool (*const ways[])(const struct vbd_front_device *d,
                            const char *name) = {has_number, has_params, ends_params};

enum { WAYS = sizeof ways / sizeof ways[0] };

/* --- sentences --- */

static void add_device(struct vbd_text *t, const struct vbd_front_device *d)
{
    char name[24];

    vbd_vdev_name(d->vdev, name);
    vbd_text_str(vbd_text_str(t, " "), name);
    vbd_text_u64(vbd_text_str(t, " ("), d->vdev);
    if (d->params[0] != '\0')
        vbd_text_str(vbd_text_str(t, ", "), d->params);
    vbd_text_str(t, ")");
}

/* The sentence, with those devices that `way` finds; all of them without one. */
static int refuse(const struct vbd_front_list *list, const char *name, int way, int error,
                  struct vbd_error *why)
{
    struct vbd_text t;
    bool first = true;

    if (why == NULL)
        return error;
    t = vbd_text_on(why->text, sizeof why->text);
    vbd_text_str(vbd_text_str(&t, "\""), name);
    vbd_text_str(&t, error == -ENODEV ? "\" is no vbd of this domain; there are:"
                                      : "\" may be any of:");
    for (size_t i = 0; i < list->count; i++)
        if (way < 0 || ways[way](&list->devices[i], name)) {
            if (!first)
                vbd_text_str(&t, ",");
            add_device(&t, &list->devices[i]);
            first = false;
        }
    if (first)
        vbd_text_str(&t, " none");
    vbd_text_make_printable(why->text);
    return error;
}

int vbd_front_choose(const struct vbd_front_list *list, const char *name, uint32_t *ret,
                     struct vbd_error *why)
{
    for (int way = 0; way < WAYS; way++) {
        size_t found = 0, which = 0;

        for (size_t i = 0; i < list->count; i++)
            if (ways[way](&list->devices[i], name)) {
                found++;
                which = i;
            }
        if (found > 1)
            return refuse(list, name, way, -ENOTUNIQ, why);
        if (found == 1) {
            *ret = list->devices[which].vdev;
            return 0;
        }
    }
    return refuse(list, name, -1, -ENODEV, why);
}
