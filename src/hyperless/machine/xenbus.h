/* xenbus.h - the inside of a domain's xenbus, for xenbus.c and xenbus_client.c. */
#ifndef HYPERLESS_XENBUS_H
#define HYPERLESS_XENBUS_H

#include "hyperless/machine/bytes.h"
#include "hyperless/machine/inside.h"
#include "xenstore/frame.h"
#include "xenstore/ring.h"

enum {
    HL_RING_BACKLOG = 65536,     /* bytes waiting for the ring; beyond it no client is read */
    HL_CLIENT_BACKLOG = 4194304, /* bytes waiting for a client; one that leaves more is cut off */
    HL_REQUEST_MAX = 4096
};

struct hl_xenbus {
    struct hl_dom *domain;
    struct xsc_ring_page *ring;
    struct hl_source queue; /* the kernel's eventfd */
    struct hl_source listener;
    struct vbd_list clients;
    uint32_t client_count;
    uint32_t next_client; /* numbers are never used twice: late watch events are told apart */
    uint32_t next_request;
    struct vbd_list pending; /* struct hl_pending, in the order of the ring */
    struct hl_bytes out;
    struct xsc_frame in;
    bool paused; /* clients are not read: the ring is behind */
    bool broken; /* xenstored broke the ring, or there is no memory */
};

/* A request that went over the ring and is not answered yet. */
struct hl_pending {
    struct vbd_list link;
    uint32_t request;                /* its number on the ring */
    uint32_t client, client_request; /* whose it is (0: nobody's), and its number there */
    uint32_t op;
    uint32_t tx;
    struct hl_watch *watch; /* of WATCH and UNWATCH: what it speaks of; owned */
};

struct hl_xenbus_client {
    struct hl_source source;
    struct hl_xenbus *xenbus;
    struct vbd_list link;
    uint32_t number;
    struct xsc_frame in;
    struct hl_bytes out;
    struct vbd_list watches;      /* struct hl_watch */
    struct vbd_list transactions; /* struct hl_transaction */
    bool gone;
};

/* What ends with its client. */
struct hl_watch {
    struct vbd_list link;
    size_t len;
    char payload[]; /* of WATCH as it went over the ring; UNWATCH has the same */
};

struct hl_transaction {
    struct vbd_list link;
    uint32_t id;
};

/* --- xenbus.c --- */
/* Sends a request over the ring for a client (NULL: the answer is dropped); `watch`, if it is one
 * of a watch, is taken. */
void hl_xenbus_send(struct hl_xenbus *x, const struct hl_xenbus_client *client,
                    const struct xsc_header *header, const void *payload, struct hl_watch *watch);
void hl_xenbus_pump(struct hl_xenbus *x);

/* --- xenbus_client.c --- */
void hl_client_accept(struct hl_source *listener, uint32_t events);
void hl_client_free(struct hl_xenbus_client *c);
/* Sends a message to a client. */
void hl_client_tell(struct hl_xenbus_client *c, const struct xsc_header *header,
                    const void *payload);
/* A reply or watch event that came over the ring for this client. */
void hl_client_reply(struct hl_xenbus_client *c, struct hl_pending *p,
                     const struct xsc_frame *frame);
void hl_client_listen(struct hl_xenbus_client *c);

#endif
