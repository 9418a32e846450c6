/* rules.h - what the cases share. A case is written for two sides, each a domain that is told what
 * to do in the commands of actor.h, and runs in each direction: the first side is this domain or
 * the peer, and so is the second. A side that is both keeps the names apart that the case uses. */
#ifndef RULES_H
#define RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "actor.h"

enum {
    DEADLINE_MS = 20000,
    /* Domains that do not exist, below the reserved numbers. */
    NO_DOMAIN = 32000,
    OTHER_DOMAIN = 32001,
    /* References that no one has granted: inside a table of one page, and outside of any. */
    NO_REF = 500
};

struct side {
    unsigned domid;
    struct actor *actor;       /* this process plays it; or */
    struct dialogue *dialogue; /* the peer does */
    bool lost;                 /* it has not answered in time once */
    char answer[ACTOR_LINE];
};

/* A direction: in grants who shares and who maps or copies, in events who offers and who binds. */
struct pair {
    const char *name;
    struct side *first, *second;
};

/* Which directions a case makes sense in. */
enum { BETWEEN = 1, WITHIN = 2, EVERYWHERE = BETWEEN | WITHIN };

struct rule {
    const char *name;
    void (*run)(struct pair *p);
    int directions;
};

extern const struct rule grant_rules[], end_rules[], copy_rules[], event_rules[], port_rules[];

/* Has a side run a command. The answer is valid until the side's next. */
const char *ask(struct side *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, for a command that answers a number: fails the case when it does not. */
unsigned number(struct side *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Fails the case unless the answer is `wanted`. */
#define expect(s, wanted, ...) expect_at(__FILE__, __LINE__, s, wanted, __VA_ARGS__)
void expect_at(const char *file, int line, struct side *s, const char *wanted, const char *format,
               ...) __attribute__((format(printf, 5, 6)));
/* The same for what another domain's end or a lazy kernel may delay: asks again until the deadline.
 * For commands that change nothing as long as the answer is another one. */
#define eventually(s, wanted, ...) eventually_at(__FILE__, __LINE__, s, wanted, __VA_ARGS__)
void eventually_at(const char *file, int line, struct side *s, const char *wanted,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* For commands that succeed with a number: asks again until one comes, and returns it. */
unsigned eventually_number(struct side *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Copies of numbers in the last answer, up to count; fails the case when there are others. */
void numbers(struct side *s, unsigned *ret, unsigned count);

/* The first side shares pages under "shared", the second may map them. */
unsigned share(struct pair *p, const char *mode);
/* An event channel: offered by the first side on its handle "offer", bound by the second on "bind",
 * both opened here, with the event that a new binding gives taken and unmasked. */
struct channel {
    unsigned offered, bound;
};
struct channel connect_sides(struct pair *p);
/* Fails the case when an event waits at, or is on its way to, a side's handle: a further channel
 * from the other side is made, and its event has to be the only one. */
void expect_silence(struct side *s, const char *handle, struct side *other);
#endif
