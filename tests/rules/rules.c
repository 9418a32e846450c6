/* rules.c - Xen's rules for grants and event channels, as programs see them through libxengnttab
 * and libxenevtchn: runs each case in each direction between this domain and a peer in which
 * rules_peer runs. It uses no other way to Xen, so it judges anything that takes those libraries'
 * place. Started by tests/bed/rules.
 *
 *   rules PEER-DOMID [TEXT]   only the cases whose name contains TEXT
 *   rules --helper            what it starts itself, see actor_helper.c
 *
 * Prints what cmocka prints; CMOCKA_MESSAGE_OUTPUT=TAP is one line for each case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "dialogue.h"
#include "rules.h"

enum { CASES_MAX = 400, NAME_SIZE = 120, PEER_MS = 60000 };

/* --- asking --- */

static void ask_peer(struct side *s, const char *command)
{
    int status = -1;

    if (!s->lost)
        status = dialogue_send(s->dialogue, command);
    if (status == 0)
        status = dialogue_receive(s->dialogue, s->answer, sizeof s->answer, DEADLINE_MS * 2);
    if (status < 0) {
        s->lost = true;
        (void)snprintf(s->answer, sizeof s->answer, "? the peer does not answer");
    }
}

__attribute__((format(printf, 2, 0))) static const char *ask_args(struct side *s,
                                                                  const char *format, va_list args)
{
    char command[ACTOR_LINE];

    (void)vsnprintf(command, sizeof command, format, args);
    if (s->actor != NULL)
        actor_run(s->actor, command, s->answer);
    else
        ask_peer(s, command);
    return s->answer;
}

const char *ask(struct side *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)ask_args(s, format, args);
    va_end(args);
    return s->answer;
}

static bool is_number(const char *text)
{
    return text[0] >= '0' && text[0] <= '9';
}

/* Fails the case with the command, the answer and what it should be. */
__attribute__((format(printf, 5, 0))) static void object(const char *file, int line, struct side *s,
                                                         const char *wanted, const char *format,
                                                         va_list args)
{
    char command[ACTOR_LINE];

    (void)vsnprintf(command, sizeof command, format, args);
    print_error("domain %u: \"%.200s\" answered \"%.200s\", not \"%.200s\"\n", s->domid, command,
                s->answer, wanted);
    _fail(file, line);
}

void expect_at(const char *file, int line, struct side *s, const char *wanted, const char *format,
               ...)
{
    va_list args;

    va_start(args, format);
    (void)ask_args(s, format, args);
    va_end(args);
    va_start(args, format);
    if (strcmp(s->answer, wanted) != 0)
        object(file, line, s, wanted, format, args);
    va_end(args);
}

unsigned number(struct side *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)ask_args(s, format, args);
    va_end(args);
    va_start(args, format);
    if (!is_number(s->answer))
        object(__FILE__, __LINE__, s, "a number", format, args);
    va_end(args);
    return actor_number(s->answer);
}

void numbers(struct side *s, unsigned *ret, unsigned count)
{
    const char *rest = s->answer;

    for (unsigned i = 0; i < count; i++) {
        if (rest == NULL || !is_number(rest))
            fail_msg("\"%.200s\" is not %u numbers", s->answer, count);
        ret[i] = actor_number(rest);
        rest = strchr(rest, ' ');
        rest = rest == NULL ? NULL : rest + 1;
    }
}

/* --- asking again --- */

/* True while there is time; lets the others run a little. */
static bool again(const struct timespec *start)
{
    struct timespec pause = {.tv_nsec = 20000000}, now;

    (void)nanosleep(&pause, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - start->tv_sec) * 1000 < DEADLINE_MS;
}

/* Until the answer is `wanted`, or a number when that is NULL. */
__attribute__((format(printf, 3, 0))) static bool ask_until(struct side *s, const char *wanted,
                                                            const char *format, va_list args)
{
    struct timespec start;
    bool found;

    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        va_list copy;

        va_copy(copy, args);
        (void)ask_args(s, format, copy);
        va_end(copy);
        found = wanted == NULL ? is_number(s->answer) : strcmp(s->answer, wanted) == 0;
    } while (!found && !s->lost && again(&start));
    return found;
}

void eventually_at(const char *file, int line, struct side *s, const char *wanted,
                   const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!ask_until(s, wanted, format, args))
        object(file, line, s, wanted, format, args);
    va_end(args);
}

unsigned eventually_number(struct side *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!ask_until(s, NULL, format, args))
        object(__FILE__, __LINE__, s, "a number", format, args);
    va_end(args);
    return actor_number(s->answer);
}

/* --- what many cases begin with --- */

unsigned share(struct pair *p, const char *mode)
{
    return number(p->first, "share shared %u 1 %s", p->second->domid, mode);
}

