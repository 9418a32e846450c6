/* disk.c - a front with its own connection to xenstore and its own seam, driven by whoever calls.
 * The event loop's calls; disk_open.c makes one, disk_wait.c has the calls that block. */
#include "linux/disk.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "linux/clock.h"
#include "linux/error.h"

enum {
    RETRY_SECONDS = 1,
    PATIENT_WITH = 4,  /* requests under way; with more, for */
    BRIEF_NS = 50000,  /* at most */
    SERVE_NS = 250000, /* so long xenstore waits */
    TURNS_MAX = 64
};

/* The disk that this thread has locked, or NULL: whatever is done under the lock may run callbacks.
 */
static _Thread_local const struct vbd_disk *locked;

void vbd_disk_lock(struct vbd_disk *d)
{
    if (pthread_mutex_trylock(&d->lock) != 0) {
        __atomic_add_fetch(&d->wanted, 1, __ATOMIC_RELAXED);
        (void)pthread_mutex_lock(&d->lock);
        __atomic_sub_fetch(&d->wanted, 1, __ATOMIC_RELAXED);
    }
    d->outer = locked;
    locked = d;
}

void vbd_disk_unlock(struct vbd_disk *d)
{
    locked = d->outer;
    (void)pthread_mutex_unlock(&d->lock);
}

bool vbd_disk_in_callback(const struct vbd_disk *d)
{
    return locked == d;
}

/* --- descriptors --- */

int vbd_disk_add_fd(struct vbd_disk *d, int fd, enum vbd_disk_ready ready)
{
    struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = ready};

    return epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &wanted) < 0 ? -errno : 0;
}

unsigned vbd_disk_wait(struct vbd_disk *d, int timeout_ms)
{
    struct epoll_event events[4];
    int n = epoll_wait(d->epoll, events, 4, timeout_ms);
    unsigned ready = 0;

    for (int i = 0; i < n; i++)
        ready |= events[i].data.u32;
    return ready;
}

/* --- xenstore --- */

/* The session's descriptor, and what it wants, as they are now. */
static void watch_client(struct vbd_disk *d)
{
    int fd = xsc_client_fd(d->client);
    short events = xsc_client_events(d->client);
    struct epoll_event wanted = {.events = (events & POLLIN ? (uint32_t)EPOLLIN : 0) |
                                           (events & POLLOUT ? (uint32_t)EPOLLOUT : 0),
                                 .data.u32 = VBD_DISK_CLIENT};

    if (fd == d->client_fd && events == d->client_events)
        return;
    (void)epoll_ctl(d->epoll, fd == d->client_fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &wanted);
    d->client_fd = fd;
    d->client_events = events;
}

static void forget_client(struct vbd_disk *d)
{
    if (d->client_fd >= 0)
        (void)epoll_ctl(d->epoll, EPOLL_CTL_DEL, d->client_fd, NULL);
    d->client_fd = -1;
}

/* The connection was lost: the disk goes on without, as long as its backend stays. */
static int connect_again(struct vbd_disk *d, struct vbd_error *why)
{
    struct itimerspec later = {.it_value = {.tv_sec = RETRY_SECONDS}};
    int r;

    forget_client(d);
    r = xsc_client_resume(d->client, d->address, why);
    if (r < 0)
        (void)timerfd_settime(d->retry, 0, &later, NULL);
    else
        watch_client(d);
    return r;
}

static void turn_client(struct vbd_disk *d)
{
    if (xsc_client_process(d->client) < 0)
        (void)connect_again(d, NULL);
    else
        watch_client(d);
}

/* --- driving --- */

void vbd_disk_kick(struct vbd_disk *d)
{
    static const uint64_t one = 1;

    (void)!write(d->kick, &one, sizeof one);
}

/* Not for ever, where each callback submits what the backend answers before the pass is over: then
 * whoever drives comes again. */
static void turn_front(struct vbd_disk *d)
{
    for (unsigned turns = 0; d->front != NULL && vbd_front_process(d->front); turns++)
        if (turns == TURNS_MAX) {
            vbd_disk_kick(d);
            return;
        }
}

void vbd_disk_send(struct vbd_disk *d)
{
    turn_front(d);
    if (d->client_fd >= 0 && xsc_wants_write(xsc_client_session(d->client))) {
        turn_client(d);
        turn_front(d); /* what callbacks of the session submitted */
    }
}

