/* paths.c - where a vbd's halves live in xenstore. Called by all of src/vbd and by tools. */
#include <errno.h>

#include "base/text.h"
#include "vbdkit/vbd.h"

/* A class is one path component of ordinary letters. */
static bool is_class(const char *s)
{
    size_t n = vbd_str_len(s);

    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-' ||
              s[i] == '_'))
            return false;
    return n > 0 && n <= 32;
}

int vbd_back_path(const struct vbd_id *id, char path[VBD_PATH_MAX])
{
    struct vbd_text t = vbd_text_on(path, VBD_PATH_MAX);

    if (!is_class(id->backend_class))
        return -EINVAL;
    vbd_text_u64(vbd_text_str(&t, "/local/domain/"), id->backend_domid);
    vbd_text_str(vbd_text_str(&t, "/backend/"), id->backend_class);
    vbd_text_u64(vbd_text_str(&t, "/"), id->domid);
    vbd_text_u64(vbd_text_str(&t, "/"), id->vdev);
    return t.cut ? -EINVAL : 0;
}

void vbd_front_path(const struct vbd_id *id, char path[VBD_PATH_MAX])
{
    struct vbd_text t = vbd_text_on(path, VBD_PATH_MAX);

    vbd_text_u64(vbd_text_str(&t, "/local/domain/"), id->domid);
    vbd_text_u64(vbd_text_str(&t, "/device/vbd/"), id->vdev);
}
