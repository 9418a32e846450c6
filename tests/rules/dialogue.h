/* dialogue.h - how `rules` in one domain has commands run by `rules_peer` in another: two nodes
 * below the peer's directory in xenstore, data/rules/request and data/rules/answer, each "NUMBER
 * TEXT". An answer has its request's number; the peer begins with the answer "NUMBER ready". */
#ifndef RULES_DIALOGUE_H
#define RULES_DIALOGUE_H

#include "vbdkit/xsc_linux.h"

struct dialogue;

/* The end that asks: waits until the peer in that domain is ready. NULL after a sentence on
 * standard error. */
struct dialogue *dialogue_call(struct xsc_client *client, unsigned peer, int timeout_ms);
/* Sends a command. Returns 0, or -errno. */
int dialogue_send(struct dialogue *d, const char *command);
/* Waits for the answer to the last command, of up to `size` bytes. Returns 0, or -errno. */
int dialogue_receive(struct dialogue *d, char *answer, size_t size, int timeout_ms);

/* The end that answers. NULL after a sentence on standard error. */
struct dialogue *dialogue_listen(struct xsc_client *client);
/* Waits for the next command, for ever. Returns 0, or -errno. */
int dialogue_next(struct dialogue *d, char *command, size_t size);
/* Answers it. Returns 0, or -errno. */
int dialogue_answer(struct dialogue *d, const char *answer);

/* Either end; NULL is fine. */
void dialogue_end(struct dialogue *d);

/* The own domain's id, or -errno. */
int own_domid(struct xsc_client *client);
#endif
