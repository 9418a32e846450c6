/* xsc_spin.c - the one answer that is on its way is looked for again and again for a moment, before
 * the thread sleeps: to wake a processor costs more than the daemon takes to answer. Called by the
 * reader of xsc_client.c, unlocked; what it remembers is the reader's alone.
 *
 * It is given up while it does not pay: each moment in vain doubles how many answers are waited for
 * asleep before the next try. On one processor it never pays. */
#include <sched.h>

#include "linux/clock.h"
#include "linux/xsc_client.h"

enum { MOMENT_NS = 60000, PAUSE_MAX = 1024 /* answers */ };

void xsc_spin_init(struct xsc_spin *s)
{
    cpu_set_t set;

    *s = (struct xsc_spin){.several =
                               sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 1};
}

static bool may_spin(struct xsc_spin *s)
{
    if (!s->several)
        return false;
    if (s->left > 0) {
        s->left--;
        return false;
    }
    return true;
}

/* As xsc_transport_read: 0 when the moment is over. */
static long spin(const struct xsc_transport *t, void *buffer, size_t size)
{
    int64_t end = (int64_t)vbd_now_ns() + MOMENT_NS;
    long n;

    do
        n = xsc_transport_read(t, buffer, size, false);
    while (n == 0 && (int64_t)vbd_now_ns() < end);
    return n;
}

long xsc_spin_read(struct xsc_spin *s, const struct xsc_transport *t, void *buffer, size_t size)
{
    long n = 0;

    if (may_spin(s)) {
        n = spin(t, buffer, size);
        s->pause = n != 0 ? 0 : s->pause == 0 ? 1 : s->pause < PAUSE_MAX ? s->pause * 2 : PAUSE_MAX;
        s->left = s->pause;
    }
    return n != 0 ? n : xsc_transport_read(t, buffer, size, true);
}
