/* buffers.c - see buffers.h. */
#include "blkfront/buffers.h"

#include <errno.h>

#include "base/memory.h"

struct buffer {
    struct vbd_list link;
    char *memory;
    size_t pages;
    unsigned domid;
    uint32_t epoch;
    uint32_t grants[];
};

void vbd_buffers_init(struct vbd_buffers *b, const struct vbd_allocator *allocator,
                      const struct vbd_guest *guest)
{
    *b = (struct vbd_buffers){.allocator = allocator, .guest = guest};
    vbd_list_init(&b->all);
}

int vbd_buffers_add(struct vbd_buffers *b, size_t bytes, void **ret)
{
    size_t pages = bytes / VBD_GUEST_PAGE + (bytes % VBD_GUEST_PAGE != 0);
    struct buffer *buffer;
    void *memory;
    int r;

    if (pages == 0 || pages > UINT32_MAX / sizeof(uint32_t))
        return -ENOMEM;
    buffer = vbd_alloc(b->allocator, sizeof *buffer + pages * sizeof buffer->grants[0]);
    if (buffer == NULL)
        return -ENOMEM;
    r = b->guest->share(b->guest->ctx, b->domid, pages, buffer->grants, &memory);
    if (r < 0) {
        vbd_free(b->allocator, buffer);
        return r;
    }
    buffer->memory = *ret = memory;
    buffer->pages = pages;
    buffer->domid = b->domid;
    buffer->epoch = b->epoch;
    vbd_list_append(&b->all, &buffer->link);
    return 0;
}

static void drop(struct vbd_buffers *b, struct buffer *buffer)
{
    vbd_list_remove(&buffer->link);
    b->guest->unshare(b->guest->ctx, buffer->memory, buffer->pages, buffer->grants);
    vbd_free(b->allocator, buffer);
}

void vbd_buffers_remove(struct vbd_buffers *b, void *memory)
{
    VBD_LIST_EACH(at, after, &b->all)
    {
        struct buffer *buffer = VBD_CONTAINER(at, struct buffer, link);

        if (buffer->memory == memory) {
            drop(b, buffer);
            return;
        }
    }
}

void vbd_buffers_remove_all(struct vbd_buffers *b)
{
    VBD_LIST_EACH(at, after, &b->all)
    drop(b, VBD_CONTAINER(at, struct buffer, link));
}

bool vbd_buffers_grant(const struct vbd_buffers *b, const void *at, uint32_t *ret)
{
    for (struct vbd_list *l = b->all.next; l != &b->all; l = l->next) {
        const struct buffer *buffer = VBD_CONTAINER(l, struct buffer, link);
        uintptr_t offset = (uintptr_t)at - (uintptr_t)buffer->memory;

        if (offset / VBD_GUEST_PAGE >= buffer->pages)
            continue;
        *ret = buffer->grants[offset / VBD_GUEST_PAGE];
        return buffer->domid == b->domid && buffer->epoch == b->epoch;
    }
    return false;
}
