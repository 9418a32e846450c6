/* rules_copy.c - the rules of grant copies. The first side shares, the second copies from and to
 * its pages. Each segment answers a GNTST_ number, 0 for done. Run by rules.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rules.h"

/* A page shared by the first side with pattern 1, and four pages of the second with pattern 2. */
static unsigned share_and_fill(struct pair *p, const char *mode)
{
    unsigned ref = share(p, mode);

    expect(p->first, "ok", "fill shared 1");
    expect(p->second, "ok", "buffer buffer 4");
    expect(p->second, "ok", "fill buffer 2");
    return ref;
}

/* Nothing but `len` bytes from `offset` has changed in an area of `size` bytes. */
static void expect_rest_untouched(struct side *s, const char *area, unsigned size, unsigned seed,
                                  unsigned offset, unsigned len)
{
    unsigned end = offset + len;

    expect(s, "same", "compare %s 0 %u %u 0", area, offset, seed);
    expect(s, "same", "compare %s %u %u %u %u", area, end, size - end, seed, end);
}

static const struct piece {
    unsigned len, offset, at; /* offset in the grant's page, place in the buffer */
} pieces[] = {
    {1, 0, 0},       {1, 4095, 4095}, {2, 1, 4095}, {511, 513, 100},    {4095, 1, 4096},
    {4096, 0, 4096}, {4096, 0, 4000}, {4096, 0, 1}, {1000, 2000, 8000},
};
enum { PIECES = sizeof pieces / sizeof pieces[0] };

static void copies_from_a_grant(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw");

    for (const struct piece *c = pieces; c < pieces + PIECES; c++) {
        expect(p->second, "0", "copy %u,%u:%u+%u,buffer+%u", c->len, p->first->domid, ref,
               c->offset, c->at);
        expect(p->second, "same", "compare buffer %u %u 1 %u", c->at, c->len, c->offset);
        expect_rest_untouched(p->second, "buffer", 4 * ACTOR_PAGE, 2, c->at, c->len);
        expect(p->second, "ok", "fill buffer 2");
    }
    expect(p->first, "same", "compare shared 0 4096 1 0");
}

static void copies_to_a_grant(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw");

    for (const struct piece *c = pieces; c < pieces + PIECES; c++) {
        expect(p->second, "0", "copy %u,buffer+%u,%u:%u+%u", c->len, c->at, p->first->domid, ref,
               c->offset);
        expect(p->first, "same", "compare shared %u %u 2 %u", c->offset, c->len, c->at);
        expect_rest_untouched(p->first, "shared", ACTOR_PAGE, 1, c->offset, c->len);
        expect(p->first, "ok", "fill shared 1");
    }
    expect(p->second, "same", "compare buffer 0 16384 2 0");
}

static void no_segment_is_fine(struct pair *p)
{
    expect(p->second, "ok", "copy");
}

static void copies_no_byte(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw");

    expect(p->second, "0", "copy 0,%u:%u+7,buffer+7", p->first->domid, ref);
    expect(p->second, "same", "compare buffer 0 16384 2 0");
}

static void each_segment_has_its_own_status(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw"), d = p->first->domid;

    expect(p->second, "0 -3 0 -2 0",
           "copy 100,%u:%u+0,buffer+0 100,%u:2147483647+0,buffer+200 100,buffer+4096,%u:%u+3000 "
           "100,%u:%u+0,buffer+400 96,%u:%u+4000,buffer+600",
           d, ref, d, d, ref, NO_DOMAIN, ref, d, ref);
    expect(p->second, "same", "compare buffer 0 100 1 0");
    expect(p->second, "same", "compare buffer 100 500 2 100");
    expect(p->second, "same", "compare buffer 600 96 1 4000");
    expect(p->second, "same", "compare buffer 696 15688 2 696");
    expect(p->first, "same", "compare shared 3000 100 2 4096");
    expect_rest_untouched(p->first, "shared", ACTOR_PAGE, 1, 3000, 100);
}

