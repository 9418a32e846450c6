/* loop.h - the machine's loop: descriptors and what to do when they are ready. */
#ifndef HYPERLESS_LOOP_H
#define HYPERLESS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/* Embedded in what it belongs to; `ready` may remove and free it. */
struct hl_source {
    int fd;
    void (*ready)(struct hl_source *source, uint32_t events);
};

struct hl_loop {
    int epoll;
    struct hl_source **now; /* sources of the round under way; those removed are NULL */
    int now_count;
};

int hl_loop_init(struct hl_loop *loop);
void hl_loop_free(struct hl_loop *loop);
/* Watches a source for EPOLL events. -errno. */
int hl_loop_add(struct hl_loop *loop, struct hl_source *source, uint32_t events);
int hl_loop_change(struct hl_loop *loop, struct hl_source *source, uint32_t events);
/* Stops watching; does not close. Safe from within `ready`, of this source or another. */
void hl_loop_remove(struct hl_loop *loop, struct hl_source *source);
/* Waits once and calls what is ready. -errno. */
int hl_loop_turn(struct hl_loop *loop, int timeout_ms);

#endif
