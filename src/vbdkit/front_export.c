/* front_export.c - "vbdkit front export": becomes nbdkit with our plugin. Called by front.c. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vbdkit/front_tool.h"

enum { WORDS = 24, THREADS_USUAL = 32 };

struct command {
    char *words[WORDS + 1];
    int count;
    bool failed;
};

/* Appends before and value as one word. */
static void add(struct command *c, const char *before, const char *value)
{
    char *word;

    if (c->count == WORDS || asprintf(&word, "%s%s", before, value) < 0) {
        c->failed = true;
        return;
    }
    c->words[c->count++] = word;
}

/* In a build tree the plugin is in nbdkit/ beside the program; installed, nbdkit finds it. */
static void add_plugin(struct command *c)
{
    char program[PATH_MAX], path[PATH_MAX + 64] = "vbd";
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash;

    if (n > 0) {
        program[n] = '\0';
        slash = strrchr(program, '/');
        (void)snprintf(path, sizeof path, "%.*s/nbdkit/nbdkit-vbd-plugin.so",
                       (int)(slash - program), program);
    }
    add(c, "", n > 0 && access(path, R_OK) == 0 ? path : "vbd");
}

static void add_number(struct command *c, const char *before, uint64_t n)
{
    char digits[24];

    (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    add(c, before, digits);
}

static void compose(struct command *c, const struct front_args *a)
{
    add(c, "", "nbdkit");
    add(c, "", "--foreground");
    add_number(c, "--threads=", THREADS_USUAL);
    if (a->read_only)
        add(c, "", "--readonly");
    if (a->socket != NULL)
        add(c, "--unix=", a->socket);
    else
        add_number(c, "--port=", a->port);
    add_plugin(c);
    add(c, "name=", a->name);
    add(c, "option=", a->options_text);
    add_number(c, "timeout=", ((uint64_t)a->timeout_ms + 999) / 1000);
    if (a->xenstore != NULL)
        add(c, "xenstore=", a->xenstore);
}

int front_export(const struct front_args *a)
{
    struct command c = {.count = 0};
    int r;

    if ((a->socket != NULL) == (a->port != 0)) {
        (void)tool_fail(a->part, "say where: --socket PATH or --port N");
        return EXIT_USAGE;
    }
    compose(&c, a);
    if (c.failed)
        r = tool_fail(a->part, "no memory");
    else {
        (void)execvp(c.words[0], c.words);
        r = tool_fail(a->part, "cannot run nbdkit: %s", strerror(errno));
    }
    for (int i = 0; i < c.count; i++)
        free(c.words[i]);
    return r;
}
