/* hostile_random.c - a long line of random requests on the sockets "hypercall" of two guests,
 * always the same for the same seed. Run by tests/hyperless/hostile as the command of a machine.
 *
 *   hostile_random SEED COUNT
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xen/xen.h>

#include <cmocka.h>

#include "machine.h"

enum { HANDLES = 30, SECOND = 3 };

struct storm {
    unsigned seed;
    int handles[HANDLES]; /* -1: not open */
    enum hl_op kinds[HANDLES];
    int loot; /* the last descriptor that came, or -1 */
    unsigned answered, refused, closed;
};

static unsigned long count;
static unsigned first_seed;

static unsigned roll(struct storm *s, unsigned sides)
{
    return (unsigned)rand_r(&s->seed) % sides;
}

/* Mostly small, so that it means something; sometimes anything. */
static uint32_t number(struct storm *s, unsigned small)
{
    return roll(s, 10) != 0 ? roll(s, small) : (uint32_t)rand_r(&s->seed) * 3;
}

static uint32_t domid(struct storm *s)
{
    static const uint32_t some[] = {0, GUEST, GUEST, SECOND, SECOND, OTHER, 99, DOMID_SELF};

    return roll(s, 10) != 0 ? some[roll(s, sizeof some / sizeof some[0])]
                            : (uint32_t)rand_r(&s->seed);
}

/* Mostly one that this kind of handle knows. */
static uint32_t operation(struct storm *s, enum hl_op kind)
{
    static const struct {
        enum hl_op kind, first, last;
    } known[] = {{HL_OPEN_GNTTAB, HL_MAP, HL_REVOKED},
                 {HL_OPEN_GNTSHR, HL_SHARE, HL_UNSHARE},
                 {HL_OPEN_GNTSHR, HL_DOMAINS, HL_MAP_STORE},
                 {HL_OPEN_EVTCHN, HL_BIND_UNBOUND, HL_PORT}};
    uint32_t op = roll(s, 40) != 0 ? 1 + roll(s, HL_DIE - 1) : (uint32_t)rand_r(&s->seed);

    for (size_t i = 0; roll(s, 6) != 0 && i < sizeof known / sizeof known[0]; i++)
        if (known[i].kind == kind)
            op = known[i].first + roll(s, 1 + known[i].last - known[i].first);
    return op == HL_DIE ? 0 : op; /* it would be this program's own end */
}

static struct hl_request request(struct storm *s, enum hl_op kind)
{
    struct hl_request q = {.op = operation(s, kind),
                           .flags = roll(s, 64),
                           .domid = domid(s),
                           .number = number(s, 16),
                           .count = roll(s, 10) != 0 ? roll(s, 9) : roll(s, 1200),
                           .notify_offset = roll(s, 5000),
                           .notify_port = roll(s, 16)};

    for (size_t i = 0; i < HL_BATCH; i++)
        q.grants[i] = (struct hl_grant){domid(s), number(s, 24)};
    return q;
}

static void reopen(struct storm *s, unsigned i)
{
    static const enum hl_op kinds[] = {HL_OPEN_GNTTAB, HL_OPEN_GNTSHR, HL_OPEN_EVTCHN};

    s->kinds[i] = kinds[roll(s, 3)];
    s->handles[i] = raw_open(roll(s, 2) ? GUEST : SECOND, s->kinds[i], NULL);
}

static ssize_t send_request(struct storm *s, int handle, const struct hl_request *q)
{
    uint32_t grants = q->count < HL_BATCH ? q->count : HL_BATCH;
    size_t len = roll(s, 50) != 0 ? HL_REQUEST_BYTES(grants) : roll(s, sizeof *q);
    int fds[] = {s->loot >= 0 ? s->loot : handle, handle, STDERR_FILENO};

    return raw_send(handle, q, len, fds, roll(s, 20) == 0 ? 1 + roll(s, 3) : 0);
}

static void take_answer(struct storm *s, int *handle)
{
    int fd, r = raw_receive(*handle, NULL, &fd);

    assert_int_not_equal(r, RAW_SILENT);
    s->answered += r == 0;
    s->refused += r < 0 && r != RAW_CLOSED;
    s->closed += r == RAW_CLOSED;
    if (fd >= 0 && s->loot >= 0)
        (void)close(s->loot);
    if (fd >= 0)
        s->loot = fd;
    if (r == RAW_CLOSED) {
        (void)close(*handle);
        *handle = -1;
    }
}

static void one(struct storm *s)
{
    unsigned i = roll(s, HANDLES);
    struct hl_request q;

    if (s->handles[i] < 0)
        reopen(s, i);
    q = request(s, s->kinds[i]);
    if (send_request(s, s->handles[i], &q) >= 0 && roll(s, 40) != 0) {
        take_answer(s, &s->handles[i]);
        return;
    }
    (void)close(s->handles[i]); /* without waiting for the answer */
    s->handles[i] = -1;
}

static void random_requests_are_all_answered_and_leave_nothing(void **state)
{
    struct storm s = {.seed = first_seed, .loot = -1};

    (void)state;
    for (size_t i = 0; i < HANDLES; i++)
        s.handles[i] = -1;
    for (unsigned long n = 0; n < count; n++)
        one(&s);
    for (size_t i = 0; i < HANDLES; i++)
        if (s.handles[i] >= 0)
            (void)close(s.handles[i]);
    if (s.loot >= 0)
        (void)close(s.loot);
    print_message("%u answered, %u refused, %u cut off\n", s.answered, s.refused, s.closed);
    assert_true(s.answered > count / 20 && s.refused > count / 20 && s.closed > 0);
}

static int begin(void **state)
{
    int r = machine_begin(state);

    return r == 0 ? machine_create(SECOND, 0) : r;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test_setup_teardown(random_requests_are_all_answered_and_leave_nothing,
                                        machine_setup, machine_teardown),
    };

    if (argc != 3)
        return 2;
    first_seed = (unsigned)strtoul(argv[1], NULL, 10);
    count = strtoul(argv[2], NULL, 10);
    cmocka_set_test_filter(getenv("HYPERLESS_CASE"));
    return cmocka_run_group_tests(cases, begin, NULL);
}
