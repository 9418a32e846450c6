/* end.h - the state of one end of an event channel: the three steps, on the shared word.
 *
 * Used by the library at both ends, and by the broker, which sends events of its own.
 */
#ifndef HYPERLESS_END_H
#define HYPERLESS_END_H

#include <stdbool.h>

#include "hyperless/protocol.h"

/* An event arrives: true when the end must be queued, by one count on its handle's eventfd. */
static inline bool hl_end_raise(struct hl_end *end)
{
    uint32_t now = __atomic_load_n(&end->state, __ATOMIC_RELAXED), next;

    do {
        next = now & HL_END_MASKED ? now | HL_END_PENDING : HL_END_MASKED | HL_END_QUEUED;
    } while (!__atomic_compare_exchange_n(&end->state, &now, next, true, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    return !(now & HL_END_MASKED);
}

/* The reader takes it from the queue: false when this end was not the one queued. */
static inline bool hl_end_take(struct hl_end *end)
{
    if (!(__atomic_load_n(&end->state, __ATOMIC_ACQUIRE) & HL_END_QUEUED))
        return false;
    return __atomic_fetch_and(&end->state, ~(uint32_t)HL_END_QUEUED, __ATOMIC_SEQ_CST) &
           HL_END_QUEUED;
}

/* The reader lets events in again: true when one came meanwhile, and the end must be queued. */
static inline bool hl_end_unmask(struct hl_end *end)
{
    uint32_t now = __atomic_load_n(&end->state, __ATOMIC_RELAXED), next;

    do {
        if (now & HL_END_QUEUED || !(now & HL_END_MASKED))
            return false; /* not read yet, or not masked */
        next = now & HL_END_PENDING ? HL_END_MASKED | HL_END_QUEUED : 0;
    } while (!__atomic_compare_exchange_n(&end->state, &now, next, true, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    return next != 0;
}

#endif
