/* actor_memory.c - the interpreter's commands that read, write and copy the bytes of its areas, and
 * the one that tries a store that may fault. See actor.h. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor.h"

/* The bytes from `offset` of a named area, or NULL when it has not `len` of them. */
static uint8_t *bytes_at(struct call *c, const char *name, uint32_t offset, size_t len)
{
    struct area *area = actor_area(c->actor, name);

    if (area == NULL || (size_t)offset + len > (size_t)area->pages * ACTOR_PAGE)
        return NULL;
    return area->at + offset;
}

int actor_write(struct call *c)
{
    size_t len = strlen(c->word[3]);
    uint8_t *at = bytes_at(c, c->word[1], actor_number(c->word[2]), len);

    if (at == NULL)
        return actor_wrong(c, "no such bytes");
    memcpy(at, c->word[3], len);
    return 0;
}

int actor_read(struct call *c)
{
    uint32_t len = actor_number(c->word[3]);
    const volatile uint8_t *at = bytes_at(c, c->word[1], actor_number(c->word[2]), len);

    if (at == NULL || len > 1000)
        return actor_wrong(c, "no such bytes");
    for (uint32_t i = 0; i < len; i++) {
        uint8_t byte = at[i];

        actor_say(c, byte > ' ' && byte < 127 ? "%c" : byte == 0 ? "." : "\\%02x", byte);
    }
    return 0;
}

static sigjmp_buf after_fault;
static void *volatile fault_address;

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    fault_address = info->si_addr;
    siglongjmp(after_fault, number);
}

/* Stores one byte at an address. Returns 0, or the signal that this raised. */
static int try_store(volatile uint8_t *at)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    struct sigaction old_segv, old_bus;
    int number;

    sigaction(SIGSEGV, &action, &old_segv);
    sigaction(SIGBUS, &action, &old_bus);
    number = sigsetjmp(after_fault, 1);
    if (number == 0)
        *at = '!';
    sigaction(SIGSEGV, &old_segv, NULL);
    sigaction(SIGBUS, &old_bus, NULL);
    return number;
}

int actor_store(struct call *c)
{
    uint8_t *at = bytes_at(c, c->word[1], actor_number(c->word[2]), 1);
    int number;

    if (at == NULL)
        return actor_wrong(c, "no such byte");
    fault_address = NULL;
    number = try_store(at);
    if (number == 0)
        actor_say(c, "stored");
    else
        actor_say(c, "SIG%s%s", sigabbrev_np(number), fault_address == at ? "" : " elsewhere");
    return 0;
}

/* The byte that `fill` puts at a position: no two pages, and no two shifts of one, are alike. */
static uint8_t pattern(uint32_t seed, uint32_t position)
{
    return (uint8_t)((seed * 2654435761u + position * 2246822519u) >> 13);
}

int actor_fill(struct call *c)
{
    struct area *area = actor_area(c->actor, c->word[1]);

    if (area == NULL)
        return actor_wrong(c, "no such area");
    for (uint32_t i = 0; i < area->pages * ACTOR_PAGE; i++)
        area->at[i] = pattern(actor_number(c->word[2]), i);
    return 0;
}

int actor_compare(struct call *c)
{
    uint32_t len = actor_number(c->word[3]), from = actor_number(c->word[5]);
    const uint8_t *at = bytes_at(c, c->word[1], actor_number(c->word[2]), len);

    if (at == NULL)
        return actor_wrong(c, "no such bytes");
    for (uint32_t i = 0; i < len; i++) {
        if (at[i] != pattern(actor_number(c->word[4]), from + i)) {
            actor_say(c, "differs at %u", i);
            return 0;
        }
    }
    actor_say(c, "same");
    return 0;
}

/* One end of a copied segment: AREA+OFFSET, or DOM:REF+OFFSET, which sets *is_grant. */
static bool parse_end(struct call *c, char *text, union xengnttab_copy_ptr *end, bool *is_grant)
{
    char *plus = strchr(text, '+'), *colon = strchr(text, ':');
    uint32_t offset;

    if (plus == NULL)
        return false;
    *plus = '\0';
    offset = actor_number(plus + 1);
    *is_grant = colon != NULL;
    if (*is_grant) {
        end->foreign.domid = (uint16_t)actor_number(text);
        end->foreign.ref = actor_number(colon + 1);
        end->foreign.offset = (uint16_t)offset;
        return true;
    }
    end->virt = bytes_at(c, text, offset, 0);
    return end->virt != NULL;
}

/* LENGTH,SOURCE,DESTINATION */
static bool parse_segment(struct call *c, char *text, xengnttab_grant_copy_segment_t *segment)
{
    char *rest = NULL, *length = strtok_r(text, ",", &rest), *source = strtok_r(NULL, ",", &rest);
    char *dest = strtok_r(NULL, ",", &rest);
    bool from_grant, to_grant;

    *segment = (xengnttab_grant_copy_segment_t){.status = 99};
    if (dest == NULL || !parse_end(c, source, &segment->source, &from_grant) ||
        !parse_end(c, dest, &segment->dest, &to_grant))
        return false;
    segment->len = (uint16_t)actor_number(length);
    segment->flags =
        (uint16_t)((from_grant ? GNTCOPY_source_gref : 0) | (to_grant ? GNTCOPY_dest_gref : 0));
    return true;
}

static bool open_gnttab(struct actor *a)
{
    if (a->gnttab == NULL)
        a->gnttab = xengnttab_open(NULL, 0);
    return a->gnttab != NULL;
}

int actor_copy(struct call *c)
{
    xengnttab_grant_copy_segment_t segments[ACTOR_WORDS];
    uint32_t count = (uint32_t)c->words - 1;

    for (uint32_t i = 0; i < count; i++) {
        if (!parse_segment(c, c->word[i + 1], &segments[i]))
            return actor_wrong(c, "not LENGTH,SOURCE,DESTINATION");
    }
    if (!open_gnttab(c->actor) || xengnttab_grant_copy(c->actor->gnttab, count, segments) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        actor_say(c, i == 0 ? "%d" : " %d", segments[i].status);
    return 0;
}
