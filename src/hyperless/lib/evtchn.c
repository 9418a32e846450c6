/* evtchn.c - libxenevtchn: event channels over shared words and eventfds. Called by unmodified Xen
 * programs; a handle may be used from any thread.
 *
 * The descriptor of a handle is an eventfd that counts its queued ports (EFD_SEMAPHORE). Sending
 * is a compare-and-swap on the other end's word and, when that end was not masked, one write();
 * taking an event is one read(); unmasking is a system call only when an event came meanwhile. The
 * broker is asked when ends come and go: the channel's generation tells.
 * Semantics and errno: Linux' /dev/xen/evtchn.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenevtchn.h>

#include "hyperless/end.h"
#include "hyperless/lib/connection.h"
#include "hyperless/lib/faults.h"

struct port {
    evtchn_port_t number;
    uint32_t side; /* ends[side] is this end */
    struct hl_channel *channel;
    int peer; /* the other handle's eventfd, -1: nobody there, as of `generation` */
    uint32_t generation;
};

struct xenevtchn_handle {
    struct hl_connection connection;
    int queue;            /* the eventfd */
    pthread_mutex_t lock; /* of what follows */
    struct port **ports;
    size_t port_count, port_room;
    size_t next; /* where the search for the queued port goes on */
};

/* --- handles --- */

static xenevtchn_handle *new_handle(enum hl_op op, int *queue)
{
    xenevtchn_handle *h = calloc(1, sizeof *h);

    if (h == NULL)
        return NULL;
    if (hl_open(&h->connection, op, queue) < 0) {
        int error = errno;

        free(h);
        errno = error;
        return NULL;
    }
    (void)pthread_mutex_init(&h->lock, NULL);
    return h;
}

HL_EXPORT xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
    xenevtchn_handle *h;
    int queue = -1;

    (void)logger;
    if (flags & ~(unsigned)XENEVTCHN_NO_CLOEXEC) {
        errno = EINVAL;
        return NULL;
    }
    h = new_handle(HL_OPEN_EVTCHN, &queue);
    if (h == NULL)
        return NULL;
    h->queue = queue;
    if (flags & XENEVTCHN_NO_CLOEXEC) { /* over an exec the connection keeps the ports bound */
        (void)fcntl(h->queue, F_SETFD, 0);
        (void)fcntl(h->connection.fd, F_SETFD, 0);
    }
    return h;
}

static void forget(struct port *p)
{
    if (p->peer >= 0)
        (void)close(p->peer);
    (void)munmap(p->channel, HL_PAGE);
    free(p);
}

HL_EXPORT int xenevtchn_close(xenevtchn_handle *h)
{
    if (h == NULL)
        return 0;
    hl_close(&h->connection); /* the broker unbinds its ports */
    for (size_t i = 0; i < h->port_count; i++)
        forget(h->ports[i]);
    (void)close(h->queue);
    (void)pthread_mutex_destroy(&h->lock);
    free(h->ports);
    free(h);
    return 0;
}

HL_EXPORT int xenevtchn_fd(xenevtchn_handle *h)
{
    return h->queue;
}

/* --- ports --- */

static struct port *find(const xenevtchn_handle *h, evtchn_port_t number)
{
    for (size_t i = 0; i < h->port_count; i++)
        if (h->ports[i]->number == number)
            return h->ports[i];
    errno = ENOTCONN;
    return NULL;
}

static int make_room(xenevtchn_handle *h)
{
    size_t room = h->port_room > 0 ? h->port_room * 2 : 4;
    struct port **ports;

    if (h->port_count < h->port_room)
        return 0;
    ports = realloc(h->ports, room * sizeof(struct port *));
    if (ports == NULL)
        return -1;
    h->ports = ports;
    h->port_room = room;
    return 0;
}

