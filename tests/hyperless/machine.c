/* machine.c - see machine.h. */
#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#include <cmocka.h>

static long before, with_guest; /* the broker's descriptors, without and with GUEST */

/* --- waiting --- */

double machine_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool machine_eventually(bool (*is)(const void *arg), const void *arg)
{
    double deadline = machine_now() + PATIENCE_MS / 1e3;

    while (!is(arg)) {
        if (machine_now() > deadline)
            return false;
        (void)poll(NULL, 0, 1);
    }
    return true;
}

pid_t machine_child(int (*run)(void))
{
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(run());
    assert_true(child > 0);
    return child;
}

static bool has_ended(const void *arg)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t) * (const pid_t *)arg, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

int machine_reap(pid_t child)
{
    bool ended = machine_eventually(has_ended, &child);
    int status;

    if (!ended)
        (void)kill(child, SIGKILL);
    if (waitpid(child, &status, 0) != child)
        return -1;
    return ended ? status : -1;
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, PATIENCE_MS) == 1;
}

/* --- raw clients of "hypercall" --- */

int raw_connect(uint32_t domid, const char *name, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *own = getenv(HL_ENVIRONMENT);
    int len = own != NULL ? (int)strlen(own) - (int)strlen("/dom0") : -1;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), error;

    if (len < 0 || fd < 0)
        return -1;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.*s/dom%u/%s", len, own, domid,
                   name);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

enum { FDS_MAX = 64 };

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

ssize_t raw_send(int s, const void *bytes, size_t len, const int *fds, size_t fd_count)
{
    union control control = {.room = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    assert_true(fd_count <= FDS_MAX);
    if (fd_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                                    .cmsg_type = SCM_RIGHTS,
                                                    .cmsg_len = CMSG_LEN(fd_count * sizeof(int))};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, fd_count * sizeof(int));
    }
    return sendmsg(s, &message, MSG_NOSIGNAL);
}

/* The first goes to *ret_fd, the others are closed. */
static void take_descriptors(struct msghdr *message, int *ret_fd)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    size_t count =
        c != NULL && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

    if (ret_fd != NULL)
        *ret_fd = -1;
    for (size_t i = 0; i < count; i++) {
        int fd;

        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        if (i == 0 && ret_fd != NULL)
            *ret_fd = fd;
        else
            (void)close(fd);
    }
}

int raw_receive(int s, struct hl_reply *ret, int *ret_fd)
{
    union control control;
    struct hl_reply unused, *reply = ret != NULL ? ret : &unused;
    struct iovec iov = {.iov_base = reply, .iov_len = sizeof *reply};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n;

    if (ret_fd != NULL)
        *ret_fd = -1;
    if (!is_readable(s))
        return RAW_SILENT;
    n = recvmsg(s, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < (ssize_t)HL_REPLY_HEAD)
        return RAW_CLOSED;
    take_descriptors(&message, ret_fd);
    return reply->error;
}

int raw_ask(int s, const struct hl_request *q, uint32_t grants, struct hl_reply *ret, int *ret_fd)
{
    if (ret_fd != NULL)
        *ret_fd = -1;
    if (raw_send(s, q, HL_REQUEST_BYTES(grants), NULL, 0) < 0)
        return RAW_CLOSED;
    return raw_receive(s, ret, ret_fd);
}

int raw_open(uint32_t domid, enum hl_op op, int *ret_fd)
{
    struct hl_request q = {.op = op};
    int s = raw_connect(domid, HL_SOCKET, SOCK_SEQPACKET);

    assert_true(s >= 0);
    assert_int_equal(raw_ask(s, &q, 0, NULL, ret_fd), 0);
    return s;
}

/* --- raw clients of "xenstore" --- */

