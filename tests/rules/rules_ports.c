/* rules_ports.c - the rules of ports: who may bind what, whose port it is, and what is left when an
 * end goes away. The first side offers, the second binds. Run by rules.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "rules.h"

static unsigned offer(struct pair *p)
{
    expect(p->first, "ok", "open offer");
    return number(p->first, "offer offer %u", p->second->domid);
}

static void port_is_bound_once(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->second, "EINVAL", "bind bind %u %u", p->first->domid, c.offered);
    expect(p->second, "ok", "open again");
    expect(p->second, "EINVAL", "bind again %u %u", p->first->domid, c.offered);
    expect(p->first, "ok", "notify offer %u", c.offered);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
}

/* The bound end is no offer. */
static void bound_port_is_no_offer(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->first, "EINVAL", "bind offer %u %u", p->second->domid, c.bound);
}

static void port_offered_to_a_third_domain_is_refused(struct pair *p)
{
    unsigned port;

    expect(p->first, "ok", "open offer");
    port = number(p->first, "offer offer %u", OTHER_DOMAIN);
    expect(p->second, "ok", "open bind");
    expect(p->second, "EINVAL", "bind bind %u %u", p->first->domid, port);
}

static void port_offered_to_the_own_domain_is_refused(struct pair *p)
{
    unsigned port;

    expect(p->first, "ok", "open offer");
    port = number(p->first, "offer offer %u", p->first->domid);
    expect(p->second, "ok", "open bind");
    expect(p->second, "EINVAL", "bind bind %u %u", p->first->domid, port);
    (void)number(p->first, "bind offer %u %u", p->first->domid, port);
}

static void unknown_ports_and_domains_are_refused(struct pair *p)
{
    unsigned port = offer(p);

    expect(p->first, "ok", "unbind offer %u", port);
    expect(p->second, "ok", "open bind");
    expect(p->second, "EINVAL", "bind bind %u %u", p->first->domid, port);
    expect(p->second, "EINVAL", "bind bind %u 2147483647", p->first->domid);
    expect(p->second, "EINVAL", "bind bind %u 0", p->first->domid);
    expect(p->second, "ESRCH", "bind bind %u %u", NO_DOMAIN, port);
}

static void notify_without_a_partner_is_accepted(struct pair *p)
{
    unsigned port = offer(p);

    expect(p->first, "ok", "notify offer %u", port);
    expect(p->first, "ok", "notify offer %u", port);
    expect_silence(p->first, "offer", p->second);
}

static void ports_of_others_are_refused(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->second, "ok", "open other");
    expect(p->second, "ENOTCONN", "notify other %u", c.bound);
    expect(p->second, "ENOTCONN", "unbind other %u", c.bound);
    expect(p->second, "ok", "helper open other");
    expect(p->second, "ENOTCONN", "helper notify other %u", c.bound);
    expect(p->second, "ENOTCONN", "helper unbind other %u", c.bound);
    expect(p->first, "ok", "notify offer %u", c.offered);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    expect(p->second, "ok", "unbind bind %u", c.bound);
    expect(p->second, "ENOTCONN", "notify bind %u", c.bound);
    expect(p->second, "ENOTCONN", "unbind bind %u", c.bound);
    expect(p->second, "ENOTCONN", "notify bind 2147483647");
    expect(p->second, "EINVAL", "unbind bind 2147483647");
}

static void unmask_of_an_unknown_port_is_accepted(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->first, "ok", "notify offer %u", c.offered);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    expect(p->second, "ok", "open other");
    expect(p->second, "ok", "unmask other %u", c.bound); /* and does nothing */
    expect(p->second, "ok", "unmask other 2147483647");
    expect(p->first, "ok", "notify offer %u", c.offered);
    expect_silence(p->second, "bind", p->first);
}

/* Its partner gone, the offered port accepts notify, and may be bound again. */
static void rebind(struct pair *p, unsigned offered)
{
    unsigned bound;

    expect(p->first, "ok", "notify offer %u", offered);
    expect_silence(p->first, "offer", p->second);
    (void)ask(p->second, "open anew");
    bound = eventually_number(p->second, "bind anew %u %u", p->first->domid, offered);
    assert_int_equal(number(p->second, "await anew %d", DEADLINE_MS), bound);
    expect(p->second, "ok", "unmask anew %u", bound);
    expect(p->first, "ok", "notify offer %u", offered);
    assert_int_equal(number(p->second, "await anew %d", DEADLINE_MS), bound);
    expect(p->second, "ok", "notify anew %u", bound);
    assert_int_equal(number(p->first, "await offer %d", DEADLINE_MS), offered);
}

static void unbound_partner_may_bind_again(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->second, "ok", "unbind bind %u", c.bound);
    rebind(p, c.offered);
}

static void closed_partner_may_bind_again(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->second, "ok", "close bind");
    rebind(p, c.offered);
}

static void killed_partner_may_bind_again(struct pair *p)
{
    unsigned offered = offer(p);

    expect(p->second, "ok", "helper open bind");
    (void)number(p->second, "helper bind bind %u %u", p->first->domid, offered);
    expect(p->second, "ok", "helper-kill");
    rebind(p, offered);
}

/* The binder hears nothing of the offerer's end; its notify is accepted, and its port has become an
 * offer to the offerer's domain. */
