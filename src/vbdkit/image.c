/* image.c - what the toolstack's "params" means: a path, maybe behind a prefix that named the old
 * tools' driver. Called by libvbd through the source; opens files and block devices only. Nothing,
 * for a CD-ROM, means that its drive is empty. */
#include <string.h>

#include "vbdkit/server.h"

/* The prefixes of xm, xl and blktap; "tap:" and its like may be followed by another. */
static const char *const prefixes[] = {
    "aio:", "file:", "raw:", "phy:", "tap:", "tap2:", "tapdisk:", "qdisk:"};

const char *image_path(const char *params)
{
    size_t i = 0;

    while (i < sizeof prefixes / sizeof prefixes[0]) {
        size_t len = strlen(prefixes[i]);

        if (strncmp(params, prefixes[i], len) == 0) {
            params += len;
            i = 0;
        } else {
            i++;
        }
    }
    return params;
}

static int open_image(void *ctx, const struct vbd_image *image, struct vbd_storage **ret,
                      struct vbd_error *why)
{
    const char *path = image_path(image->params);

    (void)ctx;
    *ret = NULL;
    if (image->cdrom && path[0] == '\0')
        return 0; /* no medium */
    return vbd_file_open(path, image->read_only, ret, why);
}

const struct vbd_source image_source = {.open = open_image};