/* Enters a port that the broker answered with, and whose page is `fd`. Needs the lock. */
static int enter(xenevtchn_handle *h, const struct hl_reply *reply, int fd)
{
    struct port *p = calloc(1, sizeof *p);

    if (p == NULL || make_room(h) < 0) {
        (void)close(fd);
        free(p);
        return -1;
    }
    p->number = reply->number;
    p->side = reply->side;
    p->peer = -1;
    p->channel = hl_map_page(fd, PROT_READ | PROT_WRITE);
    if (p->channel == NULL) {
        free(p);
        return -1;
    }
    p->generation = __atomic_load_n(&p->channel->generation, __ATOMIC_ACQUIRE) - 1;
    h->ports[h->port_count++] = p;
    return 0;
}

static xenevtchn_port_or_error_t bind_port(xenevtchn_handle *h, struct hl_request *request)
{
    struct hl_reply reply = {.error = -1};
    int fd, r;

    (void)pthread_mutex_lock(&h->lock);
    r = hl_ask(&h->connection, request, &reply, &fd);
    if (r == 0)
        r = enter(h, &reply, fd);
    if (r < 0 && reply.error == 0) { /* bound, but of no use here */
        struct hl_request undo = {.op = HL_UNBIND, .number = reply.number};
        int error = errno;

        (void)hl_ask(&h->connection, &undo, &reply, NULL);
        errno = error;
    }
    (void)pthread_mutex_unlock(&h->lock);
    return r == 0 ? (xenevtchn_port_or_error_t)reply.number : -1;
}

HL_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *h, uint32_t domid)
{
    struct hl_request request = {.op = HL_BIND_UNBOUND, .domid = domid};

    return bind_port(h, &request);
}

HL_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
                                                               evtchn_port_t remote_port)
{
    struct hl_request request = {.op = HL_BIND_INTERDOMAIN, .domid = domid, .number = remote_port};

    return bind_port(h, &request);
}

HL_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h, unsigned int virq)
{
    struct hl_request request = {.op = HL_BIND_VIRQ, .number = virq};

    return bind_port(h, &request);
}

/* An event that was queued and not read goes with its port: its count leaves the queue. */
static void unqueue(xenevtchn_handle *h, struct hl_end *end)
{
    struct pollfd fd = {.fd = h->queue, .events = POLLIN};
    uint64_t one;

    if (hl_end_take(end) && poll(&fd, 1, 0) == 1)
        (void)!read(h->queue, &one, sizeof one);
}

