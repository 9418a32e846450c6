/* front.c - "vbdkit front": a vbd of this domain, from the command line. Reads the arguments and
 * finds the part; each part is in a front_*.c. */
#include "vbdkit/front_tool.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_USUAL = 16, DEPTH_MAX = 256 };

/* Options every part takes, and those of one. */
#define COMMON "xoTPh"

static const struct part {
    const char *name;
    int (*run)(const struct front_args *a);
    const char *letters; /* of further options */
    int files;           /* how many may follow the vbd; -1: not even that */
    const char *usage;
} parts[] = {
    {"list", front_list, "j", -1, "[--json]"},
    {"info", front_info, "j", 0, "[--json] VBD"},
    {"read", front_read, "slDq", 1, "[--offset N] [--length N] [--depth N] [--quiet] VBD [FILE]"},
    {"write", front_write, "slDq", 1, "[--offset N] [--length N] [--depth N] [--quiet] VBD [FILE]"},
    {"verify", front_verify, "slDqden", 1,
     "[--offset N] [--length N] [--depth N] [--quiet] VBD FILE\n"
     "       vbdkit front verify --destroy [--seed N] [--operations N] [--depth N] VBD"},
    {"flush", front_flush, "", 0, "VBD"},
    {"discard", front_discard, "slS", 0, "[--offset N] [--length N] [--secure] VBD"},
    {"bench", front_bench, "slDwbtjdqW", 0,
     "[--rw read|write|randread|randwrite|randrw] [--block N] [--depth N]\n"
     "       [--seconds N] [--offset N] [--length N] [--json] [--quiet] [--destroy] [--await] VBD"},
    {"export", front_export, "Urp", 0, "(--socket PATH | --port N) [--read-only] VBD"},
};

enum { PARTS = sizeof parts / sizeof parts[0] };

static const char common_usage[] = "\n       Each part but list also takes [--option LIST] "
                                   "[--timeout SECONDS] [--poll US], and all "
                                   "[--xenstore ADDRESS].\n";

static void print_usage(FILE *to, const struct part *only)
{
    for (int i = 0; i < PARTS; i++)
        if (only == NULL || only == &parts[i])
            (void)fprintf(to, "%s vbdkit front %s %s\n",
                          i == 0 || only != NULL ? "usage:" : "      ", parts[i].name,
                          parts[i].usage);
    (void)fputs(common_usage + 1, to);
}

static int refuse(const struct part *part)
{
    print_usage(stderr, part);
    return EXIT_USAGE;
}

/* --- values --- */

/* "4096", "64K", "1M", "2G", "1T". */
static bool parse_size(const char *text, uint64_t *ret)
{
    static const char units[] = "KMGT";
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end & ~0x20) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;

    if (end == text || text[0] == '-' || (*end != '\0' && (unit == NULL || end[1] != '\0')) ||
        n > UINT64_MAX >> shift)
        return false;
    *ret = (uint64_t)n << shift;
    return true;
}

static int take_size(const struct front_args *a, const char *text, uint64_t least, uint64_t most,
                     uint64_t *ret)
{
    uint64_t n;

    if (!parse_size(text, &n) || n < least || n > most)
        return tool_fail(a->part, "\"%s\" is no number from %llu to %llu", text,
                         (unsigned long long)least, (unsigned long long)most);
    *ret = n;
    return EXIT_OK;
}

static int take_options(struct front_args *a, const char *text)
{
    struct vbd_error why = {""};

    if (vbd_front_options_parse(text, &a->options, &why) < 0)
        return tool_fail(a->part, "%s", why.text);
    a->options_text = text;
    return EXIT_OK;
}

/* --- arguments --- */

static const struct option options[] = {
    {"xenstore", required_argument, NULL, 'x'}, {"option", required_argument, NULL, 'o'},
    {"timeout", required_argument, NULL, 'T'},  {"poll", required_argument, NULL, 'P'},
    {"json", no_argument, NULL, 'j'},           {"offset", required_argument, NULL, 's'},
    {"length", required_argument, NULL, 'l'},   {"depth", required_argument, NULL, 'D'},
    {"quiet", no_argument, NULL, 'q'},          {"destroy", no_argument, NULL, 'd'},
    {"seed", required_argument, NULL, 'e'},     {"operations", required_argument, NULL, 'n'},
    {"await", no_argument, NULL, 'W'},          {"secure", no_argument, NULL, 'S'},
    {"rw", required_argument, NULL, 'w'},       {"block", required_argument, NULL, 'b'},
    {"seconds", required_argument, NULL, 't'},  {"socket", required_argument, NULL, 'U'},
    {"port", required_argument, NULL, 'p'},     {"read-only", no_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},           {0}};