struct channel connect_sides(struct pair *p)
{
    struct channel c;

    expect(p->first, "ok", "open offer");
    expect(p->second, "ok", "open bind");
    c.offered = number(p->first, "offer offer %u", p->second->domid);
    c.bound = number(p->second, "bind bind %u %u", p->first->domid, c.offered);
    /* Xen marks a port as pending when it is bound to another, for the sake of events that were
     * sent before; the port that was offered gets nothing. */
    assert_int_equal(number(p->second, "await bind %d", DEADLINE_MS), c.bound);
    expect(p->second, "ok", "unmask bind %u", c.bound);
    return c;
}

void expect_silence(struct side *s, const char *handle, struct side *other)
{
    unsigned port = number(s, "offer %s %u", handle, other->domid), control;

    expect(other, "ok", "open control");
    control = number(other, "bind control %u %u", s->domid, port);
    expect(other, "ok", "notify control %u", control);
    assert_int_equal(number(s, "await %s %d", handle, DEADLINE_MS), port);
    expect(s, "EAGAIN", "pending %s", handle);
    expect(s, "ok", "unbind %s %u", handle, port);
    expect(other, "ok", "close control");
}

/* --- the cases as cmocka's tests --- */

static void run_case(void **state);
static int end_case(void **state);

static struct pair pairs[4];
static struct CMUnitTest tests[CASES_MAX];
static size_t test_count;

/* A case in a direction: cmocka's state. */
static struct planned {
    const struct rule *rule;
    struct pair *pair;
    char name[NAME_SIZE];
} plan[CASES_MAX];

static void run_case(void **state)
{
    struct planned *c = *state;

    c->rule->run(c->pair);
}

static int end_side(struct side *s)
{
    if (strcmp(ask(s, "reset"), "ok") == 0)
        return 0;
    print_error("domain %u: reset: %s\n", s->domid, s->answer);
    return -1;
}

static int end_case(void **state)
{
    struct planned *c = *state;
    int first = end_side(c->pair->first);

    return first + (c->pair->second != c->pair->first ? end_side(c->pair->second) : 0);
}

static void plan_case(const struct rule *rule, struct pair *pair, const char *only)
{
    int direction = pair->first == pair->second ? WITHIN : BETWEEN;
    struct planned *c = &plan[test_count];

    if ((rule->directions & direction) == 0 || test_count == CASES_MAX)
        return;
    (void)snprintf(c->name, sizeof c->name, "%s: %s", pair->name, rule->name);
    if (only != NULL && strstr(c->name, only) == NULL)
        return;
    c->rule = rule;
    c->pair = pair;
    tests[test_count++] =
        (struct CMUnitTest){.name = c->name, run_case, NULL, end_case, .initial_state = c};
}

static void plan_all(struct side *here, struct side *peer, const char *only)
{
    const struct rule *const all[] = {grant_rules, end_rules, copy_rules, event_rules, port_rules};

    pairs[0] = (struct pair){"here to peer", here, peer};
    pairs[1] = (struct pair){"peer to here", peer, here};
    pairs[2] = (struct pair){"here to itself", here, here};
    pairs[3] = (struct pair){"peer to itself", peer, peer};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        for (const struct rule *rule = all[i]; rule->name != NULL; rule++) {
            for (size_t j = 0; j < 4; j++)
                plan_case(rule, &pairs[j], only);
        }
    }
}

static int run_all(struct xsc_client *client, unsigned peer_domid, const char *only)
{
    static struct actor actor;
    static struct side here, peer;
    int own = own_domid(client);
    struct dialogue *d = own < 0 ? NULL : dialogue_call(client, peer_domid, PEER_MS);

    if (d == NULL)
        return 1;
    here = (struct side){.domid = (unsigned)own, .actor = &actor};
    peer = (struct side){.domid = peer_domid, .dialogue = d};
    (void)ask(&peer, "reset"); /* what an interrupted run has left */
    plan_all(&here, &peer, only);
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* in order with what failures print */
    own = _cmocka_run_group_tests("rules", tests, test_count, NULL, NULL);
    dialogue_end(d);
    return own == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct vbd_error why = {""};
    struct xsc_client *client = NULL;
    int status;

    if (argc > 1 && strcmp(argv[1], "--helper") == 0)
        return actor_serve();
    if (argc < 2) {
        (void)fprintf(stderr, "usage: rules PEER-DOMID [TEXT]\n");
        return 2;
    }
    if (xsc_client_open(NULL, &client, &why) < 0) {
        (void)fprintf(stderr, "rules: %s\n", why.text);
        return 1;
    }
    status = run_all(client, actor_number(argv[1]), argc > 2 ? argv[2] : NULL);
    (void)xsc_client_close(client);
    return status;
}
