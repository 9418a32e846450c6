/* ring.pml - "notify or sleep" on a shared ring, for spin: a front and a back that put, take, publish,
 * announce and re-check as src/blkif/ring.h does, named as there. Shown: nobody sleeps for ever while
 * the other side's work lies in the ring, and nobody reads a slot before it was written.
 *
 * Stores go through a store buffer, as on x86 (TSO): the other side sees them later, in order, and a
 * load may be done before them; a fence waits until the buffer is empty. Each side loads only words
 * that the other one stores, so no load has to look into its own buffer. Indexes run free modulo 8, on
 * a ring of 2 slots; the back has room for fewer requests than the ring (in_flight_max), and its
 * storage completes when it likes.
 *
 * `check` runs this as it is, and with one thing left out, which must be found: NO_ANNOUNCE,
 * NO_RECHECK, NO_ANNOUNCE_FENCE, NO_PUBLISH_FENCE, NO_NOTIFY, PUBLISH_FIRST. Add -DFRONT to leave it
 * out in the front; otherwise it is left out in the back.
 */
#define SIZE 2
#define MODULO 8
#ifndef LIMIT
#define LIMIT 1 /* requests under way */
#endif

#define next(index) ((index + 1) % MODULO)
#define ahead(a, b) ((a + MODULO - b) % MODULO)
#define slot_of(index) (SLOTS + index % SIZE)
/* As the back's slots and the front's: what lies in one tells who wrote it, and for which index. */
#define request_at(index) (index)
#define response_at(index) (MODULO + index)

/* Shared memory: the header's words, then the slots. */
#define REQ_PROD 0
#define REQ_EVENT 1
#define RSP_PROD 2
#define RSP_EVENT 3
#define SLOTS 4
byte shared[6];

chan front_stores = [4] of { byte, byte };
chan back_stores = [4] of { byte, byte };

/* Events: a pending bit of each side's port. */
bool front_event, back_event;

/* The sides' own, seen by the judge. */
byte req_prod_pvt, req_published, rsp_cons; /* front */
byte req_cons, rsp_prod, rsp_published, under_way; /* back */
bool front_publishes, back_publishes; /* from the store to the decision to notify */
bool front_sleeps, back_sleeps;

/* What is left out: 1 in the side it is left out of. */
#ifdef FRONT
#define of_front 1
#define of_back 0
#else
#define of_front 0
#define of_back 1
#endif

inline fence(stores)
{
    empty(stores)
}

/* The producer index becomes visible after the slots it covers; then the other side's event index says
 * whether it wants to be notified. */
inline publish(stores, word, pvt, published, event_word, peer_event, left_out)
{
    old = published;
    published = pvt;
    stores ! word, pvt;
#ifdef NO_PUBLISH_FENCE
    if
    :: left_out
    :: else -> fence(stores)
    fi;
#else
    fence(stores);
#endif
    event = shared[event_word];
    if
    :: ahead(pvt, event) < ahead(pvt, old) ->
#ifdef NO_NOTIFY
       if
       :: left_out
       :: else -> peer_event = true
       fi
#else
       peer_event = true
#endif
    :: else
    fi
}

/* "Wake me at the next one." */
inline announce(stores, event_word, cons, left_out)
{
#ifdef NO_ANNOUNCE
    if
    :: left_out
    :: else -> stores ! event_word, next(cons)
    fi;
#else
    stores ! event_word, next(cons);
#endif
#ifdef NO_ANNOUNCE_FENCE
    if
    :: left_out
    :: else -> fence(stores)
    fi
#else
    fence(stores)
#endif
}

/* The producer is read again; `more`: the caller must not sleep. */
inline re_check(word, cons, more, left_out)
{
    more = shared[word] != cons;
#ifdef NO_RECHECK
    if
    :: left_out -> more = false
    :: else
    fi
#endif
}

/* Slots, then their index; or, left out, the index first. */
inline put(stores, index, what, word, left_out)
{
#ifdef PUBLISH_FIRST
    if
    :: left_out -> stores ! word, next(index)
    :: else
    fi;
#endif
    stores ! slot_of(index), what
}

