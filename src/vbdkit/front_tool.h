/* front_tool.h - what the parts of "vbdkit front" share: their arguments, an open disk, many
 * operations under way at once, a progress bar. */
#ifndef VBDKIT_FRONT_TOOL_H
#define VBDKIT_FRONT_TOOL_H

#include "vbdkit/front_linux.h"
#include "vbdkit/program.h"

struct front_args {
    const char *part; /* "front read", for messages */
    const char *name; /* of the vbd */
    const char *file; /* NULL: none was given */
    const char *xenstore, *socket, *rw;
    struct vbd_front_options options;
    const char *options_text; /* as given; "" */
    int timeout_ms;
    uint64_t offset, length, block, seed, operations; /* length UINT64_MAX: to the end */
    uint32_t depth;
    uint64_t port;
    int seconds_ms;
    uint64_t poll_us;
    bool json, destroy, quiet, read_only, secure, await;
};

/* front_disk.c. Opens the vbd that the arguments name. 0, or an exit status with the reason
 * printed. */
int front_open(const struct front_args *a, struct vbd_disk **ret);
/* The part of the disk that the arguments mean, in bytes; likewise. */
int front_range(const struct front_args *a, struct vbd_disk *disk, uint64_t *ret_offset,
                uint64_t *ret_length);
/* Waits for events of the disk, and takes them. */
void front_turn(struct vbd_disk *disk);
/* The same again and again, until the descriptor has nothing more to read. */
void front_drain(struct vbd_disk *disk, int fd);

/* The parts, each with the disk's name in its arguments: an exit status. */
int front_list(const struct front_args *a);
int front_info(const struct front_args *a);
int front_read(const struct front_args *a);
int front_write(const struct front_args *a);
int front_compare(const struct front_args *a);
int front_verify(const struct front_args *a);
int front_flush(const struct front_args *a);
int front_discard(const struct front_args *a);
int front_bench(const struct front_args *a);
int front_export(const struct front_args *a);

#endif
