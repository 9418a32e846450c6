/* session.c - one open handle of one program: its requests, in one table, and its end. Called by
 * server.c. What a request may do depends on the domain that the connection was made in, and on
 * nothing that it says.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hyperless/machine/inside.h"

/* What a handler works with. Descriptors in `fds` stay the machine's. */
struct exchange {
    struct hl_session *s;
    const struct hl_request *request;
    int descriptor; /* came with the request, or -1 */
    struct hl_reply *reply;
    int *fds;
    uint32_t fd_count;
    int to_close; /* a descriptor in `fds` that was made for this reply alone, or -1 */
};

enum { LATER = 1 }; /* a handler's answer: not yet */

static void send_fd(struct exchange *x, int fd)
{
    x->fds[x->fd_count++] = fd;
}

/* --- gnttab --- */

/* The page is sealed once this side has mapped it: the program can read it and nothing more. */
static int open_gnttab(struct exchange *x)
{
    int file = memfd_create("hyperless-epoch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *page = MAP_FAILED;

    if (file >= 0 && ftruncate(file, HL_PAGE) == 0)
        page = mmap(NULL, HL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED ||
        fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0) {
        int error = -errno;

        if (page != MAP_FAILED)
            (void)munmap(page, HL_PAGE);
        if (file >= 0)
            (void)close(file);
        return error;
    }
    x->s->kind = HL_SESSION_GNTTAB;
    x->reply->number = x->s->domain->domid;
    x->s->epoch = page;
    x->to_close = file;
    send_fd(x, file);
    return 0;
}

/* The descriptor of a share goes along once, however many of its pages are asked for. */
static uint16_t descriptor_of(struct exchange *x, int file)
{
    uint32_t i = 0;

    while (i < x->fd_count && x->fds[i] != file)
        i++;
    if (i == x->fd_count)
        send_fd(x, file);
    return (uint16_t)i;
}

static int map(struct exchange *x)
{
    const struct hl_request *q = x->request;
    uint32_t done;
    int r = 0;

    for (done = 0; r == 0 && done < q->count; done++) {
        struct hl_page *page = &x->reply->pages[done];
        const struct hl_pin *pin;

        r = hl_pin(x->s, q->grants[done], q->flags & HL_WRITABLE, &page->pin);
        if (r < 0)
            break;
        pin = hl_table_get(&x->s->pins, page->pin);
        page->page = (uint16_t)pin->page;
        page->descriptor = descriptor_of(x, pin->share->file);
    }
    if (r == 0) {
        x->reply->count = done;
        return 0;
    }
    while (done-- > 0)
        hl_unpin(x->s, x->reply->pages[done].pin);
    x->fd_count = 0;
    return r;
}

static int unmap(struct exchange *x)
{
    for (uint32_t i = 0; i < x->request->count; i++)
        hl_unpin(x->s, x->request->grants[i].ref);
    return 0;
}

static int notify_on_unmap(struct exchange *x)
{
    struct hl_pin *pin = hl_table_get(&x->s->pins, x->request->number);

    if (pin == NULL || (x->request->flags & HL_NOTIFY_BYTE && !pin->writable))
        return -EINVAL;
    return hl_notice_set(&pin->notice, x->s->domain, x->request);
}

static int access_share(struct exchange *x)
{
    uint32_t page;
    struct hl_share *share =
        x->request->count == 1
            ? hl_grant_find(x->s->domain, x->request->grants[0], &page, &x->reply->status)
            : NULL;
    int r;

    if (share == NULL)
        return x->request->count == 1 ? 0 : -EINVAL; /* the status says why */
    r = hl_access_new(x->s, share, &x->reply->number);
    if (r < 0)
        return r;
    x->reply->flags = share->writable ? HL_WRITABLE : 0;
    x->reply->count = share->pages;
    memcpy(x->reply->refs, share->refs, share->pages * sizeof share->refs[0]);
    send_fd(x, share->file);
    return 0;
}

static int revoked(struct exchange *x)
{
    x->reply->count = hl_access_told(x->s, x->reply->refs, HL_SHARE_MAX);
    x->reply->flags = x->s->revoked_count > 0 ? HL_MORE : 0;
    return 0;
}

/* --- gntshr --- */

static int open_gntshr(struct exchange *x)
{
    x->s->kind = HL_SESSION_GNTSHR;
    return 0;
}

/* A read-only page that has a byte to be cleared is mapped here before its sharer seals it. */
static int prepare_notice(struct exchange *x, struct hl_share *share)
{
    if (x->request->flags & HL_NOTIFY_BYTE && !share->writable) {
        void *page = mmap(NULL, HL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, share->file, 0);

        if (page == MAP_FAILED)
            return -ENOMEM;
        share->page = page;
    }
    return hl_notice_set(&share->notice, x->s->domain, x->request);
}

static int share_pages(struct exchange *x)
{
    const struct hl_request *q = x->request;
    struct hl_share *share;
    int r;

    if (q->count == 0 || q->count > HL_SHARE_MAX)
        return -EINVAL;
    r = hl_share_new(x->s->domain, q->domid, q->count, q->flags & HL_WRITABLE, &share);
    if (r < 0)
        return r;
    r = hl_table_add(&x->s->shares, share, HL_GRANTS_MAX, &share->number);
    if (r == 0) {
        share->session = x->s;
        r = prepare_notice(x, share);
    }
    if (r < 0) {
        hl_share_end(share);
        return r;
    }
    x->reply->number = share->number;
    x->reply->count = share->pages;
    memcpy(x->reply->refs, share->refs, share->pages * sizeof share->refs[0]);
    send_fd(x, share->file);
    return 0;
}

static int unshare(struct exchange *x)
{
    struct hl_share *share = hl_table_get(&x->s->shares, x->request->number);

    if (share == NULL)
        return -EINVAL;
    hl_share_end(share);
    return 0;
}

/* --- evtchn --- */

static int open_evtchn(struct exchange *x)
{
    int queue = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);

    if (queue < 0)
        return -errno;
    x->s->kind = HL_SESSION_EVTCHN;
    x->s->queue = queue;
    x->s->queue_id = hl_queue_id(queue);
    send_fd(x, queue);
    return 0;
}