/* --- the back: a pass of src/blkback, and its sleep --- */

proctype back()
{
    byte prod, old, event;
    bool more;

pass:
    prod = shared[REQ_PROD]; /* vbd_ring_waiting */
    do
    :: prod != req_cons && under_way < LIMIT -> /* vbd_ring_take */
       assert(shared[slot_of(req_cons)] == request_at(req_cons));
       atomic {
           req_cons = next(req_cons);
           under_way++
       }
    :: else -> break
    od;
    do
    :: under_way > 0 -> /* the storage has completed one: vbd_ring_answer */
       back_publishes = true;
       put(back_stores, rsp_prod, response_at(rsp_prod), RSP_PROD, of_back);
       atomic {
           rsp_prod = next(rsp_prod);
           under_way--
       }
    :: break
    od;
    if
    :: rsp_prod != rsp_published -> /* vbd_ring_publish, notify */
       publish(back_stores, RSP_PROD, rsp_prod, rsp_published, RSP_EVENT, front_event, of_back)
    :: else
    fi;
    back_publishes = false;
    if
    :: under_way == LIMIT -> goto sleep /* no room: a completion wakes it */
    :: else
    fi;
    /* vbd_ring_announce_and_recheck */
    announce(back_stores, REQ_EVENT, req_cons, of_back);
    re_check(REQ_PROD, req_cons, more, of_back);
    if
    :: more -> goto pass
    :: else
    fi;
sleep:
    back_sleeps = true;
end_asleep:
    atomic {
        back_event || under_way > 0;
        back_event = false;
        back_sleeps = false
    };
    goto pass
}

/* --- the front: the other half of public/io/ring.h --- */

proctype front()
{
    byte prod, old, event;
    bool more;

turn:
    do
    :: ahead(req_prod_pvt, rsp_cons) < SIZE ->
       front_publishes = true;
       put(front_stores, req_prod_pvt, request_at(req_prod_pvt), REQ_PROD, of_front);
       req_prod_pvt = next(req_prod_pvt)
    :: break
    od;
    if
    :: req_prod_pvt != req_published ->
       publish(front_stores, REQ_PROD, req_prod_pvt, req_published, REQ_EVENT, back_event, of_front)
    :: else
    fi;
    front_publishes = false;
    prod = shared[RSP_PROD];
    do
    :: prod != rsp_cons ->
       assert(shared[slot_of(rsp_cons)] == response_at(rsp_cons));
       rsp_cons = next(rsp_cons)
    :: else -> break
    od;
    announce(front_stores, RSP_EVENT, rsp_cons, of_front);
    re_check(RSP_PROD, rsp_cons, more, of_front);
    if
    :: more -> goto turn
    :: else
    fi;
    front_sleeps = true;
end_asleep:
    atomic {
        if
        :: front_event
        :: ahead(req_prod_pvt, rsp_cons) < SIZE /* its user wants more */
        fi;
        front_event = false;
        front_sleeps = false
    };
    goto turn
}

/* --- store buffers --- */

proctype memory()
{
    byte word, value;

end_empty:
    do
    :: atomic { front_stores ? word, value -> shared[word] = value; word = 0; value = 0 }
    :: atomic { back_stores ? word, value -> shared[word] = value; word = 0; value = 0 }
    od
}

/* --- what must never be --- */

/* Requests wait, the back sleeps, and no event or completion is to come. */
#define request_lost                                                                               \
    (back_sleeps && !back_event && under_way == 0 && !front_publishes && req_published != req_cons)
#define response_lost                                                                              \
    (front_sleeps && !front_event && !back_publishes && rsp_published != rsp_cons)

proctype judge()
{
end_watching:
    atomic {
        request_lost || response_lost;
        assert(!request_lost);
        assert(!response_lost)
    }
}

init
{
    atomic {
        shared[REQ_EVENT] = 1; /* SHARED_RING_INIT */
        shared[RSP_EVENT] = 1;
        run memory();
        run judge();
        run back();
        run front()
    }
}
