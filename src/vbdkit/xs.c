/* xs.c - "vbdkit xs": xenstore by hand. Finds the command and does the single operations; ls,
 * watch, wait and txn are files of their own. */
#include "vbdkit/xs.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "xs ls [--flat] [--perms] [--json] [PATH]\n"
    "       vbdkit xs read [--raw] [--json] PATH...\n"
    "       vbdkit xs write PATH VALUE [PATH VALUE]...\n"
    "       vbdkit xs write --raw PATH <FILE\n"
    "       vbdkit xs rm|mkdir PATH...\n"
    "       vbdkit xs perms [--json] PATH [PERMISSION]...\n"
    "       vbdkit xs watch [--count N] [--timeout SECONDS] [--json] PATH...\n"
    "       vbdkit xs wait [--timeout SECONDS] [--gone] PATH [VALUE]\n"
    "       vbdkit xs txn [FILE]\n"
    "       vbdkit xs control WORD...\n"
    "       and for each [--xenstore ADDRESS]";

int xs_wrong(const struct xs *x, const char *sentence)
{
    (void)tool_fail(x->name, "%s", sentence);
    return EXIT_USAGE;
}

/* --- printing --- */

void xs_print_value(FILE *to, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];

        if (c == '\\' || c == '"')
            (void)fprintf(to, "\\%c", c);
        else if (isprint(c))
            (void)fputc(c, to);
        else
            (void)fprintf(to, "\\x%02x", c);
    }
}

static bool is_text(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isprint((unsigned char)data[i]))
            return false;
    return true;
}

json_object *xs_json_value(const char *data, size_t len)
{
    json_object *object;
    char *hex;

    if (is_text(data, len))
        return json_object_new_string_len(data, (int)len);
    hex = malloc(len * 2 + 1);
    if (hex == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++)
        (void)snprintf(hex + i * 2, 3, "%02x", (unsigned char)data[i]);
    object = json_object_new_object();
    (void)json_object_object_add(object, "hex", json_object_new_string(hex));
    free(hex);
    return object;
}

void xs_print_json(json_object *document)
{
    (void)puts(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE));
    (void)json_object_put(document);
}

int xs_open(struct xs *x)
{
    struct vbd_error why = {""};

    return xsc_client_open(x->xenstore, &x->client, &why) < 0 ? tool_fail(x->name, "%s", why.text)
                                                              : EXIT_OK;
}

int xs_run(struct xs *x, bool transaction, xsc_handle_fn *fn, void *arg)
{
    struct vbd_error why = {""};
    int r = xs_open(x);

    if (r != EXIT_OK)
        return r;
    r = transaction ? xsc_transaction(x->client, fn, arg, &why)
                    : xsc_immediate(x->client, fn, arg, &why);
    if (r == 0)
        return EXIT_OK;
    return tool_fail(x->name, "%s", why.text[0] != '\0' ? why.text : strerror(-r));
}

/* --- read --- */

static int read_all(struct xsc_handle *h, void *arg)
{
    struct xsc_item *items = arg;
    size_t count = 0;

    while (items[count].path != NULL)
        count++;
    return xsc_read_many(h, items, count);
}

static int print_items(const struct xs *x, const struct xsc_item *items)
{
    json_object *document = x->json ? json_object_new_object() : NULL;
    int status = EXIT_OK;

    for (int i = 0; i < x->count; i++) {
        if (items[i].error < 0) {
            status = tool_fail(x->name, "read %s: ENOENT", items[i].path);
        } else if (x->json) {
            (void)json_object_object_add(document, items[i].path,
                                         xs_json_value(items[i].data, items[i].len));
        } else if (x->raw) {
            (void)fwrite(items[i].data, 1, items[i].len, stdout);
        } else {
            xs_print_value(stdout, items[i].data, items[i].len);
            (void)putchar('\n');
        }
    }
    if (x->json)
        xs_print_json(document);
    return status;
}

static int run_read(struct xs *x)
{
    struct xsc_item *items = calloc((size_t)x->count + 1, sizeof *items);
    int r;

    if (items == NULL || x->count == 0) {
        free(items);
        return tool_usage(usage);
    }
    for (int i = 0; i < x->count; i++)
        items[i].path = x->arguments[i];
    r = xs_run(x, false, read_all, items);
    if (r == EXIT_OK)
        r = print_items(x, items);
    for (int i = 0; i < x->count; i++)
        free(items[i].data);
    free(items);
    return r;
}

