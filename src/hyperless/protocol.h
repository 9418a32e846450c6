/* protocol.h - what the drop-in Xen libraries (lib/) and the broker (machine/) say to each other.
 *
 * Each open handle of a library is one SOCK_SEQPACKET connection to the socket "hypercall" in the
 * folder of its domain; $HYPERLESS names that folder. Which domain a connection speaks for is
 * decided by the socket it was made to, never by what it says: no message carries the caller's own
 * number. One request is answered by one reply; file descriptors come beside the reply.
 *
 * Two pages are shared outside of messages, so that the data path needs none: struct hl_channel
 * between the two ends of an event channel, struct hl_epoch from the broker to a gnttab handle.
 */
#ifndef HYPERLESS_PROTOCOL_H
#define HYPERLESS_PROTOCOL_H

#include <stdint.h>

enum {
    HL_PAGE = 4096,
    HL_BATCH = 64,        /* grants in one request; as many descriptors fit into one message */
    HL_SHARE_MAX = 1024,  /* pages in one share */
    HL_DOMAINS_MAX = 128, /* domains in one reply */
    HL_DOMID_MAX = 0x7fef /* DOMID_FIRST_RESERVED - 1 */
};

#define HL_ENVIRONMENT "HYPERLESS"
#define HL_FAULTS "HYPERLESS_FAULTS"
#define HL_SOCKET "hypercall"
#define HL_XENSTORE "xenstore"

enum hl_op {
    /* gnttab */
    HL_OPEN_GNTTAB = 1, /* -> number = own domid, descriptor of struct hl_epoch */
    HL_MAP,             /* grants[count], HL_WRITABLE -> pages[count], descriptors */
    HL_UNMAP,           /* pins in grants[count].ref */
    HL_NOTIFY_ON_UNMAP, /* number = pin, notify */
    HL_ACCESS,          /* grants[0] -> share's refs, number = access, HL_WRITABLE, descriptor */
    HL_REVOKED,         /* -> refs: accesses that ended, count; HL_MORE */
    /* gntshr */
    HL_OPEN_GNTSHR,
    HL_SHARE,   /* domid, count, HL_WRITABLE, notify -> refs[count], number = share, descriptor */
    HL_UNSHARE, /* number = share */
    /* evtchn */
    HL_OPEN_EVTCHN,      /* -> the handle's eventfd */
    HL_BIND_UNBOUND,     /* domid -> number = port, side, descriptor of struct hl_channel */
    HL_BIND_INTERDOMAIN, /* domid, number = remote port -> the same */
    HL_BIND_VIRQ,        /* number = virq -> the same */
    HL_UNBIND,           /* number = port */
    HL_PEER,             /* number = port -> eventfd of the other end, if there is one */
    HL_RESTRICT,         /* domid */
    HL_ADOPT,            /* beside it a handle's eventfd: its ports are this connection's now */
    HL_PORT,             /* number = n-th port of this handle -> as HL_BIND_UNBOUND; -ENOENT */
    /* the machine, as far as xenstored and its kind look at it */
    HL_DOMAINS,   /* domid = first, count -> domains[count] */
    HL_STORE,     /* -> number = own store port, descriptor of the own store page */
    HL_MAP_STORE, /* domid: another domain's store page (domain 0 only) -> descriptor */
    /* the toolstack (domain 0 only), and a domain's own end */
    HL_CREATE,  /* domid, HL_KERNEL -> 0 once xenstored knows it; lives until HL_DESTROY */
    HL_HOLD,    /* the same, unless it is there; lives as long as somebody holds it */
    HL_DESTROY, /* domid -> 0 once nothing is left */
    HL_DIE      /* the own domain ends, as if it had crashed */
};

enum hl_flag {
    HL_WRITABLE = 1,
    HL_MORE = 2,         /* ask again, there is more */
    HL_NOTIFY_BYTE = 4,  /* on the end of a mapping or share clear a byte */
    HL_NOTIFY_EVENT = 8, /* and send an event */
    HL_NO_KERNEL = 16,   /* the domain drives its store ring by itself: a unikernel */
    HL_DYING = 32
};

struct hl_grant {
    uint32_t domid, ref;
};

struct hl_request {
    uint32_t op; /* enum hl_op */
    uint32_t flags;
    uint32_t domid;
    uint32_t number;
    uint32_t count;         /* of what the operation speaks of */
    uint32_t notify_offset; /* bytes into the page */
    uint32_t notify_port;   /* a port of the caller's domain */
    struct hl_grant grants[HL_BATCH];
};

/* A mapped page: which page of which descriptor that came along. */
struct hl_page {
    uint32_t pin; /* names the mapping to HL_UNMAP */
    uint16_t page, descriptor;
};

struct hl_domain {
    uint32_t domid, flags;
};

struct hl_reply {
    int32_t error; /* 0 or -errno */
    uint32_t flags;
    uint32_t number;
    uint32_t side;  /* of an event channel: 0 or 1 */
    int32_t status; /* GNTST_*, why HL_ACCESS was refused */
    uint32_t count;
    union {
        struct hl_page pages[HL_BATCH];
        uint32_t refs[HL_SHARE_MAX];
        struct hl_domain domains[HL_DOMAINS_MAX];
    };
};

/* Bytes of a request with n grants, and of a reply without its list. */
#define HL_REQUEST_BYTES(n) (offsetof(struct hl_request, grants) + (n) * sizeof(struct hl_grant))
#define HL_REPLY_HEAD offsetof(struct hl_reply, refs)

/* --- shared pages --- */

/* One end of an event channel, as Linux' evtchn device keeps it: an event masks its port and is
 * queued; further ones only mark it pending; unmasking queues it again when it is. The queue is
 * the handle's eventfd (a semaphore): its count is the number of ports queued. */
enum hl_end_state {
    HL_END_MASKED = 1,
    HL_END_PENDING = 2, /* came while masked */
    HL_END_QUEUED = 4   /* in the handle's queue, not read yet */
};

struct hl_end {
    uint32_t state; /* enum hl_end_state bits, atomic */
    uint32_t spare[15];
};

struct hl_channel {
    struct hl_end ends[2];
    uint32_t generation; /* the broker counts up when an end comes or goes */
};

/* The broker counts up when an access of this handle ended. */
struct hl_epoch {
    uint32_t revocations;
};

#endif
