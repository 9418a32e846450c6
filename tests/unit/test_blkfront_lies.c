/* test_blkfront_lies.c - a backend that lies: a hand writes into the ring of a front what no honest
 * back would. A lie about indexes, ids or operations breaks the queue, with a sentence and an error
 * for what was under way; every other lie is an error of one operation, or nothing. Afterwards the
 * same front serves an honest back.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "blkif/wire.h"
#include "support/front_world.h"

enum { OPS = 4, PAGE = 4096 };

/* What the front has asked for when the lie is told: two reads, a write and a flush, a request
 * each, in slots 0 to 3. */
struct liar {
    struct front_world *w;
    struct front_op ops[OPS];
    unsigned char in[2][PAGE], out[PAGE];
};

enum outcome { BREAKS, FAILS_FIRST, HARMLESS };

struct lie {
    const char *name;
    void (*tell)(struct liar *l);
    enum outcome outcome;
    const char *says; /* a part of the sentence, where it breaks */
};

static struct vbd_ring_header *header(struct liar *l)
{
    return l->w->front.ring_memory;
}

static struct vbd_wire_response_64 *slot(struct liar *l, uint32_t index)
{
    return vbd_front_ring_slot(&l->w->front.ring, index);
}

/* As the request in slot `index` was written; a response overwrites it. */
static struct vbd_wire_request_64 asked(struct liar *l, uint32_t index)
{
    struct vbd_wire_request_64 request;

    memcpy(&request, vbd_front_ring_slot(&l->w->front.ring, index), sizeof request);
    return request;
}

static void respond(struct liar *l, uint32_t at, uint64_t id, uint8_t operation, int16_t status)
{
    *slot(l, at) =
        (struct vbd_wire_response_64){.id = id, .operation = operation, .status = status};
}

/* An honest answer to the request of slot `index`, in slot `at`. */
static void answer(struct liar *l, uint32_t at, uint32_t index)
{
    struct vbd_wire_request_64 r = asked(l, index);

    respond(l, at, r.id, r.operation, 0);
}

static void publish(struct liar *l, uint32_t rsp_prod)
{
    header(l)->rsp_prod = rsp_prod;
}

static void answer_all(struct liar *l)
{
    for (uint32_t i = 0; i < OPS; i++)
        answer(l, i, i);
    publish(l, OPS);
}

/* --- indexes --- */

static void producer_one_too_far(struct liar *l)
{
    answer_all(l);
    publish(l, OPS + 1);
}

static void producer_a_ring_too_far(struct liar *l)
{
    publish(l, l->w->front.ring.size);
}

static void producer_half_around(struct liar *l)
{
    publish(l, 0x80000000u);
}

static void producer_behind(struct liar *l)
{
    publish(l, UINT32_MAX);
}

static void producer_runs_back(struct liar *l)
{
    answer(l, 0, 0);
    answer(l, 1, 1);
    publish(l, 2);
    front_world_turn(l->w);
    publish(l, 1);
}

static void requests_of_its_own(struct liar *l)
{
    header(l)->req_prod += 7;
    answer_all(l);
}

static void events_asked_for_at_random(struct liar *l)
{
    header(l)->req_event = 0xdeadbeef;
    header(l)->rsp_event = 0;
    answer_all(l);
}

/* --- ids --- */

static void with_id(struct liar *l, uint64_t id)
{
    respond(l, 0, id, VBD_OP_READ, 0);
    publish(l, 1);
}

static void id_of_a_free_slot(struct liar *l)
{
    with_id(l, asked(l, 0).id | 31);
}

static void id_past_the_ring(struct liar *l)
{
    with_id(l, asked(l, 0).id | 0xfff0);
}

static void id_of_all_ones(struct liar *l)
{
    with_id(l, UINT64_MAX);
}

static void id_zero(struct liar *l)
{
    with_id(l, 0);
}

static void id_of_the_round_before(struct liar *l)
{
    with_id(l, asked(l, 0).id - 0x10000);
}

static void id_of_the_round_to_come(struct liar *l)
{
    with_id(l, asked(l, 0).id + 0x10000);
}

