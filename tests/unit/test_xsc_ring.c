/* test_xsc_ring.c - proves libxsc on a ring page, whose layout is spelled out here once more: bytes
 * wrap at every offset, a full ring takes what it can, half messages wait, broken indexes are told
 * and not followed, and an event is asked for when bytes moved, and only then. */
#include <errno.h>

#include "vbdkit/xsc_ring.h"
#include "xsc_support.h"

enum { RING_SIZE = 1024 };

struct page { /* xs_wire.h's struct xenstore_domain_interface, in a page */
    char req[RING_SIZE], rsp[RING_SIZE];
    uint32_t req_cons, req_prod, rsp_cons, rsp_prod;
    char rest[4096 - 2 * RING_SIZE - 16];
};

struct side {
    struct memory memory;
    struct xsc *x;
    struct page page;
};

/* An empty ring whose indexes, all of them, are `at`. */
static void side_init(struct side *s, uint32_t at)
{
    memset(s, 0, sizeof *s);
    s->x = new_session(&s->memory);
    memset(s->page.rest, 0xa5, sizeof s->page.rest);
    s->page.req_cons = s->page.req_prod = s->page.rsp_cons = s->page.rsp_prod = at;
}

static void side_end(struct side *s)
{
    for (size_t i = 0; i < sizeof s->page.rest; i++)
        assert_int_equal((unsigned char)s->page.rest[i], 0xa5); /* nothing else was touched */
    end_session(s->x, &s->memory);
}

/* Sends; says whether an event was asked for. */
static bool sends(struct side *s)
{
    uint32_t from = s->page.req_prod;
    bool notify = false, kept = true;

    assert_int_equal(xsc_ring_send(s->x, &s->page, &notify), 0);
    assert_int_equal(notify, s->page.req_prod != from);
    assert_int_equal(xsc_ring_send(s->x, &s->page, &kept), 0);
    assert_true(kept);
    assert_in_range(s->page.req_prod - s->page.req_cons, 0, RING_SIZE);
    return notify;
}

static bool receives(struct side *s)
{
    uint32_t from = s->page.rsp_cons;
    bool notify = false, kept = true;

    assert_int_equal(xsc_ring_receive(s->x, &s->page, &notify), 0);
    assert_int_equal(notify, s->page.rsp_cons != from);
    assert_int_equal(s->page.rsp_cons, s->page.rsp_prod);
    assert_int_equal(xsc_ring_receive(s->x, &s->page, &kept), 0);
    assert_true(kept);
    return notify;
}

/* The server takes up to max bytes of requests. */
static size_t server_takes(struct side *s, char *to, size_t max)
{
    size_t n = 0;

    for (; n < max && s->page.req_cons != s->page.req_prod; n++)
        to[n] = s->page.req[s->page.req_cons++ % RING_SIZE];
    return n;
}

/* The server puts as many of these bytes as there is room for. */
static size_t server_puts(struct side *s, const char *bytes, size_t len)
{
    size_t n = 0;

    for (; n < len && s->page.rsp_prod - s->page.rsp_cons < RING_SIZE; n++)
        s->page.rsp[s->page.rsp_prod++ % RING_SIZE] = bytes[n];
    return n;
}

static void take_request(struct side *s, struct message *m)
{
    assert_int_equal(server_takes(s, (char *)m, HEADER), HEADER);
    assert_in_range(m->len, 0, XSC_PAYLOAD_MAX);
    assert_int_equal(server_takes(s, m->payload, m->len), m->len);
    m->payload[m->len] = '\0';
}

static void put_answer(struct side *s, const struct message *to, const char *data)
{
    char bytes[HEADER + 100];
    size_t size = put_message(bytes, to->type, to->id, data, strlen(data));

    assert_int_equal(server_puts(s, bytes, size), size);
}

/* A dialogue that wraps at every offset, of the ring and of 32 bits. */
static void test_a_dialogue_at_every_offset(void **state)
{
    static struct side s;

    (void)state;
    for (uint32_t i = 0; i < 2 * RING_SIZE; i++) {
        struct outcome o = {0};
        struct message m;

        side_init(&s, i < RING_SIZE ? i : 0U - (i - RING_SIZE));
        assert_int_equal(submit(s.x, XSC_OP_READ, "/some/path", &o), 0);
        assert_true(sends(&s));
        take_request(&s, &m);
        assert_int_equal(m.type, XSC_OP_READ);
        assert_string_equal(m.payload, "/some/path");
        put_answer(&s, &m, "a value");
        assert_true(receives(&s));
        assert_completed(&o, 0);
        assert_string_equal(o.data, "a value");
        side_end(&s);
    }
}

static void test_nothing_to_move_asks_for_no_event(void **state)
{
    static struct side s;
    struct outcome o = {0};

    (void)state;
    side_init(&s, 5);
    assert_false(sends(&s));
    assert_false(receives(&s));
    assert_int_equal(submit(s.x, XSC_OP_READ, "/a", &o), 0);
    assert_true(sends(&s));
    assert_false(sends(&s)); /* all of it went */
    assert_false(xsc_wants_write(s.x));
    side_end(&s);
}