/* --- write, rm, mkdir --- */

/* Several are one transaction: all or none. */
static int write_pairs(struct xsc_handle *h, void *arg)
{
    char **at = arg;
    int r = 0;

    for (; r == 0 && at[0] != NULL; at += 2)
        r = xsc_write(h, at[0], at[1], strlen(at[1]));
    return r;
}

/* One value of any bytes, as long as a message allows. */
struct input {
    const char *path;
    size_t len;
    char value[XSC_PAYLOAD_MAX + 1];
};

static int write_input(struct xsc_handle *h, void *arg)
{
    const struct input *in = arg;

    return xsc_write(h, in->path, in->value, in->len);
}

/* All of it is read before anything is written. */
static int run_write_raw(struct xs *x)
{
    struct input in = {.path = x->arguments[0]};
    size_t path_size = strlen(in.path) + 1;
    size_t room = path_size < XSC_PAYLOAD_MAX ? XSC_PAYLOAD_MAX - path_size : 0;

    in.len = fread(in.value, 1, sizeof in.value, stdin);
    if (ferror(stdin))
        return tool_fail(x->name, "cannot read standard input: %s", strerror(errno));
    if (in.len > room)
        return tool_fail(x->name, "write %s: the value is too long: with this path, %zu bytes",
                         in.path, room);
    return xs_run(x, false, write_input, &in);
}

static int run_write(struct xs *x)
{
    if (x->raw)
        return x->count == 1 ? run_write_raw(x) : tool_usage(usage);
    if (x->count == 0 || x->count % 2 != 0)
        return tool_usage(usage);
    return xs_run(x, x->count > 2, write_pairs, x->arguments);
}

static int remove_each(struct xsc_handle *h, void *arg)
{
    int r = 0;

    for (char **at = arg; r == 0 && *at != NULL; at++)
        r = xsc_rm(h, *at);
    return r;
}

static int make_each(struct xsc_handle *h, void *arg)
{
    int r = 0;

    for (char **at = arg; r == 0 && *at != NULL; at++)
        r = xsc_mkdir(h, *at);
    return r;
}

static int run_rm(struct xs *x)
{
    return x->count == 0 ? tool_usage(usage) : xs_run(x, x->count > 1, remove_each, x->arguments);
}

static int run_mkdir(struct xs *x)
{
    return x->count == 0 ? tool_usage(usage) : xs_run(x, x->count > 1, make_each, x->arguments);
}

/* --- perms --- */

char *xs_perms_text(struct xsc_handle *h, const char *path)
{
    struct xsc_permission *perms;
    size_t count, size, len = 0;
    char *text;

    if (xsc_get_perms(h, path, &perms, &count) < 0)
        return NULL;
    size = count * 16 + 1;
    text = calloc(1, size);
    for (size_t i = 0; text != NULL && i < count; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%c%u", i > 0 ? "," : "", perms[i].access,
                                perms[i].domid);
    free(perms);
    return text;
}

static int show_perms(struct xsc_handle *h, void *arg)
{
    struct xs *x = arg;
    char *text = xs_perms_text(h, x->arguments[0]);
    json_object *document;

    if (text == NULL)
        return -EIO; /* the handle says why */
    if (x->json) {
        document = json_object_new_object();
        (void)json_object_object_add(document, x->arguments[0], json_object_new_string(text));
        xs_print_json(document);
    } else {
        (void)puts(text);
    }
    free(text);
    return 0;
}

enum { PERMISSIONS = 64, LAST_DOMID = 0x7fef };

struct order {
    const char *path;
    struct xsc_permission perms[PERMISSIONS];
    size_t count;
};

static int set_perms(struct xsc_handle *h, void *arg)
{
    const struct order *o = arg;

    return xsc_set_perms(h, o->path, o->perms, o->count);
}

/* A letter, and a number of digits alone. */
static bool parse_permission(const char *text, struct xsc_permission *ret)
{
    size_t digits = text[0] != '\0' ? strspn(text + 1, "0123456789") : 0;
    unsigned long domid = digits > 0 ? strtoul(text + 1, NULL, 10) : 0;

    if (digits == 0 || text[digits + 1] != '\0' || strchr("nrwb", text[0]) == NULL)
        return false;
    *ret = (struct xsc_permission){.domid = (unsigned)domid, .access = text[0]};
    return domid <= LAST_DOMID; /* what is too long for strtoul is more */
}

