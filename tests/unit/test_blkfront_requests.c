/* test_blkfront_requests.c - which requests a front writes, and what it does when one is refused
 * although it was offered: a hand takes each from the ring, notes it as a letter and answers it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "blkif/wire.h"
#include "support/front_world.h"

enum { PAGE = 4096, SEEN = 64 };

/* The backend: an operation whose letter is in `refuses` is answered as not supported. */
struct hand {
    struct front_world *w;
    const char *refuses;
    char seen[SEEN + 1];
    unsigned count;
    uint32_t taken;
    struct vbd_wire_request_64 last;
};

static void begin(struct hand *h, uint32_t pool_pages)
{
    *h = (struct hand){.w = front_world_new(1, pool_pages, 11), .refuses = ""};
    h->w->by_hand = true;
}

static char letter(const struct vbd_wire_request_64 *request)
{
    static const char letters[] = "rwbf?di";

    return request->operation < sizeof letters - 1 ? letters[request->operation] : '?';
}

static void answer(struct hand *h, const struct vbd_wire_request_64 *request, int16_t status)
{
    struct vbd_front_ring *ring = &h->w->front.ring;
    struct vbd_wire_response_64 response = {
        .id = request->id, .operation = request->operation, .status = status};

    memcpy(vbd_front_ring_slot(ring, ring->header->rsp_prod), &response, sizeof response);
    ring->header->rsp_prod++;
}

/* Takes the next request; false when there is none. */
static bool take(struct hand *h)
{
    struct vbd_front_ring *ring = &h->w->front.ring;

    front_world_turn(h->w);
    if (h->taken == ring->header->req_prod)
        return false;
    memcpy(&h->last, vbd_front_ring_slot(ring, h->taken++), sizeof h->last);
    assert_true(h->count < SEEN);
    h->seen[h->count++] = letter(&h->last);
    return true;
}

/* Answers all requests, one by one. */
static void serve(struct hand *h)
{
    while (take(h))
        answer(h, &h->last,
               strchr(h->refuses, letter(&h->last)) != NULL ? VBD_STATUS_NOT_SUPPORTED
                                                            : VBD_STATUS_OKAY);
}

/* --- segments --- */

/* On a disk of large sectors, memory that begins amid one is copied. */
static void test_a_segment_is_whole_logical_sectors(void **state)
{
    struct front_op op;
    struct hand h;
    void *memory;

    (void)state;
    begin(&h, 16);
    h.w->disk.sector_size = PAGE;
    front_world_connect(h.w);
    assert_int_equal(vbd_buffers_add(&h.w->buffers, 3 * PAGE, &memory), 0);
    for (unsigned shift = 0; shift < 2; shift++) {
        front_op_submit(h.w, &op, VBD_IO_WRITE, 0, 2 * PAGE, (char *)memory + shift * 512);
        assert_true(take(&h));
        answer(&h, &h.last, VBD_STATUS_OKAY);
        serve(&h);
        assert_int_equal(h.last.second, 2);
        for (unsigned i = 0; i < 2; i++)
            assert_true(h.last.tail.segments[i].first == 0 && h.last.tail.segments[i].last == 7);
        assert_true(op.done == 1 && op.result == 0);
    }
    assert_int_equal(h.w->front.counters.uncopied, 1);
    vbd_buffers_remove(&h.w->buffers, memory);
    front_world_free(h.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_segment_is_whole_logical_sectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
