/* vbd.h - libvbd: virtual block devices of Xen, as calls.
 *
 * A backend takes the seams of a platform (memory, log, hypervisor, runner), a session with
 * xenstore (xsc.h) and a source of storage, and is a device from there on: it offers itself,
 * connects to the guest's front, serves it, and closes. The toolstack's side makes and removes the
 * nodes in xenstore that a front and a back meet by.
 *
 * Threads: all calls here belong to the control thread, the one that drives the session; callbacks
 * come on it, from inside the session or the runner. Requests are served on the runner's threads.
 * Sources: public/io/blkif.h, public/io/xenbus.h, docs/misc/xenstore-paths.
 */
#ifndef VBDKIT_VBD_H
#define VBDKIT_VBD_H

#include "vbdkit/hypervisor.h"
#include "vbdkit/queue.h"
#include "vbdkit/runner.h"
#include "vbdkit/storage.h"
#include "vbdkit/xsc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The seams; kept by reference, they outlive every device made with them. */
struct vbd_platform {
    const struct vbd_allocator *allocator;
    struct vbd_log log;
    const struct vbd_hypervisor *hypervisor;
    const struct vbd_runner *runner;
};

/* Which vbd. */
struct vbd_id {
    const char *backend_class; /* "vbd", "qdisk", ...: the directory below backend/ */
    unsigned backend_domid;    /* the domain that serves */
    unsigned domid;            /* the guest */
    uint32_t vdev;             /* device number, such as 51712 for xvda */
};

/* --- the back --- */

/* What the toolstack wrote about the image; strings are valid during the call. */
struct vbd_image {
    const char *params; /* the value of "params" */
    bool read_only;     /* "mode" is not "w" */
    bool cdrom;         /* "device-type" is "cdrom": params may be empty, for no medium */
};

/* Where storage comes from. `open` returns 0 and a storage that the device will close, or -errno
 * and the sentence for the toolstack; for a CD-ROM also 0 and NULL, when it has no medium. Control
 * thread. */
struct vbd_source {
    void *ctx;
    int (*open)(void *ctx, const struct vbd_image *image, struct vbd_storage **ret,
                struct vbd_error *why);
};

struct vbd_back;

/* Why a back ended. */
enum vbd_back_end {
    VBD_BACK_REMOVED, /* the toolstack removed the nodes; it may have made the device anew */
    VBD_BACK_PARKED,  /* vbd_back_park: the guest is still connected and waits for the next back */
    VBD_BACK_LOST     /* the connection to xenstore was lost, or there was no memory to go on */
};

/* What a back offers, and how far a guest may go. X(field, name, default, least, most, text). The
 * names are those of vbd_back_options_parse. */
#define VBD_BACK_OPTIONS(X)                                                                        \
    X(in_flight, "in-flight", 128, 1, 4096, "requests taken and not answered, for each queue")     \
    X(memory, "memory", 8192, 64, 1048576, "KiB of data under way, for each queue")                \
    X(queues, "queues", 4, 1, 16, "queues offered")                                                \
    X(ring_order, "ring-order", 4, 0, 4, "largest ring offered, log2 of its pages")                \
    X(indirect, "indirect-segments", 256, 0, 4096, "segments of an indirect request; 0: none")     \
    X(persistent, "persistent", 0, 0, 65536, "grants kept mapped, for each queue; 0: copy always") \
    X(barrier, "barrier", 1, 0, 1, "offer write barriers")                                         \
    X(discard, "discard", 1, 0, 1, "offer discard where the image can")                            \
    X(looks, "looks", 100, 10, 100000, "looks a second at the guest's xenstore nodes")             \
    X(log_lines, "log-lines", 10, 1, 100000, "lines a second logged about the device")             \
    X(in_order, "in-order", 0, 0, 1, "answer in the order of requests, as OpenBSD needs")          \
    X(poll, "poll", 100, 0, 1000, "microseconds to look for requests before sleeping")             \
    X(sector_size, "sector-size", 0, 0, 4096, "logical sector, 512 or 4096; 0: as the image")      \
    X(physical, "physical-sector-size", 0, 0, 65536, "physical sector; 0: as the image")

struct vbd_back_options {
#define VBD_BACK_OPTION_FIELD(field, name, usual, least, most, text) uint32_t field;
    VBD_BACK_OPTIONS(VBD_BACK_OPTION_FIELD)
#undef VBD_BACK_OPTION_FIELD
};

/* The defaults. */
VBD_API void vbd_back_options_init(struct vbd_back_options *ret);
/* Reads "name=value,name=value" over what *o holds; a bare name means 1. -EINVAL, with a sentence
 * and *o as it was: a name that is none, a value out of range. */
VBD_API int vbd_back_options_parse(const char *text, struct vbd_back_options *o,
                                   struct vbd_error *why);

struct vbd_back_config {
    struct vbd_id id;
    struct vbd_source source;
    /* NULL: the defaults. The node "vbdkit-options" of a device is read over them. */
    const struct vbd_back_options *options;
    /* Called once when the back is over; it may, and somebody must, call vbd_back_free. */
    void (*ended)(void *ctx, struct vbd_back *back, enum vbd_back_end end);
    void *ctx;
};

/* Begins to serve the vbd whose backend nodes exist: /local/domain/B/backend/CLASS/DOMID/VDEV.
 * Errors: -EINVAL the class is no name, an option is out of its range, or a struct of the platform
 * is of another version (struct_size), -ENOMEM, -ENOTCONN. Everything that goes wrong later is told
 * to the log and to the toolstack: an image that can't be opened in "hotplug-status",
 * "hotplug-error" and the domain's "error" node; a front's fault in the error node alone. */
