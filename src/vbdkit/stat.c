/* stat.c - "vbdkit stat": asks a running daemon for its devices and counters. */
#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vbdkit/program.h"
#include "vbdkit/server.h"

static const char usage[] = "stat [--class CLASS] [--control PATH] [--json]";

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

static const char *text(json_object *o, const char *key)
{
    json_object *value = json_object_object_get(o, key);

    return value != NULL ? json_object_get_string(value) : "-";
}

static void print_counters(json_object *counters)
{
    json_object_object_foreach(counters, name, value)
    {
        if (json_object_get_uint64(value) != 0)
            (void)printf("  %-16s %s\n", name, json_object_get_string(value));
    }
}

static void print(json_object *document)
{
    json_object *devices = json_object_object_get(document, "devices");

    for (size_t i = 0; i < json_object_array_length(devices); i++) {
        json_object *d = json_object_array_get_idx(devices, i);

        (void)printf(
            "%s (%s): %s, %s bytes%s%s\n", text(d, "name"), text(d, "device"), text(d, "phase"),
            text(d, "bytes"),
            json_object_get_boolean(json_object_object_get(d, "read_only")) ? ", read-only" : "",
            json_object_get_boolean(json_object_object_get(d, "direct")) ? ", direct"
                                                                         : ", through the cache");
        print_counters(json_object_object_get(d, "counters"));
    }
}

static int show(const char *path, bool json)
{
    int fd = connect_to(path);
    json_object *document;

    if (fd < 0)
        return tool_fail("stat", "cannot ask the daemon at %s: %s", path, strerror(-fd));
    document = read_document(fd);
    (void)close(fd);
    if (document == NULL)
        return tool_fail("stat", "the daemon at %s did not answer", path);
    if (json)
        (void)puts(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY |
                                                                JSON_C_TO_STRING_NOSLASHESCAPE));
    else
        print(document);
    (void)json_object_put(document);
    return EXIT_OK;
}

int stat_main(int argc, char **argv)
{
    static const struct option options[] = {{"class", required_argument, NULL, 'c'},
                                            {"control", required_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    char path[CONTROL_PATH_MAX];
    bool json = false;
    int o;

    control_path("vbd", path);
    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (o == 'c')
            control_path(optarg, path);
        else if (o == 'o')
            (void)snprintf(path, sizeof path, "%s", optarg);
        else if (o == 'h')
            tool_help(usage);
        else if (o == 'j')
            json = true;
        else
            return tool_usage(usage);
    }
    return optind != argc ? tool_usage(usage) : show(path, json);
}