/* More than a kernel may take in one go; the segments run in their order. */
static void many_segments_run_in_order(struct pair *p)
{
    enum { COUNT = 60 };
    unsigned ref = share_and_fill(p, "rw");
    char list[COUNT * 40] = "", wanted[COUNT * 2] = "0";

    for (unsigned i = 0; i < COUNT; i++) {
        size_t used = strlen(list);

        (void)snprintf(list + used, sizeof list - used, " 1,%u:%u+%u,buffer+%u", p->first->domid,
                       ref, i * 7, 4000 + i % 50);
    }
    for (unsigned i = 1; i < COUNT; i++)
        memcpy(wanted + 2 * i - 1, " 0", 2);
    expect(p->second, wanted, "copy%s", list);
    for (unsigned i = COUNT - 50; i < COUNT; i++)
        expect(p->second, "same", "compare buffer %u 1 1 %u", 4000 + i % 50, i * 7);
    expect_rest_untouched(p->second, "buffer", 4 * ACTOR_PAGE, 2, 4000, 50);
}

static void copies_from_grant_to_grant(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw"), d = p->first->domid, other, own;

    other = number(p->first, "share other %u 1 rw", p->second->domid);
    own = number(p->second, "share own %u 1 rw", p->second->domid);
    expect(p->second, "0 0", "copy 1000,%u:%u+96,%u:%u+3096 4096,%u:%u+0,%u:%u+0", d, ref, d, other,
           d, ref, p->second->domid, own);
    expect(p->first, "same", "compare other 3096 1000 1 96");
    expect(p->second, "same", "compare own 0 4096 1 0");
    expect(p->second, "0", "copy 10,%u:%u+0,%u:%u+4086", p->second->domid, own, d, ref);
    expect(p->first, "same", "compare shared 4086 10 1 0");
}

static void copy_is_seen_by_all_who_map_the_page(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw");

    expect(p->second, "ok", "map mapped rw %u:%u", p->first->domid, ref);
    expect(p->second, "0", "copy 300,buffer+50,%u:%u+60", p->first->domid, ref);
    expect(p->first, "same", "compare shared 60 300 2 50");
    expect(p->second, "same", "compare mapped 60 300 2 50");
    expect(p->second, "ok", "write mapped 60 mapped");
    expect(p->second, "0", "copy 6,%u:%u+60,buffer+0", p->first->domid, ref);
    expect(p->second, "mapped", "read buffer 0 6");
}

static void copies_between_a_grant_and_an_own_shared_page(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw");

    (void)number(p->second, "share own %u 1 rw", p->first->domid);
    expect(p->second, "ok", "fill own 3");
    expect(p->second, "0 0", "copy 100,%u:%u+0,own+0 100,own+1000,%u:%u+2000", p->first->domid, ref,
           p->first->domid, ref);
    expect(p->second, "same", "compare own 0 100 1 0");
    expect(p->first, "same", "compare shared 2000 100 3 1000");
}

/* Copies in both directions answer the same status, and change neither side. */
static void expect_status(struct pair *p, const char *status, unsigned domid, unsigned ref)
{
    expect(p->second, status, "copy 64,%u:%u+0,buffer+0", domid, ref);
    expect(p->second, status, "copy 64,buffer+0,%u:%u+0", domid, ref);
    expect(p->second, "same", "compare buffer 0 16384 2 0");
}

static void read_only_grant_is_a_source_only(struct pair *p)
{
    unsigned ref = share_and_fill(p, "ro");

    expect(p->second, "-1", "copy 64,buffer+0,%u:%u+0", p->first->domid, ref);
    expect(p->first, "same", "compare shared 0 4096 1 0");
    expect(p->second, "0", "copy 64,%u:%u+0,buffer+0", p->first->domid, ref);
    expect(p->second, "same", "compare buffer 0 64 1 0");
}

