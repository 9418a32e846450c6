/* server.c - the socket "hypercall" of each domain: connections in, requests in, replies out.
 * Called by machine.c and the loop; knows no operation but "the domain dies".
 *
 * A reply is at most one message and its reader waits for it, so it is sent without waiting; a
 * client that does not read loses its handle.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hyperless/machine/inside.h"

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(HL_BATCH * sizeof(int))];
};

/* --- replies --- */

static size_t reply_bytes(const struct hl_reply *reply)
{
    return HL_REPLY_HEAD + reply->count * sizeof reply->pages[0]; /* no entry is larger */
}

void hl_server_reply(struct hl_session *s, const struct hl_reply *reply, const int *fds,
                     uint32_t fd_count)
{
    union control control = {.room = {0}};
    size_t bytes = reply_bytes(reply);
    struct iovec iov = {.iov_base = (void *)(uintptr_t)reply,
                        .iov_len = bytes < sizeof *reply ? bytes : sizeof *reply};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd_count > 0) {
        struct cmsghdr *c = &control.align;

        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS,
                              .cmsg_len = CMSG_LEN(fd_count * sizeof(int))};
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    if (sendmsg(s->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        (void)shutdown(s->source.fd, SHUT_RDWR); /* the loop sees its end, and ends the session */
}

/* --- requests --- */

static bool is_whole(const struct hl_request *request, ssize_t bytes)
{
    size_t grants = ((size_t)bytes - HL_REQUEST_BYTES(0)) / sizeof(struct hl_grant);
    bool has_grants = request->op == HL_MAP || request->op == HL_UNMAP || request->op == HL_ACCESS;

    return !has_grants || (request->count <= HL_BATCH && request->count <= grants);
}

/* One descriptor may come along. More than that is no request: they are closed, every one. */
static int take_descriptor(struct msghdr *message)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    size_t count;
    int fd = -1;

    if (c == NULL || c->cmsg_type != SCM_RIGHTS)
        return -1;
    count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        if (count > 1)
            (void)close(fd);
    }
    return count == 1 ? fd : -1;
}

/* Reads one request: its length; 0 at the end of the connection; -1 nothing there. */
static ssize_t receive(struct hl_session *s, struct hl_request *ret, int *ret_descriptor)
{
    union control control;
    struct iovec iov = {.iov_base = ret, .iov_len = sizeof *ret};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n = recvmsg(s->source.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    *ret_descriptor = n >= 0 ? take_descriptor(&message) : -1;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    return n;
}

static void answer(struct hl_session *s, const struct hl_request *request, int descriptor)
{
    struct hl_reply reply = {0};
    int fds[HL_BATCH];
    uint32_t fd_count = 0;

    if (request->op == HL_DIE && s->domain->domid != 0) {
        hl_domain_end(s->domain);
        return;
    }
    if (!hl_session_request(s, request, descriptor, &reply, fds, &fd_count))
        return;
    hl_server_reply(s, &reply, fds, fd_count);
    if (s->to_close >= 0)
        (void)close(s->to_close);
    s->to_close = -1;
}

static void connection_ready(struct hl_source *source, uint32_t events)
{
    struct hl_session *s = VBD_CONTAINER(source, struct hl_session, source);
    struct hl_request request = {0};
    int descriptor = -1;
    ssize_t n = receive(s, &request, &descriptor);

    (void)events;
    if (n < 0)
        return;
    if (n < (ssize_t)HL_REQUEST_BYTES(0) || !is_whole(&request, n) || !vbd_list_empty(&s->wait))
        hl_session_end(s); /* gone, or it does not speak the protocol */
    else
        answer(s, &request, descriptor);
    if (descriptor >= 0)
        (void)close(descriptor);
}

/* --- connections --- */

/* Without a descriptor left, a connection would stay in the listener's queue and keep it ready. */
int hl_server_accept(struct hl_machine *m, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || m->spare < 0)
        return fd;
    (void)close(m->spare);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        (void)close(fd);
    m->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return -1;
}

static void listener_ready(struct hl_source *source, uint32_t events)
{
    struct hl_dom *d = VBD_CONTAINER(source, struct hl_dom, listener);
    int fd = hl_server_accept(d->machine, source->fd);
    struct hl_session *s = fd >= 0 ? hl_session_new(d, fd) : NULL;

    (void)events;
    if (s == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    s->source.ready = connection_ready;
    if (hl_loop_add(&d->machine->loop, &s->source, EPOLLIN) < 0)
        hl_session_end(s);
}

int hl_server_listen(struct hl_dom *d)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (!hl_domain_path(d, HL_SOCKET, address.sun_path, sizeof address.sun_path))
        return -ENAMETOOLONG;
    (void)unlink(address.sun_path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    d->listener = (struct hl_source){.fd = fd, .ready = listener_ready};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 128) < 0)
        return -errno;
    return hl_loop_add(&d->machine->loop, &d->listener, EPOLLIN);
}

void hl_server_close(struct hl_dom *d)
{
    char path[108];

    if (d->listener.fd < 0)
        return;
    hl_loop_remove(&d->machine->loop, &d->listener);
    (void)close(d->listener.fd);
    d->listener.fd = -1;
    if (hl_domain_path(d, HL_SOCKET, path, sizeof path))
        (void)unlink(path);
}
