/* machine.h - what the C tests of hyperless share: raw clients of a machine's sockets, that keep to
 * no rule, and what must hold after each of them. For programs that run in domain 0 as the command
 * of "vbdkit hyperless run"; their parent is the broker. Every wait has a deadline.
 *
 * After a case that failed the others of its program fail too, for want of a clean machine:
 * $HYPERLESS_CASE, a pattern of names, runs some alone.
 */
#ifndef TESTS_HYPERLESS_MACHINE_H
#define TESTS_HYPERLESS_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hyperless/protocol.h"

enum {
    PATIENCE_MS = 10000,
    GUEST = 1, /* the domain that a case may do with as it likes; made before it, destroyed after */
    OTHER = 2, /* one that must never notice */
    RAW_CLOSED = -9001,
    RAW_SILENT = -9002
};

/* --- waiting --- */
double machine_now(void);
/* Whether it came true before the deadline. */
bool machine_eventually(bool (*is)(const void *arg), const void *arg);
/* A program of a guest, which may be killed with it: run() in a process of its own. */
pid_t machine_child(int (*run)(void));
/* Its wait status, or -1 when it had to be killed. */
int machine_reap(pid_t child);

/* --- raw clients of "hypercall" --- */
int raw_connect(uint32_t domid, const char *name, int type); /* -1 with errno */
ssize_t raw_send(int s, const void *bytes, size_t len, const int *fds, size_t fd_count);
/* The reply's error, RAW_CLOSED or RAW_SILENT. What descriptors came are closed, but the first when
 * it is wanted. */
int raw_receive(int s, struct hl_reply *ret, int *ret_fd);
int raw_ask(int s, const struct hl_request *q, uint32_t grants, struct hl_reply *ret, int *ret_fd);
/* A new handle of a domain; fails the case when there is none to be had. */
int raw_open(uint32_t domid, enum hl_op op, int *ret_fd);

/* --- raw clients of "xenstore" --- */
void store_send(int s, uint32_t op, uint32_t tx, const void *payload, uint32_t len);
/* The answer's type (XS_ERROR, ...), its body as a string; RAW_CLOSED, RAW_SILENT. */
int store_receive(int s, char *body, size_t size);
/* Whether xenstored answers a domain over the domain's ring. */
bool store_answers(uint32_t domid);

/* --- the broker --- */
int machine_begin(void **state); /* of a group */
int machine_setup(void **state); /* of each case */
int machine_setup_unikernel(void **state);
/* The broker answers, the other domain works, and no descriptor is left. */
int machine_teardown(void **state);
int machine_create(uint32_t domid, uint32_t flags);
int machine_destroy(uint32_t domid);
long machine_memory_kb(void);
long machine_descriptors(void);
long machine_settled(void); /* the same, when it has held still for a moment */

#endif
