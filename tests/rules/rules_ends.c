/* rules_ends.c - the rules of a grant's end: notifications when a page is unshared or unmapped, and
 * what happens when the process on either side is killed. The first side shares, the second maps.
 * Run by rules.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rules.h"

/* Fills the page's bytes that the cases look at: byte 100 is the one to be cleared. */
#define MARKS "write %s 99 xyz"

/* Shares with a notification, from the first side or its helper. */
static unsigned share_notify(struct pair *p, const char *helper, int offset, int port)
{
    unsigned ref = number(p->first, "%sshare-notify shared %u rw %d %d", helper, p->second->domid,
                          offset, port);

    expect(p->first, "ok", "%s" MARKS, helper, "shared");
    return ref;
}

static void map_notify(struct pair *p, const char *helper, int offset, int port)
{
    unsigned ref = share(p, "rw");

    expect(p->first, "ok", MARKS, "shared");
    expect(p->second, "ok", "%smap-notify mapped rw %u:%u %d %d", helper, p->first->domid, ref,
           offset, port);
    expect(p->second, "xyz", "%sread mapped 99 3", helper);
}

static void unshare_clears_the_byte(struct pair *p)
{
    unsigned ref = share_notify(p, "", 100, -1);

    expect(p->second, "ok", "map mapped rw %u:%u", p->first->domid, ref);
    expect(p->second, "xyz", "read mapped 99 3");
    expect(p->first, "ok", "unshare shared");
    eventually(p->second, "x.z", "read mapped 99 3");
}

/* The byte is cleared before the event is sent. */
static void unshare_clears_the_byte_and_sends_the_event(struct pair *p)
{
    struct channel c = connect_sides(p);
    unsigned ref = share_notify(p, "", 100, (int)c.offered);

    expect(p->second, "ok", "map mapped rw %u:%u", p->first->domid, ref);
    expect_silence(p->second, "bind", p->first);
    expect(p->first, "ok", "unshare shared");
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    expect(p->second, "x.z", "read mapped 99 3");
    expect(p->second, "ok", "unmask bind %u", c.bound);
    expect_silence(p->second, "bind", p->first);
}

static void unshare_sends_the_event_alone(struct pair *p)
{
    struct channel c = connect_sides(p);
    unsigned ref = share_notify(p, "", -1, (int)c.offered);

    expect(p->second, "ok", "map mapped rw %u:%u", p->first->domid, ref);
    expect(p->first, "ok", "unshare shared");
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    expect(p->second, "xyz", "read mapped 99 3");
}

/* An event channel whose offering end is in the first side's helper. */
static struct channel connect_first_helper(struct pair *p)
{
    struct channel c;

    expect(p->first, "ok", "helper open offer");
    expect(p->second, "ok", "open bind");
    c.offered = number(p->first, "helper offer offer %u", p->second->domid);
    c.bound = number(p->second, "bind bind %u %u", p->first->domid, c.offered);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    expect(p->second, "ok", "unmask bind %u", c.bound);
    return c;
}

static void killed_sharer_clears_the_byte_and_sends_the_event(struct pair *p)
{
    struct channel c = connect_first_helper(p);
    unsigned ref = share_notify(p, "helper ", 100, (int)c.offered);

    expect(p->second, "ok", "map mapped rw %u:%u", p->first->domid, ref);
    expect(p->first, "ok", "helper-kill");
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    expect(p->second, "x.z", "read mapped 99 3");
}

static void unmap_clears_the_byte(struct pair *p)
{
    map_notify(p, "", 100, -1);
    expect(p->second, "ok", "unmap mapped");
    eventually(p->first, "x.z", "read shared 99 3");
}

static void unmap_clears_the_byte_and_sends_the_event(struct pair *p)
{
    struct channel c = connect_sides(p);

    map_notify(p, "", 100, (int)c.bound);
    expect_silence(p->first, "offer", p->second);
    expect(p->second, "ok", "unmap mapped");
    assert_int_equal(number(p->first, "await offer %d", DEADLINE_MS), c.offered);
    expect(p->first, "x.z", "read shared 99 3");
    expect(p->first, "ok", "unmask offer %u", c.offered);
    expect_silence(p->first, "offer", p->second);
}

static void unmap_sends_the_event_alone(struct pair *p)
{
    struct channel c = connect_sides(p);

    map_notify(p, "", -1, (int)c.bound);
    expect(p->second, "ok", "unmap mapped");
    assert_int_equal(number(p->first, "await offer %d", DEADLINE_MS), c.offered);
    expect(p->first, "xyz", "read shared 99 3");
}

static void killed_mapper_clears_the_byte_and_sends_the_event(struct pair *p)
{
    unsigned offered, bound;

    expect(p->first, "ok", "open offer");
    expect(p->second, "ok", "helper open bind");
    offered = number(p->first, "offer offer %u", p->second->domid);
    bound = number(p->second, "helper bind bind %u %u", p->first->domid, offered);
    map_notify(p, "helper ", 100, (int)bound);
    expect_silence(p->first, "offer", p->second);
    expect(p->second, "ok", "helper-kill");
    assert_int_equal(number(p->first, "await offer %d", DEADLINE_MS), offered);
    expect(p->first, "x.z", "read shared 99 3");
}