void store_send(int s, uint32_t op, uint32_t tx, const void *payload, uint32_t len)
{
    struct xsd_sockmsg header = {.type = op, .req_id = 1, .tx_id = tx, .len = len};
    struct iovec iov[] = {{.iov_base = &header, .iov_len = sizeof header},
                          {.iov_base = (void *)(uintptr_t)payload, .iov_len = len}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

    (void)sendmsg(s, &message, MSG_NOSIGNAL);
}

static bool read_whole(int s, char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = is_readable(s) ? recv(s, at, len, MSG_DONTWAIT) : -1;

        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

int store_receive(int s, char *body, size_t size)
{
    struct xsd_sockmsg header;
    char room[XENSTORE_PAYLOAD_MAX + 1];

    if (!is_readable(s))
        return RAW_SILENT;
    if (!read_whole(s, (char *)&header, sizeof header) || header.len >= sizeof room ||
        !read_whole(s, room, header.len))
        return RAW_CLOSED;
    room[header.len] = '\0';
    if (body != NULL)
        (void)snprintf(body, size, "%s", room);
    return (int)header.type;
}

bool store_answers(uint32_t domid)
{
    int s = raw_connect(domid, HL_XENSTORE, SOCK_STREAM), r;
    char body[16] = "", expected[16];

    (void)snprintf(expected, sizeof expected, "%u", domid);
    store_send(s, XS_READ, 0, "domid", sizeof "domid");
    r = store_receive(s, body, sizeof body);
    (void)close(s);
    return r == XS_READ && strcmp(body, expected) == 0;
}

/* --- the broker --- */

long machine_descriptors(void)
{
    char path[32];
    DIR *d;
    long count = -2; /* . and .. */

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)getppid());
    d = opendir(path);
    if (d == NULL)
        return -1;
    while (readdir(d) != NULL)
        count++;
    (void)closedir(d);
    return count;
}

long machine_memory_kb(void)
{
    char path[32], line[128];
    long kb = -1;
    FILE *f;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)getppid());
    f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (f != NULL)
        (void)fclose(f);
    return kb;
}

static int toolstack(enum hl_op op, uint32_t domid, uint32_t flags)
{
    struct hl_request q = {.op = op, .domid = domid, .flags = flags};
    int s = raw_connect(0, HL_SOCKET, SOCK_SEQPACKET);
    int r = s < 0 ? -errno : raw_ask(s, &q, 0, NULL, NULL);

    (void)close(s);
    return r;
}

int machine_create(uint32_t domid, uint32_t flags)
{
    return toolstack(HL_CREATE, domid, flags);
}

int machine_destroy(uint32_t domid)
{
    return toolstack(HL_DESTROY, domid, 0);
}

static bool has_descriptors(const void *arg)
{
    return machine_descriptors() == *(const long *)arg;
}

/* What comes and goes by itself, a connection that the broker has not seen the end of, is gone when
 * the count holds still. */
long machine_settled(void)
{
    long last = -1, now = machine_descriptors();

    for (int same = 0; same < 5; same = now == last ? same + 1 : 0) {
        last = now;
        (void)poll(NULL, 0, 1);
        now = machine_descriptors();
    }
    return now;
}

int machine_begin(void **state)
{
    struct rlimit limit;

    (void)state;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return machine_create(OTHER, 0) == 0 && store_answers(OTHER) ? 0 : -1;
}

static int make_guest(uint32_t flags)
{
    before = machine_settled();
    if (machine_create(GUEST, flags) != 0)
        return -1;
    with_guest = machine_settled();
    return before > 0 ? 0 : -1;
}

int machine_setup(void **state)
{
    (void)state;
    return make_guest(0);
}

int machine_setup_unikernel(void **state)
{
    (void)state;
    return make_guest(HL_NO_KERNEL);
}

static bool guest_is_left(const void *arg)
{
    long now = machine_descriptors();

    (void)arg;
    return now == with_guest || now == before;
}

/* Events between the other domain and domain 0. */
static bool channels_work(void)
{
    struct hl_request offer = {.op = HL_BIND_UNBOUND, .domid = OTHER};
    struct hl_request bind = {.op = HL_BIND_INTERDOMAIN};
    int queue, a = raw_open(0, HL_OPEN_EVTCHN, NULL), b = raw_open(OTHER, HL_OPEN_EVTCHN, &queue);
    struct hl_reply reply;
    bool works = raw_ask(a, &offer, 0, &reply, NULL) == 0;

    bind.number = reply.number;
    works = works && raw_ask(b, &bind, 0, NULL, NULL) == 0 && is_readable(queue);
    (void)close(queue);
    (void)close(a);
    (void)close(b);
    return works;
}

int machine_teardown(void **state)
{
    (void)state;
    if (!machine_eventually(guest_is_left, NULL)) {
        print_error("the broker has %ld descriptors, before %ld\n", machine_descriptors(),
                    with_guest);
        return -1;
    }
    (void)machine_destroy(GUEST);
    if (!channels_work() || !store_answers(OTHER)) {
        print_error("the other domain does not work any more\n");
        return -1;
    }
    if (machine_eventually(has_descriptors, &before))
        return 0;
    print_error("the broker has %ld descriptors, before the guest %ld\n", machine_descriptors(),
                before);
    return -1;
}
