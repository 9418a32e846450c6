/* session.c - connecting as a check wants it, and what the backend offers. Called by the runner
 * and by the checks of the device's life; the only file here that drives the front's states. */
#include "conformance/conformance.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 0))) static void say(struct conf *c, const char *format,
                                                      va_list arguments)
{
    (void)vsnprintf(c->why, sizeof c->why, format, arguments);
}

enum verdict fail(struct conf *c, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(c, format, arguments);
    va_end(arguments);
    return FAIL;
}

enum verdict skip(struct conf *c, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(c, format, arguments);
    va_end(arguments);
    return SKIP;
}

const struct offer *conf_offer(const struct conf *c)
{
    return &c->offers[c->setup != NULL ? c->setup->disk : DISK_MAIN];
}

/* --- the pool --- */

/* Shared once for all connections, as a front with persistent grants does. */
static bool share_pool(struct conf *c)
{
    if (c->pool != NULL)
        return true;
    c->pool_handle = xengntshr_open(NULL, 0);
    if (c->pool_handle != NULL) {
        c->pool =
            xengntshr_share_pages(c->pool_handle, c->front.backend_id, POOL_PAGES, c->refs, 1);
        c->sealed =
            xengntshr_share_pages(c->pool_handle, c->front.backend_id, 1, &c->sealed_ref, 0);
    }
    if (c->pool != NULL && c->sealed != NULL)
        return true;
    (void)fail(c, "cannot share %d pages: %s", POOL_PAGES + 1, strerror(errno));
    return false;
}

/* --- connecting --- */

static void set_options(struct conf *c, const struct setup *setup)
{
    struct front *f = &c->front;

    f->options = (struct front_options){.vdev = c->vdevs[setup->disk],
                                        .ring_pages = 1u << setup->order,
                                        .queues = setup->queues,
                                        .layout = setup->layout,
                                        .scheme = setup->scheme,
                                        .persistent = setup->persistent,
                                        .straight = setup->straight,
                                        .quiet = true,
                                        .timeout_ms = c->timeout_ms,
                                        .backend_id = -1};
    (void)snprintf(f->name, sizeof f->name, "vbd-%u", f->options.vdev);
    (void)snprintf(f->dir, sizeof f->dir, "device/vbd/%u", f->options.vdev);
}

enum verdict conf_connect(struct conf *c, const struct setup *setup)
{
    if (c->setup == setup)
        return PASS;
    if (!conf_disconnect(c))
        return FAIL;
    set_options(c, setup);
    c->setup = setup;
    if (front_connect(&c->front) < 0)
        return fail(c, "cannot connect: %s", front_why());
    if (c->front.ring_pages != 1u << setup->order)
        return fail(c, "the ring has %u pages", c->front.ring_pages);
    return share_pool(c) ? PASS : FAIL;
}

/* A front that got no offer says so, or else the next would find it Initialising already, and a
 * backend that has missed that once would have nothing new to see. */
bool conf_disconnect(struct conf *c)
{
    bool open = c->setup != NULL;

    c->setup = NULL;
    if (open && c->front.published == FRONT_INITIALISING)
        (void)front_set_state(&c->front, FRONT_CLOSED);
    if (!open || front_disconnect(&c->front) == 0)
        return true;
    (void)fail(c, "cannot close: %s", front_why());
    return false;
}

/* --- the offer --- */

static bool is_offered(struct conf *c, const char *key)
{
    return front_number(&c->front, c->front.backend, key, 0) != 0;
}

enum verdict conf_learn(struct conf *c, enum disk disk)
{
    static const struct setup first[DISKS] = {
        {.disk = DISK_MAIN}, {.disk = DISK_READ_ONLY}, {.disk = DISK_LARGE}};
    struct front *f = &c->front;
    struct offer *o = &c->offers[disk];

    if (conf_connect(c, &first[disk]) != PASS)
        return FAIL;
    *o =
        (struct offer){.known = true,
                       .flush = is_offered(c, "feature-flush-cache"),
                       .barrier = is_offered(c, "feature-barrier"),
                       .discard = is_offered(c, "feature-discard"),
                       .secure = is_offered(c, "discard-secure"),
                       .persistent = is_offered(c, "feature-persistent"),
                       .order = front_number(f, f->backend, "max-ring-page-order", 0),
                       .pages = front_number(f, f->backend, "max-ring-pages", 1),
                       .queues = front_number(f, f->backend, "multi-queue-max-queues", 1),
                       .indirect = front_number(f, f->backend, "feature-max-indirect-segments", 0)};
    return conf_disconnect(c) ? PASS : FAIL;
}

static const char *missing_setup(const struct offer *o, const struct setup *s)
{
    if (s->scheme == FRONT_BY_PAGES && o->pages < 1u << s->order)
        return "max-ring-pages";
    if (s->scheme == FRONT_BY_ORDER && o->order < s->order)
        return "max-ring-page-order";
    if (s->queues > 1 && o->queues < s->queues)
        return "multi-queue-max-queues";
    return s->persistent && !o->persistent ? "feature-persistent" : NULL;
}

static const char *missing_feature(const struct offer *o, enum need need)
{
    if (need == NEED_FLUSH && !o->flush)
        return "feature-flush-cache";
    if (need == NEED_BARRIER && !o->barrier)
        return "feature-barrier";
    if ((need == NEED_DISCARD || need == NEED_SECURE) && !o->discard)
        return "feature-discard";
    if (need == NEED_SECURE && !o->secure)
        return "discard-secure";
    return need == NEED_INDIRECT && o->indirect == 0 ? "feature-max-indirect-segments" : NULL;
}

bool conf_offered(struct conf *c, const struct check *check)
{
    static const char *const disks[DISKS] = {"", "a read-only disk", "a disk of large sectors"};
    const struct offer *o = &c->offers[check->setup->disk];
    const char *missing = missing_feature(o, check->need);

    if (c->vdevs[check->setup->disk] == 0)
        missing = disks[check->setup->disk];
    else if (missing == NULL)
        missing = missing_setup(o, check->setup);
    if (missing != NULL)
        (void)skip(c, "%s", missing);
    return missing == NULL;
}

/* --- events --- */

int conf_events(struct conf *c)
{
    struct pollfd fd = {.fd = xenevtchn_fd(c->front.events), .events = POLLIN};
    int count = 0;

    while (poll(&fd, 1, 0) > 0) {
        xenevtchn_port_or_error_t port = xenevtchn_pending(c->front.events);

        if (port < 0 || xenevtchn_unmask(c->front.events, (evtchn_port_t)port) < 0) {
            (void)fail(c, "cannot read an event: %s", strerror(errno));
            return -1;
        }
        count++;
    }
    return count;
}
