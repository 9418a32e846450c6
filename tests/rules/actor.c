/* actor.c - the interpreter's centre: splits a command into words, finds it in the table, and turns
 * what its function returned into an answer. Also the command `reset`. See actor.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actor.h"

uint32_t actor_number(const char *word)
{
    return word[0] == '-' ? UINT32_MAX : (uint32_t)strtoul(word, NULL, 10);
}

void actor_say(struct call *c, const char *format, ...)
{
    size_t used = strlen(c->answer);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(c->answer + used, ACTOR_LINE - used, format, args);
    va_end(args);
}

int actor_wrong(struct call *c, const char *what)
{
    c->answer[0] = '\0';
    actor_say(c, "? %s", what);
    return 0;
}

static int end_areas(struct actor *a, enum area_kind kind)
{
    int status = 0;

    for (size_t i = 0; i < ACTOR_AREAS; i++) {
        if (a->areas[i].kind == kind && actor_area_end(a, &a->areas[i]) < 0)
            status = -1;
    }
    return status;
}

static int reset(struct call *c)
{
    struct actor *a = c->actor;
    int status = 0;

    actor_helper_end(a);
    for (enum area_kind kind = AREA_BUFFER; kind > AREA_NONE; kind--)
        status |= end_areas(a, kind);
    status |= actor_ports_end(a);
    if (a->gntshr != NULL)
        status |= xengntshr_close(a->gntshr);
    if (a->gnttab != NULL)
        status |= xengnttab_close(a->gnttab);
    a->gntshr = NULL;
    a->gnttab = NULL;
    return status;
}

static const struct command {
    const char *name;
    int words; /* at least, with the name */
    command_fn *run;
} commands[] = {
    {"share", 5, actor_share},
    {"share-notify", 6, actor_share_notify},
    {"unshare", 2, actor_unshare},
    {"map", 3, actor_map},
    {"try-map", 3, actor_try_map},
    {"map-notify", 6, actor_map_notify},
    {"unmap", 2, actor_unmap},
    {"buffer", 3, actor_buffer},
    {"write", 4, actor_write},
    {"read", 4, actor_read},
    {"store", 3, actor_store},
    {"fill", 3, actor_fill},
    {"compare", 6, actor_compare},
    {"copy", 1, actor_copy},
    {"open", 2, actor_open},
    {"close", 2, actor_close},
    {"offer", 3, actor_offer},
    {"bind", 4, actor_bind},
    {"notify", 3, actor_notify},
    {"unmask", 3, actor_unmask},
    {"unbind", 3, actor_unbind},
    {"pending", 2, actor_pending},
    {"await", 3, actor_await},
    {"block", 2, actor_block},
    {"poll", 2, actor_poll},
    {"restrict", 3, actor_restrict},
    {"helper", 2, actor_helper},
    {"helper-send", 2, actor_helper_send},
    {"helper-receive", 2, actor_helper_receive},
    {"helper-kill", 1, actor_helper_kill},
    {"reset", 1, reset},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* Splits at spaces, in place. Returns false when there are none or too many words. */
static bool split(struct call *c, char *text)
{
    char *rest = NULL;

    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (c->words == ACTOR_WORDS)
            return false;
        c->word[c->words++] = word;
    }
    return c->words > 0;
}

static int run(struct call *c, char *text)
{
    const struct command *command;

    if (!split(c, text))
        return actor_wrong(c, "no words, or too many");
    command = find_command(c->word[0]);
    if (command == NULL)
        return actor_wrong(c, "no such command");
    if (c->words < command->words)
        return actor_wrong(c, "words are missing");
    errno = 0;
    return command->run(c);
}

void actor_run(struct actor *a, const char *line, char answer[ACTOR_LINE])
{
    char text[ACTOR_LINE];
    struct call c = {.actor = a, .line = line, .answer = answer};
    const char *name;

    answer[0] = '\0';
    (void)snprintf(text, sizeof text, "%s", line);
    if (run(&c, text) < 0) {
        name = strerrorname_np(errno);
        (void)snprintf(answer, ACTOR_LINE, "%s", name != NULL ? name : "an unknown error");
    } else if (answer[0] == '\0') {
        (void)snprintf(answer, ACTOR_LINE, "ok");
    }
}
