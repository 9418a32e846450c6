/* ring.pml - a front and a back on one ring, as src/blkif/ring.h has it: does either ever sleep while
 * something waits for it? Checked by tests/models/check.
 *
 * The steps have the code's names:
 *   publish    the new producer index becomes visible after the slots it covers; then, behind a
 *              fence, the other side's event index is read: notify when it was passed
 *   announce   the event index says "wake me at the next one"
 *   re-check   behind a fence, the producer is read again before sleeping
 *
 * Each side has a store buffer, as processors do: what it stores is seen by the other later, unless it
 * waits for that (a fence). One entry is enough, since each side waits for its first store to be out
 * before the second one counts. Indexes count modulo MOD, begin before the wrap and pass it.
 *
 * Mutations, each of which loses a wake-up: -DNO_RECHECK, -DNO_ANNOUNCE, -DNO_FENCE_PUBLISH,
 * -DNO_FENCE_RECHECK, -DLATE_EVENT (the event is taken after the pass and not before).
 */
#define MOD 16
#define SIZE 2   /* slots */
#define REQUESTS 5
#define FIRST 13 /* the index of the first request */

#define MINUS(a, b) (((a) + MOD - (b)) % MOD)

/* Shared words, as the other side sees them. */
byte req_prod = FIRST, req_event = FIRST + 1;
byte rsp_prod = FIRST, rsp_event = FIRST + 1;
bool to_back, to_front; /* events that wait */

/* Store buffers: one store each. */
#define NOTHING 255
byte front_req_prod = NOTHING, front_rsp_event = NOTHING;
byte back_rsp_prod = NOTHING, back_req_event = NOTHING;

/* Stores leave the buffers in any moment. */
active proctype memory()
{
end:
    do
    :: atomic { front_req_prod != NOTHING -> req_prod = front_req_prod; front_req_prod = NOTHING }
    :: atomic { front_rsp_event != NOTHING -> rsp_event = front_rsp_event; front_rsp_event = NOTHING }
    :: atomic { back_rsp_prod != NOTHING -> rsp_prod = back_rsp_prod; back_rsp_prod = NOTHING }
    :: atomic { back_req_event != NOTHING -> req_event = back_req_event; back_req_event = NOTHING }
    od
}

inline store(buffer, value)
{
    atomic { buffer == NOTHING -> buffer = value }
}

inline fence(one, other)
{
    (one == NOTHING && other == NOTHING)
}

inline publish(buffer, other_buffer, event, old, now, channel)
{
    store(buffer, now);
#ifndef NO_FENCE_PUBLISH
    fence(buffer, other_buffer);
#endif
    if
    :: MINUS(now, event) < MINUS(now, old) -> channel = true /* notify */
    :: else
    fi;
    old = now
}

inline announce_and_recheck(buffer, other_buffer, cons, prod, more)
{
#ifndef NO_ANNOUNCE
    store(buffer, (cons + 1) % MOD);
#endif
#ifndef NO_FENCE_RECHECK
    fence(buffer, other_buffer);
#endif
#ifdef NO_RECHECK
    more = false
#else
    more = (prod != cons)
#endif
}

active proctype front()
{
    byte prod = FIRST, published = FIRST, cons = FIRST, sent = 0;
    bool more;

    do
    :: cons == (FIRST + REQUESTS) % MOD -> break
    :: else ->
        /* fills the slots that are free, any number of them, and publishes once */
        do
        :: sent < REQUESTS && MINUS(prod, cons) < SIZE -> prod = (prod + 1) % MOD; sent++
        :: break
        od;
        if
        :: prod != published ->
            publish(front_req_prod, front_rsp_event, req_event, published, prod, to_back)
        :: else
        fi;
        /* takes the answers that are there */
        do
        :: rsp_prod != cons -> cons = (cons + 1) % MOD
        :: else -> break
        od;
        if
        :: cons == (FIRST + REQUESTS) % MOD -> break
        :: sent < REQUESTS && MINUS(prod, cons) < SIZE -> skip /* has more to ask */
        :: else ->
            announce_and_recheck(front_rsp_event, front_req_prod, cons, rsp_prod, more);
            if
            :: more
            :: else -> atomic { to_front -> to_front = false } /* sleeps */
            fi
        fi
    od
}

active proctype back()
{
    byte cons = FIRST, prod = FIRST, published = FIRST;
    bool more;

    do
    :: true ->
        /* a pass: takes what waits, at most what the storage lets it; answers what was completed */
        do
        :: req_prod != cons -> cons = (cons + 1) % MOD
        :: else -> break
        od;
        do
        :: prod != cons -> prod = (prod + 1) % MOD
        :: break
        od;
        if
        :: prod != published ->
            publish(back_rsp_prod, back_req_event, rsp_event, published, prod, to_front)
        :: else
        fi;
        announce_and_recheck(back_req_event, back_rsp_prod, cons, req_prod, more);
#ifdef LATE_EVENT
        to_back = false;
#endif
        if
        :: more
        :: !more && prod != cons /* the storage's completion wakes it */
        :: else ->
end:
            atomic { to_back -> to_back = false } /* sleeps; take_event comes before the pass */
        fi
    od
}
