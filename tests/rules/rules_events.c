/* rules_events.c - the rules of events on channels that are bound: what wakes whom, how often, and
 * what a handle shows. The first side offers, the second binds. Run by rules.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rules.h"

/* Takes the event that has to come on a handle, and unmasks its port. */
static void take_event(struct side *s, const char *handle, unsigned port)
{
    assert_int_equal(number(s, "await %s %d", handle, DEADLINE_MS), port);
    expect(s, "ok", "unmask %s %u", handle, port);
}

static void events_flow_both_ways(struct pair *p)
{
    struct channel c = connect_sides(p);

    for (int i = 0; i < 3; i++) {
        expect(p->first, "ok", "notify offer %u", c.offered);
        take_event(p->second, "bind", c.bound);
        expect(p->second, "ok", "notify bind %u", c.bound);
        take_event(p->first, "offer", c.offered);
    }
    expect_silence(p->first, "offer", p->second);
    expect_silence(p->second, "bind", p->first);
}

/* Xen marks the bound port as pending, once; the offered one not. */
static void binding_gives_the_binder_one_event(struct pair *p)
{
    (void)connect_sides(p);
    expect_silence(p->second, "bind", p->first);
    expect_silence(p->first, "offer", p->second);
}

/* They have no one to go to; that first event stands for them. */
static void events_before_the_binding_are_one(struct pair *p)
{
    unsigned offered, bound;

    expect(p->first, "ok", "open offer");
    offered = number(p->first, "offer offer %u", p->second->domid);
    expect(p->first, "ok", "notify offer %u", offered);
    expect(p->first, "ok", "notify offer %u", offered);
    expect_silence(p->first, "offer", p->second);
    expect(p->second, "ok", "open bind");
    bound = number(p->second, "bind bind %u %u", p->first->domid, offered);
    take_event(p->second, "bind", bound);
    expect_silence(p->second, "bind", p->first);
    expect_silence(p->first, "offer", p->second);
}

static void taken_event_leaves_its_port_masked(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->first, "ok", "notify offer %u", c.offered);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    for (int i = 0; i < 5; i++)
        expect(p->first, "ok", "notify offer %u", c.offered);
    expect_silence(p->second, "bind", p->first);
    expect(p->second, "ok", "unmask bind %u", c.bound);
    take_event(p->second, "bind", c.bound);
    expect_silence(p->second, "bind", p->first);
}

/* Events that no one has taken yet are one event too. */
static void events_that_wait_are_one(struct pair *p)
{
    struct channel c = connect_sides(p);

    for (int i = 0; i < 5; i++)
        expect(p->first, "ok", "notify offer %u", c.offered);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    expect(p->second, "EAGAIN", "pending bind");
}

static void unmask_makes_no_event(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->second, "ok", "unmask bind %u", c.bound);
    expect(p->second, "ok", "unmask bind %u", c.bound);
    expect_silence(p->second, "bind", p->first);
    expect(p->first, "ok", "notify offer %u", c.offered);
    take_event(p->second, "bind", c.bound);
}

static void several_ports_of_a_handle_come_once_each(struct pair *p)
{
    enum { COUNT = 6 };
    unsigned offered[COUNT], bound[COUNT], seen = 0;

    expect(p->first, "ok", "open offer");
    expect(p->second, "ok", "open bind");
    for (int i = 0; i < COUNT; i++) {
        offered[i] = number(p->first, "offer offer %u", p->second->domid);
        bound[i] = number(p->second, "bind bind %u %u", p->first->domid, offered[i]);
        take_event(p->second, "bind", bound[i]);
    }
    for (int i = COUNT - 1; i >= 0; i--)
        expect(p->second, "ok", "notify bind %u", bound[i]);
    for (int i = 0; i < COUNT; i++) {
        unsigned port = number(p->first, "await offer %d", DEADLINE_MS);

        for (int j = 0; j < COUNT; j++)
            seen += port == offered[j] ? 1u << (4 * j) : 0;
    }
    assert_int_equal(seen, 0x111111);
    expect(p->first, "EAGAIN", "pending offer");
}

/* A masked port does not keep the others of its handle. */
static void masked_port_does_not_hold_others(struct pair *p)
{
    struct channel c = connect_sides(p);
    unsigned offered = number(p->first, "offer offer %u", p->second->domid);
    unsigned bound = number(p->second, "bind bind %u %u", p->first->domid, offered);

    take_event(p->second, "bind", bound);
    expect(p->first, "ok", "notify offer %u", c.offered);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    expect(p->first, "ok", "notify offer %u", c.offered);
    expect(p->first, "ok", "notify offer %u", offered);
    take_event(p->second, "bind", bound);
    expect(p->second, "ok", "unmask bind %u", c.bound);
    take_event(p->second, "bind", c.bound);
}

