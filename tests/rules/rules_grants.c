/* rules_grants.c - the rules of sharing and mapping pages: what is seen, who may, and what is
 * refused. The first side shares, the second maps. Run by rules.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rules.h"

/* The shared page under "mapped". */
static unsigned share_and_map(struct pair *p, const char *mode)
{
    unsigned ref = share(p, mode);

    expect(p->second, "ok", "map mapped %s %u:%u", mode, p->first->domid, ref);
    return ref;
}

static void expect_refused(struct pair *p, unsigned domid, unsigned ref)
{
    expect(p->second, "EINVAL", "map refused rw %u:%u", domid, ref);
    expect(p->second, "EINVAL", "map refused ro %u:%u", domid, ref);
}

static void page_is_seen_by_both(struct pair *p)
{
    (void)share_and_map(p, "rw");
    expect(p->first, "ok", "write shared 0 hello");
    expect(p->second, "hello", "read mapped 0 5");
    expect(p->second, "ok", "write mapped 4090 answer");
    expect(p->first, "answer", "read shared 4090 6");
    expect(p->second, "ok", "unmap mapped");
    expect(p->first, "answer", "read shared 4090 6");
    expect(p->first, "ok", "unshare shared");
}

static void new_page_is_all_zero(struct pair *p)
{
    unsigned ref;

    (void)share(p, "rw");
    expect(p->first, "ok", "fill shared 5");
    expect(p->first, "ok", "unshare shared");
    ref = share(p, "rw");
    expect(p->second, "ok", "map mapped rw %u:%u", p->first->domid, ref);
    for (unsigned at = 0; at < ACTOR_PAGE; at += 512) {
        const char *bytes = ask(p->second, "read mapped %u 512", at);

        assert_int_equal(strspn(bytes, "."), 512);
    }
}

/* Many pages: in the order of their references, which need not be the order they were shared in. */
static void pages_lie_in_the_order_of_the_refs(struct pair *p)
{
    enum { COUNT = 20 };
    unsigned refs[COUNT];
    char list[COUNT * 24] = "";

    (void)ask(p->first, "share shared %u %u rw", p->second->domid, COUNT);
    numbers(p->first, refs, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        size_t used = strlen(list);

        expect(p->first, "ok", "write shared %u page%02u", i * ACTOR_PAGE + 4, i);
        (void)snprintf(list + used, sizeof list - used, " %u:%u", p->first->domid,
                       refs[COUNT - 1 - i]);
    }
    expect(p->second, "ok", "map mapped rw%s", list);
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(list, sizeof list, "page%02u", COUNT - 1 - i);
        expect(p->second, list, "read mapped %u 6", i * ACTOR_PAGE + 4);
    }
}

static void refs_of_one_share_differ(struct pair *p)
{
    unsigned refs[4];

    (void)ask(p->first, "share shared %u 3 rw", p->second->domid);
    numbers(p->first, refs, 3);
    refs[3] = number(p->first, "share another %u 1 rw", p->second->domid);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(refs[i], refs[j]);
    }
}

static void grants_of_two_domains_in_one_call(struct pair *p)
{
    unsigned ref = share(p, "rw"), own;

    own = number(p->second, "share own %u 1 rw", p->second->domid);
    expect(p->first, "ok", "write shared 0 first");
    expect(p->second, "ok", "write own 0 second");
    expect(p->second, "ok", "map mapped rw %u:%u %u:%u", p->first->domid, ref, p->second->domid,
           own);
    expect(p->second, "first", "read mapped 0 5");
    expect(p->second, "second", "read mapped 4096 6");
    expect(p->second, "ok", "write mapped 4096 back");
    expect(p->second, "backnd", "read own 0 6");
    expect(p->second, "ok", "unmap mapped");
}

