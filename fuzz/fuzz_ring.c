/* fuzz_ring.c - a store page whose other side does as it likes: it moves bytes as a server would,
 * or rewrites indexes and bytes between two calls. Broken indexes must be reported and not
 * followed, and *notify must say what was moved. An input is as fuzz_decode's, with steps on the
 * page. */
#include "vbdkit/xsc_ring.h"
#include "world.h"

#include <errno.h>

enum { RING = 1024, REQ = 0, RSP = RING, INDEXES = 2 * RING, PAGE = 4096, QUEUE = 16384 };
enum { REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD };

struct page {
    uint8_t *bytes;
    uint8_t queue[QUEUE]; /* what the server has to put into the ring */
    size_t queued;
};

static uint32_t get(const struct page *p, int index)
{
    uint32_t value;

    memcpy(&value, p->bytes + INDEXES + 4 * index, sizeof value);
    return value;
}

static void set(struct page *p, int index, uint32_t value)
{
    memcpy(p->bytes + INDEXES + 4 * index, &value, sizeof value);
}

static bool broken(const struct page *p)
{
    return get(p, REQ_PROD) - get(p, REQ_CONS) > RING || get(p, RSP_PROD) - get(p, RSP_CONS) > RING;
}

/* What the session moved into the ring is what it had to write, byte for byte. */
static void server_reads(struct world *w, const struct page *p, uint32_t from)
{
    for (; from != get(p, REQ_PROD); from++)
        server_takes(w, &p->bytes[REQ + from % RING], 1);
}

static void send(struct world *w, struct page *p, uint8_t how)
{
    uint32_t cons = get(p, REQ_CONS), from = get(p, REQ_PROD);
    bool notify = how % 2 == 0, before = notify, wanted = xsc_wants_write(w->x);
    int r = xsc_ring_send(w->x, p->bytes, &notify);

    must(r == 0 || r == -EPROTO);
    must(get(p, REQ_CONS) == cons);
    must(r == 0 || get(p, REQ_PROD) == from);
    must(r < 0 || get(p, REQ_PROD) == from || get(p, REQ_PROD) - cons <= RING);
    must(notify == (before || get(p, REQ_PROD) != from));
    if (from - cons > RING)
        must(r == -EPROTO || !wanted);
    server_reads(w, p, from);
}

static void receive(struct world *w, struct page *p, uint8_t how)
{
    uint32_t prod = get(p, RSP_PROD), from = get(p, RSP_CONS);
    bool notify = how % 2 == 0, before = notify, lost = xsc_why(w->x)[0] != '\0';
    int r;

    w->may_call_back = true;
    r = xsc_ring_receive(w->x, p->bytes, &notify);
    w->may_call_back = false;
    must(r == 0 || r == -EPROTO || r == -ENOMEM || r == -ENOTCONN);
    must(get(p, RSP_PROD) == prod);
    must(notify == (before || get(p, RSP_CONS) != from));
    must(get(p, RSP_CONS) - from <= RING);
    if (prod - from > RING)
        must((r == -EPROTO || lost || xsc_is_suspended(w->x)) && get(p, RSP_CONS) == from);
    else if (r == 0 && !xsc_is_suspended(w->x))
        must(get(p, RSP_CONS) == prod);
}

/* The server takes requests out of the ring, all or some: it makes room. */
static void make_room(struct page *p, uint8_t how)
{
    uint32_t have = get(p, REQ_PROD) - get(p, REQ_CONS);

    set(p, REQ_CONS, get(p, REQ_CONS) + (how < 128 || have == 0 ? have : how % have));
}

static void put(struct page *p, const uint8_t *bytes, size_t len)
{
    if (p->queued + len > QUEUE)
        return;
    memcpy(p->queue + p->queued, bytes, len);
    p->queued += len;
}

/* The server moves what it has to say into the ring, as far as there is room. */
static void fill(struct page *p, size_t max)
{
    size_t n = 0;

    while (!broken(p) && n < p->queued && n < max && get(p, RSP_PROD) - get(p, RSP_CONS) < RING) {
        p->bytes[RSP + get(p, RSP_PROD) % RING] = p->queue[n++];
        set(p, RSP_PROD, get(p, RSP_PROD) + 1);
    }
    p->queued -= n;
    memmove(p->queue, p->queue + n, p->queued);
}

static void answer(struct world *w, struct page *p, struct input *in, uint8_t op)
{
    uint8_t bytes[SERVER_MESSAGE_MAX];
    const struct request *to;

    if (op % 4 == 0) {
        put(p, bytes, server_event(w, in, bytes));
        return;
    }
    to = server_pick(w, take_byte(in));
    if (to != NULL)
        put(p, bytes,
            op % 4 == 1 ? server_answer(w, to, in, bytes) : server_friendly(w, to, bytes));
}

static void scribble(struct page *p, struct input *in, uint8_t op)
{
    const uint8_t *bytes;
    size_t at = take_word(in) % PAGE, len;

    if (op % 4 == 0) {
        set(p, (int)(at % 4), take_word(in));
    } else if (op % 4 == 1) {
        set(p, (int)(at % 4), get(p, (int)(at % 4)) + (uint32_t)(int8_t)take_byte(in));
    } else if (op % 4 == 2) {
        for (int i = 0; i < 4; i++) /* about to wrap, and nothing in it */
            set(p, i, 0U - (uint32_t)at % 8);
        p->queued = 0;
    } else {
        len = take_bytes(in, &bytes, take_byte(in) % 32);
        if (len > PAGE - at)
            len = PAGE - at;
        memcpy(p->bytes + at, bytes, len);
    }
}

/* Everything as it should be, for a while. */
static void settle(struct world *w, struct page *p)
{
    struct input none = {NULL, 0};

    for (int i = 0; i < 20 && xsc_why(w->x)[0] == '\0' && !broken(p); i++) {
        send(w, p, 1);
        make_room(p, 0);
        answer(w, p, &none, 2);
        fill(p, SIZE_MAX);
        receive(w, p, 1);
    }
}

static void step(struct world *w, struct page *p, struct input *in)
{
    uint8_t op = take_byte(in);

    if (op < 80)
        world_op(w, op % WORLD_OPS, in);
    else if (op < 110)
        send(w, p, op);
    else if (op < 140)
        receive(w, p, op);
    else if (op < 160)
        make_room(p, take_byte(in));
    else if (op < 200)
        answer(w, p, in, op);
    else if (op < 220)
        fill(p, op < 210 ? SIZE_MAX : take_byte(in));
    else if (op < 240)
        settle(w, p);
    else
        scribble(p, in, op);
    world_check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct page page = {.bytes = aligned_alloc(PAGE, PAGE)};
    struct input in = {data, size};

    must(page.bytes != NULL);
    memset(page.bytes, 0, PAGE);
    if (world_begin(&w, take_byte(&in))) {
        for (int steps = 0; in.left > 0 && steps < STEPS; steps++)
            step(&w, &page, &in);
        world_end(&w);
    }
    free(page.bytes);
    return 0;
}
