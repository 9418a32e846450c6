/* front_xenbus.c - the way to Connected and back, step by step as xenbus.h and blkif.h describe it.
 * Called by the commands and, between two rounds, by front_verify.c. Must not know requests. */
#include "front/front.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned bit(enum front_state state)
{
    return 1u << state;
}

/* --- connecting --- */

static int find_backend(struct front *f)
{
    uint64_t domid;

    f->backend = front_node(f, f->dir, "backend");
    if (f->backend == NULL)
        return front_fail(f, "there is no node %s/backend in xenstore", f->dir);
    domid = f->options.backend_id >= 0 ? (uint64_t)f->options.backend_id
                                       : front_number(f, f->dir, "backend-id", UINT64_MAX);
    if (domid > UINT16_MAX)
        return front_fail(f, "there is no node %s/backend-id in xenstore: use --backend-id",
                          f->dir);
    f->backend_id = (unsigned)domid;
    return 0;
}

/* Brings what an earlier front left to the state of a new device: a front that died closes first.
 */
static int begin_anew(struct front *f)
{
    enum front_state state = front_state_of(f, f->dir);

    if (state == FRONT_INITIALISING)
        return 0;
    if (state != FRONT_CLOSED &&
        (front_set_state(f, FRONT_CLOSED) < 0 ||
         front_await_state(f, bit(FRONT_CLOSED), 0, "the end of an earlier connection") < 0))
        return -1;
    return front_set_state(f, FRONT_INITIALISING);
}

static int share_ring(struct front *f, struct front_queue *q)
{
    void *pages = xengntshr_share_pages(f->grants, f->backend_id, (int)f->ring_pages, q->refs, 1);

    if (pages == NULL)
        return front_fail(f, "cannot share %u pages for the ring: %s", f->ring_pages,
                          strerror(errno));
    front_ring_init(&q->ring, pages, f->ring_pages, f->options.layout);
    return 0;
}

static int open_xen(struct front *f)
{
    f->grants = xengntshr_open(NULL, 0);
    if (f->grants == NULL)
        return front_fail(f, "cannot share pages here: %s", strerror(errno));
    f->events = xenevtchn_open(NULL, 0);
    if (f->events == NULL)
        return front_fail(f, "cannot use event channels here: %s", strerror(errno));
    return 0;
}

static int open_port(struct front *f, struct front_queue *q)
{
    q->port = xenevtchn_bind_unbound_port(f->events, f->backend_id);
    return q->port < 0 ? front_fail(f, "cannot make an event channel for domain %u: %s",
                                    f->backend_id, strerror(errno))
                       : 0;
}

/* What was reached is counted, so that it can be given back. */
static int make_queues(struct front *f)
{
    unsigned by_order = 1u << (front_number(f, f->backend, "max-ring-page-order", 0) & 15);
    unsigned by_pages = (unsigned)front_number(f, f->backend, "max-ring-pages", 1);
    unsigned most = f->options.scheme == FRONT_BY_PAGES ? by_pages : by_order;
    unsigned count = f->options.queues > 1 ? f->options.queues : 1;

    f->ring_pages = f->options.ring_pages < most ? f->options.ring_pages : most;
    for (f->queue_count = 0; f->queue_count < count;) {
        struct front_queue *q = &f->queues[f->queue_count++];

        *q = (struct front_queue){.port = -1};
        if (share_ring(f, q) < 0 || open_port(f, q) < 0)
            return -1;
    }
    return 0;
}

static int read_disk(struct front *f)
{
    f->sectors = front_number(f, f->backend, "sectors", 0);
    f->sector_size = front_number(f, f->backend, "sector-size", 0);
    f->info = front_number(f, f->backend, "info", 0);
    f->flush = front_number(f, f->backend, "feature-flush-cache", 0) != 0;
    if (f->sectors == 0 || f->sector_size == 0)
        return front_fail(f, "the backend is Connected without \"sectors\" and \"sector-size\"");
    return 0;
}

int front_approach(struct front *f)
{
    f->queue_count = 0;
    if (front_store_open(f) < 0 || find_backend(f) < 0 || open_xen(f) < 0 || begin_anew(f) < 0)
        return -1;
    return front_await_state(f, bit(FRONT_INIT_WAIT) | bit(FRONT_INITIALISED), bit(FRONT_UNKNOWN),
                             "the backend's offer");
}

int front_proceed(struct front *f)
{
    const unsigned over = bit(FRONT_CLOSING) | bit(FRONT_CLOSED) | bit(FRONT_UNKNOWN);

    if (make_queues(f) < 0 || (f->options.depth > 0 && front_io_start(f) < 0) ||
        front_tell_ring(f) < 0)
        return -1;
    if (front_await_state(f, bit(FRONT_CONNECTED), over, "the backend to connect") < 0)
        return -1;
    return read_disk(f) < 0 ? -1 : front_set_state(f, FRONT_CONNECTED);
}

int front_connect(struct front *f)
{
    return front_approach(f) < 0 ? -1 : front_proceed(f);
}

/* --- disconnecting --- */

/* A backend whose directory is gone has closed. One that never heard of a ring has nothing to
 * close.
 */
static int close_states(struct front *f)
{
    const unsigned gone = bit(FRONT_UNKNOWN) | bit(FRONT_CLOSED);

    if (f->published != FRONT_INITIALISED && f->published != FRONT_CONNECTED)
        return 0;
    if (front_set_state(f, FRONT_CLOSING) < 0 ||
        front_await_state(f, gone | bit(FRONT_CLOSING), 0, "the backend to see the end") < 0 ||
        front_set_state(f, FRONT_CLOSED) < 0)
        return -1;
    return front_await_state(f, gone, 0, "the backend to close");
}

static void end_queue(struct front *f, struct front_queue *q)
{
    if (q->ring.page != NULL)
        (void)xengntshr_unshare(f->grants, q->ring.page, f->ring_pages);
    if (q->port >= 0)
        (void)xenevtchn_unbind(f->events, (evtchn_port_t)q->port);
}

static void give_back(struct front *f)
{
    front_io_end(f);
    while (f->queue_count > 0)
        end_queue(f, &f->queues[--f->queue_count]);
    if (f->events != NULL)
        (void)xenevtchn_close(f->events);
    if (f->grants != NULL)
        (void)xengntshr_close(f->grants);
    f->events = NULL;
    f->grants = NULL;
}

int front_disconnect(struct front *f)
{
    int r = f->backend != NULL ? close_states(f) : 0;

    give_back(f);
    front_store_close(f);
    free(f->backend);
    f->backend = NULL;
    f->published = FRONT_UNKNOWN;
    return r;
}
