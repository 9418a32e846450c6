/* hostile_front.c - the hostile front's requests, and its second thread: see hostile.h. */
#include "hostile.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- requests --- */

static bool all_answered(struct handfront *f)
{
    return __atomic_load_n(handfront_rsp_prod(f), __ATOMIC_ACQUIRE) == f->req_prod;
}

struct hand_response hostile_answers(struct hostile *h, struct handfront *f)
{
    struct hand_response response = {.status = INT16_MAX};
    int64_t deadline = now_ms() + SERVED_MS;

    (void)handfront_push(f);
    sim_send(f->sim, f->port);
    while (!all_answered(f)) {
        if (now_ms() > deadline)
            fail_msg("no answer; log:\n%s", h->s->log);
        (void)sim_wait(f->sim, f->port, 1);
    }
    if (f->req_prod - f->rsp_cons > f->size) /* it did not take them: they are written over */
        f->rsp_cons = f->req_prod - f->size;
    while (handfront_take(f, &response))
        ;
    return response;
}

struct hand_request hostile_pages(struct hostile *h, uint8_t op, uint64_t sector, unsigned count)
{
    struct hand_request r = {
        .op = op, .count = (uint8_t)count, .id = h->next_id++, .sector = sector};

    for (unsigned i = 0; i < 11; i++)
        r.segments[i] = (struct hand_segment){sim_grant(h->s->sim, DATA + i, false), 0, 7};
    return r;
}

int16_t hostile_ask(struct hostile *h, const struct hand_request *r)
{
    struct hand_response response;

    handfront_put(&h->front, r);
    response = hostile_answers(h, &h->front);
    assert_true(response.id == r->id);
    assert_int_equal(response.op, r->op);
    return response.status;
}

void hostile_describe(struct hostile *h, unsigned at, uint32_t grant, uint8_t first, uint8_t last)
{
    char *descriptor = hostile_page(h, DESCRIPTORS + at / 512) + (size_t)(at % 512) * 8;

    memcpy(descriptor, &grant, 4);
    descriptor[4] = (char)first;
    descriptor[5] = (char)last;
}

struct hand_indirect hostile_indirect(struct hostile *h, uint8_t inner, uint64_t sector,
                                      unsigned count)
{
    struct hand_indirect r = {
        .inner = inner, .count = (uint16_t)count, .id = h->next_id++, .sector = sector};

    for (unsigned i = 0; i < count && i < 4096; i++)
        hostile_describe(h, i, sim_grant(h->s->sim, DATA + i % 512, false), 0, 7);
    for (unsigned i = 0; i < 8; i++)
        r.grants[i] = sim_grant(h->s->sim, DESCRIPTORS + i, true);
    return r;
}

int16_t hostile_ask_indirect(struct hostile *h, const struct hand_indirect *r)
{
    struct hand_response response;

    handfront_put_indirect(&h->front, r);
    response = hostile_answers(h, &h->front);
    assert_true(response.id == r->id);
    return response.status;
}

static int16_t ask_discard(struct hostile *h, const struct hostile_ask *a)
{
    struct hand_discard r = {
        .flag = a->count, .id = h->next_id++, .sector = a->sector, .sectors = a->sectors};

    handfront_put_discard(&h->front, &r);
    return hostile_answers(h, &h->front).status;
}

static int16_t ask_direct(struct hostile *h, const struct hostile_ask *a)
{
    struct hand_request r = hostile_pages(h, a->op, a->sector, a->count);

    for (unsigned i = 0; i < 11; i++)
        memset(hostile_page(h, DATA + i), 0xee, SIM_PAGE);
    r.segments[a->count > 0 && a->count <= 11 ? a->count - 1 : 0].first = a->first;
    r.segments[a->count > 0 && a->count <= 11 ? a->count - 1 : 0].last = a->last;
    return hostile_ask(h, &r);
}

/* The backend itself judged it: neither the storage nor the hypervisor was asked. */
static void judged_here(struct hostile *h)
{
    struct vbd_back_stats stats;

    vbd_back_stats(h->back, &stats);
    assert_int_equal(stats.counters.storage_errors, 0);
    assert_int_equal(stats.counters.grant_errors, 0);
}

void hostile_ask_row(struct hostile *h)
{
    const struct hostile_ask *a = &h->row->ask;
    struct hand_indirect r;

    if (a->op == 5) {
        assert_int_equal(ask_discard(h, a), a->gets);
    } else if (a->op == 6) {
        r = hostile_indirect(h, a->count, a->sector, a->indirect);
        assert_int_equal(hostile_ask_indirect(h, &r), a->gets);
    } else {
        assert_int_equal(ask_direct(h, a), a->gets);
    }
    judged_here(h);
}

/* --- the second thread --- */

static void *act_on(void *arg)
{
    struct hostile *h = arg;

    for (unsigned n = 0; !atomic_load(&h->stop); n++) {
        h->act(h, n);
        atomic_fetch_add(&h->acts, 1);
        (void)sched_yield();
    }
    return NULL;
}

void hostile_thread(struct hostile *h, void (*act)(struct hostile *h, unsigned n))
{
    h->act = act;
    atomic_store(&h->stop, false);
    atomic_store(&h->acts, 0);
    assert_int_equal(pthread_create(&h->thread, NULL, act_on, h), 0);
    while (atomic_load(&h->acts) == 0)
        (void)sched_yield();
}

void hostile_join(struct hostile *h)
{
    atomic_store(&h->stop, true);
    assert_int_equal(pthread_join(h->thread, NULL), 0);
}
