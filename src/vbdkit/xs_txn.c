/* xs_txn.c - "vbdkit xs txn": a script of operations in one transaction, which is repeated on
 * conflict. The script is read whole before anything is done. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vbdkit/xs.h"

enum { WORDS = 3 };

/* A line: an operation, a path, and for some a value, which is the rest of the line. */
struct line {
    struct line *next;
    int number;
    char *words[WORDS];
    char text[];
};

struct script {
    struct xs *x;
    struct line *first;
    char *output; /* of the last try: printed when it has been committed */
    size_t output_len;
    FILE *to;
    bool to_commit; /* every line was done: what fails now is the commit */
    struct vbd_error why;
};

/* --- operations --- */

static int run_read(struct script *s, struct xsc_handle *h, const struct line *l)
{
    char *value;
    size_t len;
    int r = xsc_read(h, l->words[1], &value, &len);

    if (r < 0)
        return r;
    xs_print_value(s->to, value, len);
    (void)fputc('\n', s->to);
    free(value);
    return 0;
}

static int run_write(struct script *s, struct xsc_handle *h, const struct line *l)
{
    const char *value = l->words[2] != NULL ? l->words[2] : "";

    (void)s;
    return xsc_write(h, l->words[1], value, strlen(value));
}

static int run_rm(struct script *s, struct xsc_handle *h, const struct line *l)
{
    (void)s;
    return xsc_rm(h, l->words[1]);
}

static int run_mkdir(struct script *s, struct xsc_handle *h, const struct line *l)
{
    (void)s;
    return xsc_mkdir(h, l->words[1]);
}

/* The transaction fails unless the node has this value; without a value, unless it is missing. */
static int run_require(struct script *s, struct xsc_handle *h, const struct line *l)
{
    char *value;
    size_t len;
    bool same;
    int r = xsc_read(h, l->words[1], &value, &len);

    if (r < 0 && r != -ENOENT)
        return r;
    same = r == -ENOENT ? l->words[2] == NULL
                        : l->words[2] != NULL && len == strlen(l->words[2]) &&
                              memcmp(value, l->words[2], len) == 0;
    if (r == 0)
        free(value);
    if (same)
        return 0;
    (void)snprintf(s->why.text, sizeof s->why.text, "line %d: %.180s is not as required", l->number,
                   l->words[1]);
    return -ECANCELED;
}

static const struct {
    const char *name;
    int least, most; /* words */
    int (*run)(struct script *s, struct xsc_handle *h, const struct line *l);
} operations[] = {{"read", 2, 2, run_read},
                  {"write", 2, 3, run_write},
                  {"rm", 2, 2, run_rm},
                  {"mkdir", 2, 2, run_mkdir},
                  {"require", 2, 3, run_require}};

enum { OPERATIONS = sizeof operations / sizeof operations[0] };

/* --- reading the script --- */

static int split(struct line *l)
{
    char *at = l->text;
    int n = 0;

    while (n < WORDS && *at != '\0') {
        l->words[n++] = at;
        if (n == WORDS)
            break;
        at += strcspn(at, " ");
        if (*at == ' ')
            *at++ = '\0';
    }
    return n;
}

static bool is_known(const struct line *l, int words)
{
    for (int i = 0; words > 0 && i < OPERATIONS; i++)
        if (strcmp(l->words[0], operations[i].name) == 0)
            return words >= operations[i].least && words <= operations[i].most;
    return false;
}

static int add_line(struct script *s, struct line ***last, char *text, size_t len, int number)
{
    struct line *l;

    if (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    if (strlen(text) != len)
        return tool_fail(s->x->name, "line %d: a NUL byte, which a script can't write", number);
    if (len == 0 || text[0] == '#')
        return EXIT_OK;
    l = calloc(1, sizeof *l + len + 1);
    if (l == NULL)
        return tool_fail(s->x->name, "%s", strerror(ENOMEM));
    memcpy(l->text, text, len + 1);
    l->number = number;
    **last = l;
    *last = &l->next;
    if (!is_known(l, split(l)))
        return tool_fail(
            s->x->name,
            "line %d: \"%s\": one of read PATH, write PATH [VALUE], rm PATH, mkdir PATH, "
            "require PATH [VALUE]",
            number, text);
    return EXIT_OK;
}

static int read_script(struct script *s, FILE *from)
{
    struct line **last = &s->first;
    char *text = NULL;
    size_t size = 0;
    ssize_t len;
    int r = EXIT_OK;

    for (int number = 1; r == EXIT_OK && (len = getline(&text, &size, from)) >= 0; number++)
        r = add_line(s, &last, text, (size_t)len, number);
    if (r == EXIT_OK && !feof(from))
        r = tool_fail(s->x->name, "cannot read the script: %s", strerror(errno));
    free(text);
    return r;
}

/* --- running it --- */

static int run_line(struct script *s, struct xsc_handle *h, const struct line *l)
{
    int i = 0, r;

    while (strcmp(l->words[0], operations[i].name) != 0)
        i++;
    r = operations[i].run(s, h, l);
    if (r < 0 && s->why.text[0] == '\0')
        (void)snprintf(s->why.text, sizeof s->why.text, "line %d: %.200s", l->number,
                       xsc_handle_why(h));
    return r;
}

/* Every try begins anew, and what an earlier one printed is forgotten. */
static int run_script(struct xsc_handle *h, void *arg)
{
    struct script *s = arg;
    int r = 0;

    free(s->output);
    s->output = NULL;
    s->to_commit = false;
    s->to = open_memstream(&s->output, &s->output_len);
    if (s->to == NULL)
        return -ENOMEM;
    for (const struct line *l = s->first; r == 0 && l != NULL; l = l->next)
        r = run_line(s, h, l);
    if (fclose(s->to) != 0 && r == 0)
        r = -ENOMEM; /* what was read could not be kept */
    s->to_commit = r == 0;
    return r;
}

/* A commit that was not answered may have been made or not. */
static int fail_script(const struct script *s, int error, const char *why)
{
    bool unknown = s->to_commit && (error == -ECONNRESET || error == -ENOTCONN);

    if (why[0] == '\0')
        why = strerror(-error);
    return tool_fail(s->x->name, "%s: %s%s",
                     unknown ? "whether anything was changed is unknown" : "nothing was changed",
                     s->to_commit ? "the commit failed: " : "", why);
}

static int run(struct script *s)
{
    struct vbd_error why = {""};
    int r = xs_open(s->x);

    if (r != EXIT_OK)
        return r;
    r = xsc_transaction(s->x->client, run_script, s, &why);
    if (r == 0) {
        (void)fwrite(s->output, 1, s->output_len, stdout);
        return EXIT_OK;
    }
    return fail_script(s, r, s->why.text[0] != '\0' ? s->why.text : why.text);
}

int xs_txn(struct xs *x)
{
    struct script s = {.x = x};
    FILE *from;
    int r;

    if (x->count > 1)
        return xs_wrong(x, "one script at a time");
    from = x->count == 0 ? stdin : fopen(x->arguments[0], "re");
    if (from == NULL)
        return tool_fail(x->name, "cannot open \"%s\": %s", x->arguments[0], strerror(errno));
    r = read_script(&s, from);
    if (from != stdin)
        (void)fclose(from);
    if (r == EXIT_OK)
        r = run(&s);
    while (s.first != NULL) {
        struct line *l = s.first;

        s.first = l->next;
        free(l);
    }
    free(s.output);
    return r;
}
