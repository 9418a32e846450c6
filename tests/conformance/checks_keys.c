/* checks_keys.c - what the backend publishes: there, a number, sane, and in agreement. */
#include "conformance/conformance.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct setup plain = {.disk = DISK_MAIN};

enum { INFO_KNOWN = 7, INFO_READ_ONLY = 4, DISK_LEAST = 16384 };

static uint64_t key(struct conf *c, const char *name)
{
    return front_number(&c->front, c->front.backend, name, UINT64_MAX);
}

static bool is_there(struct conf *c, const char *name)
{
    char *value = front_node(&c->front, c->front.backend, name);

    free(value);
    return value != NULL;
}

static enum verdict no_number(struct conf *c, const char *name)
{
    return fail(c, "\"%s\" is missing, or no number", name);
}

/* Not of the specification: what this suite needs to work with. */
static enum verdict sectors(struct conf *c)
{
    uint64_t n = key(c, "sectors");

    if (n == UINT64_MAX || n == 0)
        return no_number(c, "sectors");
    return n >= DISK_LEAST ? PASS : fail(c, "the suite needs a disk of at least 8 MiB");
}

static enum verdict sector_size(struct conf *c)
{
    uint64_t n = key(c, "sector-size");

    if (n == UINT64_MAX)
        return no_number(c, "sector-size");
    if (n < 512 || (n & (n - 1)) != 0)
        return fail(c, "%" PRIu64 " is no power of two from 512 on", n);
    /* The front does not write feature-large-sector-size, but deployed backends publish 4096 all
     * the same; the main disk of this suite has sectors of 512 bytes. */
    return n == 512 ? PASS : fail(c, "%" PRIu64 " for a disk that has 512", n);
}

static enum verdict physical(struct conf *c)
{
    uint64_t n = key(c, "physical-sector-size"), size = key(c, "sector-size");

    if (!is_there(c, "physical-sector-size"))
        return PASS; /* the default is sector-size */
    if (n == UINT64_MAX)
        return no_number(c, "physical-sector-size");
    if (n == 0 || n % size != 0)
        return fail(c, "%" PRIu64 " is no multiple of sector-size", n);
    return key(c, "sectors") * size % n == 0 ? PASS
                                             : fail(c, "the disk is no multiple of %" PRIu64, n);
}

static enum verdict info(struct conf *c)
{
    uint64_t n = key(c, "info");
    char *mode = front_node(&c->front, c->front.backend, "mode");
    bool read_only = mode != NULL && mode[0] == 'r';

    free(mode);
    if (n == UINT64_MAX)
        return no_number(c, "info");
    if ((n & ~(uint64_t)INFO_KNOWN) != 0)
        return fail(c, "%" PRIu64 " has bits that blkif.h does not have", n);
    return ((n & INFO_READ_ONLY) != 0) == read_only
               ? PASS
               : fail(c, "VDISK_READONLY does not agree with \"mode\"");
}

static enum verdict booleans(struct conf *c)
{
    static const char *const names[] = {"feature-barrier", "feature-flush-cache", "feature-discard",
                                        "discard-secure",  "feature-persistent",  "removable"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is_there(c, names[i]) && key(c, names[i]) > 1)
            return fail(c, "\"%s\" is neither 0 nor 1", names[i]);
    return PASS;
}

/* Both or none: "Providing just one of the two may be considered an error by the frontend". */
static enum verdict discard_keys(struct conf *c)
{
    uint64_t granularity = key(c, "discard-granularity"), alignment = key(c, "discard-alignment");

    if (is_there(c, "discard-granularity") != is_there(c, "discard-alignment"))
        return fail(c, "only one of discard-granularity and discard-alignment");
    if (!is_there(c, "discard-granularity"))
        return PASS;
    if (granularity == UINT64_MAX || alignment == UINT64_MAX || granularity == 0)
        return fail(c, "discard-granularity or discard-alignment is no number");
    if (granularity % key(c, "sector-size") != 0)
        return fail(c, "granularity %" PRIu64 " is no multiple of sector-size", granularity);
    return alignment < granularity ? PASS
                                   : fail(c, "alignment %" PRIu64 " of a granularity of %" PRIu64,
                                          alignment, granularity);
}

static enum verdict ring_keys(struct conf *c)
{
    uint64_t order = key(c, "max-ring-page-order"), pages = key(c, "max-ring-pages");

    if (is_there(c, "max-ring-page-order") && order > 16)
        return fail(c, "max-ring-page-order is %" PRIu64, order);
    if (is_there(c, "max-ring-pages") && (pages == 0 || (pages & (pages - 1)) != 0))
        return fail(c, "max-ring-pages is no power of two");
    return PASS;
}

static enum verdict indirect_key(struct conf *c)
{
    uint64_t most = key(c, "feature-max-indirect-segments");

    return most >= 1 && most <= (uint64_t)FRONT_INDIRECT_PAGES * TABLE_ENTRIES
               ? PASS
               : fail(c, "%" PRIu64 " do not fit into 8 pages", most);
}

static enum verdict queues_key(struct conf *c)
{
    if (!is_there(c, "multi-queue-max-queues"))
        return skip(c, "multi-queue-max-queues");
    return key(c, "multi-queue-max-queues") - 1 < 4096 ? PASS : fail(c, "no number of queues");
}

static enum verdict state(struct conf *c)
{
    return front_state_of(&c->front, c->front.backend) == FRONT_CONNECTED
               ? PASS
               : fail(c, "the backend is not Connected");
}

static const struct check list[] = {
    {"keys-state", NEED_NOTHING, &plain, state},
    {"keys-sectors", NEED_NOTHING, &plain, sectors},
    {"keys-sector-size", NEED_NOTHING, &plain, sector_size},
    {"keys-physical-sector-size", NEED_NOTHING, &plain, physical},
    {"keys-info", NEED_NOTHING, &plain, info},
    {"keys-booleans", NEED_NOTHING, &plain, booleans},
    {"keys-ring-size", NEED_NOTHING, &plain, ring_keys},
    {"keys-queues", NEED_NOTHING, &plain, queues_key},
    {"keys-discard", NEED_DISCARD, &plain, discard_keys},
    {"keys-indirect", NEED_INDIRECT, &plain, indirect_key},
};
TABLE(checks_keys, list);
