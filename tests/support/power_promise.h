/* power_promise.h - what a guest may rely on after a power cut, worked out from a history: for each
 * promise, whose data a sector may no longer hold. For power_check.c.
 *
 * Before and after: a request is before another when its answer was seen before the other was sent,
 * or when a barrier that succeeded is between them in their ring, or is one of them.
 *
 * A flush that succeeded, once its answer was seen: each write, discard and barrier that succeeded
 * and whose answer was seen before the flush was sent, or that is before it in its ring, is there,
 * or something that is not before it is there in its place.
 *
 * A barrier that succeeded: the same, for all that is before it, not only once its answer was seen,
 * but on any disk that holds the barrier's own data or anything after it; and for its own data on
 * any disk that holds anything after it.
 */
#ifndef TESTS_POWER_PROMISE_H
#define TESTS_POWER_PROMISE_H

#include "support/power.h"

enum { POWER_WORDS = POWER_REQUESTS / 64 };

/* A set of requests. */
struct power_set {
    uint64_t words[POWER_WORDS];
};

static inline void power_set_add(struct power_set *s, unsigned request)
{
    s->words[request / 64] |= UINT64_C(1) << request % 64;
}

static inline bool power_set_has(const struct power_set *s, unsigned request)
{
    return (s->words[request / 64] >> request % 64 & 1) != 0;
}

struct power_promise {
    unsigned request; /* the flush or barrier */
    uint64_t holds;   /* from this tick on, whatever the disk holds */
    bool conditional; /* and before that where the disk holds one of `evidence` */
    struct power_set evidence;
    struct power_set lost[POWER_SECTORS]; /* by sector: who may not be seen there */
};

/* All promises of a history, with the number of them. The caller frees them. */
struct power_promise *power_promises(const struct power_history *h, unsigned *ret_count);

#endif