static int answer_port(struct exchange *x, int r, const struct hl_port *port)
{
    if (r < 0)
        return r;
    x->reply->number = port->number;
    x->reply->side = port->side;
    send_fd(x, port->link->file);
    return 0;
}

static int bind_unbound(struct exchange *x)
{
    struct hl_port *port = NULL;
    int r = hl_bind_unbound(x->s->domain, x->s, x->request->domid, &port);

    return answer_port(x, r, port);
}

static int bind_interdomain(struct exchange *x)
{
    struct hl_port *port = NULL;
    int r = hl_bind_interdomain(x->s->domain, x->s, x->request->domid, x->request->number, &port);

    return answer_port(x, r, port);
}

static int bind_virq(struct exchange *x)
{
    struct hl_port *port = NULL;
    int r = hl_bind_virq(x->s, x->request->number, &port);

    return answer_port(x, r, port);
}

static int unbind(struct exchange *x)
{
    struct hl_port *port = hl_port_of(x->s, x->request->number);

    if (port == NULL)
        return x->request->number < HL_PORT_NUMBERS ? -ENOTCONN : -EINVAL;
    hl_port_close(port);
    return 0;
}

static int peer(struct exchange *x)
{
    const struct hl_port *port = hl_port_of(x->s, x->request->number);
    const struct hl_port *other = port != NULL ? hl_port_peer(port) : NULL;
    int queue = -1;

    if (port == NULL)
        return -ENOTCONN;
    if (other != NULL && other->session != NULL)
        queue = other->session->queue;
    else if (other != NULL && !other->closed && other->domain->xenbus != NULL)
        queue = hl_xenbus_queue(other->domain->xenbus);
    if (queue >= 0)
        send_fd(x, queue);
    return 0;
}

static int restrict_to(struct exchange *x)
{
    if (x->s->restricted >= 0)
        return -EACCES;
    if (x->request->domid == 0 || x->request->domid > HL_DOMID_MAX)
        return -EINVAL;
    x->s->restricted = (int32_t)x->request->domid;
    return 0;
}

/* The handle that a descriptor belongs to, if it is one of the same domain. */
static struct hl_session *session_of(const struct hl_dom *d, long long queue_id)
{
    for (struct vbd_list *at = d->sessions.next; at != &d->sessions; at = at->next) {
        struct hl_session *s = VBD_CONTAINER(at, struct hl_session, link);

        if (s->queue >= 0 && s->queue_id == queue_id)
            return s;
    }
    return NULL;
}

static int adopt(struct exchange *x)
{
    long long id = x->descriptor >= 0 ? hl_queue_id(x->descriptor) : -1;
    struct hl_session *from = id >= 0 ? session_of(x->s->domain, id) : NULL;

    if (from == NULL || from == x->s)
        return -EINVAL;
    (void)close(x->s->queue);
    x->s->queue = from->queue;
    x->s->queue_id = id;
    x->s->restricted = from->restricted;
    from->queue = -1;
    from->queue_id = -1;
    hl_ports_adopt(from, x->s);
    return 0;
}

