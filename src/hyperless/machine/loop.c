/* loop.c - see loop.h. Called by machine.c; knows nothing of domains. */
#include "hyperless/machine/loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ROUND = 64 };

int hl_loop_init(struct hl_loop *loop)
{
    *loop = (struct hl_loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    return loop->epoll < 0 ? -errno : 0;
}

void hl_loop_free(struct hl_loop *loop)
{
    if (loop->epoll >= 0)
        (void)close(loop->epoll);
    loop->epoll = -1;
}

static int control(struct hl_loop *loop, int op, struct hl_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(loop->epoll, op, source->fd, &event) < 0 ? -errno : 0;
}

int hl_loop_add(struct hl_loop *loop, struct hl_source *source, uint32_t events)
{
    return control(loop, EPOLL_CTL_ADD, source, events);
}

int hl_loop_change(struct hl_loop *loop, struct hl_source *source, uint32_t events)
{
    return control(loop, EPOLL_CTL_MOD, source, events);
}

void hl_loop_remove(struct hl_loop *loop, struct hl_source *source)
{
    (void)control(loop, EPOLL_CTL_DEL, source, 0);
    for (int i = 0; i < loop->now_count; i++)
        if (loop->now[i] == source)
            loop->now[i] = NULL;
}

int hl_loop_turn(struct hl_loop *loop, int timeout_ms)
{
    struct epoll_event events[ROUND];
    struct hl_source *now[ROUND];
    int n = epoll_wait(loop->epoll, events, ROUND, timeout_ms);

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; i++)
        now[i] = events[i].data.ptr;
    loop->now = now;
    loop->now_count = n;
    for (int i = 0; i < n; i++)
        if (now[i] != NULL)
            now[i]->ready(now[i], events[i].events);
    loop->now_count = 0;
    loop->now = NULL;
    return 0;
}
