/* xs_ls.c - "vbdkit xs ls": a tree of nodes, as a tree, as paths, or as JSON. The tree is read one
 * level at a time, every node of a level in one go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vbdkit/xs.h"

struct node {
    char *path, *data, *perms;
    size_t len;
    bool readable;
    struct node *children;
    size_t count;
};

static const char *name_of(const struct node *n)
{
    const char *slash = strrchr(n->path, '/');

    return slash != NULL && slash[1] != '\0' ? slash + 1 : n->path;
}

static char *below(const char *path, const char *name)
{
    size_t size = path != NULL ? strlen(path) + strlen(name) + 2 : 0;
    char *joined = path != NULL ? malloc(size) : NULL;

    if (joined != NULL)
        (void)snprintf(joined, size, "%s%s%s", strcmp(path, "/") == 0 ? "" : path,
                       path[0] == '\0' ? "" : "/", name);
    return joined;
}

/* --- reading --- */

struct listing {
    struct xs *x;
    struct node root;
    int status; /* EXIT_FAILED once a node could not be read */
};

/* Takes over what was read of the children: one that is gone meanwhile is left out, and one that
 * could not be read is named. */
static void take_values(struct listing *l, struct node *n, const struct xsc_item *items)
{
    size_t kept = 0;

    for (size_t i = 0; i < n->count; i++) {
        struct node *child = &n->children[kept];

        *child = n->children[i];
        if (items[i].error == -ENOENT) {
            free(child->path);
            continue;
        }
        child->data = items[i].data;
        child->len = items[i].len;
        child->readable = items[i].error == 0;
        if (!child->readable)
            l->status =
                tool_fail(l->x->name, "read %s: %s", child->path, strerror(-items[i].error));
        kept++;
    }
    n->count = kept;
}

static bool is_lost(int error)
{
    return error == -ECONNRESET || error == -ENOTCONN;
}

/* Values of all children. */
static int read_values(struct xsc_handle *h, struct listing *l, struct node *n)
{
    struct xsc_item *items = calloc(n->count > 0 ? n->count : 1, sizeof *items);
    int r;

    if (items == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n->count; i++)
        items[i].path = n->children[i].path;
    r = xsc_read_many(h, items, n->count);
    if (is_lost(r))
        for (size_t i = 0; i < n->count; i++)
            free(items[i].data);
    else
        take_values(l, n, items); /* each item has its own error */
    free(items);
    return is_lost(r) ? r : 0;
}

static int name_children(struct node *n, char **names, size_t count)
{
    n->children = calloc(count > 0 ? count : 1, sizeof *n->children);
    if (n->children == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        n->children[i].path = below(n->path, names[i]);
        if (n->children[i].path == NULL)
            return -ENOMEM;
        n->count = i + 1;
    }
    return 0;
}

static int read_children(struct xsc_handle *h, struct listing *l, struct node *n)
{
    char **names;
    size_t count;
    int r = n->readable ? xsc_directory(h, n->path, &names, &count) : -EACCES;

    if (r == -ENOENT || !n->readable)
        return 0; /* gone meanwhile, or not for us, which has been said */
    if (r < 0 && !is_lost(r)) {
        l->status = tool_fail(l->x->name, "%s", xsc_handle_why(h));
        return 0;
    }
    if (r < 0)
        return r;
    r = name_children(n, names, count);
    free(names);
    if (r == 0)
        r = read_values(h, l, n);
    for (size_t i = 0; r == 0 && i < n->count; i++) {
        if (l->x->perms)
            n->children[i].perms = xs_perms_text(h, n->children[i].path);
        r = read_children(h, l, &n->children[i]);
    }
    return r;
}

static void free_node(struct node *n)
{
    for (size_t i = 0; i < n->count; i++)
        free_node(&n->children[i]);
    free(n->children);
    free(n->path);
    free(n->data);
    free(n->perms);
}

/* --- printing --- */

static void print_rest(const struct node *n)
{
    (void)fputs(" = \"", stdout);
    if (n->readable)
        xs_print_value(stdout, n->data, n->len);
    (void)fputs(n->readable ? "\"" : "\" (not readable)", stdout);
    if (n->perms != NULL)
        (void)printf("  (%s)", n->perms);
    (void)putchar('\n');
}

static void print_tree(const struct node *n, int depth)
{
    for (size_t i = 0; i < n->count; i++) {
        (void)printf("%*s%s", depth, "", name_of(&n->children[i]));
        print_rest(&n->children[i]);
        print_tree(&n->children[i], depth + 1);
    }
}

static void print_flat(const struct node *n)
{
    for (size_t i = 0; i < n->count; i++) {
        (void)fputs(n->children[i].path, stdout);
        print_rest(&n->children[i]);
        print_flat(&n->children[i]);
    }
}

static json_object *to_json(const struct node *n)
{
    json_object *object = json_object_new_object();
    json_object *children = json_object_new_object();

    (void)json_object_object_add(object, "value",
                                 n->readable ? xs_json_value(n->data, n->len) : NULL);
    if (n->perms != NULL)
        (void)json_object_object_add(object, "perms", json_object_new_string(n->perms));
    for (size_t i = 0; i < n->count; i++)
        (void)json_object_object_add(children, name_of(&n->children[i]), to_json(&n->children[i]));
    (void)json_object_object_add(object, "children", children);
    return object;
}

/* --- the command --- */

static int read_tree(struct xsc_handle *h, void *arg)
{
    struct listing *l = arg;
    int r = xsc_read(h, l->root.path, &l->root.data, &l->root.len);

    l->root.readable = r == 0;
    if (r < 0)
        return r;
    if (l->x->perms)
        l->root.perms = xs_perms_text(h, l->root.path);
    return read_children(h, l, &l->root);
}

int xs_ls(struct xs *x)
{
    struct listing l = {.x = x, .status = EXIT_OK};
    int r;

    if (x->count > 1)
        return xs_wrong(x, "one path at a time");
    l.root.path = strdup(x->count == 1 ? x->arguments[0] : "/");
    if (l.root.path == NULL)
        return tool_fail(x->name, "%s", strerror(ENOMEM));
    r = xs_run(x, false, read_tree, &l);
    if (r == EXIT_OK && x->json)
        xs_print_json(to_json(&l.root));
    else if (r == EXIT_OK && x->flat)
        print_flat(&l.root);
    else if (r == EXIT_OK)
        print_tree(&l.root, 0);
    free_node(&l.root);
    return r == EXIT_OK ? l.status : r;
}
