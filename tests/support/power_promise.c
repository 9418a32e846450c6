/* power_promise.c - see power_promise.h. */
#include "support/power_promise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool modifies(const struct power_request *r)
{
    return r->kind == POWER_WRITE || r->kind == POWER_DISCARD ||
           (r->kind == POWER_BARRIER && r->count > 0);
}

static bool covers(const struct power_request *r, unsigned sector)
{
    return modifies(r) && sector >= r->sector && sector < r->sector + r->count;
}

struct maker {
    const struct power_history *h;
    unsigned barriers[POWER_REQUESTS]; /* those of its queue that succeeded, up to and with each */
    unsigned covering[POWER_SECTORS][POWER_REQUESTS], covering_count[POWER_SECTORS];
    struct power_promise *promises;
    unsigned count;
};

static void prepare(struct maker *m)
{
    unsigned seen[POWER_QUEUES] = {0};

    for (unsigned i = 0; i < m->h->request_count; i++) {
        const struct power_request *r = &m->h->requests[i];

        if (r->kind == POWER_BARRIER && r->status == 0)
            seen[r->queue]++;
        m->barriers[i] = seen[r->queue];
        for (unsigned s = 0; s < POWER_SECTORS; s++)
            if (covers(r, s))
                m->covering[s][m->covering_count[s]++] = i;
    }
}

static bool in_ring_before(const struct power_history *h, unsigned a, unsigned b)
{
    return a < b && h->requests[a].queue == h->requests[b].queue;
}

static bool seen_before(const struct power_history *h, unsigned a, unsigned b)
{
    return h->requests[a].answered < h->requests[b].sent;
}

/* Whether a's data can't be what b is replaced by. */
static bool is_before(const struct maker *m, unsigned a, unsigned b)
{
    const struct power_request *r = &m->h->requests[a];
    bool is_barrier = r->kind == POWER_BARRIER && r->status == 0;

    return (a == 0 && b != 0) || seen_before(m->h, a, b) ||
           (in_ring_before(m->h, a, b) && (is_barrier || m->barriers[b] > m->barriers[a]));
}

/* The data of `kept` is there or replaced: whoever is before it is not to be seen. */
static void keep(const struct maker *m, struct power_promise *p, unsigned kept)
{
    const struct power_request *r = &m->h->requests[kept];

    if (!modifies(r) || r->status != 0)
        return;
    for (unsigned s = r->sector; s < r->sector + r->count; s++)
        for (unsigned i = 0; i < m->covering_count[s]; i++)
            if (is_before(m, m->covering[s][i], kept))
                power_set_add(&p->lost[s], m->covering[s][i]);
}

static bool promised(const struct power_history *h, unsigned request, unsigned by)
{
    return in_ring_before(h, request, by) || seen_before(h, request, by);
}

/* A flush, or what a barrier says of those before it. */
static void add_before(struct maker *m, unsigned by)
{
    const struct power_history *h = m->h;
    struct power_promise *p = &m->promises[m->count++];

    p->request = by;
    p->holds = h->requests[by].answered;
    p->conditional = h->requests[by].kind == POWER_BARRIER;
    for (unsigned i = 1; i < h->request_count; i++) {
        if (promised(h, i, by))
            keep(m, p, i);
        else if (p->conditional && (i == by || promised(h, by, i)))
            power_set_add(&p->evidence, i);
    }
}

static void add_own(struct maker *m, unsigned barrier)
{
    const struct power_history *h = m->h;
    struct power_promise *p = &m->promises[m->count++];

    p->request = barrier;
    p->holds = h->requests[barrier].answered;
    p->conditional = true;
    keep(m, p, barrier);
    for (unsigned i = barrier + 1; i < h->request_count; i++)
        if (promised(h, barrier, i))
            power_set_add(&p->evidence, i);
}

struct power_promise *power_promises(const struct power_history *h, unsigned *ret_count)
{
    struct maker *m = calloc(1, sizeof *m);
    struct power_promise *promises;
    unsigned makers = 0;

    assert_non_null(m);
    for (unsigned i = 0; i < h->request_count; i++)
        makers += h->requests[i].kind == POWER_FLUSH || h->requests[i].kind == POWER_BARRIER;
    m->promises = promises = calloc(2 * (size_t)makers + 1, sizeof *promises);
    assert_non_null(promises);
    m->h = h;
    prepare(m);
    for (unsigned i = 1; i < h->request_count; i++) {
        const struct power_request *r = &h->requests[i];

        if (r->status != 0 || (r->kind != POWER_FLUSH && r->kind != POWER_BARRIER))
            continue;
        add_before(m, i);
        if (r->kind == POWER_BARRIER)
            add_own(m, i);
    }
    *ret_count = m->count;
    free(m);
    return promises;
}
