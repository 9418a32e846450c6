/* actor_grants.c - the interpreter's commands that share and map pages through libxengnttab, or
 * allocate ordinary ones. What is done with their bytes is in actor_memory.c. See actor.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "actor.h"

struct area *actor_area(struct actor *a, const char *name)
{
    for (size_t i = 0; i < ACTOR_AREAS; i++) {
        if (a->areas[i].kind != AREA_NONE && strcmp(a->areas[i].name, name) == 0)
            return &a->areas[i];
    }
    return NULL;
}

/* Notes new pages under the command's name for them. A call that failed has at == NULL. */
static int add_area(struct call *c, enum area_kind kind, void *at, uint32_t pages)
{
    struct area *area = c->actor->areas;

    if (at == NULL)
        return -1;
    while (area->kind != AREA_NONE)
        area++;
    *area = (struct area){.kind = kind, .at = at, .pages = pages};
    (void)snprintf(area->name, sizeof area->name, "%s", c->word[1]);
    return 0;
}

/* True when the name is free, and a slot (one is always kept free, as the end of the list). */
static bool may_add(struct call *c)
{
    size_t used = 0;

    for (size_t i = 0; i < ACTOR_AREAS; i++)
        used += c->actor->areas[i].kind != AREA_NONE;
    return used + 1 < ACTOR_AREAS && actor_area(c->actor, c->word[1]) == NULL;
}

int actor_area_end(struct actor *a, struct area *area)
{
    int status = 0;

    if (area->kind == AREA_MAPPED)
        status = xengnttab_unmap(a->gnttab, area->at, area->pages);
    else if (area->kind == AREA_SHARED)
        status = xengntshr_unshare(a->gntshr, area->at, area->pages);
    else if (area->kind == AREA_BUFFER)
        status = munmap(area->at, (size_t)area->pages * ACTOR_PAGE);
    if (status == 0)
        area->kind = AREA_NONE;
    return status;
}

static bool have_gntshr(struct actor *a)
{
    if (a->gntshr == NULL)
        a->gntshr = xengntshr_open(NULL, 0);
    return a->gntshr != NULL;
}

static bool have_gnttab(struct actor *a)
{
    if (a->gnttab == NULL)
        a->gnttab = xengnttab_open(NULL, 0);
    return a->gnttab != NULL;
}

int actor_share(struct call *c)
{
    uint32_t refs[ACTOR_WORDS], count = actor_number(c->word[3]);
    void *at;

    if (!may_add(c) || count > ACTOR_WORDS)
        return actor_wrong(c, "that name is taken, or too much");
    if (!have_gntshr(c->actor))
        return -1;
    at = xengntshr_share_pages(c->actor->gntshr, actor_number(c->word[2]), (int)count, refs,
                               strcmp(c->word[4], "rw") == 0);
    if (add_area(c, AREA_SHARED, at, count) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        actor_say(c, i == 0 ? "%u" : " %u", refs[i]);
    return 0;
}

int actor_share_notify(struct call *c)
{
    uint32_t ref = 0;
    void *at;

    if (!may_add(c))
        return actor_wrong(c, "that name is taken");
    if (!have_gntshr(c->actor))
        return -1;
    at = xengntshr_share_page_notify(c->actor->gntshr, actor_number(c->word[2]), &ref,
                                     strcmp(c->word[3], "rw") == 0, actor_number(c->word[4]),
                                     actor_number(c->word[5]));
    if (add_area(c, AREA_SHARED, at, 1) < 0)
        return -1;
    actor_say(c, "%u", ref);
    return 0;
}

static int end_named(struct call *c, enum area_kind kind)
{
    struct area *area = actor_area(c->actor, c->word[1]);

    if (area == NULL || area->kind != kind)
        return actor_wrong(c, "no such area");
    return actor_area_end(c->actor, area);
}

int actor_unshare(struct call *c)
{
    return end_named(c, AREA_SHARED);
}

/* The references of a map command, from word 3 on. */
struct refs {
    uint32_t count, domids[ACTOR_WORDS], refs[ACTOR_WORDS];
    bool one_domain;
};

static bool parse_refs(struct call *c, int words, struct refs *r)
{
    *r = (struct refs){.one_domain = true};
    for (int i = 3; i < words; i++) {
        char *colon = strchr(c->word[i], ':');
        uint32_t n = r->count++;

        if (colon == NULL)
            return false;
        r->domids[n] = actor_number(c->word[i]);
        r->refs[n] = actor_number(colon + 1);
        r->one_domain = r->one_domain && r->domids[n] == r->domids[0];
    }
    return true;
}

static int protection(const char *mode)
{
    return strcmp(mode, "rw") == 0 ? PROT_READ | PROT_WRITE : PROT_READ;
}

static void *map_refs(struct actor *a, struct refs *r, int prot)
{
    if (r->count == 1)
        return xengnttab_map_grant_ref(a->gnttab, r->domids[0], r->refs[0], prot);
    if (r->one_domain)
        return xengnttab_map_domain_grant_refs(a->gnttab, r->count, r->domids[0], r->refs, prot);
    return xengnttab_map_grant_refs(a->gnttab, r->count, r->domids, r->refs, prot);
}

int actor_map(struct call *c)
{
    struct refs r;

    if (!may_add(c) || !parse_refs(c, c->words, &r))
        return actor_wrong(c, "that name is taken, or not DOM:REF");
    if (!have_gnttab(c->actor))
        return -1;
    return add_area(c, AREA_MAPPED, map_refs(c->actor, &r, protection(c->word[2])), r.count);
}

int actor_try_map(struct call *c)
{
    int status = actor_map(c);

    if (status < 0 || c->answer[0] != '\0')
        return status;
    return actor_area_end(c->actor, actor_area(c->actor, c->word[1]));
}

int actor_map_notify(struct call *c)
{
    struct refs r;
    void *at;

    if (!may_add(c) || !parse_refs(c, 4, &r))
        return actor_wrong(c, "that name is taken, or not DOM:REF");
    if (!have_gnttab(c->actor))
        return -1;
    at = xengnttab_map_grant_ref_notify(c->actor->gnttab, r.domids[0], r.refs[0],
                                        protection(c->word[2]), actor_number(c->word[4]),
                                        actor_number(c->word[5]));
    return add_area(c, AREA_MAPPED, at, 1);
}

/* With a count, or for pages that are no mapping, this asks for what the library has to refuse; if
 * it does not, the area is forgotten. */
int actor_unmap(struct call *c)
{
    struct area *area = actor_area(c->actor, c->word[1]);
    uint32_t count;

    if (area == NULL)
        return actor_wrong(c, "no such area");
    if (!have_gnttab(c->actor))
        return -1;
    count = c->words > 2 ? actor_number(c->word[2]) : area->pages;
    if (xengnttab_unmap(c->actor->gnttab, area->at, count) < 0)
        return -1;
    area->kind = AREA_NONE;
    return 0;
}

int actor_buffer(struct call *c)
{
    uint32_t pages = actor_number(c->word[2]);
    void *at;

    if (!may_add(c))
        return actor_wrong(c, "that name is taken");
    at = mmap(NULL, (size_t)pages * ACTOR_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
              -1, 0);
    return add_area(c, AREA_BUFFER, at == MAP_FAILED ? NULL : at, pages);
}
