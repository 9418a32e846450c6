/* machine.h - the machine that hyperless plays: domains, what they share, how they signal.
 *
 * One thread, one loop: everything here is called from hl_machine_process. The machine knows no
 * xenstore; whoever embeds it introduces domains to one (hooks below), as a toolstack does on Xen.
 *
 *   machine.c   domains come and go              session.c  one connection's requests
 *   shares.c    pages, grants, who maps them     server.c   sockets, messages
 *   channels.c  event channels                   xenbus.c   a domain's kernel: many programs on
 *                                                           the one ring to xenstored
 */
#ifndef HYPERLESS_MACHINE_H
#define HYPERLESS_MACHINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"
#include "hyperless/machine/loop.h"
#include "hyperless/machine/table.h"
#include "hyperless/protocol.h"

enum {
    HL_GRANTS_MAX = 32768,    /* of a domain; Xen's default, 64 frames of version 1 */
    HL_FIRST_GRANT = 8,       /* those before are the domain builder's, as in Xen */
    HL_STORE_GRANT = 1,       /* GNTTAB_RESERVED_XENSTORE */
    HL_PORTS_MAX = 4096,      /* of a domain */
    HL_PORT_NUMBERS = 131072, /* of Xen's FIFO event channels */
    HL_PINS_MAX = 32768,      /* pages that one handle has mapped */
    HL_SESSIONS_MAX = 1024,   /* open handles of a domain */
    HL_SESSIONS_ZERO = 4096,  /* of domain 0 */
    HL_CLIENTS_MAX = 512      /* connections to a domain's xenstore */
};

/* What the embedder does when domains come and go. Called from the machine's loop; must not block:
 * each is answered later by hl_machine_born or hl_machine_buried, from any thread. */
struct hl_hooks {
    void *ctx;
    /* A domain is to be introduced to xenstored: store frame and port are ready. */
    void (*introduce)(void *ctx, uint32_t domid, uint32_t store_port);
    /* A domain has died: xenstored and the store are to forget it. Its number is not used again
     * before. */
    void (*bury)(void *ctx, uint32_t domid);
};

struct hl_machine;

/* Makes a machine in an empty folder, which must exist, with domain 0 in it. -errno. */
int hl_machine_new(const char *folder, const struct hl_hooks *hooks, struct hl_machine **ret);
/* Ends every domain, removes the sockets, frees it. */
void hl_machine_free(struct hl_machine *m);
/* Runs the loop until something has been done, or for ever with nothing to do. -errno. */
int hl_machine_process(struct hl_machine *m, int timeout_ms);
/* A descriptor of the embedder's for the same loop. */
struct hl_loop *hl_machine_loop(struct hl_machine *m);

/* Answers to the hooks; any thread. `error` is what introducing ended with. */
void hl_machine_born(struct hl_machine *m, uint32_t domid, int error);
void hl_machine_buried(struct hl_machine *m, uint32_t domid);

#endif
