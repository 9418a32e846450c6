/* back_medium.c - the toolstack has written "params" again: the same image may have another size,
 * and a CD-ROM may have another medium, or none. Called by back.c.
 *
 * A medium is changed under a connected guest: its queues' runs end, with all that was taken
 * answered, and begin again on the new storage; what comes meanwhile waits in the rings. */
#include <errno.h>

#include "base/text.h"
#include "vbd/back.h"

static void publish(struct vbd_back *b)
{
    for (unsigned i = 0; i < b->link_count; i++)
        vbd_queue_resize(b->links[i].queue, b->disk.sectors);
    vbd_back_publish_size(b);
}

/* --- the size --- */

static void look_at_size(struct vbd_back *b)
{
    uint64_t before = b->disk.sectors;

    if (b->storage->ops->refresh != NULL && b->storage->ops->refresh(b->storage) < 0)
        vbd_back_log(b, VBD_LOG_WARNING, "cannot ask the image for its size", NULL);
    vbd_back_describe(b);
    if (b->disk.sectors == before)
        vbd_back_settle(b, true);
    else
        publish(b);
}

/* --- the medium --- */

void vbd_back_medium_out(struct vbd_back *b)
{
    char sentence[80];
    struct vbd_text why = vbd_text_on(sentence, sizeof sentence);

    b->storage->ops->close(b->storage);
    b->storage = b->next_storage;
    b->next_storage = NULL;
    vbd_back_describe(b);
    for (unsigned i = 0; i < b->link_count; i++)
        vbd_queue_set_in_place(b->links[i].queue, vbd_back_read_unit(b));
    if (vbd_back_start_runs(b, &why) < 0) {
        b->run_end = VBD_RUN_FAILED;
        vbd_back_disconnect(b, VBD_LEAVING_BROKEN);
        return;
    }
    publish(b);
}

static void change_medium(struct vbd_back *b, const char *params)
{
    const struct vbd_source *source = &b->config.source;
    struct vbd_image image = {.params = params, .read_only = true, .cdrom = true};
    struct vbd_error why = {""};

    vbd_back_keep_params(b, params);
    if (source->open(source->ctx, &image, &b->next_storage, &why) < 0) {
        vbd_back_log(b, VBD_LOG_ERROR, why.text, ": the drive is empty now", NULL);
        vbd_back_keep_params(b, ""); /* written again, it is tried again */
        b->next_storage = NULL;
    }
    if (b->next_storage == NULL)
        b->next_storage = &vbd_no_medium;
    vbd_back_log(b, VBD_LOG_INFO, "the medium is changed: ", params[0] != '\0' ? params : "none",
                 NULL);
    if (b->link_count > 0)
        vbd_back_disconnect(b, VBD_LEAVING_MEDIUM);
    else
        vbd_back_medium_out(b);
}

static void params_read(void *ctx, struct xsc_batch *batch, int error)
{
    struct vbd_back *b = ctx;
    const char *params = error == 0 ? xsc_batch_string(batch, 0) : NULL;

    b->batch = NULL;
    if (params == NULL) {
        vbd_back_settle(b, true); /* gone, or lost: the next look says which */
    } else if (b->params != NULL && vbd_str_eq(params, b->params)) {
        look_at_size(b);
    } else if (!b->cdrom) {
        vbd_back_log(b, VBD_LOG_WARNING,
                     "params was changed: a disk keeps the image it was attached with", NULL);
        vbd_back_settle(b, true);
    } else {
        change_medium(b, params);
    }
    xsc_batch_free(batch);
}

void vbd_back_look_at_image(struct vbd_back *b)
{
    static const char *const names[] = {"params"};

    b->refresh = false;
    vbd_back_read(b, b->back_path, names, 1, params_read);
}
