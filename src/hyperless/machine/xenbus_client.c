/* xenbus_client.c - one program's connection to its domain's xenbus: the socket "xenstore", which
 * speaks xenstored's protocol. Called by xenbus.c and the loop.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "hyperless/machine/xenbus.h"
#include "vbdkit/xsc_linux.h"

enum { OP_RESET_WATCHES = 21 /* XS_RESET_WATCHES of xs_wire.h */ };

/* --- out --- */

void hl_client_listen(struct hl_xenbus_client *c)
{
    uint32_t events = (c->xenbus->paused ? 0 : EPOLLIN) | (c->out.len > 0 ? EPOLLOUT : 0);

    if (!c->gone)
        (void)hl_loop_change(&c->xenbus->domain->machine->loop, &c->source, events);
}

static void write_out(struct hl_xenbus_client *c)
{
    while (c->out.len > 0) {
        ssize_t n =
            send(c->source.fd, c->out.at + c->out.start, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n <= 0)
            break;
        hl_bytes_consume(&c->out, (size_t)n);
    }
    hl_client_listen(c);
}

void hl_client_tell(struct hl_xenbus_client *c, const struct xsc_header *header,
                    const void *payload)
{
    if (hl_bytes_append(&c->out, header, sizeof *header) < 0 ||
        hl_bytes_append(&c->out, payload, header->len) < 0 || c->out.len > HL_CLIENT_BACKLOG) {
        c->gone = true;
        return;
    }
    write_out(c);
}

static void refuse(struct hl_xenbus_client *c, const struct xsc_header *request, const char *word)
{
    struct xsc_header header = *request;

    header.type = XSC_OP_ERROR;
    header.len = (uint32_t)strlen(word) + 1;
    hl_client_tell(c, &header, word);
}

/* --- replies --- */

static struct hl_transaction *find_transaction(struct hl_xenbus_client *c, uint32_t id)
{
    for (struct vbd_list *at = c->transactions.next; at != &c->transactions; at = at->next) {
        struct hl_transaction *t = VBD_CONTAINER(at, struct hl_transaction, link);

        if (t->id == id)
            return t;
    }
    return NULL;
}

static void keep_transactions(struct hl_xenbus_client *c, const struct hl_pending *p,
                              const struct xsc_frame *frame)
{
    struct hl_transaction *t;
    uint64_t id;

    if (p->op == XSC_OP_TRANSACTION_START && frame->header.type == XSC_OP_TRANSACTION_START &&
        vbd_parse_u64(frame->body, strnlen(frame->body, frame->header.len), UINT32_MAX, &id)) {
        t = calloc(1, sizeof *t);
        if (t == NULL) {
            c->gone = true;
            return;
        }
        t->id = (uint32_t)id;
        vbd_list_append(&c->transactions, &t->link);
    }
}

static struct hl_watch *find_watch(struct hl_xenbus_client *c, const struct hl_watch *same)
{
    for (struct vbd_list *at = c->watches.next; at != &c->watches; at = at->next) {
        struct hl_watch *w = VBD_CONTAINER(at, struct hl_watch, link);

        if (w->len == same->len && memcmp(w->payload, same->payload, same->len) == 0)
            return w;
    }
    return NULL;
}

/* What the server has done is kept, so that it can be undone in the client's name. */
static void keep_watches(struct hl_xenbus_client *c, struct hl_pending *p)
{
    struct hl_watch *old = p->watch != NULL ? find_watch(c, p->watch) : NULL;

    if (p->op == XSC_OP_UNWATCH && old != NULL) {
        vbd_list_remove(&old->link);
        free(old);
    } else if (p->op == XSC_OP_WATCH && p->watch != NULL && old == NULL) {
        vbd_list_append(&c->watches, &p->watch->link);
        p->watch = NULL;
    }
}

void hl_client_reply(struct hl_xenbus_client *c, struct hl_pending *p,
                     const struct xsc_frame *frame)
{
    struct xsc_header header = frame->header;

    keep_transactions(c, p, frame);
    if (header.type == p->op)
        keep_watches(c, p);
    header.req_id = p->client_request;
    header.tx_id = p->tx;
    hl_client_tell(c, &header, frame->body);
}

/* --- requests --- */

static struct hl_watch *new_watch(const char *payload, size_t len)
{
    struct hl_watch *w = calloc(1, sizeof *w + len);

    if (w == NULL)
        return NULL;
    vbd_list_init(&w->link);
    w->len = len;
    memcpy(w->payload, payload, len);
    return w;
}