void vbd_disk_take(struct vbd_disk *d, unsigned ready)
{
    uint64_t times;

    if (ready & VBD_DISK_KICK)
        (void)!read(d->kick, &times, sizeof times);
    if (ready & VBD_DISK_RETRY && read(d->retry, &times, sizeof times) > 0 && d->client_fd < 0)
        (void)connect_again(d, NULL); /* not where somebody has done so meanwhile */
    if (ready & VBD_DISK_CLIENT)
        turn_client(d);
    vbd_disk_send(d);
}

void vbd_disk_process(struct vbd_disk *d)
{
    unsigned ready;

    if (vbd_disk_in_callback(d))
        return;
    vbd_disk_lock(d);
    ready = vbd_disk_wait(d, 0);
    if (d->driver != NULL)
        ready &= ~(unsigned)VBD_DISK_KICK; /* it is the driver's */
    vbd_disk_take(d, ready);
    vbd_disk_unlock(d);
}

static bool have_come(void *ctx)
{
    return vbd_front_waits(((struct vbd_disk *)ctx)->front);
}

/* While much is under way, that hides what a wake-up costs, but where answers come at once. */
static uint64_t patience(const struct vbd_disk *d)
{
    uint32_t under_way = d->front != NULL ? vbd_front_under_way(d->front) : 0;

    if (under_way == 0)
        return 0;
    return under_way <= PATIENT_WITH || d->patience < BRIEF_NS ? d->patience : BRIEF_NS;
}

static bool look(struct vbd_disk *d)
{
    return vbd_polling_look(&d->polling, patience(d), have_come, d);
}

static bool is_wanted(const struct vbd_disk *d)
{
    return __atomic_load_n(&d->wanted, __ATOMIC_RELAXED) > 0;
}

bool vbd_disk_serve(struct vbd_disk *d, const bool *enough)
{
    uint64_t end;
    bool more;

    if (is_wanted(d) || !look(d))
        return false;
    end = vbd_now_ns() + SERVE_NS;
    do
        more = vbd_front_poll(d->front);
    while (!*enough && !is_wanted(d) && vbd_now_ns() < end && (more || look(d)));
    vbd_disk_send(d); /* and asks for events */
    return true;
}

bool vbd_disk_look(struct vbd_disk *d)
{
    static const bool never = false;
    bool found;

    if (vbd_disk_in_callback(d))
        return false;
    vbd_disk_lock(d);
    found = vbd_disk_serve(d, &never);
    vbd_disk_unlock(d);
    return found;
}

int vbd_disk_fd(struct vbd_disk *d)
{
    return d->epoll;
}

/* From inside a callback the turn under way sends them. */
void vbd_disk_submit(struct vbd_disk *d, struct vbd_io *const *ios, size_t count)
{
    struct vbd_channel *channel;
    bool inside = vbd_disk_in_callback(d);

    if (!inside)
        vbd_disk_lock(d);
    channel = vbd_front_channel(d->front);
    channel->ops->submit(channel, ios, count);
    if (!inside) {
        vbd_disk_send(d);
        vbd_disk_unlock(d);
    }
}

void vbd_disk_suspend(struct vbd_disk *d)
{
    vbd_disk_lock(d);
    vbd_front_suspend(d->front);
    vbd_disk_unlock(d);
}

int vbd_disk_resume(struct vbd_disk *d, struct vbd_error *why)
{
    int r;

    if (vbd_disk_in_callback(d))
        return vbd_fail(why, -EDEADLK, "resume: called from a callback");
    vbd_disk_lock(d);
    xsc_client_lock(d->client);
    xsc_disconnected(xsc_client_session(d->client), "the domain was resumed");
    xsc_client_unlock(d->client);
    r = connect_again(d, why);
    vbd_front_resume(d->front);
    vbd_disk_send(d);
    vbd_disk_unlock(d);
    return r;
}

/* --- looking --- */

void vbd_disk_info(struct vbd_disk *d, struct vbd_front_info *ret)
{
    bool inside = vbd_disk_in_callback(d);

    if (!inside)
        vbd_disk_lock(d);
    *ret = d->info;
    if (!inside)
        vbd_disk_unlock(d);
}

void vbd_disk_count(struct vbd_disk *d, struct vbd_front_counters *ret)
{
    vbd_disk_lock(d);
    vbd_front_count(d->front, ret);
    vbd_disk_unlock(d);
}

int vbd_disk_buffer_new(struct vbd_disk *d, size_t bytes, void **ret)
{
    int r;

    vbd_disk_lock(d);
    r = vbd_front_buffer_new(d->front, bytes, ret);
    vbd_disk_unlock(d);
    return r;
}

void vbd_disk_buffer_free(struct vbd_disk *d, void *buffer)
{
    vbd_disk_lock(d);
    vbd_front_buffer_free(d->front, buffer);
    vbd_disk_unlock(d);
}
