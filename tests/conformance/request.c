/* request.c - single requests, sane or not, and their answers. Called by content.c and the checks;
 * every answer is judged here: one for each request, with its id and its operation. */
#include "conformance/conformance.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- building --- */

uint8_t *conf_page(struct conf *c, unsigned page)
{
    return c->pool + (size_t)page * FRONT_PAGE;
}

void ask_start(struct ask *a, unsigned op, uint64_t sector)
{
    *a = (struct ask){.raw = {.op = (uint8_t)op, .sector = sector}, .status = RSP_WAITING};
}

void ask_segment(struct conf *c, struct ask *a, unsigned page, unsigned first, unsigned last)
{
    unsigned i = a->raw.second++;

    if (i >= FRONT_SEGMENTS)
        return; /* counted, but there is no room for it in a slot */
    a->raw.refs[i] = c->refs[page];
    a->raw.segments[i] = (struct front_segment){(uint8_t)first, (uint8_t)last};
}

void ask_pages(struct conf *c, struct ask *a, unsigned page, unsigned sectors)
{
    for (; sectors > 0; page++) {
        unsigned here = sectors < FRONT_PAGE_SECTORS ? sectors : FRONT_PAGE_SECTORS;

        ask_segment(c, a, page, 0, here - 1);
        sectors -= here;
    }
}

void set_descriptor(struct conf *c, unsigned index, uint32_t ref, unsigned first, unsigned last)
{
    uint8_t *at = conf_page(c, POOL_TABLES) + (size_t)index * 8;

    memset(at, 0, 8);
    memcpy(at, &ref, sizeof ref);
    at[4] = (uint8_t)first;
    at[5] = (uint8_t)last;
}

/* Pages are used again from `page` on where there are more segments than pages. */
void ask_indirect(struct conf *c, struct ask *a, unsigned op, unsigned page, unsigned count,
                  unsigned first, unsigned last)
{
    unsigned tables = (count + TABLE_ENTRIES - 1) / TABLE_ENTRIES;

    a->raw.op = FRONT_INDIRECT;
    a->raw.second = (uint8_t)op;
    a->raw.third = (uint16_t)count;
    for (unsigned i = 0; i < count && i < 9 * TABLE_ENTRIES; i++)
        set_descriptor(c, i, c->refs[page + i % (POOL_DATA - page)], first, last);
    for (unsigned i = 0; i < tables && i < FRONT_INDIRECT_PAGES; i++)
        a->raw.refs[i] = c->refs[POOL_TABLES + i];
}

/* --- asking --- */

bool conf_put(struct conf *c, unsigned queue, struct ask *asks, unsigned count)
{
    struct front_queue *q = &c->front.queues[queue];

    if (count > front_ring_free_slots(&q->ring)) {
        (void)fail(c, "the suite asks %u requests of a ring with %u free slots", count,
                   front_ring_free_slots(&q->ring));
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!asks[i].own_id)
            asks[i].raw.id = ++c->next_id << 8 | 0xA5;
        front_ring_put_raw(&q->ring, &asks[i].raw);
    }
    if (front_ring_push(&q->ring) &&
        xenevtchn_notify(c->front.events, (evtchn_port_t)q->port) < 0) {
        (void)fail(c, "cannot notify the backend: %s", strerror(errno));
        return false;
    }
    return true;
}

/* --- answers --- */

bool is_refusal(int status)
{
    return status == FRONT_ERROR || status == FRONT_UNSUPPORTED;
}

const char *status_text(int status)
{
    static char other[16];

    if (status == FRONT_OKAY || is_refusal(status))
        return status == FRONT_OKAY ? "OKAY" : status == FRONT_ERROR ? "ERROR" : "EOPNOTSUPP";
    (void)snprintf(other, sizeof other, status == RSP_WAITING ? "no answer" : "status %d", status);
    return other;
}

static struct ask *find_ask(struct ask *asks, unsigned count, uint64_t id)
{
    for (unsigned i = 0; i < count; i++)
        if (asks[i].raw.id == id && asks[i].status == RSP_WAITING)
            return &asks[i];
    return NULL;
}

/* blkif.h: "copied from request". Of an indirect request that is either of the two operations it
 * has; a check of its own asks for the one that fronts insist on. */
static bool is_echo(const struct front_raw *raw, unsigned op)
{
    return op == raw->op || (raw->op == FRONT_INDIRECT && op == raw->second);
}

static bool take_one(struct conf *c, unsigned queue, struct ask *asks, unsigned count)
{
    struct front_response answer;
    struct ask *a;

    front_ring_take(&c->front.queues[queue].ring, &answer);
    a = find_ask(asks, count, answer.id);
    if (a == NULL) {
        (void)fail(c, "an answer has the id %#" PRIx64 ", which is not in flight", answer.id);
        return false;
    }
    a->answer = answer;
    a->status = answer.status;
    if (answer.status > 0 || answer.status < FRONT_UNSUPPORTED) {
        (void)fail(c, "status %d is none that blkif.h has", answer.status);
        return false;
    }
    if (!is_echo(&a->raw, answer.op)) {
        (void)fail(c, "operation %u was answered as operation %u", a->raw.op, answer.op);
        return false;
    }
    return true;
}

static bool await_answer(struct conf *c, int64_t deadline, unsigned wanted)
{
    if (front_now() >= deadline) {
        (void)fail(c, "%u requests got no answer in %d ms", wanted, c->timeout_ms);
        return false;
    }
    if (front_wait(&c->front, -1, deadline, NULL) == 0)
        return true;
    (void)fail(c, "%s", front_why());
    return false;
}

bool conf_take(struct conf *c, unsigned queue, struct ask *asks, unsigned count, unsigned wanted)
{
    struct front_ring *ring = &c->front.queues[queue].ring;
    int64_t deadline = front_now() + c->timeout_ms;

    while (wanted > 0) {
        uint32_t there = front_ring_answers(ring); /* none: and an event is asked for */

        if (there > wanted) {
            (void)fail(c, "%u answers where %u are due", there, wanted);
            return false;
        }
        if (there == 0 && !await_answer(c, deadline, wanted))
            return false;
        for (; there > 0; there--, wanted--)
            if (!take_one(c, queue, asks, count))
                return false;
    }
    return true;
}

bool conf_ask(struct conf *c, struct ask *asks, unsigned count)
{
    return conf_put(c, 0, asks, count) && conf_take(c, 0, asks, count, count);
}

bool conf_do(struct conf *c, struct ask *a)
{
    if (!conf_ask(c, a, 1))
        return false;
    if (a->status == FRONT_OKAY)
        return true;
    (void)fail(c, "operation %u at sector %" PRIu64 " got %s", a->raw.op, a->raw.sector,
               status_text(a->status));
    return false;
}