static void descriptor_is_readable_while_an_event_waits(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->second, "0", "poll bind");
    expect(p->second, "EAGAIN", "pending bind");
    expect(p->first, "ok", "notify offer %u", c.offered);
    eventually(p->second, "1", "poll bind");
    expect(p->second, "1", "poll bind");
    assert_int_equal(number(p->second, "pending bind"), c.bound);
    expect(p->second, "0", "poll bind");
    expect(p->first, "ok", "notify offer %u", c.offered);
    expect_silence(p->second, "bind", p->first);
    expect(p->second, "0", "poll bind");
    expect(p->second, "ok", "unmask bind %u", c.bound);
    eventually(p->second, "1", "poll bind");
}

static void event_wakes_a_read_that_blocks(struct pair *p)
{
    unsigned offered, bound;

    expect(p->first, "ok", "open offer");
    offered = number(p->first, "offer offer %u", p->second->domid);
    expect(p->second, "ok", "helper open bind");
    bound = number(p->second, "helper bind bind %u %u", p->first->domid, offered);
    assert_int_equal(number(p->second, "helper block bind"), bound);
    expect(p->second, "ok", "helper unmask bind %u", bound);
    expect(p->second, "ok", "helper-send block bind");
    expect(p->second, "ETIMEDOUT", "helper-receive 200"); /* it blocks */
    expect(p->first, "ok", "notify offer %u", offered);
    assert_int_equal(number(p->second, "helper-receive %d", DEADLINE_MS), bound);
}

static void event_outlives_its_sender(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->first, "ok", "notify offer %u", c.offered);
    expect(p->first, "ok", "close offer");
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
}

static void masked_event_outlives_its_sender(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->second, "ok", "notify bind %u", c.bound);
    assert_int_equal(number(p->first, "await offer %d", DEADLINE_MS), c.offered);
    expect(p->second, "ok", "notify bind %u", c.bound);
    expect(p->second, "ok", "close bind");
    expect(p->first, "ok", "unmask offer %u", c.offered);
    take_event(p->first, "offer", c.offered);
}

/* Two channels between the same handles: each end hears its own partner alone. */
static void event_goes_to_its_own_partner(struct pair *p)
{
    struct channel c = connect_sides(p);
    unsigned offered = number(p->second, "offer bind %u", p->first->domid);
    unsigned bound = number(p->first, "bind offer %u %u", p->second->domid, offered);

    take_event(p->first, "offer", bound);
    expect(p->first, "ok", "notify offer %u", bound);
    take_event(p->second, "bind", offered);
    expect(p->second, "ok", "notify bind %u", c.bound);
    take_event(p->first, "offer", c.offered);
    expect_silence(p->first, "offer", p->second);
    expect_silence(p->second, "bind", p->first);
}

const struct rule event_rules[] = {
    {"events flow both ways", events_flow_both_ways, EVERYWHERE},
    {"a binding gives the binder one event, the offerer none", binding_gives_the_binder_one_event,
     EVERYWHERE},
    {"events before the binding come as one", events_before_the_binding_are_one, EVERYWHERE},
    {"a taken event leaves its port masked, later ones come as one after unmask",
     taken_event_leaves_its_port_masked, EVERYWHERE},
    {"events that wait are one", events_that_wait_are_one, EVERYWHERE},
    {"unmask makes no event", unmask_makes_no_event, EVERYWHERE},
    {"several ports of a handle come once each", several_ports_of_a_handle_come_once_each,
     EVERYWHERE},
    {"a masked port does not hold others", masked_port_does_not_hold_others, EVERYWHERE},
    {"the descriptor is readable exactly while an event waits",
     descriptor_is_readable_while_an_event_waits, EVERYWHERE},
    {"an event wakes a read that blocks", event_wakes_a_read_that_blocks, EVERYWHERE},
    {"an event outlives its sender's handle", event_outlives_its_sender, EVERYWHERE},
    {"an event for a masked port outlives its sender's handle", masked_event_outlives_its_sender,
     EVERYWHERE},
    {"an event goes to its own partner", event_goes_to_its_own_partner, EVERYWHERE},
    {NULL, NULL, 0},
};
