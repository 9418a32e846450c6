/* test_loop.c - a turn of the loop ends, whatever its completions do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "linux/loop.h"

enum { MANY = 1000 };

/* What comes again from inside its completion, at once: as an event does that a guest sends without
 * end, on a kernel that completes without being asked. */
struct echo {
    struct vbd_loop_entry entry;
    struct vbd_loop *loop;
    int completions;
};

static void again(struct echo *e)
{
    struct io_uring_sqe *sqe = vbd_loop_sqe(e->loop, &e->entry);

    assert_non_null(sqe);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, &e->entry);
    assert_int_equal(io_uring_submit(&e->loop->ring), 1);
}

static void echoed(struct vbd_loop_entry *entry, int result, uint32_t flags)
{
    struct echo *e = VBD_CONTAINER(entry, struct echo, entry);

    (void)flags;
    assert_int_equal(result, 0);
    if (++e->completions < MANY)
        again(e);
}

static void test_a_turn_runs_what_had_come_when_it_began(void **state)
{
    struct vbd_loop loop;
    struct echo e = {.entry = {echoed}, .loop = &loop};

    (void)state;
    assert_int_equal(vbd_loop_init(&loop), 0);
    again(&e);
    for (int turns = 1; turns <= MANY; turns++) {
        assert_int_equal(vbd_loop_turn(&loop, true, 0), 0);
        assert_int_equal(e.completions, turns);
    }
    vbd_loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_runs_what_had_come_when_it_began),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
