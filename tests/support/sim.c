/* sim.c - see sim.h. */
#include "support/sim.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            perror(#condition);                                                                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct vbd_event_channel {
    struct sim *sim; /* the guest's */
    uint32_t port;
};

static void add(int *counter, int by)
{
    (void)__atomic_add_fetch(counter, by, __ATOMIC_RELAXED);
}

/* NULL: there is no such guest. */
static struct sim *find(struct sim *s, unsigned domid)
{
    while (s != NULL && s->domid != domid)
        s = s->next;
    return s;
}

/* The page behind a grant, or -1 when the guest did not grant it so. Grants change while queues'
 * threads look: what orders them is the ring, whose two mappings a race detector can't see to be
 * one memory. */
static int granted(const struct sim *guest, uint32_t grant, bool writable)
{
    uint32_t page = grant - SIM_FIRST_GRANT;

    if (guest == NULL || page >= SIM_PAGES ||
        !__atomic_load_n(&guest->grants[page].valid, __ATOMIC_RELAXED))
        return -1;
    if (writable && __atomic_load_n(&guest->grants[page].read_only, __ATOMIC_RELAXED))
        return -1;
    return (int)page;
}

static int map(void *ctx, unsigned domid, const uint32_t *grants, size_t count, bool writable,
               void **ret)
{
    struct sim_mappings *m = ctx;
    struct sim *guest = find(m->sim, domid);
    char *at = mmap(NULL, count * SIM_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    MUST(at != MAP_FAILED);
    for (size_t i = 0; i < count; i++) {
        int page = granted(guest, grants[i], writable);

        if (page < 0) {
            (void)munmap(at, count * SIM_PAGE);
            return -EINVAL;
        }
        MUST(mmap(at + i * SIM_PAGE, SIM_PAGE, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                  MAP_SHARED | MAP_FIXED, guest->memory_fd, (off_t)page * SIM_PAGE) != MAP_FAILED);
    }
    add(&m->pages, (int)count);
    add(&m->sim->mapped_pages, (int)count);
    *ret = at;
    return 0;
}

static void unmap(void *ctx, void *address, size_t count)
{
    struct sim_mappings *m = ctx;

    MUST(m->pages >= (int)count && munmap(address, count * SIM_PAGE) == 0);
    add(&m->pages, -(int)count);
    add(&m->sim->mapped_pages, -(int)count);
}

static int open_mappings(void *ctx, void **ret)
{
    struct sim_mappings *m = calloc(1, sizeof *m);

    MUST(m != NULL);
    m->sim = ctx;
    add(&m->sim->own_mappings, 1);
    *ret = m;
    return 0;
}

static void close_mappings(void *mappings)
{
    struct sim_mappings *m = mappings;

    MUST(m->pages == 0);
    add(&m->sim->own_mappings, -1);
    free(m);
}

static int copy(void *ctx, unsigned domid, enum vbd_copy_direction direction,
                struct vbd_grant_copy *pieces, size_t count)
{
    struct sim *s = ctx, *guest = find(s, domid);
    int failed = 0;

    add(&s->copy_calls, 1);
    add(&s->copied_pieces, (int)count);
    if (s->fail_copy_call > 0 && --s->fail_copy_call == 0)
        return -EIO;
    for (size_t i = 0; i < count; i++) {
        struct vbd_grant_copy *p = &pieces[i];
        int page = granted(guest, p->grant, direction == VBD_COPY_TO_GUEST);
        char *at;

        p->status = page < 0 || p->offset + p->len > SIM_PAGE ? -1 : 0;
        if (p->status < 0) {
            failed++;
            continue;
        }
        at = guest->back_view + (size_t)page * SIM_PAGE + p->offset;
        if (direction == VBD_COPY_TO_GUEST)
            memcpy(at, p->local, p->len);
        else
            memcpy(p->local, at, p->len);
    }
    return failed;
}

static int bind_port(void *ctx, unsigned domid, uint32_t port, struct vbd_event_channel **ret)
{
    struct sim *s = ctx, *guest = find(s, domid);
    struct vbd_event_channel *c;

    if (guest == NULL || port >= SIM_PORTS || guest->ports[port].bound)
        return -EINVAL;
    c = calloc(1, sizeof *c);
    MUST(c != NULL);
    *c = (struct vbd_event_channel){guest, port};
    guest->ports[port].bound = true;
    add(&s->bound_ports, 1);
    *ret = c;
    return 0;
}

static void unbind(void *ctx, struct vbd_event_channel *c)
{
    struct sim *s = ctx;

    c->sim->ports[c->port].bound = false;
    add(&s->bound_ports, -1);
    free(c);
}

static int notify(void *ctx, struct vbd_event_channel *c)
{
    struct sim *s = ctx;
    uint64_t one = 1;

    add(&s->notifications, 1);
    MUST(write(c->sim->ports[c->port].to_front, &one, sizeof one) == sizeof one);
    return 0;
}

static int wait_handle(void *ctx, struct vbd_event_channel *c)
{
    (void)ctx;
    return c->sim->ports[c->port].to_back;
}

static bool take_event(void *ctx, struct vbd_event_channel *c)
{
    uint64_t count;

    (void)ctx;
    return read(c->sim->ports[c->port].to_back, &count, sizeof count) == sizeof count;
}

static char *view_memory(int fd)
{
    char *view =
        mmap(NULL, (size_t)SIM_PAGES * SIM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    MUST(view != MAP_FAILED);
    return view;
}

struct sim *sim_new(unsigned domid)
{
    struct sim *s = calloc(1, sizeof *s);

    MUST(s != NULL);
    s->domid = domid;
    s->memory_fd = memfd_create("guest", MFD_CLOEXEC);
    MUST(s->memory_fd >= 0 && ftruncate(s->memory_fd, (off_t)SIM_PAGES * SIM_PAGE) == 0);
    s->memory = view_memory(s->memory_fd);
    s->back_view = view_memory(s->memory_fd);
    for (int i = 0; i < SIM_PORTS; i++) {
        s->ports[i].to_back = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        s->ports[i].to_front = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        MUST(s->ports[i].to_back >= 0 && s->ports[i].to_front >= 0);
    }
    s->seam = (struct vbd_hypervisor){.struct_size = sizeof s->seam,
                                      .in_place = true,
                                      .ctx = s,
                                      .map = map,
                                      .unmap = unmap,
                                      .copy = copy,
                                      .bind = bind_port,
                                      .unbind = unbind,
                                      .notify = notify,
                                      .wait_handle = wait_handle,
                                      .take_event = take_event,
                                      .open_mappings = open_mappings,
                                      .close_mappings = close_mappings};
    s->mappings.sim = s;
    return s;
}

struct sim *sim_add(struct sim *first, unsigned domid)
{
    struct sim *s = sim_new(domid);

    s->next = first->next;
    first->next = s;
    return s;
}

void sim_free(struct sim *s)
{
    if (s == NULL)
        return;
    sim_free(s->next);
    for (int i = 0; i < SIM_PORTS; i++) {
        (void)close(s->ports[i].to_back);
        (void)close(s->ports[i].to_front);
    }
    (void)munmap(s->memory, (size_t)SIM_PAGES * SIM_PAGE);
    (void)munmap(s->back_view, (size_t)SIM_PAGES * SIM_PAGE);
    (void)close(s->memory_fd);
    free(s);
}

char *sim_page(struct sim *s, unsigned page)
{
    return s->memory + (size_t)page * SIM_PAGE;
}

uint32_t sim_grant(struct sim *s, unsigned page, bool read_only)
{
    __atomic_store_n(&s->grants[page].read_only, read_only, __ATOMIC_RELAXED);
    __atomic_store_n(&s->grants[page].valid, true, __ATOMIC_RELAXED);
    return SIM_FIRST_GRANT + page;
}

void sim_revoke(struct sim *s, uint32_t grant)
{
    __atomic_store_n(&s->grants[grant - SIM_FIRST_GRANT].valid, false, __ATOMIC_RELAXED);
}

void sim_send(struct sim *s, uint32_t port)
{
    uint64_t one = 1;

    MUST(write(s->ports[port].to_back, &one, sizeof one) == sizeof one);
}

bool sim_wait(struct sim *s, uint32_t port, int timeout_ms)
{
    struct pollfd fd = {.fd = s->ports[port].to_front, .events = POLLIN};
    uint64_t count;

    if (poll(&fd, 1, timeout_ms) <= 0)
        return false;
    return read(s->ports[port].to_front, &count, sizeof count) == sizeof count;
}
