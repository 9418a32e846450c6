/* sim.h - a simulated hypervisor for tests: guests' memories with a grant table each, and event
 * channels on eventfds, behind the same seam as Xen. It counts what is held, so that leaks show.
 *
 * Guest memory is a memfd: a mapping made through the seam shares it, as a grant mapping does.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include "vbdkit/hypervisor.h"

enum {
    SIM_PAGE = 4096,
    SIM_PAGES = 4096,    /* of guest memory */
    SIM_FIRST_GRANT = 8, /* Xen reserves the first ones */
    SIM_PORTS = 16
};

/* What is mapped through the seam's ctx, or through what open_mappings returned. */
struct sim_mappings {
    struct sim *sim; /* the first guest's */
    int pages;
};

struct sim {
    struct sim_mappings mappings; /* first: it is the seam's ctx */
    struct vbd_hypervisor seam;   /* the first guest's is that of all of them */
    unsigned domid;               /* whose memory this is */
    struct sim *next;             /* a guest beside this one */
    int memory_fd;
    char *memory;    /* SIM_PAGES pages, the guest's view */
    char *back_view; /* where copies happen: for a race detector another memory, as on Xen */
    struct {
        bool valid, read_only;
    } grants[SIM_PAGES]; /* grant SIM_FIRST_GRANT + i is page i */
    struct {
        int to_back, to_front; /* eventfds; the guest's end is always there */
        bool bound;
    } ports[SIM_PORTS];
    /* What is held of all guests, and what was called, in the first one's. Atomic: queues run on
     * threads. */
    int mapped_pages, bound_ports;
    int own_mappings; /* rooms for them that are open */
    int copy_calls, copied_pieces, notifications;
    int fail_copy_call; /* the n-th copy call from now fails as a whole; 0 never */
};

/* Aborts the test program when the machine is out of resources. */
struct sim *sim_new(unsigned domid);
void sim_free(struct sim *s);
/* Another guest of the same hypervisor; freed with the first. */
struct sim *sim_add(struct sim *first, unsigned domid);

/* The guest's side. */
char *sim_page(struct sim *s, unsigned page);
uint32_t sim_grant(struct sim *s, unsigned page, bool read_only);
void sim_revoke(struct sim *s, uint32_t grant);
void sim_send(struct sim *s, uint32_t port);
/* Waits for an event from the back; false after timeout_ms. */
bool sim_wait(struct sim *s, uint32_t port, int timeout_ms);

#endif
