/* disk_model.c - a pass and what it owes: each request that was taken is answered once, as its fate
 * was; events are sent when they were asked for; nothing sleeps while there is work. */
#include <errno.h>

#include "disk.h"

enum { READ = 0, ERROR = -1, NOT_SUPPORTED = -2, ANY = -3 };
enum { REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT };

/* --- the allocator --- */

static void *take_memory(void *ctx, size_t size)
{
    struct world *w = ctx;
    void *p;

    must(size < 1u << 26);
    p = ++w->allocations == w->fail_allocation ? NULL : calloc(1, size);
    if (p != NULL)
        w->live++;
    return p;
}

static void give_memory(void *ctx, void *p)
{
    struct world *w = ctx;

    if (p != NULL)
        w->live--;
    free(p);
}

/* --- requests --- */

static struct record *new_record(struct world *w)
{
    for (size_t i = 0; i < RECORDS; i++)
        if (!w->records[i].used)
            return &w->records[i];
    must(!"more requests under way than a ring has");
    return NULL;
}

static bool twins(const struct record *a, const struct record *b)
{
    if (a->id != b->id || a->op != b->op || a->effect != b->effect || a->sector != b->sector ||
        a->sectors != b->sectors || a->count != b->count)
        return false;
    for (uint32_t k = 0; k < a->count; k++)
        if (a->segments[k].page != b->segments[k].page ||
            a->segments[k].first != b->segments[k].first)
            return false;
    return true;
}

/* Of two good requests that are the same in everything, nobody can tell which one an operation or a
 * response is of: from there on the model stops judging. */
static void note_twins(struct world *w, const struct record *r)
{
    for (unsigned i = 0; i < w->count; i++)
        if (r->verdict == 0 && w->order[i]->verdict == 0 && twins(w->order[i], r))
            w->wild = true;
}

/* How many were taken is the one thing that the engine is asked for. */
void model_sync(struct world *w)
{
    uint32_t cons = w->queue != NULL ? w->queue->ring.req_cons : w->taken;

    if (w->wild)
        return;
    must(cons == w->taken || (w->in_pass && !w->stopped && !w->broken));
    must(cons - w->taken <= w->prod - w->taken);
    for (; w->taken != cons; w->taken++) {
        struct record *r = new_record(w);

        request_read(w, w->taken, r);
        note_twins(w, r);
        w->order[w->count++] = r;
    }
    must(w->count <= w->limit);
}

static void forget(struct world *w, unsigned i)
{
    w->order[i]->used = false;
    memmove(&w->order[i], &w->order[i + 1], (--w->count - i) * sizeof w->order[0]);
}

/* --- responses --- */

/* How well a status fits what became of a request: it is its fate; it can be; or it can be, and so
 * can another one later. */
enum fit { NO_FIT, FITS_LATER, FITS_EITHER, FITS };

static enum fit fit(const struct record *r, int status)
{
    if (r->verdict != 0)
        return status == r->verdict ? FITS : NO_FIT;
    if (!r->finished)
        return status == ERROR && r->may_fail && r->slot == NULL ? FITS_LATER : NO_FIT;
    if (r->result < 0)
        return status == (r->result == -EOPNOTSUPP ? NOT_SUPPORTED : ERROR) ? FITS : NO_FIT;
    if (r->effect == READ && r->may_fail && !r->must_fail)
        return status == 0 || status == ERROR ? FITS_EITHER : NO_FIT;
    return status == (r->must_fail ? ERROR : 0) ? FITS : NO_FIT;
}

/* Which request a response is for, or w->count. A guest may have used an id twice: where it can't
 * be told which of them failed, the model stops judging. */
static unsigned answered_by(struct world *w, uint64_t id, uint8_t op, int status)
{
    unsigned best = w->count, last = w->config.in_order && w->count > 0 ? 1 : w->count;
    enum fit best_fit = NO_FIT;

    for (unsigned i = 0; i < last; i++) {
        const struct record *r = w->order[i];
        enum fit f = r->id == id && r->effect == op ? fit(r, status) : NO_FIT;

        if (f == FITS_LATER && best_fit == FITS_LATER)
            w->wild = true;
        if (f > best_fit) {
            best_fit = f;
            best = i;
        }
    }
    return best;
}

static uint32_t response_bytes(const struct world *w)
{
    return w->config.layout == VBD_LAYOUT_X86_32 ? 12 : 16;
}

/* Takes it when it has this status. */
static void take_response(struct world *w, uint32_t index, int wanted)
{
    const char *slot = (const char *)w->guest + guest_slot(w, index);
    unsigned by;
    uint64_t id;
    int16_t status;

    memcpy(&id, slot, 8);
    memcpy(&status, slot + 10, 2);
    must(slot[9] == 0 && (response_bytes(w) == 12 || memcmp(slot + 12, "\0\0\0\0", 4) == 0));
    must(status == 0 || status == ERROR || status == NOT_SUPPORTED);
    if (status != wanted && wanted != ANY)
        return;
    by = answered_by(w, id, (uint8_t)slot[8], status);
    must(by < w->count);
    forget(w, by);
    w->answered++;
}

/* Whether the event index lies behind `old` and not behind `now`. */
static bool asked(uint32_t event, uint32_t old, uint32_t now)
{
    return now != old && event - old - 1 < now - old;
}

