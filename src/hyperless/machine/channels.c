/* channels.c - event channels: ports, who is bound to whom, events that the machine itself sends.
 * Called by session.c, machine.c, xenbus.c. Events between programs do not come through here: they
 * go from library to library, over the page that both ends share. Rules and errors: Xen's
 * event_channel.c, and Linux' evtchn device where it adds its own.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>

#include "hyperless/end.h"
#include "hyperless/machine/inside.h"

enum { LOOKS = 100 /* for a count that does not change meanwhile */ };

/* --- the pair of ends --- */

static int open_link(struct hl_link *link)
{
    link->file = memfd_create("hyperless-channel", MFD_CLOEXEC);
    if (link->file < 0 || ftruncate(link->file, HL_PAGE) < 0)
        return -errno;
    link->channel = mmap(NULL, HL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, link->file, 0);
    return link->channel == MAP_FAILED ? -errno : 0;
}

static void free_link(struct hl_link *link)
{
    if (link->channel != NULL && link->channel != MAP_FAILED)
        (void)munmap(link->channel, HL_PAGE);
    if (link->file >= 0)
        (void)close(link->file);
    free(link);
}

static struct hl_link *new_link(void)
{
    struct hl_link *link = calloc(1, sizeof *link);

    if (link != NULL && open_link(link) < 0) {
        free_link(link);
        return NULL;
    }
    return link;
}

/* Both ends' libraries look at the generation before they trust what they know of the other. */
static void set_end(struct hl_link *link, uint32_t side, struct hl_port *port)
{
    link->ends[side] = port;
    (void)__atomic_add_fetch(&link->channel->generation, 1, __ATOMIC_SEQ_CST);
}

/* --- events --- */

static int queue_of(const struct hl_port *port)
{
    if (port->session != NULL)
        return port->session->queue;
    return port->domain->xenbus != NULL ? hl_xenbus_queue(port->domain->xenbus) : -1;
}

static void queue_up(const struct hl_port *port)
{
    int queue = queue_of(port);

    if (queue >= 0)
        hl_queue_post(port->domain->machine, queue);
}

struct hl_port *hl_port_peer(const struct hl_port *port)
{
    return port->link->ends[!port->side];
}

void hl_port_raise(struct hl_port *port)
{
    if (hl_end_raise(&port->link->channel->ends[port->side]))
        queue_up(port);
}

void hl_port_notify(struct hl_port *port)
{
    struct hl_port *peer = hl_port_peer(port);

    if (peer != NULL)
        hl_port_raise(peer);
}

static bool is_queued(const struct hl_port *port)
{
    return __atomic_load_n(&port->link->channel->ends[port->side].state, __ATOMIC_ACQUIRE) &
           HL_END_QUEUED;
}

static long long queued_ends(const struct hl_session *s, uint32_t ports)
{
    long long queued = 0;

    for (uint32_t i = 0; i < ports; i++) {
        const struct hl_port *port = hl_port_of(s, i);

        queued += port != NULL && port->link != NULL && is_queued(port);
    }
    return queued;
}

/* The reader and other senders go on meanwhile: only where the count is the same before and after
 * does it belong to the ends that were looked at. */
static bool is_short(const struct hl_session *s, uint32_t ports)
{
    long long before, queued, count = hl_queue_count(s->queue);
    int looks = 0;

    do {
        before = count;
        queued = queued_ends(s, ports);
        count = hl_queue_count(s->queue);
    } while (count != before && ++looks < LOOKS);
    return before < queued;
}

/* A sender that was killed between marking an end queued and counting it up leaves the handle a
 * count short. One too many does no harm: the library passes over it. */
static void repair_queue(const struct hl_port *port)
{
    const struct hl_session *s = port->session;

    if (s != NULL && hl_queue_count(s->queue) >= 0 ? is_short(s, port->domain->ports.used)
                                                   : is_queued(port))
        queue_up(port);
}

/* --- ports --- */

static int new_port(struct hl_dom *d, struct hl_session *s, struct hl_port **ret)
{
    struct hl_port *port = calloc(1, sizeof *port);
    int r;

    if (port == NULL)
        return -ENOMEM;
    *port = (struct hl_port){.domain = d, .session = s, .virq = -1};
    r = hl_table_add(&d->ports, port, HL_PORTS_MAX, &port->number);
    if (r < 0) {
        free(port);
        return r;
    }
    *ret = port;
    return 0;
}

static void free_port(struct hl_port *port)
{
    hl_table_remove(&port->domain->ports, port->number);
    free(port);
}

/* A program that has restricted its handle may deal with one domain only. */
static bool may_deal_with(const struct hl_session *s, uint32_t domid)
{
    return s == NULL || s->restricted < 0 || (uint32_t)s->restricted == domid;
}

int hl_bind_unbound(struct hl_dom *d, struct hl_session *s, uint32_t remote, struct hl_port **ret)
{
    struct hl_port *port;
    int r;

    if (s != NULL && s->restricted >= 0)
        return -EACCES; /* not even an offer to its domain */
    r = new_port(d, s, &port);
    if (r < 0)
        return r;
    port->link = new_link();
    if (port->link == NULL) {
        free_port(port);
        return -ENOMEM;
    }
    port->remote_domid = remote == DOMID_SELF ? d->domid : remote;
    set_end(port->link, 0, port);
    *ret = port;
    return 0;
}

/* A domain that drives its store ring by itself takes its store port over: on Xen it would own all
 * its ports from the start. */
static int take_store_port(struct hl_session *s, struct hl_port **ret)
{
    struct hl_port *port = s->domain->store_port;

    if (port->session != NULL)
        return -EINVAL;
    port->session = s;
    port->link->channel->ends[port->side].state = 0; /* what its last owner left masked */
    set_end(port->link, port->side, port);           /* xenstored asks for the new queue */
    hl_port_raise(port);
    *ret = port;
    return 0;
}