static void one_grant_may_be_mapped_twice(struct pair *p)
{
    unsigned ref = share_and_map(p, "rw"), domid = p->first->domid;

    expect(p->second, "ok", "map again rw %u:%u", domid, ref);
    expect(p->second, "ok", "map twice rw %u:%u %u:%u", domid, ref, domid, ref);
    expect(p->second, "ok", "write mapped 10 one");
    expect(p->second, "one", "read again 10 3");
    expect(p->second, "one", "read twice 10 3");
    expect(p->second, "one", "read twice 4106 3");
    expect(p->second, "ok", "unmap mapped");
    expect(p->second, "ok", "unmap twice");
    expect(p->second, "ok", "write again 10 two");
    expect(p->first, "two", "read shared 10 3");
}

static void grant_for_a_third_domain_is_refused(struct pair *p)
{
    unsigned ref = number(p->first, "share shared %u 1 rw", OTHER_DOMAIN);

    expect_refused(p, p->first->domid, ref);
}

static void grant_for_the_granter_itself_is_refused(struct pair *p)
{
    unsigned ref = number(p->first, "share shared %u 1 rw", p->first->domid);

    expect_refused(p, p->first->domid, ref);
    expect(p->first, "ok", "map mapped rw %u:%u", p->first->domid, ref);
}

static void unknown_refs_are_refused(struct pair *p)
{
    expect_refused(p, p->first->domid, NO_REF);
    expect_refused(p, p->first->domid, 2147483647u);
    expect_refused(p, p->first->domid, 4294967295u);
}

static void unknown_domain_is_refused(struct pair *p)
{
    expect_refused(p, NO_DOMAIN, share(p, "rw"));
    expect_refused(p, NO_DOMAIN, NO_REF);
}

static void mapping_nothing_is_refused(struct pair *p)
{
    expect(p->second, "EINVAL", "map mapped rw");
}

static void read_only_grant_is_mapped_read_only(struct pair *p)
{
    unsigned ref = share(p, "ro");

    expect(p->second, "EINVAL", "map mapped rw %u:%u", p->first->domid, ref);
    expect(p->second, "ok", "map mapped ro %u:%u", p->first->domid, ref);
    expect(p->first, "ok", "write shared 40 text");
    expect(p->second, "text", "read mapped 40 4");
    expect(p->second, "SIGSEGV", "store mapped 40");
    expect(p->second, "text", "read mapped 40 4");
    expect(p->first, "stored", "store shared 40");
    expect(p->second, "!ext", "read mapped 40 4");
}

static void store_to_a_read_only_mapping_faults(struct pair *p)
{
    unsigned ref = share(p, "rw");

    expect(p->first, "ok", "write shared 0 text");
    expect(p->second, "ok", "map mapped ro %u:%u", p->first->domid, ref);
    expect(p->second, "SIGSEGV", "store mapped 0");
    expect(p->first, "text", "read shared 0 4");
    expect(p->second, "ok", "map writable rw %u:%u", p->first->domid, ref);
    expect(p->second, "stored", "store writable 0");
    expect(p->second, "!ext", "read mapped 0 4");
}

/* One bad reference among good ones: no mapping at all, and the good ones are not held. */
static void partial_failure_maps_nothing(struct pair *p)
{
    unsigned ref = share(p, "rw"), domid = p->first->domid;

    expect(p->second, "EINVAL", "map mapped rw %u:%u %u:%u", domid, ref, domid, NO_REF);
    expect(p->second, "EINVAL", "map mapped rw %u:%u %u:%u", domid, NO_REF, domid, ref);
    expect(p->second, "EINVAL", "map mapped rw %u:%u %u:%u", domid, ref, NO_DOMAIN, ref);
    expect(p->second, "ok", "map mapped rw %u:%u", domid, ref);
    expect(p->second, "ok", "unmap mapped");
    expect(p->first, "ok", "unshare shared");
    expect_refused(p, domid, ref);
}

static void unshared_page_cannot_be_mapped(struct pair *p)
{
    unsigned refs[2];

    (void)ask(p->first, "share shared %u 2 rw", p->second->domid);
    numbers(p->first, refs, 2);
    expect(p->first, "ok", "unshare shared");
    expect_refused(p, p->first->domid, refs[0]);
    expect_refused(p, p->first->domid, refs[1]);
}

