/* actor_events.c - the interpreter's commands that use libxenevtchn. Handles are opened by name and
 * do not block, but for the command `block`. See actor.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "actor.h"

static struct ports *find_ports(struct actor *a, const char *name)
{
    for (size_t i = 0; i < ACTOR_PORTS; i++) {
        if (a->ports[i].handle != NULL && strcmp(a->ports[i].name, name) == 0)
            return &a->ports[i];
    }
    return NULL;
}

static struct ports *free_ports(struct actor *a)
{
    for (size_t i = 0; i < ACTOR_PORTS; i++) {
        if (a->ports[i].handle == NULL)
            return &a->ports[i];
    }
    return NULL;
}

static int set_blocking(xenevtchn_handle *handle, bool blocking)
{
    int fd = xenevtchn_fd(handle), flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -1;
    return fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

int actor_open(struct call *c)
{
    struct ports *p = free_ports(c->actor);

    if (p == NULL || find_ports(c->actor, c->word[1]) != NULL)
        return actor_wrong(c, "that name is taken, or too many");
    p->handle = xenevtchn_open(NULL, 0);
    if (p->handle == NULL)
        return -1;
    (void)snprintf(p->name, sizeof p->name, "%s", c->word[1]);
    return set_blocking(p->handle, false);
}

/* The handle that word 1 names. NULL after having answered that there is none. */
static xenevtchn_handle *handle_of(struct call *c)
{
    struct ports *p = find_ports(c->actor, c->word[1]);

    if (p == NULL)
        (void)actor_wrong(c, "no such handle");
    return p == NULL ? NULL : p->handle;
}

/* Answers what a call of the library returned. */
static int say_port(struct call *c, xenevtchn_port_or_error_t port)
{
    if (port < 0)
        return -1;
    actor_say(c, "%d", port);
    return 0;
}

int actor_close(struct call *c)
{
    struct ports *p = find_ports(c->actor, c->word[1]);
    xenevtchn_handle *handle = handle_of(c);

    if (handle == NULL)
        return 0;
    p->handle = NULL;
    return xenevtchn_close(handle);
}

int actor_ports_end(struct actor *a)
{
    int status = 0;

    for (size_t i = 0; i < ACTOR_PORTS; i++) {
        if (a->ports[i].handle != NULL)
            status |= xenevtchn_close(a->ports[i].handle);
        a->ports[i].handle = NULL;
    }
    return status;
}

int actor_offer(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);

    return h == NULL ? 0 : say_port(c, xenevtchn_bind_unbound_port(h, actor_number(c->word[2])));
}

int actor_bind(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);

    return h == NULL ? 0
                     : say_port(c, xenevtchn_bind_interdomain(h, actor_number(c->word[2]),
                                                              actor_number(c->word[3])));
}

int actor_notify(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);

    return h == NULL ? 0 : xenevtchn_notify(h, actor_number(c->word[2]));
}

int actor_unmask(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);

    return h == NULL ? 0 : xenevtchn_unmask(h, actor_number(c->word[2]));
}

int actor_unbind(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);

    return h == NULL ? 0 : xenevtchn_unbind(h, actor_number(c->word[2]));
}

int actor_restrict(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);

    return h == NULL ? 0 : xenevtchn_restrict(h, (domid_t)actor_number(c->word[2]));
}

int actor_pending(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);

    return h == NULL ? 0 : say_port(c, xenevtchn_pending(h));
}

/* Polls for an event: 1, 0 when none came in time, -1 with errno. */
static int wait_readable(xenevtchn_handle *h, int ms)
{
    struct pollfd entry = {.fd = xenevtchn_fd(h), .events = POLLIN};
    int n = poll(&entry, 1, ms);

    return n > 0 ? (entry.revents & POLLIN) != 0 : n;
}

int actor_await(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);
    int n;

    if (h == NULL)
        return 0;
    n = wait_readable(h, (int)actor_number(c->word[2]));
    if (n == 0)
        errno = ETIMEDOUT;
    return n <= 0 ? -1 : say_port(c, xenevtchn_pending(h));
}

int actor_poll(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);

    return h == NULL ? 0 : say_port(c, wait_readable(h, 0));
}

int actor_block(struct call *c)
{
    xenevtchn_handle *h = handle_of(c);
    xenevtchn_port_or_error_t port;

    if (h == NULL)
        return 0;
    if (set_blocking(h, true) < 0)
        return -1;
    port = xenevtchn_pending(h);
    return set_blocking(h, false) < 0 ? -1 : say_port(c, port);
}
