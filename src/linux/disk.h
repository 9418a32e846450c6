/* disk.h - the inside of a disk, for the disk*.c files.
 *
 * The lock covers every field, the front and its session. One thread at a time drives: it waits for
 * events with the lock released, while the others wait, each for its own operation. Whoever drives
 * and is done leaves the place to the next that waits.
 */
#ifndef LINUX_DISK_H
#define LINUX_DISK_H

#include <pthread.h>

#include "base/list.h"
#include "linux/polling.h"
#include "vbdkit/front_linux.h"

/* A thread that waits, on its stack. */
struct vbd_disk_waiter {
    struct vbd_list link; /* in `waiters` while another drives */
    pthread_cond_t cond;
    bool done;
};

struct vbd_disk {
    struct xsc_client *client;
    char *address; /* of xenstore, for another connection; NULL: the usual places */
    struct vbd_xen_guest *guest;
    struct vbd_front_platform platform;
    struct vbd_front *front; /* NULL until it is known which */
    pthread_mutex_t lock;
    unsigned wanted;              /* threads that wait for the lock; atomic */
    const struct vbd_disk *outer; /* the disk from whose callback this one was locked, or NULL */
    struct vbd_list waiters;
    struct vbd_disk_waiter *driver; /* who drives; NULL: nobody */
    int epoll;                      /* of all below; see enum vbd_disk_ready */
    int kick;                       /* an eventfd: the driver is to look at its own operation */
    int retry;                      /* a timerfd: xenstore is to be connected again */
    int client_fd;                  /* as it is in `epoll`; -1: it is not */
    short client_events;
    int timeout_ms;
    uint64_t patience; /* ns to look before sleeping */
    struct vbd_polling polling;
    void (*event)(void *ctx, enum vbd_front_event event);
    void *ctx;
    struct vbd_front_info info;             /* of the last connection */
    bool connected, closed, failed, listed; /* what has happened */
    struct vbd_disk_waiter *state_waiter;   /* who waits for one of those */
};

/* Bits that say which descriptors of `epoll` are readable. */
enum vbd_disk_ready {
    VBD_DISK_CLIENT = 1,
    VBD_DISK_GUEST = 2,
    VBD_DISK_KICK = 4,
    VBD_DISK_RETRY = 8
};

void vbd_disk_lock(struct vbd_disk *d);
void vbd_disk_unlock(struct vbd_disk *d);
/* Waits for events, at most so long; without the lock. Which there are. */
unsigned vbd_disk_wait(struct vbd_disk *d, int timeout_ms);
/* vbd_disk_look, with the lock held, until *enough. */
bool vbd_disk_serve(struct vbd_disk *d, const bool *enough);
/* Whoever drives, or will, comes again. */
void vbd_disk_kick(struct vbd_disk *d);
/* Takes those events; with the lock held. */
void vbd_disk_take(struct vbd_disk *d, unsigned ready);
/* Sends what was submitted to the front, or by it to xenstore; with the lock held. */
void vbd_disk_send(struct vbd_disk *d);
/* Adds a descriptor to `epoll`. -errno. */
int vbd_disk_add_fd(struct vbd_disk *d, int fd, enum vbd_disk_ready ready);
/* True on a thread that runs one of the disk's callbacks. */
bool vbd_disk_in_callback(const struct vbd_disk *d);

/* disk_wait.c. Waits with the lock held, and released meanwhile, until w->done; timeout_ms
 * negative: for ever. 0 or -ETIMEDOUT. */
int vbd_disk_await(struct vbd_disk *d, struct vbd_disk_waiter *w, int timeout_ms);
/* What a waiter waits for has happened; with the lock held. */
void vbd_disk_wake(struct vbd_disk *d, struct vbd_disk_waiter *w);

#endif