/* "PATH\0TOKEN\0..." goes on as "PATH\0NUMBER/TOKEN\0...". */
static void forward_watch(struct hl_xenbus_client *c)
{
    struct xsc_header header = c->in.header;
    size_t path = strnlen(c->in.body, header.len);
    char payload[HL_REQUEST_MAX + 16];
    struct hl_watch *watch;
    int n;

    if (path == header.len) {
        refuse(c, &header, "EINVAL");
        return;
    }
    memcpy(payload, c->in.body, path + 1);
    n = snprintf(payload + path + 1, 16, "%u/", c->number);
    memcpy(payload + path + 1 + n, c->in.body + path + 1, header.len - path - 1);
    header.len += (uint32_t)n;
    if (header.len > HL_REQUEST_MAX) {
        refuse(c, &c->in.header, "E2BIG");
        return;
    }
    watch = new_watch(payload, header.len);
    if (watch == NULL)
        refuse(c, &c->in.header, "ENOMEM");
    else
        hl_xenbus_send(c->xenbus, c, &header, payload, watch);
}

static void end_watches(struct hl_xenbus_client *c)
{
    struct vbd_list *link;

    while ((link = vbd_list_pop(&c->watches)) != NULL) {
        struct hl_watch *w = VBD_CONTAINER(link, struct hl_watch, link);
        struct xsc_header header = {.type = XSC_OP_UNWATCH, .len = (uint32_t)w->len};

        hl_xenbus_send(c->xenbus, NULL, &header, w->payload, NULL);
        free(w);
    }
}

static void end_transactions(struct hl_xenbus_client *c)
{
    struct vbd_list *link;

    while ((link = vbd_list_pop(&c->transactions)) != NULL) {
        struct hl_transaction *t = VBD_CONTAINER(link, struct hl_transaction, link);
        struct xsc_header header = {.type = XSC_OP_TRANSACTION_END, .tx_id = t->id, .len = 2};

        hl_xenbus_send(c->xenbus, NULL, &header, "F", NULL);
        free(t);
    }
}

/* The ring is the whole domain's: resetting it would end every program's watches. */
static void reset_own_watches(struct hl_xenbus_client *c)
{
    struct xsc_header header = c->in.header;

    end_watches(c);
    header.len = 3;
    hl_client_tell(c, &header, "OK");
}

static void take_request(struct hl_xenbus_client *c)
{
    const struct xsc_header *header = &c->in.header;
    struct hl_transaction *t = find_transaction(c, header->tx_id);

    if (header->tx_id != 0 && t == NULL) {
        refuse(c, header, "ENOENT");
        return;
    }
    if (header->type == XSC_OP_TRANSACTION_END && t != NULL) {
        vbd_list_remove(&t->link);
        free(t);
    }
    if (header->type == XSC_OP_WATCH || header->type == XSC_OP_UNWATCH)
        forward_watch(c);
    else if (header->type == OP_RESET_WATCHES)
        reset_own_watches(c);
    else
        hl_xenbus_send(c->xenbus, c, header, c->in.body, NULL);
}

static void read_in(struct hl_xenbus_client *c)
{
    char buffer[HL_REQUEST_MAX];
    ssize_t n = recv(c->source.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    const char *at = buffer;
    size_t left = n > 0 ? (size_t)n : 0;

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        c->gone = true;
    while (left > 0 && !c->gone) {
        int r = xsc_frame_take(&c->in, &vbd_libc_allocator, &at, &left);

        if (r < 0 ||
            (c->in.header_have == sizeof c->in.header && c->in.header.len > HL_REQUEST_MAX))
            c->gone = true;
        else if (r > 0)
            take_request(c);
    }
}

static void client_ready(struct hl_source *source, uint32_t events)
{
    struct hl_xenbus_client *c = VBD_CONTAINER(source, struct hl_xenbus_client, source);

    if (events & EPOLLOUT)
        write_out(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_in(c);
    hl_xenbus_pump(c->xenbus); /* frees clients that are gone, this one too */
}

/* --- its life --- */

void hl_client_accept(struct hl_source *listener, uint32_t events)
{
    struct hl_xenbus *x = VBD_CONTAINER(listener, struct hl_xenbus, listener);
    int fd = hl_server_accept(x->domain->machine, listener->fd);
    bool room = x->client_count < HL_CLIENTS_MAX && !x->broken;
    struct hl_xenbus_client *c = fd >= 0 && room ? calloc(1, sizeof *c) : NULL;

    (void)events;
    if (c == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    c->source = (struct hl_source){.fd = fd, .ready = client_ready};
    c->xenbus = x;
    c->number = x->next_client++;
    vbd_list_init(&c->watches);
    vbd_list_init(&c->transactions);
    vbd_list_append(&x->clients, &c->link);
    x->client_count++;
    if (hl_loop_add(&x->domain->machine->loop, &c->source, EPOLLIN) < 0)
        hl_client_free(c);
    else
        hl_client_listen(c);
}

void hl_client_free(struct hl_xenbus_client *c)
{
    end_watches(c);
    end_transactions(c);
    hl_loop_remove(&c->xenbus->domain->machine->loop, &c->source);
    (void)close(c->source.fd);
    vbd_list_remove(&c->link);
    c->xenbus->client_count--;
    hl_bytes_free(&c->out);
    xsc_frame_free(&c->in, &vbd_libc_allocator);
    free(c);
}