static void expect_binder_left_alone(struct pair *p, unsigned offered, unsigned bound)
{
    unsigned port;

    expect(p->second, "ok", "notify bind %u", bound);
    expect_silence(p->second, "bind", p->first);
    expect(p->second, "ok", "open late");
    expect(p->second, "EINVAL", "bind late %u %u", p->first->domid, offered);
    expect(p->first, "ok", "open anew");
    port = eventually_number(p->first, "bind anew %u %u", p->second->domid, bound);
    expect(p->first, "ok", "notify anew %u", port);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), bound);
}

static void closed_offerer_leaves_an_offer(struct pair *p)
{
    struct channel c = connect_sides(p);

    expect(p->first, "ok", "close offer");
    expect_binder_left_alone(p, c.offered, c.bound);
}

static void killed_offerer_leaves_an_offer(struct pair *p)
{
    unsigned offered, bound;

    expect(p->first, "ok", "helper open offer");
    offered = number(p->first, "helper offer offer %u", p->second->domid);
    expect(p->second, "ok", "open bind");
    bound = number(p->second, "bind bind %u %u", p->first->domid, offered);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), bound);
    expect(p->second, "ok", "unmask bind %u", bound);
    expect(p->first, "ok", "helper-kill");
    expect_binder_left_alone(p, offered, bound);
}

static void close_takes_back_its_offers(struct pair *p)
{
    unsigned one = offer(p), two = number(p->first, "offer offer %u", p->second->domid);

    assert_int_not_equal(one, two);
    expect(p->first, "ok", "close offer");
    expect(p->second, "ok", "open bind");
    expect(p->second, "EINVAL", "bind bind %u %u", p->first->domid, one);
    expect(p->second, "EINVAL", "bind bind %u %u", p->first->domid, two);
}

static void killed_offerer_takes_back_its_offers(struct pair *p)
{
    unsigned port;

    expect(p->first, "ok", "helper open offer");
    port = number(p->first, "helper offer offer %u", p->second->domid);
    expect(p->first, "ok", "helper-kill");
    expect(p->second, "ok", "open bind");
    expect(p->second, "EINVAL", "bind bind %u %u", p->first->domid, port);
}

/* A restricted handle makes no offers at all, not even to its domain. Domain 0 can't be what a
 * handle is restricted to: then it is the first side's own. */
static void restricted_handle_binds_to_one_domain(struct pair *p)
{
    struct side *other = p->second->domid != 0 ? p->second : p->first;
    struct channel c = connect_sides(p);
    unsigned port;

    expect(other, "ok", "open partner");
    port = number(other, "offer partner %u", p->first->domid);
    expect(p->first, "ok", "restrict offer %u", other->domid);
    expect(p->first, "EACCES", "bind offer %u %u", OTHER_DOMAIN, port);
    expect(p->first, "EACCES", "bind offer 0 %u", port);
    expect(p->first, "EACCES", "offer offer %u", OTHER_DOMAIN);
    expect(p->first, "EACCES", "offer offer %u", other->domid);
    expect(p->first, "EACCES", "restrict offer %u", other->domid);
    expect(p->first, "EACCES", "restrict offer %u", OTHER_DOMAIN);
    (void)number(p->first, "bind offer %u %u", other->domid, port);
    expect(p->first, "ok", "notify offer %u", c.offered);
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
}

static void handle_is_not_restricted_to_domain_0(struct pair *p)
{
    expect(p->first, "ok", "open offer");
    expect(p->first, "EINVAL", "restrict offer 0");
    (void)number(p->first, "offer offer %u", p->second->domid);
    (void)number(p->first, "offer offer %u", OTHER_DOMAIN);
}

const struct rule port_rules[] = {
    {"a port is bound once", port_is_bound_once, EVERYWHERE},
    {"a bound port is no offer", bound_port_is_no_offer, EVERYWHERE},
    {"a port offered to a third domain is refused", port_offered_to_a_third_domain_is_refused,
     EVERYWHERE},
    {"a port offered to the own domain is refused", port_offered_to_the_own_domain_is_refused,
     BETWEEN},
    {"unknown ports and domains are refused", unknown_ports_and_domains_are_refused, EVERYWHERE},
    {"notify without a partner is accepted", notify_without_a_partner_is_accepted, EVERYWHERE},
    {"ports of other handles are refused", ports_of_others_are_refused, EVERYWHERE},
    {"unmask of an unknown port is accepted", unmask_of_an_unknown_port_is_accepted, EVERYWHERE},
    {"a partner that has unbound may bind again", unbound_partner_may_bind_again, EVERYWHERE},
    {"a partner that has closed may bind again", closed_partner_may_bind_again, EVERYWHERE},
    {"a partner that was killed may bind again", killed_partner_may_bind_again, EVERYWHERE},
    {"an offerer that has closed leaves an offer to itself", closed_offerer_leaves_an_offer,
     EVERYWHERE},
    {"an offerer that was killed leaves an offer to itself", killed_offerer_leaves_an_offer,
     EVERYWHERE},
    {"closing a handle takes back its offers", close_takes_back_its_offers, EVERYWHERE},
    {"a killed process takes back its offers", killed_offerer_takes_back_its_offers, EVERYWHERE},
    {"a restricted handle binds to one domain, offers nothing, and is restricted once",
     restricted_handle_binds_to_one_domain, BETWEEN},
    {"a handle cannot be restricted to domain 0", handle_is_not_restricted_to_domain_0, EVERYWHERE},
    {NULL, NULL, 0},
};