static struct outcome big_outcome;

static void submit_big(struct side *s, size_t value_len)
{
    static char value[XSC_PAYLOAD_MAX];
    struct xsc_call call = {.op = XSC_OP_WRITE, .path = "/a", .value_len = value_len};

    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)(i * 7 + i / 256);
    call.value = value;
    big_outcome = (struct outcome){0};
    assert_int_equal(xsc_submit(s->x, &call, into(&big_outcome)), 0);
}

static void test_a_request_larger_than_the_ring_goes_in_pieces(void **state)
{
    static struct side s;
    static struct message m;

    (void)state;
    for (size_t piece = 1; piece <= RING_SIZE; piece = piece * 3 + 1) {
        size_t have = 0;

        side_init(&s, 1000);
        submit_big(&s, 3500);
        while (have < HEADER + 3503) {
            (void)sends(&s);
            have += server_takes(&s, (char *)&m + have, piece);
        }
        assert_false(xsc_wants_write(s.x));
        assert_int_equal(m.len, 3503);
        for (size_t i = 0; i < 3500; i++)
            assert_int_equal(m.payload[3 + i], (char)(i * 7 + i / 256));
        put_answer(&s, &m, "OK");
        (void)receives(&s);
        assert_completed(&big_outcome, 0);
        side_end(&s);
    }
}

static void test_a_full_ring_takes_nothing_and_what_has_room_goes(void **state)
{
    static struct side s;
    char byte;

    (void)state;
    side_init(&s, 0);
    submit_big(&s, 2000);
    assert_true(sends(&s));
    assert_int_equal(s.page.req_prod - s.page.req_cons, RING_SIZE);
    assert_false(sends(&s));
    assert_true(xsc_wants_write(s.x));
    assert_int_equal(server_takes(&s, &byte, 1), 1);
    assert_true(sends(&s));
    assert_int_equal(s.page.req_prod, RING_SIZE + 1);
    side_end(&s);
}

static void test_a_full_ring_is_received_whole(void **state)
{
    static struct side s;
    static const char zeros[RING_SIZE];
    static char events[RING_SIZE];
    struct outcome o = {0};
    struct xsc_watch *watch = NULL;
    struct message m;

    (void)state;
    side_init(&s, 77);
    assert_int_equal(xsc_watch_add(s.x, "/w", NULL, NULL, into(&o), &watch), 0);
    (void)sends(&s);
    take_request(&s, &m);
    (void)put_message(events, XSC_OP_WATCH_EVENT, 0, zeros, RING_SIZE - HEADER);
    assert_int_equal(server_puts(&s, events, RING_SIZE), RING_SIZE);
    assert_int_equal(server_puts(&s, events, 1), 0);
    assert_true(receives(&s));
    assert_int_equal(s.page.rsp_cons, 77 + RING_SIZE);
    side_end(&s);
}

static void test_an_answer_byte_by_byte(void **state)
{
    static struct side s;
    char bytes[HEADER + 5];
    struct outcome o = {0};
    struct message m;

    (void)state;
    side_init(&s, RING_SIZE - 3);
    assert_int_equal(submit(s.x, XSC_OP_READ, "/a", &o), 0);
    (void)sends(&s);
    take_request(&s, &m);
    (void)put_message(bytes, XSC_OP_READ, m.id, "value", 5);
    for (size_t i = 0; i < sizeof bytes; i++) {
        assert_waiting(&o);
        assert_int_equal(server_puts(&s, bytes + i, 1), 1);
        assert_true(receives(&s));
    }
    assert_completed(&o, 0);
    assert_string_equal(o.data, "value");
    side_end(&s);
}

/* --- broken indexes --- */

static void test_broken_indexes_are_told_and_not_followed(void **state)
{
    static const uint32_t apart[] = {RING_SIZE + 1, RING_SIZE + 2, 4096,
                                     INT32_MAX,     1U << 31,      UINT32_MAX};
    static struct side s;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof apart / sizeof apart[0]; i++) {
        static struct page before;
        struct outcome o = {0};
        bool notify = false;

        side_init(&s, 3);
        assert_int_equal(submit(s.x, XSC_OP_READ, "/a", &o), 0);
        if (i % 2 == 0)
            s.page.req_prod = s.page.req_cons + apart[i / 2];
        else
            s.page.rsp_prod = s.page.rsp_cons + apart[i / 2];
        before = s.page;
        assert_int_equal(i % 2 == 0 ? xsc_ring_send(s.x, &s.page, &notify)
                                    : xsc_ring_receive(s.x, &s.page, &notify),
                         -EPROTO);
        assert_false(notify);
        assert_memory_equal(&before, &s.page, sizeof before);
        xsc_disconnected(s.x, "broken indexes"); /* as the page says */
        assert_completed(&o, -ECONNRESET);
        side_end(&s);
    }
}

