/* actor.h - a small interpreter of one-line commands that does in one process what a test case asks
 * for: it shares, maps and copies pages, offers and binds event channels, and starts a helper that
 * may be killed. The program `rules` runs one for its own side, `rules_peer` one in the other
 * domain, and each starts its helpers with one inside.
 *
 * A command answers in words: what it found, "ok", or the name of the errno of the library's call
 * ("EINVAL"). An answer that begins with '?' says that the command itself was wrong.
 *
 * Names are given by the caller; numbers are decimal. AREA is a name of shared, mapped or ordinary
 * pages, PORTS the name of a handle of libxenevtchn, DOM a domain id, MODE "rw" or "ro".
 *
 *   share AREA DOM COUNT MODE                     the grant references
 *   share-notify AREA DOM MODE OFFSET PORT        one page; -1 for no byte, for no port
 *   unshare AREA
 *   map AREA MODE DOM:REF...                      by the call that suits the references
 *   try-map AREA MODE DOM:REF...                  the same, and unmaps at once
 *   map-notify AREA MODE DOM:REF OFFSET PORT
 *   unmap AREA [COUNT]                            COUNT pages in place of all
 *   buffer AREA COUNT                             ordinary pages, all 0
 *   write AREA OFFSET TEXT                        read AREA OFFSET LENGTH: bytes 0 are shown as '.'
 *   store AREA OFFSET                             "stored", or "SIGSEGV" when that faults
 *   fill AREA SEED                                compare AREA OFFSET LENGTH SEED FROM: "same" if
 *                                                 the bytes are those that `fill` put at FROM
 *   copy LENGTH,SOURCE,DESTINATION...             AREA+OFFSET, or DOM:REF+OFFSET; the status of
 * each
 *
 *   open PORTS                                    close PORTS
 *   offer PORTS DOM                               the new port
 *   bind PORTS DOM PORT                           the new port
 *   notify PORTS PORT      unmask PORTS PORT      unbind PORTS PORT
 *   pending PORTS                                 without waiting
 *   await PORTS MS                                the next event's port, or ETIMEDOUT
 *   block PORTS                                   the next event's port, by a read that blocks
 *   poll PORTS                                    1 when an event waits, else 0
 *   restrict PORTS DOM
 *
 *   helper COMMAND...                             in the helper, which is started if need be
 *   helper-send COMMAND...                        the same without waiting for the answer
 *   helper-receive MS                             that answer, or ETIMEDOUT
 *   helper-kill                                   SIGKILL, and waits for the end
 *   reset                                         ends all of this
 */
#ifndef RULES_ACTOR_H
#define RULES_ACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <xenevtchn.h>
#include <xengnttab.h>

enum {
    ACTOR_LINE = 3000, /* bytes of a command or an answer, with its NUL */
    ACTOR_WORDS = 128,
    ACTOR_NAME = 16,
    ACTOR_AREAS = 16,
    ACTOR_PORTS = 8,
    ACTOR_PAGE = 4096,
    ACTOR_HELPER_MS = 20000 /* how long the helper may take */
};

enum area_kind { AREA_NONE, AREA_SHARED, AREA_MAPPED, AREA_BUFFER };

struct area {
    enum area_kind kind;
    char name[ACTOR_NAME];
    uint8_t *at;
    uint32_t pages;
};

struct ports {
    char name[ACTOR_NAME];
    xenevtchn_handle *handle; /* NULL in a free slot */
};

struct helper {
    pid_t pid; /* 0 while there is none */
    int to, from;
};

struct actor {
    xengntshr_handle *gntshr; /* opened by the first command that needs it */
    xengnttab_handle *gnttab;
    struct area areas[ACTOR_AREAS];
    struct ports ports[ACTOR_PORTS];
    struct helper helper;
};

/* A command under way. */
struct call {
    struct actor *actor;
    const char *line; /* the whole command */
    char *word[ACTOR_WORDS];
    int words;
    char *answer; /* ACTOR_LINE bytes */
};

/* Runs one command; the answer is never empty. */
void actor_run(struct actor *a, const char *line, char answer[ACTOR_LINE]);
/* What a helper's main() does: commands from standard input until its end, answers to standard
 * output. Returns main's status. */
int actor_serve(void);

/* For the commands' own files. A command returns 0 when call->answer has its answer ("" for "ok"),
 * and -1 when errno has it. */
typedef int command_fn(struct call *c);
command_fn actor_share, actor_share_notify, actor_unshare, actor_map, actor_try_map;
command_fn actor_map_notify, actor_unmap;
command_fn actor_buffer, actor_write, actor_read, actor_store, actor_fill, actor_compare;
command_fn actor_copy;
command_fn actor_open, actor_close, actor_offer, actor_bind, actor_notify, actor_unmask;
command_fn actor_unbind, actor_pending, actor_await, actor_block, actor_poll, actor_restrict;
command_fn actor_helper, actor_helper_send, actor_helper_receive, actor_helper_kill;

/* A word as a number; -1 is taken for the largest. */
uint32_t actor_number(const char *word);
/* Adds text to the answer. */
void actor_say(struct call *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says that the command is wrong. Returns 0. */
int actor_wrong(struct call *c, const char *what);

/* The area of that name, or NULL. */
struct area *actor_area(struct actor *a, const char *name);
/* Ends an area; 0, or -1 with errno. */
int actor_area_end(struct actor *a, struct area *area);
/* Closes all event channel handles; 0, or -1 when one failed. */
int actor_ports_end(struct actor *a);
/* Lets the helper end by itself, killing it if it does not. */
void actor_helper_end(struct actor *a);
#endif
