/* allocator.c - the memory seam on the C library. Called through the seam. */
#include <stdlib.h>

#include "vbdkit/xsc_linux.h"

static void *libc_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return calloc(1, size);
}

static void libc_free(void *ctx, void *memory)
{
    (void)ctx;
    free(memory);
}

const struct vbd_allocator vbd_libc_allocator = {.alloc = libc_alloc, .free = libc_free};
