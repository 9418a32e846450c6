/* polling.c - see polling.h. Called by the queues' threads of the back, and by a disk. */
#include "linux/polling.h"

#include <sched.h>

#include "base/inline.h"
#include "linux/clock.h"

enum {
    LOOKS = 64,           /* between two offers of the processor to others */
    SWITCHED_NS = 300000, /* so long an offer takes when somebody has work for a while */
    PAUSE_MAX = 63,       /* sleeps after looks in vain */
    PAUSE_OF_CROWD = 100, /* and after others wanted the processor */
};

static bool look_some(bool (*found)(void *ctx), void *ctx)
{
    for (int i = 0; i < LOOKS; i++) {
        if (found(ctx))
            return true;
        vbd_relax();
    }
    return false;
}

/* Gives the processor to whoever wants it; false: somebody did. */
static bool is_nobody_waiting(uint64_t *now)
{
    uint64_t before = *now;

    (void)sched_yield();
    *now = vbd_now_ns();
    return *now - before < SWITCHED_NS;
}

static void sleep_for(struct vbd_polling *p, unsigned pause)
{
    p->pause = p->left = pause;
}

bool vbd_polling_look(struct vbd_polling *p, uint64_t patience, bool (*found)(void *ctx), void *ctx)
{
    uint64_t now, end;
    bool offer = p->beside;

    if (patience == 0)
        return false;
    if (p->left > 0) {
        p->left--;
        return false;
    }
    now = vbd_now_ns();
    end = now + patience;
    while (offer || !look_some(found, ctx)) {
        offer = false;
        if (!is_nobody_waiting(&now)) {
            p->beside = false;
            sleep_for(p, PAUSE_OF_CROWD);
            return found(ctx);
        }
        p->beside = found(ctx);
        if (p->beside)
            break;
        if (now >= end) {
            sleep_for(p, p->pause < PAUSE_MAX / 2 ? p->pause * 2 + 1 : PAUSE_MAX);
            return false;
        }
    }
    p->pause = 0;
    return true;
}
