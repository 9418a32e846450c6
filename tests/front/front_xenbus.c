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

static int share_ring(struct front *f)
{
    unsigned most = 1u << (front_number(f, f->backend, "max-ring-page-order", 0) & 15);
    void *pages;

    f->ring_pages = f->options.ring_pages < most ? f->options.ring_pages : most;
    pages = xengntshr_share_pages(f->grants, f->backend_id, (int)f->ring_pages, f->ring_refs, 1);
    if (pages == NULL)
        return front_fail(f, "cannot share %u pages for the ring: %s", f->ring_pages,
                          strerror(errno));
    front_ring_init(&f->ring, pages, f->ring_pages);
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

static int open_port(struct front *f)
{
    f->port = xenevtchn_bind_unbound_port(f->events, f->backend_id);
    return f->port < 0 ? front_fail(f, "cannot make an event channel for domain %u: %s",
                                    f->backend_id, strerror(errno))
                       : 0;
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

int front_connect(struct front *f)
{
    const unsigned over = bit(FRONT_CLOSING) | bit(FRONT_CLOSED) | bit(FRONT_UNKNOWN);

    f->port = -1;
    if (front_store_open(f) < 0 || find_backend(f) < 0 || open_xen(f) < 0 || begin_anew(f) < 0)
        return -1;
    if (front_await_state(f, bit(FRONT_INIT_WAIT) | bit(FRONT_INITIALISED), bit(FRONT_UNKNOWN),
                          "the backend's offer") < 0)
        return -1;
    if (share_ring(f) < 0 || open_port(f) < 0 || front_io_start(f) < 0 || front_tell_ring(f) < 0)
        return -1;
    if (front_await_state(f, bit(FRONT_CONNECTED), over, "the backend to connect") < 0)
        return -1;
    return read_disk(f) < 0 ? -1 : front_set_state(f, FRONT_CONNECTED);
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

static void give_back(struct front *f)
{
    front_io_end(f);
    if (f->ring.page != NULL)
        (void)xengntshr_unshare(f->grants, f->ring.page, f->ring_pages);
    if (f->port >= 0)
        (void)xenevtchn_unbind(f->events, (evtchn_port_t)f->port);
    if (f->events != NULL)
        (void)xenevtchn_close(f->events);
    if (f->grants != NULL)
        (void)xengntshr_close(f->grants);
    f->ring = (struct front_ring){0};
    f->port = -1;
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
