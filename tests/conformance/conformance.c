/* conformance.c - the command line and the runner: every check in turn, each on a connection as it
 * wants it. A line for each check; exit status 0, 1 a check failed, 2 wrong usage. */
#include "conformance/conformance.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
    "usage: conformance [--read-only VDEV] [--large VDEV] [--resize] [--only NAME] [--list]\n"
    "                   [--timeout SECONDS] VDEV\n"
    "Checks the backend of a vbd of this domain, of at least 8 MiB, whose contents are lost.\n"
    "VDEV is a number: 51712 is xvda. --read-only and --large name vbds of the same backend that\n"
    "are read-only, and that have sectors of 4096 bytes. --resize: somebody watches this domain's\n"
    "data/conformance-resize and gives the disk so many sectors. --only runs the checks whose\n"
    "names begin so. Prints \"ok NAME\", \"not ok NAME [WHY]\" or \"skip (not offered) NAME "
    "[WHAT]\".\n";

enum { LOST_MAX = 3 }; /* connections that fail one after the other before the suite gives up */

static const struct checks *const tables[] = {&checks_keys,    &checks_data,     &checks_bad,
                                              &checks_control, &checks_indirect, &checks_ring,
                                              &checks_life,    &checks_disks};

struct run {
    struct conf conf;
    const char *only;
    unsigned failed, done;
    unsigned lost;
};

static void report(struct run *r, const struct check *check, enum verdict v)
{
    static const char *const words[] = {"ok", "not ok", "skip (not offered)"};

    r->done++;
    r->failed += v == FAIL;
    if (v == PASS)
        (void)printf("%s %s\n", words[v], check->name);
    else
        (void)printf("%s %s [%s]\n", words[v], check->name, r->conf.why);
    (void)fflush(stdout);
}

static enum verdict learn(struct run *r, enum disk disk)
{
    struct conf *c = &r->conf;

    if (c->vdevs[disk] == 0 || c->offers[disk].known)
        return PASS;
    return conf_learn(c, disk);
}

/* A connection on which a check failed is not trusted by the next. */
static enum verdict run_connected(struct run *r, const struct check *check)
{
    struct conf *c = &r->conf;
    char why[sizeof c->why];
    enum verdict v = conf_connect(c, check->setup);

    r->lost = v == PASS ? 0 : r->lost + 1;
    if (v == PASS)
        v = check->run(c);
    if (v != FAIL)
        return v;
    memcpy(why, c->why, sizeof why);
    (void)conf_disconnect(c);
    memcpy(c->why, why, sizeof why);
    return FAIL;
}

static void run_check(struct run *r, const struct check *check)
{
    struct conf *c = &r->conf;
    enum verdict v = PASS;

    if (r->only != NULL && strncmp(check->name, r->only, strlen(r->only)) != 0)
        return;
    if (r->lost >= LOST_MAX)
        v = fail(c, "not tried: the backend could not be connected any more");
    if (v == PASS)
        v = learn(r, check->setup->disk);
    if (v == PASS && !conf_offered(c, check))
        v = SKIP;
    if (v == PASS)
        v = run_connected(r, check);
    else if (v == FAIL && r->lost < LOST_MAX)
        r->lost++;
    report(r, check, v);
}

static int run_all(struct run *r)
{
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (size_t i = 0; i < tables[t]->count; i++)
            run_check(r, &tables[t]->list[i]);
    if (!conf_disconnect(&r->conf)) {
        (void)fprintf(stderr, "conformance: %s\n", r->conf.why);
        return 1;
    }
    return r->failed > 0 || r->done == 0;
}

static int list_all(void)
{
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (size_t i = 0; i < tables[t]->count; i++)
            (void)printf("%s\n", tables[t]->list[i].name);
    return 0;
}

static int usage(void)
{
    (void)fputs(usage_text, stderr);
    return 2;
}

static unsigned parse_number(const char *s)
{
    char *end;
    unsigned long n = strtoul(s, &end, 10);

    return *end == '\0' && n <= INT32_MAX ? (unsigned)n : 0;
}

static const struct option options[] = {{"read-only", required_argument, NULL, 'r'},
                                        {"large", required_argument, NULL, 'l'},
                                        {"resize", no_argument, NULL, 's'},
                                        {"only", required_argument, NULL, 'o'},
                                        {"timeout", required_argument, NULL, 't'},
                                        {"list", no_argument, NULL, 'n'},
                                        {0}};

int main(int argc, char **argv)
{
    static struct run r = {.conf = {.timeout_ms = 5000, .front = {.signals = -1}}};
    struct conf *c = &r.conf;
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (o == 'n')
            return list_all();
        else if (o == 'r')
            c->vdevs[DISK_READ_ONLY] = parse_number(optarg);
        else if (o == 'l')
            c->vdevs[DISK_LARGE] = parse_number(optarg);
        else if (o == 's')
            c->resize = true;
        else if (o == 'o')
            r.only = optarg;
        else if (o != 't' || (c->timeout_ms = (int)parse_number(optarg) * 1000) <= 0)
            return usage();
    }
    if (argc - optind != 1 || (c->vdevs[DISK_MAIN] = parse_number(argv[optind])) == 0)
        return usage();
    return front_catch_signals(&c->front) < 0 ? 1 : run_all(&r);
}
