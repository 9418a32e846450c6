/* common.h - what every vbdkit header shares: export macro, memory seam, log seam.
 *
 * Both libraries are portable: they never call malloc or print. Whoever embeds them hands in these
 * two small structs. The Linux ones are in xsc_linux.h and vbd_linux.h.
 */
#ifndef VBDKIT_COMMON_H
#define VBDKIT_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VBD_API __attribute__((visibility("default")))

/* Memory. Both calls may come from any thread that calls into the library. */
struct vbd_allocator {
    void *ctx; /* handed back as first argument, owned by the caller */
    /* Returns size zeroed bytes aligned for any type, or NULL when there is no memory. */
    void *(*alloc)(void *ctx, size_t size);
    /* Takes back what alloc returned; NULL is ignored. */
    void (*free)(void *ctx, void *memory);
};

/* A sentence that says what failed, where and why. Calls that take one fill it on failure and leave
 * it alone on success; NULL is always accepted. */
struct vbd_error {
    char text[256];
};

enum vbd_log_level {
    VBD_LOG_ERROR,   /* a device stopped, or data could not be stored */
    VBD_LOG_WARNING, /* a guest or the toolstack misbehaved; service goes on */
    VBD_LOG_INFO,    /* a device came, connected, closed, went */
    VBD_LOG_DEBUG    /* each step */
};

/* A sink for one-line messages without a newline. `subject` is a short stable name such as
 * "dom3/vbd-51712". Both strings are valid during the call only. May be called from any thread
 * of the library; must not call back into it. A NULL write drops everything. */
struct vbd_log {
    void *ctx;
    void (*write)(void *ctx, enum vbd_log_level level, const char *subject, const char *text);
};

#ifdef __cplusplus
}
#endif
#endif