HL_EXPORT int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t number)
{
    struct hl_request request = {.op = HL_UNBIND, .number = number};
    struct hl_reply reply;
    struct port *p;
    int r;

    (void)pthread_mutex_lock(&h->lock);
    p = find(h, number);
    r = hl_ask(&h->connection, &request, &reply, NULL);
    if (r == 0 && p != NULL) {
        size_t i = 0;

        while (h->ports[i] != p)
            i++;
        h->ports[i] = h->ports[--h->port_count];
        unqueue(h, &p->channel->ends[p->side]);
        forget(p);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return r;
}

HL_EXPORT int xenevtchn_restrict(xenevtchn_handle *h, domid_t domid)
{
    struct hl_request request = {.op = HL_RESTRICT, .domid = domid};
    struct hl_reply reply;

    return hl_ask(&h->connection, &request, &reply, NULL);
}

/* --- events --- */

static void queue_up(int queue)
{
    uint64_t one = 1;

    while (write(queue, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* Asks who is at the other end, when somebody came or went since it was last asked. */
static int refresh_peer(xenevtchn_handle *h, struct port *p)
{
    uint32_t now = __atomic_load_n(&p->channel->generation, __ATOMIC_ACQUIRE);
    struct hl_request request = {.op = HL_PEER, .number = p->number};
    struct hl_reply reply;
    int fd;

    if (now == p->generation)
        return 0;
    if (hl_ask(&h->connection, &request, &reply, &fd) < 0)
        return -1;
    if (p->peer >= 0)
        (void)close(p->peer);
    p->peer = fd;
    p->generation = now;
    return 0;
}

/* Raises the other end. When somebody else has bound it meanwhile, his queue gets the count too:
 * one too many is passed over there, one too few would leave him deaf. */
static int raise_peer(xenevtchn_handle *h, struct port *p)
{
    uint32_t asked;
    bool queued = hl_end_raise(&p->channel->ends[!p->side]);

    while (queued && p->peer >= 0) {
        queue_up(p->peer);
        asked = p->generation;
        if (refresh_peer(h, p) < 0)
            return -1;
        queued = p->generation != asked;
    }
    return 0;
}

static int send_event(xenevtchn_handle *h, struct port *p)
{
    enum hl_fault_action fault = hl_fault(HL_FAULT_EVENT);
    int r;

    if (fault == HL_FAULT_REFUSE || p->peer < 0)
        return 0; /* an event to an end that nobody has bound is dropped, as Xen does */
    r = raise_peer(h, p);
    return r == 0 && fault == HL_FAULT_DOUBLE ? raise_peer(h, p) : r;
}

HL_EXPORT int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t number)
{
    struct port *p;
    int r = -1;

    (void)pthread_mutex_lock(&h->lock);
    p = find(h, number);
    if (p != NULL)
        r = refresh_peer(h, p);
    if (r == 0)
        r = send_event(h, p);
    (void)pthread_mutex_unlock(&h->lock);
    return r;
}

/* The port that is queued; they take turns, so that a busy one holds up no other. A count without a
 * port, which a sender that died may have left, becomes an event of no account: every program must
 * take one, and not every program takes an error or waits in peace. */
static xenevtchn_port_or_error_t take_queued(xenevtchn_handle *h)
{
    xenevtchn_port_or_error_t number = -1;

    (void)pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < h->port_count && number < 0; i++) {
        struct port *p = h->ports[(h->next + i) % h->port_count];

        if (hl_end_take(&p->channel->ends[p->side])) {
            number = (xenevtchn_port_or_error_t)p->number;
            h->next = (h->next + i + 1) % h->port_count;
        }
    }
    if (number < 0 && h->port_count > 0)
        number = (xenevtchn_port_or_error_t)h->ports[0]->number;
    (void)pthread_mutex_unlock(&h->lock);
    return number;
}

HL_EXPORT xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
    uint64_t one;

    while (read(h->queue, &one, sizeof one) == (ssize_t)sizeof one) {
        xenevtchn_port_or_error_t number = take_queued(h);

        if (number >= 0)
            return number;
    }
    return -1;
}

HL_EXPORT int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t number)
{
    struct port *p;

    (void)pthread_mutex_lock(&h->lock);
    p = find(h, number); /* Linux passes over a port that is not the handle's */
    if (p != NULL && hl_end_unmask(&p->channel->ends[p->side]))
        queue_up(h->queue);
    (void)pthread_mutex_unlock(&h->lock);
    return 0;
}

/* --- a handle taken over, as xenstored does when it updates itself --- */

static int adopt_ports(xenevtchn_handle *h)
{
    for (uint32_t i = 0;; i++) {
        struct hl_request request = {.op = HL_PORT, .number = i};
        struct hl_reply reply;
        int fd;

        if (hl_ask(&h->connection, &request, &reply, &fd) < 0)
            return errno == ENOENT ? 0 : -1;
        if (enter(h, &reply, fd) < 0)
            return -1;
    }
}

HL_EXPORT xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
                                             unsigned open_flags)
{
    struct hl_request request = {.op = HL_ADOPT};
    struct hl_reply reply;
    xenevtchn_handle *h;
    int unused = -1;

    (void)logger;
    if (open_flags != 0) {
        errno = EINVAL;
        return NULL;
    }
    h = new_handle(HL_OPEN_EVTCHN, &unused);
    if (h == NULL)
        return NULL;
    if (unused >= 0)
        (void)close(unused);
    h->queue = fd;
    if (hl_send_descriptor(&h->connection, &request, fd, &reply) == 0 && adopt_ports(h) == 0)
        return h;
    h->queue = -1; /* the descriptor stays the caller's */
    (void)xenevtchn_close(h);
    return NULL;
}