static bool is_own_store_port(const struct hl_session *s, const struct hl_dom *remote,
                              const struct hl_port *end)
{
    return s != NULL && remote == s->domain && end == remote->store_port && remote->xenbus == NULL;
}

int hl_bind_interdomain(struct hl_dom *d, struct hl_session *s, uint32_t remote,
                        uint32_t remote_port, struct hl_port **ret)
{
    struct hl_dom *other = hl_domain(d->machine, remote == DOMID_SELF ? d->domid : remote);
    struct hl_port *end, *port;
    int r;

    if (!may_deal_with(s, remote))
        return -EACCES;
    if (other == NULL || other->phase == HL_PHASE_DYING)
        return -ESRCH;
    end = hl_table_get(&other->ports, remote_port);
    if (end != NULL && is_own_store_port(s, other, end))
        return take_store_port(s, ret);
    if (end == NULL || end->closed || end->link == NULL || end->virq >= 0 ||
        hl_port_peer(end) != NULL || end->remote_domid != d->domid)
        return -EINVAL;
    r = new_port(d, s, &port);
    if (r < 0)
        return r;
    port->link = end->link;
    port->side = !end->side;
    port->remote_domid = other->domid;
    port->link->channel->ends[port->side].state = 0;
    set_end(port->link, port->side, port);
    hl_port_raise(port); /* Xen: events sent before somebody was there may have been lost */
    *ret = port;
    return 0;
}

int hl_bind_virq(struct hl_session *s, uint32_t virq, struct hl_port **ret)
{
    struct hl_machine *m = s->domain->machine;
    int r;

    if (s->restricted >= 0)
        return -EACCES;
    if (s->domain->domid != 0 || virq >= sizeof m->virqs / sizeof m->virqs[0])
        return -EINVAL;
    if (m->virqs[virq] != NULL)
        return -EEXIST;
    r = hl_bind_unbound(s->domain, s, 0, ret);
    if (r < 0)
        return r;
    (*ret)->virq = (int)virq;
    m->virqs[virq] = *ret;
    return 0;
}

/* The other end goes back to unbound, for the same domain to bind again. */
static void leave_link(struct hl_port *port)
{
    struct hl_link *link = port->link;
    struct hl_port *peer = hl_port_peer(port);

    set_end(link, port->side, NULL);
    port->link = NULL;
    if (peer == NULL)
        free_link(link);
    else
        repair_queue(peer);
}

void hl_port_close(struct hl_port *port)
{
    port->session = NULL;
    if (port == port->domain->store_port) {
        if (port->domain->phase != HL_PHASE_DYING)
            return; /* it stays the domain's, for its next kernel */
        port->domain->store_port = NULL;
    }
    port->closed = true;
    if (port->references > 0)
        return; /* a notice is still to be sent through it */
    if (port->virq >= 0)
        port->domain->machine->virqs[port->virq] = NULL;
    leave_link(port);
    free_port(port);
}

struct hl_port *hl_port_of(const struct hl_session *s, uint32_t number)
{
    struct hl_port *port = hl_table_get(&s->domain->ports, number);

    return port != NULL && port->session == s ? port : NULL;
}

void hl_ports_adopt(struct hl_session *from, struct hl_session *to)
{
    for (uint32_t i = 0; i < from->domain->ports.used; i++) {
        struct hl_port *port = hl_port_of(from, i);

        if (port == NULL)
            continue;
        port->session = to;
        (void)__atomic_add_fetch(&port->link->channel->generation, 1, __ATOMIC_SEQ_CST);
    }
}

void hl_session_drop_ports(struct hl_session *s)
{
    for (uint32_t i = 0; i < s->domain->ports.used; i++)
        if (hl_port_of(s, i) != NULL)
            hl_port_close(hl_port_of(s, i));
}

/* --- notices: what the end of a mapping or a share tells the other side --- */

int hl_notice_set(struct hl_notice *n, const struct hl_dom *d, const struct hl_request *request)
{
    struct hl_notice wanted = {.flags = request->flags & (HL_NOTIFY_BYTE | HL_NOTIFY_EVENT),
                               .offset = request->notify_offset};

    if (wanted.flags & HL_NOTIFY_BYTE && wanted.offset >= HL_PAGE)
        return -EINVAL;
    if (wanted.flags & HL_NOTIFY_EVENT) {
        wanted.port = hl_table_get(&d->ports, request->notify_port);
        if (wanted.port == NULL || wanted.port->closed || wanted.port->session == NULL)
            return -EINVAL;
        wanted.port->references++;
    }
    hl_notice_forget(n);
    *n = wanted;
    return 0;
}

static void release_port(struct hl_port *port)
{
    port->references--;
    if (port->references == 0 && port->closed)
        hl_port_close(port);
}

void hl_notice_forget(struct hl_notice *n)
{
    struct hl_port *port = n->port;

    *n = (struct hl_notice){0};
    if (port != NULL)
        release_port(port);
}

static void clear_byte(const struct hl_share *share, uint32_t page, uint32_t offset)
{
    if (share->page != NULL)
        share->page[offset] = 0;
    else
        (void)!pwrite(share->file, "", 1, (off_t)page * HL_PAGE + offset);
}

void hl_notice_do(struct hl_notice *n, const struct hl_share *share, uint32_t page)
{
    struct hl_port *port = n->port;

    if (n->flags & HL_NOTIFY_BYTE)
        clear_byte(share, page, n->offset);
    *n = (struct hl_notice){0};
    if (port == NULL)
        return;
    hl_port_notify(port);
    release_port(port);
}
