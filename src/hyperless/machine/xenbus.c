/* xenbus.c - a domain's one connection to xenstored, as its kernel's xenbus driver keeps it: many
 * programs, one ring. Called by machine.c and the loop.
 *
 * A request of a program goes over the ring under a number of the kernel's own, and the answer goes
 * back under the program's. A watch's token carries the program's number, which is taken off again
 * when it fires. What a program leaves behind, watches and transactions, is ended in its name.
 */
#include "hyperless/machine/xenbus.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"
#include "hyperless/end.h"
#include "vbdkit/xsc_linux.h"

/* --- to xenstored --- */

static void remember(struct hl_xenbus *x, const struct hl_xenbus_client *client,
                     const struct xsc_header *header, struct hl_watch *watch)
{
    struct hl_pending *p = calloc(1, sizeof *p);

    if (p == NULL) {
        free(watch);
        x->broken = true;
        return;
    }
    p->request = x->next_request++;
    p->client = client != NULL ? client->number : 0;
    p->client_request = header->req_id;
    p->op = header->type;
    p->tx = header->tx_id;
    p->watch = watch;
    vbd_list_append(&x->pending, &p->link);
}

void hl_xenbus_send(struct hl_xenbus *x, const struct hl_xenbus_client *client,
                    const struct xsc_header *header, const void *payload, struct hl_watch *watch)
{
    struct xsc_header mine = *header;

    if (x->broken) {
        free(watch);
        return;
    }
    mine.req_id = x->next_request;
    remember(x, client, header, watch);
    if (x->broken || hl_bytes_append(&x->out, &mine, sizeof mine) < 0 ||
        hl_bytes_append(&x->out, payload, mine.len) < 0)
        x->broken = true;
}

static void free_pending(struct hl_pending *p)
{
    free(p->watch);
    free(p);
}

static int write_ring(struct hl_xenbus *x)
{
    int n;

    if (x->out.len == 0)
        return 0;
    n = xsc_ring_write(x->ring, x->out.at + x->out.start, x->out.len);
    if (n > 0)
        hl_bytes_consume(&x->out, (size_t)n);
    return n;
}

/* --- from xenstored --- */

static struct hl_xenbus_client *find_client(struct hl_xenbus *x, uint32_t number)
{
    for (struct vbd_list *at = x->clients.next; at != &x->clients; at = at->next) {
        struct hl_xenbus_client *c = VBD_CONTAINER(at, struct hl_xenbus_client, link);

        if (c->number == number && !c->gone)
            return c;
    }
    return NULL;
}

/* "PATH\0NUMBER/TOKEN\0" becomes "PATH\0TOKEN\0" for the client of that number. */
static void fire(struct hl_xenbus *x)
{
    const char *body = x->in.body, *token, *slash;
    size_t path = strnlen(body, x->in.header.len), left;
    struct hl_xenbus_client *c;
    struct xsc_header header = x->in.header;
    uint64_t number;
    char payload[HL_REQUEST_MAX * 2];

    if (path + 1 >= header.len || header.len > sizeof payload)
        return;
    token = body + path + 1;
    left = header.len - path - 1;
    slash = memchr(token, '/', left);
    if (slash == NULL || !vbd_parse_u64(token, (size_t)(slash - token), UINT32_MAX, &number))
        return;
    c = find_client(x, (uint32_t)number);
    if (c == NULL)
        return;
    left -= (size_t)(slash + 1 - token);
    memcpy(payload, body, path + 1);
    memcpy(payload + path + 1, slash + 1, left);
    header.len = (uint32_t)(path + 1 + left);
    hl_client_tell(c, &header, payload);
}

/* A transaction or a watch that nobody waits for any more is ended at once. */
static void end_orphan(struct hl_xenbus *x, const struct hl_pending *p)
{
    struct xsc_header end = {.type = XSC_OP_TRANSACTION_END, .len = 2};
    uint64_t id;

    if (p->op == XSC_OP_WATCH && p->watch != NULL && x->in.header.type == p->op) {
        end = (struct xsc_header){.type = XSC_OP_UNWATCH, .len = (uint32_t)p->watch->len};
        hl_xenbus_send(x, NULL, &end, p->watch->payload, NULL);
    }
    if (p->op == XSC_OP_TRANSACTION_START && x->in.header.type == p->op &&
        vbd_parse_u64(x->in.body, strnlen(x->in.body, x->in.header.len), UINT32_MAX, &id)) {
        end.tx_id = (uint32_t)id;
        hl_xenbus_send(x, NULL, &end, "F", NULL);
    }
}

static struct hl_pending *take_pending(struct hl_xenbus *x, uint32_t request)
{
    for (struct vbd_list *at = x->pending.next; at != &x->pending; at = at->next) {
        struct hl_pending *p = VBD_CONTAINER(at, struct hl_pending, link);

        if (p->request == request) {
            vbd_list_remove(at);
            return p;
        }
    }
    return NULL;
}

static void dispatch(struct hl_xenbus *x)
{
    struct hl_pending *p;
    struct hl_xenbus_client *c;

    if (x->in.header.type == XSC_OP_WATCH_EVENT) {
        fire(x);
        return;
    }
    p = take_pending(x, x->in.header.req_id);
    if (p == NULL)
        return;
    c = find_client(x, p->client);
    if (c != NULL)
        hl_client_reply(c, p, &x->in);
    else
        end_orphan(x, p);
    free_pending(p);
}

