/* list.c - "vbdkit list": the disks that this domain serves, as xenstore shows them. */
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbdkit/program.h"

static const char usage[] = "list [--class CLASS] [--json] [--xenstore ADDRESS]";

struct list {
    struct tool tool;
    const char *only_class; /* NULL: every class that has disks */
    const char *xenstore;
    bool json;
    json_object *disks;
};

/* Adds a string key, null when the node is missing. Takes the string. */
static void add(json_object *disk, const char *key, char *value)
{
    (void)json_object_object_add(disk, key, value != NULL ? json_object_new_string(value) : NULL);
    free(value);
}

static const char *state_name(const char *value)
{
    static const char *const names[] = {"Unknown",     "Initialising",  "InitWait",
                                        "Initialised", "Connected",     "Closing",
                                        "Closed",      "Reconfiguring", "Reconfigured"};
    unsigned long n =
        value != NULL && value[0] != '\0' && value[1] == '\0' ? (unsigned long)(value[0] - '0') : 0;

    return names[n < sizeof names / sizeof names[0] ? n : 0];
}

static void add_state(json_object *disk, const char *key, char *value)
{
    (void)json_object_object_add(disk, key, json_object_new_string(state_name(value)));
    free(value);
}

static void add_disk(struct list *l, struct xsc_handle *h, const char *class, const char *domid,
                     const char *vdev)
{
    char back[VBD_PATH_MAX * 2], guest[64], name[24];
    json_object *disk;
    char *params, *front;

    (void)snprintf(back, sizeof back, "/local/domain/%u/backend/%s/%s/%s", l->tool.domid, class,
                   domid, vdev);
    (void)snprintf(guest, sizeof guest, "/local/domain/%s", domid);
    params = tool_read(h, back, "params");
    if (params == NULL)
        return; /* not a disk */
    disk = json_object_new_object();
    vbd_vdev_name((uint32_t)strtoul(vdev, NULL, 10), name);
    add(disk, "guest", tool_read(h, guest, "name"));
    (void)json_object_object_add(disk, "domid", json_object_new_int64(strtol(domid, NULL, 10)));
    (void)json_object_object_add(disk, "vdev", json_object_new_int64(strtol(vdev, NULL, 10)));
    add(disk, "device", strdup(name));
    add(disk, "class", strdup(class));
    add_state(disk, "backend", tool_read(h, back, "state"));
    front = tool_read(h, back, "frontend");
    add_state(disk, "frontend", front != NULL ? tool_read(h, front, "state") : NULL);
    free(front);
    add(disk, "mode", tool_read(h, back, "mode"));
    add(disk, "image", params);
    add(disk, "error", tool_read(h, back, "hotplug-error"));
    (void)json_object_array_add(l->disks, disk);
}

/* Calls visit for each child of dir; a missing dir has none. */
static void each(struct list *l, struct xsc_handle *h, const char *dir, const char *class,
                 const char *domid,
                 void (*visit)(struct list *l, struct xsc_handle *h, const char *class,
                               const char *domid, const char *child))
{
    char **names;
    size_t count;

    if (xsc_directory(h, dir, &names, &count) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        visit(l, h, class, domid, names[i]);
    free(names);
}

static void visit_guest(struct list *l, struct xsc_handle *h, const char *class, const char *none,
                        const char *domid)
{
    char dir[VBD_PATH_MAX * 2];

    (void)none;
    (void)snprintf(dir, sizeof dir, "/local/domain/%u/backend/%s/%s", l->tool.domid, class, domid);
    each(l, h, dir, class, domid, add_disk);
}

static void visit_class(struct list *l, struct xsc_handle *h, const char *none, const char *none2,
                        const char *class)
{
    char dir[VBD_PATH_MAX * 2];

    (void)none;
    (void)none2;
    (void)snprintf(dir, sizeof dir, "/local/domain/%u/backend/%s", l->tool.domid, class);
    each(l, h, dir, class, NULL, visit_guest);
}

static int collect(struct xsc_handle *h, void *arg)
{
    struct list *l = arg;
    char dir[64];

    (void)snprintf(dir, sizeof dir, "/local/domain/%u/backend", l->tool.domid);
    if (l->only_class != NULL)
        visit_class(l, h, NULL, NULL, l->only_class);
    else
        each(l, h, dir, NULL, NULL, visit_class);
    return 0;
}

static const char *text(json_object *disk, const char *key)
{
    json_object *value = json_object_object_get(disk, key);

    return value != NULL ? json_object_get_string(value) : "-";
}

static void print_table(const struct list *l)
{
    (void)printf("%-16s %5s %-6s %-6s %-12s %-12s %-4s %s\n", "GUEST", "DOMID", "DEVICE", "CLASS",
                 "BACKEND", "FRONTEND", "MODE", "IMAGE");
    for (size_t i = 0; i < json_object_array_length(l->disks); i++) {
        json_object *d = json_object_array_get_idx(l->disks, i);

        (void)printf("%-16s %5s %-6s %-6s %-12s %-12s %-4s %s\n", text(d, "guest"),
                     text(d, "domid"), text(d, "device"), text(d, "class"), text(d, "backend"),
                     text(d, "frontend"), text(d, "mode"), text(d, "image"));
        if (json_object_object_get(d, "error") != NULL)
            (void)printf("  error: %s\n", text(d, "error"));
    }
}

static int parse(struct list *l, int argc, char **argv)
{
    static const struct option options[] = {{"class", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"xenstore", required_argument, NULL, 'x'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (o == 'c')
            l->only_class = optarg;
        else if (o == 'j')
            l->json = true;
        else if (o == 'h')
            tool_help(usage);
        else if (o == 'x')
            l->xenstore = optarg;
        else
            return tool_usage(usage);
    }
    return optind != argc ? tool_usage(usage) : EXIT_OK;
}

int list_main(int argc, char **argv)
{
    struct list l = {0};
    struct vbd_error why = {""};
    int r = parse(&l, argc, argv);

    if (r == EXIT_OK)
        r = tool_open(&l.tool, "list", l.xenstore);
    if (r != EXIT_OK)
        return r;
    l.disks = json_object_new_array();
    if (xsc_immediate(l.tool.client, collect, &l, &why) < 0)
        r = tool_fail("list", "%s", why.text);
    else if (l.json)
        (void)puts(json_object_to_json_string_ext(l.disks, JSON_C_TO_STRING_PRETTY |
                                                               JSON_C_TO_STRING_NOSLASHESCAPE));
    else
        print_table(&l);
    (void)json_object_put(l.disks);
    tool_close(&l.tool);
    return r;
}
