/* handfront.h - a front that drives a ring by hand, for tests: slots are written byte by byte from
 * blkif.h's offsets, independently of src/blkif, so that either finds the other's mistakes.
 */
#ifndef TESTS_HANDFRONT_H
#define TESTS_HANDFRONT_H

#include "support/sim.h"

enum handfront_layout { HAND_X86_64, HAND_X86_32 };

struct handfront {
    struct sim *sim;
    enum handfront_layout layout;
    unsigned ring_page; /* first page of the ring in guest memory */
    unsigned ring_pages;
    uint32_t port;
    uint32_t size;     /* slots */
    uint32_t req_prod; /* private; published by handfront_push */
    uint32_t rsp_cons;
};

struct hand_segment {
    uint32_t grant;
    uint8_t first, last;
};

struct hand_request {
    uint8_t op;
    uint8_t count; /* of segments, as told; up to 11 are written */
    uint64_t id, sector;
    struct hand_segment segments[11];
};

/* An indirect request: `inner` is what is to be done; pages of descriptors are granted. */
struct hand_indirect {
    uint8_t inner;
    uint16_t count; /* of segments */
    uint64_t id, sector;
    uint32_t grants[8];
};

struct hand_discard {
    uint8_t flag;
    uint64_t id, sector, sectors;
};

struct hand_response {
    uint64_t id;
    uint8_t op;
    int16_t status;
};

/* Sets up an empty ring in ring_pages pages from ring_page on. */
void handfront_init(struct handfront *f, struct sim *sim, enum handfront_layout layout,
                    unsigned ring_page, unsigned ring_pages, uint32_t port);
/* The words of the ring's header. */
uint32_t *handfront_req_prod(struct handfront *f);
uint32_t *handfront_req_event(struct handfront *f);
uint32_t *handfront_rsp_prod(struct handfront *f);
uint32_t *handfront_rsp_event(struct handfront *f);
/* Writes a request into the next slot, not yet published. */
void handfront_put(struct handfront *f, const struct hand_request *r);
void handfront_put_indirect(struct handfront *f, const struct hand_indirect *r);
void handfront_put_discard(struct handfront *f, const struct hand_discard *r);
/* Publishes what was put; true when the back asked for an event. */
bool handfront_push(struct handfront *f);
/* Takes a response, or returns false when there is none. */
bool handfront_take(struct handfront *f, struct hand_response *ret);

#endif