VBD_API int vbd_back_run(const struct vbd_platform *platform, struct xsc *x,
                         const struct vbd_back_config *config, struct vbd_back **ret);
/* Finishes and answers what was taken, gives the ring back and ends with VBD_BACK_PARKED. The guest
 * stays connected: its further requests wait in the ring for the next vbd_back_run of the same id.
 * `ended` may be called before this returns. */
VBD_API void vbd_back_park(struct vbd_back *back);
/* The image may have another size: looks, and tells the guest, which sees its disk grow or shrink.
 * The same happens when the toolstack writes "params" again; for a CD-ROM a new value is another
 * medium, or none. */
VBD_API void vbd_back_refresh(struct vbd_back *back);
/* Tells the time, in nanoseconds of a clock that never goes back; returns when it wants to be told
 * again, 0: when something has happened. To be called before each wait of the loop. By this a guest
 * that changes its nodes, or makes the log grow, without end is held back; a back that is never
 * told the time has no such limits. */
VBD_API uint64_t vbd_back_tick(struct vbd_back *back, uint64_t now);
/* Frees a back that has ended. NULL is fine. */
VBD_API void vbd_back_free(struct vbd_back *back);

struct vbd_back_stats {
    const char *name;  /* "dom3/vbd-51712"; valid as long as the back */
    const char *phase; /* "waiting", "connected", ...; static */
    struct vbd_id id;
    uint64_t bytes; /* size of the disk, 0 before it was opened */
    bool read_only, direct;
    unsigned queues;              /* connected */
    struct vbd_counters counters; /* over all connections of this back */
    struct vbd_latency latency;   /* likewise */
    uint64_t looks, looks_held;   /* at the guest's nodes, and those that had to wait */
    uint64_t log_dropped;         /* lines */
};
VBD_API void vbd_back_stats(const struct vbd_back *back, struct vbd_back_stats *ret);
/* The counters and latencies of one connected queue, from 0 on, since it was connected. -ENOENT
 * when there is no such queue. */
VBD_API int vbd_back_queue_stats(const struct vbd_back *back, unsigned queue,
                                 struct vbd_counters *counters, struct vbd_latency *latency);

/* --- the toolstack's side --- */

/* A new vbd. Strings are copied. */
struct vbd_spec {
    struct vbd_id id;
    const char *params;  /* the image, as the back's source understands it */
    const char *device;  /* the name people use, "xvda"; may be NULL */
    const char *options; /* for vbd_back_options_parse; may be NULL */
    bool read_only;
    bool cdrom;
    bool bootable;
};

/* How a toolstack call ended: 0, or -errno with a sentence valid during the call. */
typedef void vbd_toolstack_done(void *ctx, int error, const char *why);

/* Writes the nodes of both halves in one transaction: front owned by the guest and readable by the
 * backend's domain, back the other way round; for a guest of libxl also the node by which xl finds
 * the disk again. Ends with -EEXIST when the vbd exists, -ENOENT when the guest does not. All four
 * calls return 0 and call `done` once later, or -errno and do not. */
VBD_API int vbd_back_create(const struct vbd_allocator *allocator, struct xsc *x,
                            const struct vbd_spec *spec, vbd_toolstack_done *done, void *ctx);
/* Asks the back to close, as libxl does: online=0, state=Closing. The guest decides when. Ends with
 * -ENOENT when there is no such vbd. */
VBD_API int vbd_back_request_close(const struct vbd_allocator *allocator, struct xsc *x,
                                   const struct vbd_id *id, vbd_toolstack_done *done, void *ctx);
/* Closes without the guest: its nodes are removed, which the back takes for a guest that is gone.
 */
VBD_API int vbd_back_force_close(const struct vbd_allocator *allocator, struct xsc *x,
                                 const struct vbd_id *id, vbd_toolstack_done *done, void *ctx);
/* Removes the nodes of both halves, and the guest's directory below the class when it is empty. */
VBD_API int vbd_back_destroy(const struct vbd_allocator *allocator, struct xsc *x,
                             const struct vbd_id *id, vbd_toolstack_done *done, void *ctx);

/* Room for the absolute path of a device's half, NUL included. */
enum { VBD_PATH_MAX = 128 };
/* "/local/domain/B/backend/CLASS/DOMID/VDEV"; -EINVAL when the class is too long or no name. */
VBD_API int vbd_back_path(const struct vbd_id *id, char path[VBD_PATH_MAX]);
/* "/local/domain/DOMID/device/vbd/VDEV". */
VBD_API void vbd_front_path(const struct vbd_id *id, char path[VBD_PATH_MAX]);

/* Device numbers (Xen's vbd-interface document). Turns "xvda", "xvdb3", "/dev/xvdc", "hda",
 * "sda1", "d1p2" (disk 1, partition 2) or a number (51712, 0xca00, 0145000) into a vdev; -EINVAL
 * when it is none of those, or a number from 2 << 28 on, which are reserved. */
VBD_API int vbd_vdev_parse(const char *name, uint32_t *ret);
/* The name of a vdev, "xvda1"; a number that names no disk comes back as digits. */
VBD_API void vbd_vdev_name(uint32_t vdev, char name[24]);

#ifdef __cplusplus
}
#endif
#endif
