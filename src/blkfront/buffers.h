/* buffers.h - memory of callers that the back reaches. Of a front, for all its queues. Called by
 * split, which asks for the grant of a page, and by src/vbd. */
#ifndef BLKFRONT_BUFFERS_H
#define BLKFRONT_BUFFERS_H

#include "base/list.h"
#include "vbdkit/guest.h"

struct vbd_buffers {
    const struct vbd_allocator *allocator;
    const struct vbd_guest *guest;
    struct vbd_list all;
    unsigned domid; /* that the back is in now */
    uint32_t epoch; /* counts the domain's resumes: grants do not survive one */
};

void vbd_buffers_init(struct vbd_buffers *b, const struct vbd_allocator *allocator,
                      const struct vbd_guest *guest);
/* Errors: -ENOMEM, those of share. */
int vbd_buffers_add(struct vbd_buffers *b, size_t bytes, void **ret);
void vbd_buffers_remove(struct vbd_buffers *b, void *memory);
void vbd_buffers_remove_all(struct vbd_buffers *b);
/* The grant of the page at `at`; false when the back does not reach it. */
bool vbd_buffers_grant(const struct vbd_buffers *b, const void *at, uint32_t *ret);

#endif