/* A byte cannot be cleared through a read-only mapping; an event can be sent. */
static void read_only_mapping_notifies_by_event_only(struct pair *p)
{
    struct channel c = connect_sides(p);
    unsigned ref = share(p, "ro");

    expect(p->second, "EINVAL", "map-notify mapped ro %u:%u 100 -1", p->first->domid, ref);
    expect(p->second, "EINVAL", "map-notify mapped ro %u:%u 100 %u", p->first->domid, ref, c.bound);
    expect(p->second, "ok", "map-notify mapped ro %u:%u -1 %u", p->first->domid, ref, c.bound);
    expect(p->second, "ok", "unmap mapped");
    assert_int_equal(number(p->first, "await offer %d", DEADLINE_MS), c.offered);
    expect(p->first, "ok", "unshare shared");
    expect(p->second, "EINVAL", "map mapped ro %u:%u", p->first->domid, ref);
}

/* A port that has been given back names no channel. */
static void notification_to_an_unknown_port_is_refused(struct pair *p)
{
    unsigned ref = share(p, "rw"), gone_here, gone_there;

    expect(p->first, "ok", "open gone1");
    gone_here = number(p->first, "offer gone1 %u", p->second->domid);
    expect(p->first, "ok", "close gone1");
    expect(p->second, "ok", "open gone2");
    gone_there = number(p->second, "offer gone2 %u", p->first->domid);
    expect(p->second, "ok", "close gone2");
    expect(p->first, "EINVAL", "share-notify other %u rw -1 %u", p->second->domid, gone_here);
    expect(p->second, "EINVAL", "map-notify mapped rw %u:%u -1 %u", p->first->domid, ref,
           gone_there);
    expect(p->first, "ok", "unshare shared");
    expect(p->second, "EINVAL", "map mapped rw %u:%u", p->first->domid, ref);
}

static void killed_sharer_leaves_mappings_alone(struct pair *p)
{
    unsigned ref = number(p->first, "helper share shared %u 1 rw", p->second->domid);

    expect(p->first, "ok", "helper " MARKS, "shared");
    expect(p->second, "ok", "map mapped rw %u:%u", p->first->domid, ref);
    expect(p->first, "ok", "helper-kill");
    expect(p->second, "xyz", "read mapped 99 3");
    expect(p->second, "stored", "store mapped 99");
    expect(p->second, "!yz", "read mapped 99 3");
    expect(p->second, "ok", "unmap mapped");
    eventually(p->second, "EINVAL", "try-map again rw %u:%u", p->first->domid, ref);
}

static void killed_sharer_ends_its_grants(struct pair *p)
{
    unsigned ref = number(p->first, "helper share shared %u 1 rw", p->second->domid);

    expect(p->second, "ok", "map mapped rw %u:%u", p->first->domid, ref);
    expect(p->second, "ok", "unmap mapped");
    expect(p->first, "ok", "helper-kill");
    eventually(p->second, "EINVAL", "try-map again rw %u:%u", p->first->domid, ref);
}

static void killed_mapper_holds_nothing(struct pair *p)
{
    unsigned ref = share(p, "rw");

    expect(p->second, "ok", "helper map mapped rw %u:%u", p->first->domid, ref);
    expect(p->second, "ok", "helper write mapped 0 last");
    expect(p->second, "ok", "helper-kill");
    expect(p->first, "last", "read shared 0 4");
    expect(p->second, "ok", "map mapped rw %u:%u", p->first->domid, ref);
    expect(p->second, "ok", "unmap mapped");
    expect(p->first, "ok", "unshare shared");
    eventually(p->second, "EINVAL", "try-map again rw %u:%u", p->first->domid, ref);
}

const struct rule end_rules[] = {
    {"unshare clears the byte", unshare_clears_the_byte, EVERYWHERE},
    {"unshare clears the byte, then sends the event, once",
     unshare_clears_the_byte_and_sends_the_event, EVERYWHERE},
    {"unshare sends the event alone", unshare_sends_the_event_alone, EVERYWHERE},
    {"a killed sharer clears the byte and sends the event",
     killed_sharer_clears_the_byte_and_sends_the_event, EVERYWHERE},
    {"unmap clears the byte", unmap_clears_the_byte, EVERYWHERE},
    {"unmap clears the byte, then sends the event, once", unmap_clears_the_byte_and_sends_the_event,
     EVERYWHERE},
    {"unmap sends the event alone", unmap_sends_the_event_alone, EVERYWHERE},
    {"a killed mapper clears the byte and sends the event",
     killed_mapper_clears_the_byte_and_sends_the_event, EVERYWHERE},
    {"a read-only mapping notifies by event only", read_only_mapping_notifies_by_event_only,
     EVERYWHERE},
    {"a notification to an unknown port is refused", notification_to_an_unknown_port_is_refused,
     EVERYWHERE},
    {"a killed sharer leaves a mapping alone", killed_sharer_leaves_mappings_alone, EVERYWHERE},
    {"a killed sharer ends its grants", killed_sharer_ends_its_grants, EVERYWHERE},
    {"a killed mapper holds nothing", killed_mapper_holds_nothing, EVERYWHERE},
    {NULL, NULL, 0},
};
