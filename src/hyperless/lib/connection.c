/* connection.c - see connection.h. Called by every file of this folder; knows no operation. */
#include "hyperless/lib/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_to_broker(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *folder = getenv(HL_ENVIRONMENT);
    int fd, n;

    if (folder == NULL) {
        errno = ENODEV;
        return -1;
    }
    n = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, HL_SOCKET);
    if (n < 0 || (size_t)n >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;

        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int hl_connect(struct hl_connection *c)
{
    c->fd = connect_to_broker();
    if (c->fd < 0)
        return -1;
    (void)pthread_mutex_init(&c->lock, NULL);
    return 0;
}

int hl_open(struct hl_connection *c, enum hl_op op, int *ret_fd)
{
    struct hl_request request = {.op = op};
    struct hl_reply reply;

    if (hl_connect(c) < 0)
        return -1;
    if (hl_ask(c, &request, &reply, ret_fd) == 0)
        return 0;
    hl_close(c);
    return -1;
}

void hl_close(struct hl_connection *c)
{
    int error = errno;

    (void)close(c->fd);
    (void)pthread_mutex_destroy(&c->lock);
    errno = error;
}

/* --- one exchange --- */

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(HL_BATCH * sizeof(int))];
};

static int send_request(int socket, const void *bytes, size_t len, int descriptor)
{
    union control control = {.room = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (descriptor >= 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int));
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &descriptor, sizeof descriptor);
    }
    do {
        n = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

/* Takes the descriptors that came along, and closes those there is no room for. */
static uint32_t take_descriptors(struct msghdr *message, int *fds)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    uint32_t count = 0;

    if (c == NULL || c->cmsg_type != SCM_RIGHTS)
        return 0;
    count = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (uint32_t i = 0; i < count; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        if (fds != NULL)
            fds[i] = fd;
        else
            (void)close(fd);
    }
    return fds != NULL ? count : 0;
}

static int receive_reply(int socket, struct hl_reply *ret, int *fds, uint32_t *ret_fds)
{
    union control control;
    struct iovec iov = {.iov_base = ret, .iov_len = sizeof *ret};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n;

    do {
        n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < (ssize_t)HL_REPLY_HEAD) {
        errno = n < 0 ? errno : ENOTCONN; /* the broker has closed this handle */
        return -1;
    }
    *ret_fds = take_descriptors(&message, fds);
    if (message.msg_flags & MSG_CTRUNC) { /* no descriptor left here for all that came */
        for (uint32_t i = 0; fds != NULL && i < *ret_fds; i++)
            (void)close(fds[i]);
        *ret_fds = 0;
        errno = EMFILE;
        return -1;
    }
    if (ret->error < 0) {
        errno = -ret->error;
        return -1;
    }
    return 0;
}

static int exchange(struct hl_connection *c, const void *bytes, size_t len, int descriptor,
                    struct hl_reply *ret, int *fds, uint32_t *ret_fds)
{
    int r;

    (void)pthread_mutex_lock(&c->lock);
    r = send_request(c->fd, bytes, len, descriptor);
    if (r == 0)
        r = receive_reply(c->fd, ret, fds, ret_fds);
    (void)pthread_mutex_unlock(&c->lock);
    return r;
}

int hl_call(struct hl_connection *c, struct hl_request *request, uint32_t grants,
            struct hl_reply *ret, int *fds, uint32_t *ret_fds)
{
    uint32_t unused;

    return exchange(c, request, HL_REQUEST_BYTES(grants), -1, ret, fds,
                    ret_fds != NULL ? ret_fds : &unused);
}

int hl_ask(struct hl_connection *c, struct hl_request *request, struct hl_reply *ret, int *ret_fd)
{
    int fds[HL_BATCH];
    uint32_t count = 0;
    int r = hl_call(c, request, 0, ret, ret_fd != NULL ? fds : NULL, &count);

    if (ret_fd != NULL)
        *ret_fd = r == 0 && count > 0 ? fds[0] : -1;
    return r;
}

int hl_send_descriptor(struct hl_connection *c, struct hl_request *request, int fd,
                       struct hl_reply *ret)
{
    uint32_t unused;

    return exchange(c, request, HL_REQUEST_BYTES(0), fd, ret, NULL, &unused);
}

void *hl_map_page(int fd, int prot)
{
    void *page = mmap(NULL, HL_PAGE, prot, MAP_SHARED, fd, 0);
    int error = errno;

    (void)close(fd);
    errno = error;
    return page == MAP_FAILED ? NULL : page;
}