static int port_at(struct exchange *x)
{
    uint32_t left = x->request->number;

    for (uint32_t i = 0; i < x->s->domain->ports.used; i++) {
        const struct hl_port *port = hl_port_of(x->s, i);

        if (port != NULL && left-- == 0)
            return answer_port(x, 0, port);
    }
    return -ENOENT;
}

/* --- the machine --- */

static int domains(struct exchange *x)
{
    const struct hl_machine *m = x->s->domain->machine;
    uint32_t max = x->request->count < HL_DOMAINS_MAX ? x->request->count : HL_DOMAINS_MAX;

    for (uint32_t i = x->request->domid; i <= HL_DOMID_MAX && x->reply->count < max; i++)
        if (m->domains[i] != NULL)
            x->reply->domains[x->reply->count++] =
                (struct hl_domain){i, m->domains[i]->phase == HL_PHASE_DYING ? HL_DYING : 0};
    return 0;
}

static int store(struct exchange *x)
{
    const struct hl_dom *d = x->s->domain;

    if (d->store_port == NULL || d->store == NULL)
        return -ESRCH;
    x->reply->number = d->store_port->number;
    send_fd(x, d->store->file);
    return 0;
}

static int map_store(struct exchange *x)
{
    const struct hl_dom *d = hl_domain(x->s->domain->machine, x->request->domid);

    if (x->s->domain->domid != 0 && d != x->s->domain)
        return -EPERM;
    if (d == NULL || d->store == NULL)
        return -ESRCH;
    send_fd(x, d->store->file);
    return 0;
}

/* --- the toolstack --- */

static int wait_for(struct exchange *x, struct hl_dom *d)
{
    x->s->asked = *x->request;
    vbd_list_append(&d->waiting, &x->s->wait);
    return LATER;
}

static int make(struct exchange *x)
{
    struct hl_dom *d;
    int r = hl_domain_new(x->s->domain->machine, x->request->domid,
                          !(x->request->flags & HL_NO_KERNEL), &d);

    if (r < 0)
        return r;
    x->s->made = d;
    r = wait_for(x, d);
    d->machine->hooks.introduce(d->machine->hooks.ctx, d->domid, d->store_port->number);
    return r;
}

static int check_toolstack(const struct exchange *x)
{
    if (x->s->domain->domid != 0)
        return -EPERM;
    return x->request->domid == 0 || x->request->domid > HL_DOMID_MAX ? -EINVAL : 0;
}

static int create(struct exchange *x)
{
    struct hl_dom *d = hl_domain(x->s->domain->machine, x->request->domid);
    int r = check_toolstack(x);

    if (r < 0)
        return r;
    if (d == NULL)
        return make(x);
    if (d->phase != HL_PHASE_RUNNING)
        return wait_for(x, d);
    if (d != x->s->made)
        return -EEXIST;
    x->s->made = NULL;
    d->keep = true;
    return 0;
}

static int hold(struct exchange *x)
{
    struct hl_dom *d = hl_domain(x->s->domain->machine, x->request->domid);
    int r = check_toolstack(x);

    if (r < 0 || x->s->holds != NULL)
        return r < 0 ? r : -EBUSY;
    if (d == NULL)
        return make(x);
    if (d->phase != HL_PHASE_RUNNING)
        return wait_for(x, d);
    x->s->made = NULL;
    x->s->holds = d;
    vbd_list_append(&d->holders, &x->s->hold);
    return 0;
}

static int destroy(struct exchange *x)
{
    struct hl_dom *d = hl_domain(x->s->domain->machine, x->request->domid);
    int r = check_toolstack(x);

    if (r < 0)
        return r;
    if (d == NULL)
        return vbd_list_empty(&x->s->wait) && x->s->asked.op != HL_DESTROY ? -ESRCH : 0;
    r = wait_for(x, d);
    if (d->phase == HL_PHASE_RUNNING)
        hl_domain_end(d);
    return r;
}

static int die(struct exchange *x)
{
    if (x->s->domain->domid == 0)
        return -EPERM;
    return LATER; /* the server ends the domain, and with it this session */
}