static int read_ring(struct hl_xenbus *x)
{
    char buffer[XSC_RING_BYTES];
    int n = xsc_ring_read(x->ring, buffer, sizeof buffer);
    const char *at = buffer;
    size_t left = n > 0 ? (size_t)n : 0;

    while (left > 0) {
        int r = xsc_frame_take(&x->in, &vbd_libc_allocator, &at, &left);

        if (r < 0)
            return r;
        if (r > 0)
            dispatch(x);
    }
    return n;
}

/* --- both --- */

static void pause_clients(struct hl_xenbus *x)
{
    bool behind = x->out.len > HL_RING_BACKLOG;

    if (behind == x->paused)
        return;
    x->paused = behind;
    for (struct vbd_list *at = x->clients.next; at != &x->clients; at = at->next)
        hl_client_listen(VBD_CONTAINER(at, struct hl_xenbus_client, link));
}

static void free_the_gone(struct hl_xenbus *x)
{
    VBD_LIST_EACH(at, after, &x->clients)
    {
        struct hl_xenbus_client *c = VBD_CONTAINER(at, struct hl_xenbus_client, link);

        if (c->gone || x->broken) /* without a ring there is nothing to be had here */
            hl_client_free(c);
    }
}

/* Moves what can be moved, both ways, until neither side has more. */
void hl_xenbus_pump(struct hl_xenbus *x)
{
    int in, out;

    do {
        free_the_gone(x);
        out = x->broken ? 0 : write_ring(x);
        in = x->broken ? 0 : read_ring(x);
        x->broken = x->broken || in < 0 || out < 0;
        if ((in > 0 || out > 0) && x->domain->store_port != NULL)
            hl_port_notify(x->domain->store_port);
    } while (!x->broken && (in > 0 || out > 0));
    free_the_gone(x);
    pause_clients(x);
}

static void event_came(struct hl_source *source, uint32_t events)
{
    struct hl_xenbus *x = VBD_CONTAINER(source, struct hl_xenbus, queue);
    struct hl_port *port = x->domain->store_port;
    uint64_t count;

    (void)events;
    (void)!read(source->fd, &count, sizeof count);
    if (port != NULL) {
        struct hl_end *end = &port->link->channel->ends[port->side];

        do {
            (void)hl_end_take(end);
        } while (hl_end_unmask(end)); /* one that came meanwhile is served by this pass too */
    }
    hl_xenbus_pump(x);
}

/* --- its life --- */

int hl_xenbus_queue(const struct hl_xenbus *x)
{
    return x->queue.fd;
}

static int open_listener(struct hl_xenbus *x)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (!hl_domain_path(x->domain, HL_XENSTORE, address.sun_path, sizeof address.sun_path))
        return -ENAMETOOLONG;
    (void)unlink(address.sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    x->listener = (struct hl_source){.fd = fd, .ready = hl_client_accept};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0)
        return -errno;
    return hl_loop_add(&x->domain->machine->loop, &x->listener, EPOLLIN);
}

static int open_queue(struct hl_xenbus *x)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return -errno;
    x->queue = (struct hl_source){.fd = fd, .ready = event_came};
    return hl_loop_add(&x->domain->machine->loop, &x->queue, EPOLLIN);
}

int hl_xenbus_new(struct hl_dom *d, struct hl_xenbus **ret)
{
    struct hl_xenbus *x = calloc(1, sizeof *x);
    int r;

    if (x == NULL)
        return -ENOMEM;
    x->domain = d;
    x->queue.fd = x->listener.fd = -1;
    x->next_client = 1;
    vbd_list_init(&x->clients);
    vbd_list_init(&x->pending);
    x->ring = mmap(NULL, HL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, d->store->file, 0);
    r = x->ring == MAP_FAILED ? -errno : open_queue(x);
    if (r == 0)
        r = open_listener(x);
    if (r < 0) {
        hl_xenbus_free(x);
        return r;
    }
    *ret = x;
    return 0;
}

static void close_source(struct hl_xenbus *x, struct hl_source *source)
{
    if (source->fd < 0)
        return;
    hl_loop_remove(&x->domain->machine->loop, source);
    (void)close(source->fd);
}

void hl_xenbus_free(struct hl_xenbus *x)
{
    struct vbd_list *link;
    char path[108];

    if (x == NULL)
        return;
    while (!vbd_list_empty(&x->clients))
        hl_client_free(VBD_CONTAINER(x->clients.next, struct hl_xenbus_client, link));
    while ((link = vbd_list_pop(&x->pending)) != NULL)
        free_pending(VBD_CONTAINER(link, struct hl_pending, link));
    close_source(x, &x->queue);
    close_source(x, &x->listener);
    if (hl_domain_path(x->domain, HL_XENSTORE, path, sizeof path))
        (void)unlink(path);
    if (x->ring != NULL && (void *)x->ring != MAP_FAILED)
        (void)munmap(x->ring, HL_PAGE);
    hl_bytes_free(&x->out);
    xsc_frame_free(&x->in, &vbd_libc_allocator);
    free(x);
}