static void test_a_server_that_breaks_the_protocol_in_the_ring(void **state)
{
    static struct side s;
    struct outcome o = {0};
    bool notify = false;
    char bytes[HEADER];

    (void)state;
    side_init(&s, 3);
    assert_int_equal(submit(s.x, XSC_OP_READ, "/a", &o), 0);
    (void)sends(&s);
    (void)put_message(bytes, XSC_OP_READ, 999999, NULL, 0);
    assert_int_equal(server_puts(&s, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(xsc_ring_receive(s.x, &s.page, &notify), -EPROTO);
    assert_completed(&o, -ECONNRESET);
    assert_true(xsc_why(s.x)[0] != '\0');
    side_end(&s);
}

static void test_memory_that_fails_while_receiving(void **state)
{
    static struct side s;
    struct outcome o = {0};
    bool notify = false;
    struct message m;

    (void)state;
    side_init(&s, 3);
    assert_int_equal(submit(s.x, XSC_OP_READ, "/a", &o), 0);
    (void)sends(&s);
    take_request(&s, &m);
    put_answer(&s, &m, "value");
    s.memory.fail_at = s.memory.calls + 1;
    assert_int_equal(xsc_ring_receive(s.x, &s.page, &notify), -ENOMEM);
    assert_completed(&o, -ECONNRESET);
    side_end(&s);
}

/* --- a whole life, byte by byte --- */

struct life {
    struct side s;
    struct owner o;
    struct outcome set;
    struct xsc_watch *watch;
    int fired, done, error;
};

static void note(void *ctx, const char *path)
{
    struct life *l = ctx;

    assert_string_equal(path, "/w");
    l->fired++;
}

static void life_done(void *ctx, struct xsc_batch *b, int error)
{
    struct life *l = ctx;

    (void)b;
    l->done++;
    l->error = error;
}

static size_t reply_to(const struct message *m, char *bytes)
{
    size_t size = 0;

    if (m->type == XSC_OP_TRANSACTION_START)
        return put_message(bytes, m->type, m->id, "3", 2);
    if (m->type == XSC_OP_WATCH)
        size = put_event(bytes, m, "/w");
    return size + put_message(bytes + size, m->type, m->id, "OK", 3);
}

/* Serves until nothing more comes; one byte moves before each look at the ring. */
static void serve_bytes(struct side *s)
{
    static struct message m;
    static char reply[HEADER + 2 * XSC_PAYLOAD_MAX];
    size_t have = 0;

    (void)sends(s);
    while (server_takes(s, (char *)&m + have, 1) == 1) {
        have++;
        (void)sends(s);
        if (have < HEADER || have < HEADER + m.len)
            continue;
        m.payload[m.len] = '\0';
        have = 0;
        for (size_t i = 0, size = reply_to(&m, reply); i < size; i++) {
            assert_int_equal(server_puts(s, reply + i, 1), 1);
            assert_true(receives(s));
        }
        (void)sends(s);
    }
    assert_int_equal(have, 0);
}

static void test_a_whole_life_byte_by_byte(void **state)
{
    static struct life l;
    struct xsc_batch *b = NULL;

    (void)state;
    memset(&l, 0, sizeof l);
    side_init(&l.s, UINT32_MAX - 20);
    assert_int_equal(xsc_watch_add(l.s.x, "/w", note, &l, into(&l.set), &l.watch), 0);
    assert_int_equal(xsc_batch_new(l.s.x, XSC_BATCH_TRANSACTION, &b), 0);
    (void)xsc_batch_add(b, XSC_OP_READ, "/a", NULL, 0);
    (void)xsc_batch_add(b, XSC_OP_WRITE, "/b", "v", 1);
    assert_int_equal(xsc_batch_submit(b, life_done, &l), 0);
    serve_bytes(&l.s);
    assert_int_equal(l.fired, 1);
    assert_completed(&l.set, 0);
    assert_int_equal(l.done, 1);
    assert_int_equal(l.error, 0);
    xsc_watch_remove(l.watch);
    serve_bytes(&l.s);
    assert_int_equal(xsc_pending(l.s.x), 0);
    xsc_batch_free(b);
    side_end(&l.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_dialogue_at_every_offset),
        cmocka_unit_test(test_nothing_to_move_asks_for_no_event),
        cmocka_unit_test(test_a_request_larger_than_the_ring_goes_in_pieces),
        cmocka_unit_test(test_a_full_ring_takes_nothing_and_what_has_room_goes),
        cmocka_unit_test(test_a_full_ring_is_received_whole),
        cmocka_unit_test(test_an_answer_byte_by_byte),
        cmocka_unit_test(test_broken_indexes_are_told_and_not_followed),
        cmocka_unit_test(test_a_server_that_breaks_the_protocol_in_the_ring),
        cmocka_unit_test(test_memory_that_fails_while_receiving),
        cmocka_unit_test(test_a_whole_life_byte_by_byte),
    };

    return cmocka_run_group_tests_name("xsc_ring", tests, NULL, NULL);
}