static void id_with_bits_above_the_round(struct liar *l)
{
    with_id(l, asked(l, 0).id | 1ull << 48);
}

static void id_and_the_top_bit(struct liar *l)
{
    with_id(l, asked(l, 0).id | 1ull << 63);
}

static void the_same_answer_twice(struct liar *l)
{
    struct vbd_wire_request_64 r = asked(l, 0);

    respond(l, 0, r.id, r.operation, 0);
    respond(l, 1, r.id, r.operation, 0);
    publish(l, 2);
}

static void the_same_answer_later(struct liar *l)
{
    struct vbd_wire_request_64 r = asked(l, 0);

    with_id(l, r.id);
    front_world_turn(l->w);
    respond(l, 1, r.id, r.operation, 0);
    publish(l, 2);
}

static void nothing_written(struct liar *l)
{
    memset(slot(l, 0), 0, 112);
    publish(l, 1);
}

static void the_request_itself(struct liar *l)
{
    publish(l, 1); /* the slot holds what the front wrote */
}

/* --- operations and statuses --- */

static void of_operation(struct liar *l, uint8_t operation)
{
    respond(l, 0, asked(l, 0).id, operation, 0);
    publish(l, 1);
}

static void write_for_a_read(struct liar *l)
{
    of_operation(l, VBD_OP_WRITE);
}

static void indirect_for_a_direct(struct liar *l)
{
    of_operation(l, VBD_OP_INDIRECT);
}

static void operation_unknown(struct liar *l)
{
    of_operation(l, 255);
}

static void operation_four(struct liar *l)
{
    of_operation(l, 4);
}

static void first_status(struct liar *l, int16_t status)
{
    struct vbd_wire_request_64 r = asked(l, 0);

    answer_all(l);
    respond(l, 0, r.id, r.operation, status);
}

static void status_one(struct liar *l)
{
    first_status(l, 1);
}

static void status_minus_three(struct liar *l)
{
    first_status(l, -3);
}

static void status_largest(struct liar *l)
{
    first_status(l, INT16_MAX);
}

static void status_smallest(struct liar *l)
{
    first_status(l, INT16_MIN);
}

static void an_error_for_a_read(struct liar *l)
{
    first_status(l, -1);
}

/* --- order, padding, data --- */

static void answers_backwards(struct liar *l)
{
    struct vbd_wire_request_64 r[OPS];

    for (uint32_t i = 0; i < OPS; i++)
        r[i] = asked(l, i);
    for (uint32_t i = 0; i < OPS; i++)
        respond(l, i, r[OPS - 1 - i].id, r[OPS - 1 - i].operation, 0);
    publish(l, OPS);
}

static void garbage_around_the_answer(struct liar *l)
{
    answer_all(l);
    for (uint32_t i = 0; i < OPS; i++) {
        slot(l, i)->pad = 0xee;
        slot(l, i)->tail = 0xeeeeeeee;
        memset((char *)slot(l, i) + 16, 0xee, 96);
    }
}

static void free_slots_scribbled(struct liar *l)
{
    answer_all(l);
    memset(slot(l, OPS), 0xff, 112 * (l->w->front.ring.size - OPS));
}

static void reserved_bytes_scribbled(struct liar *l)
{
    memset(header(l)->reserved, 0xff, sizeof header(l)->reserved);
    answer_all(l);
}

/* The pages behind the requests, all of the pool. */
static void all_pages_scribbled(struct liar *l)
{
    answer_all(l);
    memset(l->w->front.pool.memory, 0xa5, (size_t)l->w->front.pool.count * PAGE);
}

static void data_changed_after_the_answer(struct liar *l)
{
    answer_all(l);
    front_world_turn(l->w);
    memset(l->w->front.pool.memory, 0xa5, (size_t)l->w->front.pool.count * PAGE);
    for (unsigned i = 0; i < PAGE; i++)
        assert_true(l->in[0][i] == 0 && l->out[i] == 0x11);
}