/* The grant ends in the granter's eyes at once; the mapping lives on, and the grant with it. */
static void unshare_leaves_mappings_alone(struct pair *p)
{
    unsigned ref = share_and_map(p, "rw");

    expect(p->first, "ok", "write shared 100 kept");
    expect(p->first, "ok", "unshare shared");
    (void)number(p->first, "share other %u 8 rw", p->second->domid);
    expect(p->first, "ok", "fill other 1");
    expect(p->second, "kept", "read mapped 100 4");
    expect(p->second, "stored", "store mapped 100");
    expect(p->second, "!ept", "read mapped 100 4");
    expect(p->second, "ok", "unmap mapped");
    eventually(p->second, "EINVAL", "try-map again rw %u:%u", p->first->domid, ref);
}

static void unmap_of_no_mapping_is_refused(struct pair *p)
{
    expect(p->second, "ok", "buffer ordinary 1");
    expect(p->second, "EINVAL", "unmap ordinary");
    (void)share_and_map(p, "rw");
    expect(p->second, "EINVAL", "unmap ordinary");
    expect(p->second, "ok", "write ordinary 0 lives");
}

static void unmap_with_a_wrong_count_is_refused(struct pair *p)
{
    unsigned refs[2];

    (void)ask(p->first, "share shared %u 2 rw", p->second->domid);
    numbers(p->first, refs, 2);
    expect(p->second, "ok", "map mapped rw %u:%u %u:%u", p->first->domid, refs[0], p->first->domid,
           refs[1]);
    expect(p->second, "EINVAL", "unmap mapped 1");
    expect(p->second, "EINVAL", "unmap mapped 3");
    expect(p->second, "EINVAL", "unmap mapped 0");
    expect(p->first, "ok", "write shared 4096 lives");
    expect(p->second, "lives", "read mapped 4096 5");
    expect(p->second, "ok", "unmap mapped 2");
}

const struct rule grant_rules[] = {
    {"a shared page is seen by both sides", page_is_seen_by_both, EVERYWHERE},
    {"a new shared page is all zero", new_page_is_all_zero, EVERYWHERE},
    {"pages are mapped contiguously, in the order of the refs", pages_lie_in_the_order_of_the_refs,
     EVERYWHERE},
    {"references differ", refs_of_one_share_differ, EVERYWHERE},
    {"grants of two domains are mapped in one call", grants_of_two_domains_in_one_call, EVERYWHERE},
    {"one grant may be mapped several times", one_grant_may_be_mapped_twice, EVERYWHERE},
    {"a grant for a third domain is refused", grant_for_a_third_domain_is_refused, EVERYWHERE},
    {"a grant of the granter to itself is refused", grant_for_the_granter_itself_is_refused,
     BETWEEN},
    {"refs never granted and out of range are refused", unknown_refs_are_refused, EVERYWHERE},
    {"a domain that does not exist is refused", unknown_domain_is_refused, EVERYWHERE},
    {"mapping no page at all is refused", mapping_nothing_is_refused, EVERYWHERE},
    {"a read-only grant is mapped read-only alone, and a store faults",
     read_only_grant_is_mapped_read_only, EVERYWHERE},
    {"a store to a read-only mapping of a writable grant faults",
     store_to_a_read_only_mapping_faults, EVERYWHERE},
    {"a partial failure maps nothing and holds nothing", partial_failure_maps_nothing, EVERYWHERE},
    {"an unshared page cannot be mapped", unshared_page_cannot_be_mapped, EVERYWHERE},
    {"unshare leaves a mapping alone, and ends the grant after it", unshare_leaves_mappings_alone,
     EVERYWHERE},
    {"unmap of what is no mapping is refused", unmap_of_no_mapping_is_refused, EVERYWHERE},
    {"unmap with a wrong count is refused", unmap_with_a_wrong_count_is_refused, EVERYWHERE},
    {NULL, NULL, 0},
};
