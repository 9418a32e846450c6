/* checks_life.c - closing, coming again, other ways to Connected, another size. */
#include "conformance/conformance.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOMEWHERE = 512 };

/* front_disconnect: Closing, the backend's, Closed, the backend's; conf_connect: Initialising,
 * InitWait, Initialised, Connected. */
static bool again(struct conf *c, const struct setup *setup)
{
    return conf_disconnect(c) && conf_connect(c, setup) == PASS;
}

static enum verdict reconnect(struct conf *c)
{
    uint64_t seed = ++c->seed;

    if (!conf_store(c, SOMEWHERE, 88, seed) || !again(c, &plain))
        return FAIL;
    return conf_holds(c, SOMEWHERE, 88, seed) ? PASS : FAIL;
}

static enum verdict reconnect_often(struct conf *c)
{
    for (unsigned i = 0; i < 10; i++)
        if (reconnect(c) != PASS)
            return FAIL;
    return PASS;
}

/* Another front may come after the first: a boot loader's, then the kernel's. What the first told
 * does not count. */
static enum verdict reconnect_otherwise(struct conf *c)
{
    static const struct setup other = {.order = 1, .layout = FRONT_X86_32};
    uint64_t seed = ++c->seed;

    if (conf_offer(c)->order < 1)
        return skip(c, "max-ring-page-order");
    if (!conf_store(c, SOMEWHERE, 88, seed) || !again(c, &other) ||
        !conf_holds(c, SOMEWHERE, 88, seed) || !again(c, &plain))
        return FAIL;
    return conf_holds(c, SOMEWHERE, 88, seed) ? PASS : FAIL;
}

static enum verdict straight(struct conf *c)
{
    uint64_t seed = ++c->seed;

    return conf_store(c, SOMEWHERE, 88, seed) && conf_holds(c, SOMEWHERE, 88, seed) ? PASS : FAIL;
}

/* A front that does not say Closing first. */
static enum verdict closed_at_once(struct conf *c)
{
    uint64_t seed = ++c->seed;
    struct front *f = &c->front;

    if (!conf_store(c, SOMEWHERE, 88, seed))
        return FAIL;
    if (front_set_state(f, FRONT_CLOSED) < 0 ||
        front_await_state(f, 1u << FRONT_CLOSED | 1u << FRONT_UNKNOWN, 0, "it to close") < 0)
        return fail(c, "%s", front_why());
    if (!again(c, &plain))
        return FAIL;
    return conf_holds(c, SOMEWHERE, 88, seed) ? PASS : FAIL;
}

/* Requests are in flight when the front closes. Whether they are done is not said; the backend must
 * close, and serve the next front. */
static enum verdict closing_in_flight(struct conf *c)
{
    unsigned count = c->front.queues[0].ring.size;
    struct ask asks[ASKS_MAX];
    uint64_t seed = ++c->seed;

    if (!conf_store(c, SOMEWHERE, 88, seed))
        return FAIL;
    for (unsigned i = 0; i < count; i++) {
        ask_start(&asks[i], FRONT_READ, SOMEWHERE);
        ask_pages(c, &asks[i], i, 8);
    }
    if (!conf_put(c, 0, asks, count) || !again(c, &plain))
        return FAIL;
    return conf_holds(c, SOMEWHERE, 88, seed) ? PASS : FAIL;
}

/* --- another size --- */

struct wish {
    char path[64], value[32];
};

static int write_wish(struct xsc_handle *h, void *arg)
{
    const struct wish *w = arg;

    return xsc_write(h, w->path, w->value, strlen(w->value));
}

/* Whoever started the suite grows the image: to "sectors", plus what stands in the node. */
static bool ask_for_growth(struct conf *c, uint64_t sectors)
{
    struct wish w = {.path = "data/conformance-resize"};
    struct vbd_error why = {""};

    (void)snprintf(w.value, sizeof w.value, "%" PRIu64, sectors);
    if (xsc_immediate(c->front.xenstore, write_wish, &w, &why) == 0)
        return true;
    (void)fail(c, "cannot write %s: %s", w.path, why.text);
    return false;
}

/* The backend publishes the size and writes its state again, so that a watch fires. Requests go on
 * meanwhile: some backends look at the size only then. */
static bool await_size(struct conf *c, uint64_t sectors)
{
    int64_t deadline = front_now() + c->timeout_ms;
    struct front *f = &c->front;

    while (front_number(f, f->backend, "sectors", 0) != sectors) {
        if (front_now() >= deadline) {
            (void)fail(c, "\"sectors\" did not become %" PRIu64, sectors);
            return false;
        }
        if (!conf_store(c, SOMEWHERE, 8, ++c->seed) ||
            front_wait(f, -1, front_now() + 50, NULL) < 0)
            return false;
    }
    return true;
}

static enum verdict resize(struct conf *c)
{
    uint64_t old = c->front.sectors, new = old + 8192, seed = ++c->seed;

    if (!c->resize)
        return skip(c, "nobody resizes the image");
    if (!conf_store(c, old - 8, 8, seed) || !ask_for_growth(c, new) || !await_size(c, new))
        return FAIL;
    c->front.sectors = new;
    if (!conf_holds(c, old - 8, 8, seed) || !conf_store(c, new - 88, 88, ++c->seed))
        return FAIL;
    return conf_holds(c, new - 88, 88, c->seed) ? PASS : FAIL;
}

static const struct setup right_away = {.straight = true};

static const struct check list[] = {
    {"reconnect", NEED_NOTHING, &plain, reconnect},
    {"reconnect-ten-times", NEED_NOTHING, &plain, reconnect_often},
    {"reconnect-with-another-ring", NEED_NOTHING, &plain, reconnect_otherwise},
    {"straight-to-connected", NEED_NOTHING, &right_away, straight},
    {"closed-without-closing", NEED_NOTHING, &plain, closed_at_once},
    {"closing-with-requests-in-flight", NEED_NOTHING, &plain, closing_in_flight},
    {"resize", NEED_NOTHING, &plain, resize},
};
TABLE(checks_life, list);
