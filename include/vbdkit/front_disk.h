/* front_disk.h - what a front knows of its disk, and what it counts.
 *
 * Sources: public/io/blkif.h.
 */
#ifndef VBDKIT_FRONT_DISK_H
#define VBDKIT_FRONT_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* The disk, as the backend tells of it and as far as the front wants it. */
struct vbd_front_disk {
    uint64_t sectors;     /* of 512 bytes */
    uint32_t sector_size; /* logical, bytes: offsets and lengths are multiples of it */
    bool read_only;
    bool flush, barrier; /* the backend can; without both, flushes are -EOPNOTSUPP */
    bool discard, secure_discard;
    uint32_t segments; /* of a request, the most; over 11: indirect */
};

/* Counters. X(name, what it counts). */
#define VBD_FRONT_COUNTERS(X)                                                                      \
    X(operations, "operations submitted")                                                          \
    X(requests, "requests written into the ring")                                                  \
    X(segments, "segments of them")                                                                \
    X(indirect, "requests with indirect segments")                                                 \
    X(merged, "operations that went with the one before")                                          \
    X(uncopied, "requests on memory that the backend reaches")                                     \
    X(errors, "responses that were errors")                                                        \
    X(notified, "events sent")                                                                     \
    X(spared, "events spared, because the backend was awake")                                      \
    X(passes, "passes that found work")                                                            \
    X(recovered, "operations sent again to another backend")

struct vbd_front_counters {
#define VBD_FRONT_COUNTER_FIELD(name, text) uint64_t name;
    VBD_FRONT_COUNTERS(VBD_FRONT_COUNTER_FIELD)
#undef VBD_FRONT_COUNTER_FIELD
};

#endif