static const struct {
    enum hl_session_kind kind; /* HL_SESSION_NEW: any */
    int (*run)(struct exchange *x);
} handlers[] = {
    [HL_OPEN_GNTTAB] = {HL_SESSION_NEW, open_gnttab},
    [HL_MAP] = {HL_SESSION_GNTTAB, map},
    [HL_UNMAP] = {HL_SESSION_GNTTAB, unmap},
    [HL_NOTIFY_ON_UNMAP] = {HL_SESSION_GNTTAB, notify_on_unmap},
    [HL_ACCESS] = {HL_SESSION_GNTTAB, access_share},
    [HL_REVOKED] = {HL_SESSION_GNTTAB, revoked},
    [HL_OPEN_GNTSHR] = {HL_SESSION_NEW, open_gntshr},
    [HL_SHARE] = {HL_SESSION_GNTSHR, share_pages},
    [HL_UNSHARE] = {HL_SESSION_GNTSHR, unshare},
    [HL_OPEN_EVTCHN] = {HL_SESSION_NEW, open_evtchn},
    [HL_BIND_UNBOUND] = {HL_SESSION_EVTCHN, bind_unbound},
    [HL_BIND_INTERDOMAIN] = {HL_SESSION_EVTCHN, bind_interdomain},
    [HL_BIND_VIRQ] = {HL_SESSION_EVTCHN, bind_virq},
    [HL_UNBIND] = {HL_SESSION_EVTCHN, unbind},
    [HL_PEER] = {HL_SESSION_EVTCHN, peer},
    [HL_RESTRICT] = {HL_SESSION_EVTCHN, restrict_to},
    [HL_ADOPT] = {HL_SESSION_EVTCHN, adopt},
    [HL_PORT] = {HL_SESSION_EVTCHN, port_at},
    [HL_DOMAINS] = {HL_SESSION_GNTSHR, domains},
    [HL_STORE] = {HL_SESSION_GNTSHR, store},
    [HL_MAP_STORE] = {HL_SESSION_GNTSHR, map_store},
    [HL_CREATE] = {HL_SESSION_NEW, create},
    [HL_HOLD] = {HL_SESSION_NEW, hold},
    [HL_DESTROY] = {HL_SESSION_NEW, destroy},
    [HL_DIE] = {HL_SESSION_NEW, die},
};

bool hl_session_request(struct hl_session *s, const struct hl_request *request, int descriptor,
                        struct hl_reply *reply, int *fds, uint32_t *fd_count)
{
    struct exchange x = {.s = s,
                         .request = request,
                         .descriptor = descriptor,
                         .reply = reply,
                         .fds = fds,
                         .to_close = -1};
    uint32_t op = request->op;
    int r;

    if (op >= sizeof handlers / sizeof handlers[0] || handlers[op].run == NULL)
        r = -ENOSYS;
    else if (handlers[op].kind != s->kind || request->count > HL_SHARE_MAX)
        r = -EINVAL;
    else
        r = handlers[op].run(&x);
    if (r == LATER)
        return false;
    s->asked.op = 0;
    reply->error = r;
    *fd_count = x.fd_count;
    s->to_close = x.to_close;
    return true;
}

/* --- a session's life --- */

static int process_of(int connection)
{
    struct ucred peer_credentials;
    socklen_t len = sizeof peer_credentials;

    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer_credentials, &len) < 0)
        return -1;
    return (int)syscall(SYS_pidfd_open, peer_credentials.pid, 0);
}

struct hl_session *hl_session_new(struct hl_dom *d, int connection)
{
    struct hl_session *s = calloc(1, sizeof *s);

    if (s == NULL || d->session_count >= (d->domid == 0 ? HL_SESSIONS_ZERO : HL_SESSIONS_MAX)) {
        free(s);
        return NULL;
    }
    s->source.fd = connection;
    s->domain = d;
    s->process = process_of(connection);
    s->queue = s->restricted = s->to_close = -1;
    s->queue_id = -1;
    vbd_list_init(&s->wait);
    vbd_list_init(&s->hold);
    vbd_list_append(&d->sessions, &s->link);
    d->session_count++;
    return s;
}

/* A domain that ends takes its programs with it, as Xen does; domain 0's are everybody's. */
static void end_process(const struct hl_session *s)
{
    if (s->process >= 0 && s->domain->domid != 0 && s->domain->phase == HL_PHASE_DYING)
        (void)syscall(SYS_pidfd_send_signal, s->process, SIGKILL, NULL, 0);
    if (s->process >= 0)
        (void)close(s->process);
}

void hl_session_end(struct hl_session *s)
{
    hl_loop_remove(&s->domain->machine->loop, &s->source);
    vbd_list_remove(&s->link);
    vbd_list_remove(&s->wait);
    s->domain->session_count--;
    hl_session_drop_grants(s);
    hl_session_drop_ports(s);
    end_process(s);
    if (s->holds != NULL)
        hl_domain_let_go(s);
    if (s->queue >= 0)
        (void)close(s->queue);
    (void)close(s->source.fd);
    free(s);
}