static void grant_for_a_third_domain_is_not_copied(struct pair *p)
{
    unsigned ref = number(p->first, "share third %u 1 rw", OTHER_DOMAIN);

    (void)share_and_fill(p, "rw");
    expect(p->first, "ok", "fill third 1");
    expect_status(p, "-1", p->first->domid, ref);
    expect(p->first, "same", "compare third 0 4096 1 0");
}

static void unknown_refs_are_not_copied(struct pair *p)
{
    (void)share_and_fill(p, "rw");
    expect_status(p, "-1", p->first->domid, NO_REF);
    expect_status(p, "-3", p->first->domid, 2147483647u);
    expect_status(p, "-3", p->first->domid, 4294967295u);
}

static void unknown_domain_is_not_copied(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw");

    expect_status(p, "-2", NO_DOMAIN, ref);
}

static void unshared_page_is_not_copied(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw");

    expect(p->second, "0", "copy 64,%u:%u+0,buffer+0", p->first->domid, ref);
    expect(p->second, "ok", "fill buffer 2");
    expect(p->first, "ok", "unshare shared");
    expect_status(p, "-1", p->first->domid, ref);
}

/* The call as a whole is refused, before any status. */
static void copy_over_the_end_of_a_granted_page_is_refused(struct pair *p)
{
    unsigned ref = share_and_fill(p, "rw"), d = p->first->domid;

    expect(p->second, "EINVAL", "copy 2,%u:%u+4095,buffer+0", d, ref);
    expect(p->second, "EINVAL", "copy 2,buffer+0,%u:%u+4095", d, ref);
    expect(p->second, "EINVAL", "copy 4096,%u:%u+1,buffer+0", d, ref);
    expect(p->second, "EINVAL", "copy 4097,%u:%u+0,buffer+0", d, ref);
    expect(p->second, "EINVAL", "copy 1,%u:%u+4096,buffer+0", d, ref);
    expect(p->second, "EINVAL", "copy 65535,buffer+0,%u:%u+65535", d, ref);
    expect(p->second, "same", "compare buffer 0 16384 2 0");
    expect(p->first, "same", "compare shared 0 4096 1 0");
}

static void copy_between_own_pages_is_refused(struct pair *p)
{
    expect(p->second, "ok", "buffer buffer 2");
    expect(p->second, "EINVAL", "copy 16,buffer+0,buffer+4096");
}

const struct rule copy_rules[] = {
    {"copies from a grant, any bytes of it", copies_from_a_grant, EVERYWHERE},
    {"copies to a grant, any bytes of it", copies_to_a_grant, EVERYWHERE},
    {"a copy without a segment is fine", no_segment_is_fine, EVERYWHERE},
    {"a segment of no byte is fine", copies_no_byte, EVERYWHERE},
    {"each segment has its own status", each_segment_has_its_own_status, EVERYWHERE},
    {"many segments run in their order", many_segments_run_in_order, EVERYWHERE},
    {"copies from grant to grant", copies_from_grant_to_grant, EVERYWHERE},
    {"a copy is seen by all who map the page", copy_is_seen_by_all_who_map_the_page, EVERYWHERE},
    {"copies between a grant and an own shared page", copies_between_a_grant_and_an_own_shared_page,
     EVERYWHERE},
    {"a read-only grant is a source only", read_only_grant_is_a_source_only, EVERYWHERE},
    {"a grant for a third domain is not copied", grant_for_a_third_domain_is_not_copied,
     EVERYWHERE},
    {"refs never granted and out of range are not copied", unknown_refs_are_not_copied, EVERYWHERE},
    {"a domain that does not exist is not copied", unknown_domain_is_not_copied, EVERYWHERE},
    {"an unshared page is not copied", unshared_page_is_not_copied, EVERYWHERE},
    {"a copy over the end of a granted page is refused",
     copy_over_the_end_of_a_granted_page_is_refused, EVERYWHERE},
    {"a copy between own pages is refused", copy_between_own_pages_is_refused, EVERYWHERE},
    {NULL, NULL, 0},
};
