/* stat_rates.c - a line a device: what it did in a second, how well its work came in batches, and
 * how long requests took. Called by stat.c. */
#include <stdio.h>
#include <string.h>

#include "vbdkit/stat.h"

enum { RANGES = 256 };

static json_object *device_of(json_object *document, const char *name)
{
    json_object *devices = document != NULL ? json_object_object_get(document, "devices") : NULL;

    for (size_t i = 0; devices != NULL && i < json_object_array_length(devices); i++) {
        json_object *d = json_object_array_get_idx(devices, i);

        if (strcmp(stat_text(d, "name"), name) == 0)
            return d;
    }
    return NULL;
}

static uint64_t counter(json_object *device, const char *name)
{
    json_object *counters = json_object_object_get(device, "counters");

    return json_object_get_uint64(json_object_object_get(counters, name));
}

/* Of one device: before may be NULL. A counter that ran back is another device's of the same name.
 */
struct span {
    json_object *before, *now;
    double seconds;
};

static double grown(const struct span *s, const char *name)
{
    uint64_t before = s->before != NULL ? counter(s->before, name) : 0;
    uint64_t now = counter(s->now, name);

    return (double)(now >= before ? now - before : now);
}

static double rate(const struct span *s, const char *name)
{
    return grown(s, name) / s->seconds;
}

static double part(double of, double whole)
{
    return whole > 0 ? of / whole : 0;
}

/* --- latency --- */

struct range {
    uint64_t end, count;
};

static size_t read_ranges(json_object *device, const char *kind, struct range ranges[RANGES])
{
    json_object *latency = device != NULL ? json_object_object_get(device, "latency") : NULL;
    json_object *list = json_object_object_get(latency, kind);
    size_t n = list != NULL ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < n && i < RANGES; i++) {
        json_object *pair = json_object_array_get_idx(list, i);

        ranges[i].end = json_object_get_uint64(json_object_array_get_idx(pair, 0));
        ranges[i].count = json_object_get_uint64(json_object_array_get_idx(pair, 1));
    }
    return n < RANGES ? n : (size_t)RANGES;
}

/* Takes away what was counted before; ranges are in order, and those of before are among them. */
static void subtract(struct range *now, size_t n, const struct range *before, size_t m)
{
    for (size_t i = 0, j = 0; i < n && j < m; i++)
        if (now[i].end == before[j].end && now[i].count >= before[j].count)
            now[i].count -= before[j++].count;
}

/* Microseconds within which `permille` of the requests were answered. */
static double percentile(const struct span *s, const char *kind, unsigned permille)
{
    struct range now[RANGES], before[RANGES] = {{0, 0}};
    size_t n = read_ranges(s->now, kind, now);
    size_t m = read_ranges(s->before, kind, before);
    uint64_t all = 0, seen = 0;

    subtract(now, n, before, m);
    for (size_t i = 0; i < n; i++)
        all += now[i].count;
    for (size_t i = 0; i < n; i++) {
        seen += now[i].count;
        if (seen > 0 && seen * 1000 >= all * permille)
            return (double)now[i].end / 1000;
    }
    return 0;
}

/* --- the table --- */

static void print_device(const struct span *s)
{
    double others = grown(s, "flushes") + grown(s, "barriers") + grown(s, "discards");
    double all = grown(s, "reads") + grown(s, "writes") + others;

    (void)printf("%-20s %9.0f %9.0f %8.2f %8.2f %8.0f %7.1f %7.2f %8.0f %8.0f %8.0f %8.0f\n",
                 stat_text(s->now, "name"), rate(s, "reads"), rate(s, "writes"),
                 rate(s, "read_bytes") / 1e6, rate(s, "written_bytes") / 1e6, others / s->seconds,
                 part(all, grown(s, "passes")), part(grown(s, "system_calls"), all),
                 percentile(s, "reads", 500), percentile(s, "reads", 990),
                 percentile(s, "writes", 500), percentile(s, "writes", 990));
}

void stat_print_rates(json_object *before, json_object *now, double seconds)
{
    json_object *devices = json_object_object_get(now, "devices");

    (void)printf("%-20s %9s %9s %8s %8s %8s %7s %7s %8s %8s %8s %8s\n", "device", "r/s", "w/s",
                 "rMB/s", "wMB/s", "other/s", "req/pas", "sys/req", "r p50us", "r p99us", "w p50us",
                 "w p99us");
    for (size_t i = 0; i < json_object_array_length(devices); i++) {
        json_object *d = json_object_array_get_idx(devices, i);
        struct span s = {device_of(before, stat_text(d, "name")), d, seconds};

        print_device(&s);
    }
    (void)fflush(stdout);
}
