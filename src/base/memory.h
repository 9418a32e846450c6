/* memory.h - typed allocation over the memory seam, for the portable rooms. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include "vbdkit/common.h"

#define VBD_NEW(allocator, type) ((type *)vbd_alloc((allocator), sizeof(type)))

static inline void *vbd_alloc(const struct vbd_allocator *a, size_t size)
{
    return a->alloc(a->ctx, size);
}

static inline void vbd_free(const struct vbd_allocator *a, void *memory)
{
    if (memory != NULL)
        a->free(a->ctx, memory);
}

/* Returns zeroed room for count items of size bytes, or NULL (also when the product overflows). */
static inline void *vbd_alloc_array(const struct vbd_allocator *a, size_t count, size_t size)
{
    size_t bytes;

    return __builtin_mul_overflow(count, size, &bytes) ? NULL : vbd_alloc(a, bytes);
}

#endif
