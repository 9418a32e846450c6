/* stage.h - a stage for a device's life without Xen: the real xenstored (run by with-xenstored), a
 * simulated hypervisor, libvbd's Linux platform with its real threads, and image files.
 *
 * The control loop runs when a test waits for a condition; every wait has a deadline.
 */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include "support/handfront.h"
#include "vbdkit/vbd_linux.h"

enum {
    STAGE_BACKS = 8,
    STAGE_DEADLINE_MS = 20000,
    STAGE_GUEST = 5,
    STAGE_OTHER_GUEST = 4,
    STAGE_OTHERS = 1 << 30, /* or'ed to a vdev anywhere here: the other guest's */
    STAGE_DISK_BYTES = 1 << 20
};

struct stage {
    struct xsc_client *client;  /* the toolstack's and the front's */
    struct xsc_client *devices; /* the backs' own */
    struct vbd_linux *platform;
    struct sim *sim, *other; /* STAGE_GUEST, and STAGE_OTHER_GUEST beside it */
    char dir[64];
    char image[96];                      /* a file of STAGE_DISK_BYTES zeroes */
    char log[8192];                      /* what the library logged */
    struct vbd_back *backs[STAGE_BACKS]; /* those that run */
    bool tells_time;                     /* they hold guests back, as in the daemon */
    int ended;                           /* backs that have ended */
    enum vbd_back_end last_end;
};

/* For cmocka: a stage in *state. */
int stage_set_up(void **state);
int stage_tear_down(void **state);
/* Aborts where the stage can't be set. */
struct stage *stage_new(void);
void stage_free(struct stage *s);

/* Turns the control loop until condition(arg) or the deadline; whether it came true. */
bool stage_wait(struct stage *s, bool (*condition)(void *arg), void *arg);
/* Waits until the node has this value; NULL: is missing. Fails the test otherwise. */
void stage_expect(struct stage *s, const char *path, const char *value);
void stage_write(struct stage *s, const char *path, const char *value);
/* malloc'ed, or NULL. */
char *stage_read(struct stage *s, const char *path);
void stage_remove(struct stage *s, const char *path);
/* Counts the nodes below a path. */
int stage_count(struct stage *s, const char *path);

/* One of the toolstack calls, waited for: its error. */
int stage_create(struct stage *s, uint32_t vdev, const char *params, bool read_only);
int stage_request_close(struct stage *s, uint32_t vdev);
int stage_force_close(struct stage *s, uint32_t vdev);
int stage_destroy(struct stage *s, uint32_t vdev);
/* Destroys the nodes and waits for the back to end as removed. */
void stage_remove_device(struct stage *s, uint32_t vdev);
/* A condition for stage_wait: some back has ended. */
bool stage_has_ended(void *stage);
/* Runs a back for the device. */
struct vbd_back *stage_run(struct stage *s, uint32_t vdev);
/* The same on another platform; NULL when it did not even begin. */
struct vbd_back *stage_run_on(struct stage *s, const struct vbd_platform *platform, uint32_t vdev);

/* "…/backend/vbd/5/VDEV/KEY" and "…/device/vbd/VDEV/KEY", in static buffers (four in all). */
const char *back_key(uint32_t vdev, const char *key);
const char *front_key(uint32_t vdev, const char *key);

/* The front's part: shares a ring of `pages` pages, writes its keys and `state`. */
void stage_front(struct stage *s, struct handfront *f, uint32_t vdev, unsigned pages, uint32_t port,
                 const char *state);
/* The whole of it: waits for the offer, shares a ring, and is Connected with the back. */
void stage_connect(struct stage *s, struct handfront *f, uint32_t vdev, unsigned pages,
                   uint32_t port);
/* Sends a request and waits for its answer: the status, or fails the test. */
int16_t stage_request(struct stage *s, struct handfront *f, const struct hand_request *r);

#endif
