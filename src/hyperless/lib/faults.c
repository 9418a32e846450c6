/* faults.c - see faults.h. Called by the operations that may be told to fail; costs one load where
 * nothing is asked for.
 */
#include "hyperless/lib/faults.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hyperless/lib/connection.h"

enum { RULES_MAX = 32 };

static const char *const kinds[HL_FAULT_KINDS] = {"map", "copy", "share", "event"};
static const struct {
    const char *name;
    enum hl_fault_action action;
} actions[] = {{"refuse", HL_FAULT_REFUSE},
               {"drop", HL_FAULT_REFUSE},
               {"double", HL_FAULT_DOUBLE},
               {"delay", HL_FAULT_DELAY},
               {"kill", HL_FAULT_KILL}};

struct rule {
    enum hl_fault_kind kind;
    unsigned long from;
    bool onwards;
    enum hl_fault_action action;
    long milliseconds;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct rule rules[RULES_MAX];
static unsigned rule_count;
static unsigned long counts[HL_FAULT_KINDS]; /* atomic */

static bool parse_kind(const char **at, struct rule *r)
{
    for (int i = 0; i < HL_FAULT_KINDS; i++) {
        size_t len = strlen(kinds[i]);

        if (strncmp(*at, kinds[i], len) == 0 && (*at)[len] == ':') {
            r->kind = (enum hl_fault_kind)i;
            *at += len + 1;
            return true;
        }
    }
    return false;
}

static bool parse_action(const char **at, struct rule *r)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        size_t len = strlen(actions[i].name);
        char *end;

        if (strncmp(*at, actions[i].name, len) != 0)
            continue;
        *at += len;
        r->action = actions[i].action;
        if (r->action != HL_FAULT_DELAY)
            return true;
        if (**at != ':')
            return false;
        r->milliseconds = strtol(*at + 1, &end, 10);
        *at = end;
        return r->milliseconds >= 0;
    }
    return false;
}

static bool parse_rule(const char **at, struct rule *r)
{
    char *end;

    if (!parse_kind(at, r))
        return false;
    r->from = strtoul(*at, &end, 10);
    r->onwards = *end == '+';
    *at = end + r->onwards;
    if (r->from == 0 || **at != '=')
        return false;
    (*at)++;
    return parse_action(at, r) && (**at == ',' || **at == '\0');
}

static void read_rules(void)
{
    const char *at = getenv(HL_FAULTS);

    while (at != NULL && *at != '\0') {
        if (rule_count == RULES_MAX || !parse_rule(&at, &rules[rule_count])) {
            (void)fprintf(stderr, "hyperless: %s: cannot understand \"%s\"\n", HL_FAULTS, at);
            _exit(2);
        }
        rule_count++;
        at += *at == ',';
    }
}

static void delay(long milliseconds)
{
    struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    while (nanosleep(&t, &t) < 0)
        ;
}

static void die(void)
{
    struct hl_connection c;

    if (hl_open(&c, HL_DIE, NULL) == 0)
        hl_close(&c);
    (void)kill(getpid(), SIGKILL);
}

enum hl_fault_action hl_fault(enum hl_fault_kind kind)
{
    unsigned long n;

    (void)pthread_once(&once, read_rules);
    if (rule_count == 0)
        return HL_FAULT_NONE;
    n = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < rule_count; i++) {
        const struct rule *r = &rules[i];

        if (r->kind != kind || n < r->from || (n > r->from && !r->onwards))
            continue;
        if (r->action == HL_FAULT_KILL)
            die();
        if (r->action != HL_FAULT_DELAY)
            return r->action;
        delay(r->milliseconds);
    }
    return HL_FAULT_NONE;
}