/* A read that the back says it did, and did not: nothing of an earlier one shows. */
static void nothing_read(struct liar *l)
{
    answer_all(l);
    front_world_turn(l->w);
    for (unsigned i = 0; i < PAGE; i++)
        assert_int_equal(l->in[1][i], 0);
}

static void events_without_end(struct liar *l)
{
    for (unsigned i = 0; i < 1000; i++) {
        vbd_front_queue_pass(&l->w->front);
        (void)l->w->guest.take_event(l->w->guest.ctx, l->w->front.channel);
    }
    answer_all(l);
}

static void answers_one_by_one(struct liar *l)
{
    for (uint32_t i = 0; i < OPS; i++) {
        answer(l, i, i);
        publish(l, i + 1);
        front_world_turn(l->w);
    }
}

static void operations_swapped(struct liar *l)
{
    uint64_t read = asked(l, 0).id, write = asked(l, 2).id;

    respond(l, 0, write, VBD_OP_READ, 0);
    respond(l, 1, read, VBD_OP_WRITE, 0);
    publish(l, 2);
}

static void barrier_for_a_flush(struct liar *l)
{
    respond(l, 0, asked(l, 3).id, VBD_OP_WRITE_BARRIER, 0);
    publish(l, 1);
}

static void our_event_index_moved_far(struct liar *l)
{
    header(l)->rsp_event = 0x7fffffff;
    answers_one_by_one(l);
}

static void published_twice(struct liar *l)
{
    answer_all(l);
    front_world_turn(l->w);
    publish(l, OPS);
}

/* --- each of them --- */

#define RANGE "index is out of range"
#define NO_REQUEST "not under way"
#define OTHER "another operation"

static const struct lie lies[] = {
    {"producer one too far", producer_one_too_far, BREAKS, RANGE},
    {"producer a ring too far", producer_a_ring_too_far, BREAKS, RANGE},
    {"producer half around", producer_half_around, BREAKS, RANGE},
    {"producer behind", producer_behind, BREAKS, RANGE},
    {"producer runs back", producer_runs_back, BREAKS, RANGE},
    {"requests of its own", requests_of_its_own, HARMLESS, NULL},
    {"events asked for at random", events_asked_for_at_random, HARMLESS, NULL},
    {"id of a free slot", id_of_a_free_slot, BREAKS, NO_REQUEST},
    {"id past the ring", id_past_the_ring, BREAKS, NO_REQUEST},
    {"id of all ones", id_of_all_ones, BREAKS, NO_REQUEST},
    {"id zero", id_zero, BREAKS, NO_REQUEST},
    {"id of the round before", id_of_the_round_before, BREAKS, NO_REQUEST},
    {"id of the round to come", id_of_the_round_to_come, BREAKS, NO_REQUEST},
    {"id with bits above the round", id_with_bits_above_the_round, BREAKS, NO_REQUEST},
    {"id and the top bit", id_and_the_top_bit, BREAKS, NO_REQUEST},
    {"the same answer twice", the_same_answer_twice, BREAKS, NO_REQUEST},
    {"the same answer later", the_same_answer_later, BREAKS, NO_REQUEST},
    {"nothing written", nothing_written, BREAKS, NO_REQUEST},
    {"the request itself", the_request_itself, BREAKS, ""},
    {"write for a read", write_for_a_read, BREAKS, OTHER},
    {"indirect for a direct request", indirect_for_a_direct, BREAKS, OTHER},
    {"operation 255", operation_unknown, BREAKS, OTHER},
    {"operation 4", operation_four, BREAKS, OTHER},
    {"status 1", status_one, FAILS_FIRST, NULL},
    {"status -3", status_minus_three, FAILS_FIRST, NULL},
    {"status 32767", status_largest, FAILS_FIRST, NULL},
    {"status -32768", status_smallest, FAILS_FIRST, NULL},
    {"an error for a good read", an_error_for_a_read, FAILS_FIRST, NULL},
    {"answers backwards", answers_backwards, HARMLESS, NULL},
    {"garbage around the answer", garbage_around_the_answer, HARMLESS, NULL},
    {"free slots scribbled", free_slots_scribbled, HARMLESS, NULL},
    {"reserved bytes scribbled", reserved_bytes_scribbled, HARMLESS, NULL},
    {"all pages scribbled", all_pages_scribbled, HARMLESS, NULL},
    {"data changed after the answer", data_changed_after_the_answer, HARMLESS, NULL},
    {"nothing read", nothing_read, HARMLESS, NULL},
    {"events without end", events_without_end, HARMLESS, NULL},
    {"answers one by one", answers_one_by_one, HARMLESS, NULL},
    {"operations swapped", operations_swapped, BREAKS, OTHER},
    {"barrier for a flush", barrier_for_a_flush, BREAKS, OTHER},
    {"our event index moved far", our_event_index_moved_far, HARMLESS, NULL},
    {"published twice", published_twice, HARMLESS, NULL},
};