static int take_number(struct front_args *a, int letter, const char *text)
{
    uint64_t depth = a->depth;
    int r;

    switch (letter) {
    case 's':
        return take_size(a, text, 0, INT64_MAX, &a->offset);
    case 'l':
        return take_size(a, text, 0, INT64_MAX, &a->length);
    case 'b':
        return take_size(a, text, 512, 8 << 20, &a->block);
    case 'e':
        return take_size(a, text, 0, UINT32_MAX, &a->seed);
    case 'n':
        return take_size(a, text, 1, INT64_MAX, &a->operations);
    case 'P':
        return take_size(a, text, 0, 1000, &a->poll_us);
    case 'p':
        return take_size(a, text, 1, UINT16_MAX, &a->port);
    default:
        r = take_size(a, text, 1, DEPTH_MAX, &depth);
        a->depth = (uint32_t)depth;
        return r;
    }
}

static int take(struct front_args *a, int letter, const char *text)
{
    switch (letter) {
    case 'x':
        a->xenstore = text;
        return EXIT_OK;
    case 'o':
        return take_options(a, text);
    case 'T':
        return tool_seconds(a->part, text, &a->timeout_ms);
    case 't':
        return tool_seconds(a->part, text, &a->seconds_ms);
    case 'U':
        a->socket = text;
        return EXIT_OK;
    case 'w':
        a->rw = text;
        return EXIT_OK;
    case 'j':
        a->json = true;
        return EXIT_OK;
    case 'q':
        a->quiet = true;
        return EXIT_OK;
    case 'd':
        a->destroy = true;
        return EXIT_OK;
    case 'W':
        a->await = true;
        return EXIT_OK;
    case 'r':
        a->read_only = true;
        return EXIT_OK;
    case 'S':
        a->secure = true;
        return EXIT_OK;
    default:
        return take_number(a, letter, text);
    }
}

static int parse(const struct part *part, struct front_args *a, int argc, char **argv)
{
    int o, r = EXIT_OK;

    while (r == EXIT_OK && (o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (o == 'h') {
            print_usage(stdout, part);
            exit(EXIT_OK);
        }
        if (o == '?' || (strchr(COMMON, o) == NULL && strchr(part->letters, o) == NULL))
            return refuse(part);
        r = take(a, o, optarg);
    }
    if (r != EXIT_OK)
        return EXIT_USAGE;
    if (argc - optind < (part->files < 0 ? 0 : 1) || argc - optind > part->files + 1)
        return refuse(part);
    a->name = argv[optind];
    a->file = argc - optind > 1 ? argv[optind + 1] : NULL;
    return EXIT_OK;
}

int front_main(int argc, char **argv)
{
    struct front_args a = {.options_text = "",
                           .timeout_ms = VBD_DISK_TIMEOUT_MS,
                           .length = UINT64_MAX,
                           .depth = DEPTH_USUAL,
                           .seconds_ms = 5000,
                           .poll_us = 100,
                           .block = 4096,
                           .seed = 1,
                           .operations = 2000,
                           .rw = "randread"};
    char name[24];
    int r;

    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        print_usage(stdout, NULL);
        return EXIT_OK;
    }
    for (int i = 0; argc >= 2 && i < PARTS; i++) {
        if (strcmp(argv[1], parts[i].name) != 0)
            continue;
        (void)snprintf(name, sizeof name, "front %s", parts[i].name);
        a.part = name;
        vbd_front_options_init(&a.options);
        r = parse(&parts[i], &a, argc - 1, argv + 1);
        return r == EXIT_OK ? parts[i].run(&a) : r;
    }
    print_usage(stderr, NULL);
    return EXIT_USAGE;
}