static int run_set_perms(struct xs *x)
{
    struct order o = {.path = x->arguments[0], .count = (size_t)x->count - 1};

    if (o.count > PERMISSIONS)
        return tool_fail(x->name, "%d permissions at most", PERMISSIONS);
    for (size_t i = 0; i < o.count; i++)
        if (!parse_permission(x->arguments[i + 1], &o.perms[i]))
            return tool_fail(x->name,
                             "\"%s\" is no permission: one of n, r, w and b, and a domain's number "
                             "up to %d, such as r4",
                             x->arguments[i + 1], LAST_DOMID);
    return xs_run(x, false, set_perms, &o);
}

static int run_perms(struct xs *x)
{
    if (x->count == 0)
        return tool_usage(usage);
    return x->count == 1 ? xs_run(x, false, show_perms, x) : run_set_perms(x);
}

/* --- control --- */

static int control(struct xsc_handle *h, void *arg)
{
    const struct xs *x = arg;
    char *answer;
    size_t len;
    int r = xsc_control(h, (const char *const *)x->arguments, (size_t)x->count, &answer, &len);

    if (r < 0)
        return r;
    (void)fwrite(answer, 1, strlen(answer), stdout);
    (void)putchar('\n');
    free(answer);
    return 0;
}

static int run_control(struct xs *x)
{
    return x->count == 0 ? tool_usage(usage) : xs_run(x, false, control, x);
}

/* --- all of it --- */

static const struct {
    const char *name, *full;
    int (*run)(struct xs *x);
} parts[] = {{"ls", "xs ls", xs_ls},           {"read", "xs read", run_read},
             {"write", "xs write", run_write}, {"rm", "xs rm", run_rm},
             {"mkdir", "xs mkdir", run_mkdir}, {"perms", "xs perms", run_perms},
             {"watch", "xs watch", xs_watch},  {"wait", "xs wait", xs_wait},
             {"txn", "xs txn", xs_txn},        {"control", "xs control", run_control}};

static bool parse_option(struct xs *x, int o, const char *value)
{
    char *end;

    switch (o) {
    case 'j':
        return x->json = true;
    case 'f':
        return x->flat = true;
    case 'p':
        return x->perms = true;
    case 'r':
        return x->raw = true;
    case 'g':
        return x->gone = true;
    case 'x':
        x->xenstore = value;
        return true;
    case 't':
        return tool_seconds(x->name, value, &x->timeout_ms) == EXIT_OK;
    case 'n':
        x->events = strtol(value, &end, 10);
        return x->events > 0 && *end == '\0';
    default:
        return false;
    }
}

static int parse(struct xs *x, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},          {"flat", no_argument, NULL, 'f'},
        {"perms", no_argument, NULL, 'p'},         {"raw", no_argument, NULL, 'r'},
        {"gone", no_argument, NULL, 'g'},          {"xenstore", required_argument, NULL, 'x'},
        {"timeout", required_argument, NULL, 't'}, {"count", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},          {0}};
    int o;

    optind = 1;
    while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (o == 'h')
            tool_help(usage);
        if (!parse_option(x, o, optarg))
            return tool_usage(usage);
    }
    x->arguments = argv + optind;
    x->count = argc - optind;
    return EXIT_OK;
}

/* What was printed has to arrive. */
static int finish_output(const struct xs *x, int status)
{
    bool failed = ferror(stdout) != 0;

    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return status;
    return tool_fail(x->name, "cannot write to standard output%s%s", errno != 0 ? ": " : "",
                     errno != 0 ? strerror(errno) : "");
}

static int run_part(struct xs *x, int (*run)(struct xs *x), int argc, char **argv)
{
    int r = parse(x, argc, argv);

    if (r != EXIT_OK)
        return r;
    r = run(x);
    x->client = xsc_client_close(x->client);
    return finish_output(x, r);
}

int xs_main(int argc, char **argv)
{
    struct xs x = {.timeout_ms = -1};

    if (argc >= 2 && strcmp(argv[1], "--help") == 0)
        tool_help(usage);
    for (size_t i = 0; argc >= 2 && i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(argv[1], parts[i].name) == 0) {
            x.name = parts[i].full;
            return run_part(&x, parts[i].run, argc - 1, argv + 1);
        }
    }
    return tool_usage(usage);
}