static void ask(struct liar *l)
{
    memset(l->in, 0xee, sizeof l->in);
    memset(l->out, 0x11, sizeof l->out);
    front_op_submit(l->w, &l->ops[0], VBD_IO_READ, 0, PAGE, l->in[0]);
    front_op_submit(l->w, &l->ops[1], VBD_IO_READ, 64 * PAGE, PAGE, l->in[1]);
    front_op_submit(l->w, &l->ops[2], VBD_IO_WRITE, 32 * PAGE, PAGE, l->out);
    front_op_submit(l->w, &l->ops[3], VBD_IO_FLUSH, 0, 0, NULL);
    front_world_turn(l->w);
    assert_int_equal(header(l)->req_prod, OPS);
}

/* Everything that was asked is over, once. What was answered before the lie is answered. */
static void check(struct liar *l, const struct lie *lie)
{
    struct vbd_front_queue *q = &l->w->front;

    assert_int_equal(q->broken, lie->outcome == BREAKS);
    if (q->broken) {
        assert_non_null(strstr(q->lie, lie->says));
        assert_false(vbd_front_queue_pass(q));
    }
    vbd_front_queue_close(q);
    vbd_front_queue_fail(q, -EPROTO);
    for (unsigned i = 0; i < OPS; i++) {
        assert_int_equal(l->ops[i].done, 1);
        if (lie->outcome == BREAKS)
            assert_true(l->ops[i].result == 0 || l->ops[i].result == -EPROTO);
        else
            assert_int_equal(l->ops[i].result, lie->outcome == FAILS_FIRST && i == 0 ? -EIO : 0);
    }
    if (lie->outcome == BREAKS) /* no lie answers the last one */
        assert_int_equal(l->ops[OPS - 1].result, -EPROTO);
}

static void test_lie(void **state)
{
    const struct lie *lie = *state;
    struct liar l = {.w = front_world_new(1, 16, 11)};
    unsigned char bytes[PAGE], in[PAGE];

    l.w->by_hand = true;
    front_world_connect(l.w);
    /* As earlier operations may have left them. */
    memset(l.w->front.pool.memory, 0xa5, (size_t)l.w->front.pool.count * PAGE);
    ask(&l);
    lie->tell(&l);
    front_world_turn(l.w);
    check(&l, lie);
    l.w->by_hand = false; /* an honest one */
    l.w->next_page = DATA_PAGE;
    front_world_connect(l.w);
    memset(bytes, 0x5a, PAGE);
    assert_int_equal(front_op_run(l.w, VBD_IO_WRITE, 4096, PAGE, bytes), 0);
    assert_int_equal(front_op_run(l.w, VBD_IO_READ, 4096, PAGE, in), 0);
    assert_memory_equal(bytes, in, PAGE);
    front_world_free(l.w);
}

int main(void)
{
    struct CMUnitTest tests[sizeof lies / sizeof lies[0]];

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        tests[i] = (struct CMUnitTest){.name = lies[i].name,
                                       .test_func = test_lie,
                                       .initial_state = (void *)(uintptr_t)&lies[i]};
    return _cmocka_run_group_tests("blkfront_lies", tests, sizeof tests / sizeof tests[0], NULL,
                                   NULL);
}
