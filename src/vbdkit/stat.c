/* stat.c - "vbdkit stat": asks a running daemon for its devices and counters, once or again and
 * again. */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vbdkit/program.h"
#include "vbdkit/server.h"
#include "vbdkit/stat.h"

static const char usage[] = "stat [--class CLASS] [--control PATH] [--json] [INTERVAL [COUNT]]";

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = -errno;

        (void)close(fd);
        return error;
    }
    return fd;
}

/* Parses the document as it comes; NULL when it is cut short. */
static json_object *read_document(int fd)
{
    json_tokener *tokener = json_tokener_new();
    json_object *document = NULL;
    char buffer[4096];
    ssize_t n;

    while (document == NULL && (n = read(fd, buffer, sizeof buffer)) > 0)
        document = json_tokener_parse_ex(tokener, buffer, (int)n);
    json_tokener_free(tokener);
    return document;
}

const char *stat_text(json_object *o, const char *key)
{
    json_object *value = json_object_object_get(o, key);

    return value != NULL ? json_object_get_string(value) : "-";
}

static void print_counters(json_object *counters)
{
    json_object_object_foreach(counters, name, value)
    {
        if (json_object_get_uint64(value) != 0)
            (void)printf("  %-17s %s\n", name, json_object_get_string(value));
    }
}

static bool flag(json_object *d, const char *key)
{
    return json_object_get_boolean(json_object_object_get(d, key));
}

static void print(json_object *document)
{
    json_object *devices = json_object_object_get(document, "devices");

    for (size_t i = 0; i < json_object_array_length(devices); i++) {
        json_object *d = json_object_array_get_idx(devices, i);

        (void)printf("%s (%s): %s, %s bytes%s%s", stat_text(d, "name"), stat_text(d, "device"),
                     stat_text(d, "phase"), stat_text(d, "bytes"),
                     flag(d, "read_only") ? ", read-only" : "",
                     flag(d, "direct") ? ", direct" : ", through the cache");
        if (strcmp(stat_text(d, "queues"), "0") != 0)
            (void)printf(", queues: %s", stat_text(d, "queues"));
        (void)putchar('\n');
        print_counters(json_object_object_get(d, "counters"));
    }
}

struct stat_command {
    char path[CONTROL_PATH_MAX];
    bool json;
    int interval_ms; /* 0: once */
    long count;      /* of answers to show; 0: without end */
};

/* The daemon's answer, or NULL with the reason printed. */
static json_object *ask(const struct stat_command *c)
{
    int fd = connect_to(c->path);
    json_object *document;

    if (fd < 0) {
        (void)tool_fail("stat", "cannot ask the daemon at %s: %s", c->path, strerror(-fd));
        return NULL;
    }
    document = read_document(fd);
    (void)close(fd);
    if (document == NULL)
        (void)tool_fail("stat", "the daemon at %s did not answer", c->path);
    return document;
}

static void print_json(json_object *document, int flags)
{
    (void)puts(json_object_to_json_string_ext(document, flags | JSON_C_TO_STRING_NOSLASHESCAPE));
    (void)fflush(stdout);
}

static int show_once(const struct stat_command *c)
{
    json_object *document = ask(c);

    if (document == NULL)
        return EXIT_FAILED;
    if (c->json)
        print_json(document, JSON_C_TO_STRING_PRETTY);
    else
        print(document);
    (void)json_object_put(document);
    return EXIT_OK;
}

/* When the daemon read its counters: on a busy machine its answer may take longer than it should.
 */
static double clock_s(json_object *document)
{
    return (double)json_object_get_uint64(json_object_object_get(document, "clock_ns")) / 1e9;
}

/* An older daemon does not say. */
static json_object *ask_with_clock(const struct stat_command *c)
{
    json_object *document = ask(c);

    if (document != NULL && json_object_object_get(document, "clock_ns") == NULL)
        (void)json_object_object_add(document, "clock_ns", json_object_new_uint64(tool_now_ns()));
    return document;
}

static void pause_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    (void)nanosleep(&t, NULL);
}

/* Like iostat, but for its first table: each is about the interval before it. */
static int show_again(const struct stat_command *c)
{
    json_object *before = ask_with_clock(c);

    for (long n = 0; before != NULL && (c->count == 0 || n < c->count); n++) {
        json_object *document;

        pause_ms(c->interval_ms);
        document = ask_with_clock(c);
        if (document != NULL && c->json)
            print_json(document, JSON_C_TO_STRING_PLAIN);
        else if (document != NULL)
            stat_print_rates(before, document, clock_s(document) - clock_s(before));
        (void)json_object_put(before);
        before = document;
    }
    if (before == NULL)
        return EXIT_FAILED;
    (void)json_object_put(before);
    return EXIT_OK;
}

static int parse_interval(struct stat_command *c, int argc, char **argv)
{
    char *end = NULL;

    if (argc > 2 || (argc > 0 && tool_seconds("stat", argv[0], &c->interval_ms) != EXIT_OK) ||
        (argc > 0 && c->interval_ms == 0))
        return tool_usage(usage);
    if (argc < 2)
        return EXIT_OK;
    c->count = strtol(argv[1], &end, 10);
    return end == argv[1] || *end != '\0' || c->count < 1 ? tool_usage(usage) : EXIT_OK;
}

int stat_main(int argc, char **argv)
{
    static const struct option options[] = {{"class", required_argument, NULL, 'c'},
                                            {"control", required_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct stat_command c = {.json = false};
    int o, r;

    control_path("vbd", c.path);
    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (o == 'c')
            control_path(optarg, c.path);
        else if (o == 'o')
            (void)snprintf(c.path, sizeof c.path, "%s", optarg);
        else if (o == 'h')
            tool_help(usage);
        else if (o == 'j')
            c.json = true;
        else
            return tool_usage(usage);
    }
    r = parse_interval(&c, argc - optind, argv + optind);
    if (r != EXIT_OK)
        return r;
    return c.interval_ms == 0 ? show_once(&c) : show_again(&c);
}
