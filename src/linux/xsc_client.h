/* xsc_client.h - the inside of a client, for the xsc_*.c files of this room. */
#ifndef LINUX_XSC_CLIENT_H
#define LINUX_XSC_CLIENT_H

#include <pthread.h>

#include "base/list.h"
#include "linux/xsc_transport.h"
#include "vbdkit/xsc_linux.h"

/* The lock covers the session and every field. One thread at a time is the reader: it polls and
 * reads with the lock released, while the others wait, each for its own answer. Whoever is woken is
 * likely to ask again soon, so output waits for the last of them to come by: their requests travel
 * together. It never waits longer than until the next poll. */
/* Whether looking for an answer before sleeping pays; the reader's. */
struct xsc_spin {
    bool several;         /* processors */
    unsigned pause, left; /* answers to be waited for asleep: after the last try, and still */
};

struct xsc_client {
    struct xsc_transport transport;
    struct xsc *x;
    pthread_mutex_t lock;
    pthread_cond_t changed;  /* the reader's place is free, for whoever exchanges the transport */
    struct vbd_list waiters; /* struct waiter of xsc_client.c: threads that wait for an answer */
    size_t woken;            /* threads that were woken and have not come by yet */
    bool has_reader;
    unsigned crowd; /* answers until the reader counts as alone; see wait_turn */
    struct xsc_spin spin;
    bool exchanging;               /* nobody may become the reader */
    struct suspension *suspending; /* of xsc_suspend.c: who waits for that, or NULL */
    int kick[2];                   /* a pipe: wakes the reader to look at its events again */
};

/* How long a thread waits at most. */
struct xsc_patience {
    int64_t deadline;      /* in ms of CLOCK_MONOTONIC; negative: none */
    const bool *cancelled; /* under the lock, set before xsc_client_wake; may be NULL */
};

/* Waits, with the lock held and released meanwhile, until *done, or as long as the patience lasts
 * (NULL: for ever). Returns 0, -ETIMEDOUT, -ECANCELED, -ENOTCONN. */
int xsc_client_await(struct xsc_client *c, const bool *done, const struct xsc_patience *patience);
/* Writes what is queued; called with the lock held, after a submit. */
void xsc_client_flush(struct xsc_client *c);
/* Wakes whoever waits, the reader too, to look again. With the lock held. */
void xsc_client_wake(struct xsc_client *c);
/* Ends the connection for want of something; takes the lock. */
void xsc_client_give_up(struct xsc_client *c, int error);
/* xsc_resume, with the lock held; runs callbacks. */
int xsc_client_go_on(struct xsc_client *c, bool new_connection);
/* Takes a transport over. With the lock held. */
void xsc_client_use(struct xsc_client *c, const struct xsc_transport *transport);
/* True on a thread that runs one of the client's callbacks. */
bool xsc_client_in_callback(const struct xsc_client *c);
/* Around what runs callbacks: a callback of one client may drive another, or close it, so what was
 * before is restored. */
const struct xsc_client *xsc_client_begin_callbacks(const struct xsc_client *c);
void xsc_client_restore_callbacks(const struct xsc_client *before);
/* Now plus timeout_ms; negative when timeout_ms is. */
int64_t xsc_deadline(int timeout_ms);

/* xsc_spin.c: reads the one answer that is on its way, from a socket; as xsc_transport_read. */
void xsc_spin_init(struct xsc_spin *s);
long xsc_spin_read(struct xsc_spin *s, const struct xsc_transport *t, void *buffer, size_t size);

#endif