/* Responses were published up to here; rsp_prod stays as it was when there were none. */
static uint32_t published(const struct world *w, uint32_t rsp_prod_before)
{
    uint32_t now = guest_word(w, RSP_PROD);

    return now == rsp_prod_before ? w->rsp_seen : now;
}

/* What the back may write into the ring: two words, and as many responses as it published. */
static void absorb(struct world *w, uint32_t now)
{
    must(now - w->rsp_seen <= w->count);
    memcpy(w->shadow[0] + 4, w->guest[0] + 4, 8); /* req_event and rsp_prod */
    for (uint32_t i = w->rsp_seen; i != now; i++)
        memcpy((char *)w->shadow + guest_slot(w, i), (char *)w->guest + guest_slot(w, i),
               response_bytes(w));
}

/* What is certain first, so that an id that was used twice misleads nobody. */
static void take_responses(struct world *w, uint32_t now)
{
    static const int in_turn[] = {0, NOT_SUPPORTED, ERROR}, as_they_come[] = {ANY};
    const int *statuses = w->config.in_order ? as_they_come : in_turn;

    must(w->notified == (asked(guest_word(w, RSP_EVENT), w->rsp_seen, now) ? 1 : 0));
    for (unsigned k = 0; k < (w->config.in_order ? 1 : 3); k++)
        for (uint32_t i = w->rsp_seen; i != now; i++)
            take_response(w, i, statuses[k]);
    w->rsp_seen = now;
    for (unsigned i = 0; i < w->count && !w->config.in_order; i++)
        must(w->order[i]->verdict == 0 && !w->order[i]->finished);
}

/* --- a pass --- */

static void check_broken(struct world *w)
{
    if (!w->stopped && (w->prod - w->taken > w->ring_size || w->prod - w->rsp_seen > w->ring_size))
        w->broken = true;
}

/* The queue says that it can sleep. */
static void check_sleep(const struct world *w)
{
    must(w->held_count > 0 || vbd_queue_idle(w->queue));
    if (w->stopped || w->broken || w->wild || w->count == w->limit)
        return;
    must(w->taken == w->prod && guest_word(w, REQ_EVENT) == w->taken + 1);
}

static void check_mapped(const struct world *w)
{
    uint64_t deadline = vbd_queue_deadline(w->queue);

    must(w->mapped <= (int)w->config.persistent_max);
    /* What is read into has no time to go; it is idle when its operation is over. */
    must((deadline != 0) == (w->mapped > 0) ||
         (deadline == 0 && w->config.in_place > 0 && w->held_count > 0));
    must(deadline == 0 || (deadline > w->now && deadline <= w->now + 60000000000u));
}

static void before_pass(struct world *w)
{
    w->prod = guest_word(w, REQ_PROD);
    w->notified = 0;
    for (size_t i = 0; i < PAGES; i++)
        w->pages[i].was_mapped = w->pages[i].mapped > 0;
    check_broken(w);
}

bool model_pass(struct world *w)
{
    uint32_t rsp_prod = guest_word(w, RSP_PROD), now;
    bool more;

    before_pass(w);
    w->in_pass = true;
    more = vbd_queue_pass(w->queue, ++w->now);
    model_sync(w);
    if (!w->wild) {
        now = published(w, rsp_prod);
        absorb(w, now);
        guest_check(w);
        take_responses(w, now);
        must(vbd_queue_broken(w->queue) == w->broken);
        must(w->wild || vbd_queue_idle(w->queue) == (w->count == 0));
    }
    w->in_pass = false;
    w->events += (uint64_t)w->notified;
    if (!more)
        check_sleep(w);
    check_mapped(w);
    return more;
}

void model_begin(struct world *w)
{
    uint32_t fit = (w->config.ring_page_count * PAGE - 64) / w->slot_bytes;

    for (w->ring_size = 1; w->ring_size * 2 <= fit;)
        w->ring_size *= 2;
    w->limit = w->config.in_flight_max < w->ring_size ? w->config.in_flight_max : w->ring_size;
    w->allocator = (struct vbd_allocator){w, take_memory, give_memory};
    w->config.allocator = &w->allocator;
    w->config.hypervisor = &w->hypervisor;
    w->config.domid = DOMAIN;
    w->config.ring_pages = w->guest[0];
    w->now = 1;
}

/* What is counted for people is what was done. */
static void check_counters(const struct world *w)
{
    struct vbd_latency latency = {0};
    struct vbd_counters c = {0};
    uint64_t measured = 0;

    vbd_queue_count(w->queue, &c);
    vbd_queue_latency(w->queue, &latency);
    for (unsigned i = 0; i < VBD_LATENCY_RANGES; i++)
        measured += latency.reads[i] + latency.writes[i] + latency.others[i];
    must(c.notified == w->events);
    must(w->wild || measured == w->answered);
    must(c.grants_mapped == c.grants_released + (uint64_t)w->mapped);
}

void model_end(struct world *w)
{
    vbd_queue_stop(w->queue);
    w->stopped = true;
    for (unsigned i = 0; i < 2000 && !vbd_queue_idle(w->queue); i++) {
        (void)model_pass(w);
        while (w->held_count > 0)
            storage_complete(w, i % w->held_count, 0);
    }
    must(vbd_queue_idle(w->queue) && w->held_count == 0 && (w->count == 0 || w->wild));
    if (!w->wild)
        guest_check(w);
    check_counters(w);
    vbd_queue_end(w->queue);
    vbd_queue_free(w->queue);
    w->queue = NULL;
    must(w->mapped == 0 && w->live == 0);
}
