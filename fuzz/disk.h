/* disk.h - the world of fuzz_blkback: a guest with its memory and grants, a storage that holds its
 * operations, and a model of what a backend owes both. The model reads the ring by itself and knows
 * blkif from public/io/blkif.h, not from src/blkif.
 *
 *   disk_guest.c    guest memory, its shadow, the hypervisor
 *   disk_request.c  requests as the model reads and judges them
 *   disk_storage.c  operations: are they what was asked for, and at their time
 *   disk_model.c    passes: is each request answered once, is memory as it should be
 *   disk_keys.c     what a front writes into xenstore
 */
#ifndef FUZZ_DISK_H
#define FUZZ_DISK_H

#include <stdbool.h>

#include "blkback/queue.h"
#include "input.h"
#include "must.h"

enum {
    PAGE = 4096,
    SECTOR = 512,
    RING_PAGES = 4, /* the first ones of the guest; the rest is for data and descriptors */
    DATA_PAGES = 16,
    PAGES = RING_PAGES + DATA_PAGES,
    GRANTS = 8, /* the grant of page 0 */
    RECORDS = 128,
    SEGMENTS = 520, /* more than a page of descriptors */
    TOGETHER = 16,  /* requests in one operation */
    DOMAIN = 7
};

/* A request that was taken, as the model reads it, until it is answered. */
struct record {
    bool used;
    uint8_t op, effect;
    bool secure;
    uint64_t id, sector, sectors;
    uint32_t count;
    struct {
        uint32_t page, first, count; /* a page that the guest does not have is PAGES */
    } segments[SEGMENTS];
    int verdict;      /* the status it must get though the storage never sees it; 0: it is good */
    bool may_fail;    /* a page was out of reach for a while */
    bool must_fail;   /* a page is out of reach all the time */
    uint32_t changed; /* data pages written since it was taken, a bit each */
    uint64_t disk;    /* sectors when it was taken */
    const void *slot; /* the engine's, once the storage has seen it */
    bool under_way;   /* in the storage */
    bool alone;       /* was part of an operation that failed */
    bool finished;    /* the storage has nothing more to do */
    bool spoilt;      /* others went on as if it had failed: it must not come again */
    bool delivered;   /* a read's data */
    int result;       /* of the storage */
    unsigned step;    /* of a barrier */
    uint64_t digest;  /* of what was written first */
    uint64_t content; /* of what was read: see disk_content */
    uint32_t content_at; /* its first sector there */
};

/* An operation that the storage holds. */
struct operation {
    struct vbd_io *io;
    struct record *of[TOGETHER];
    unsigned count;
    uint64_t digest;
};

struct world {
    /* As chosen by the input. */
    struct vbd_queue_config config;
    uint32_t slot_bytes, ring_size, limit;
    bool wild;       /* ring pages can be data: the model looks at nothing but safety */
    uint8_t at_once; /* which operations complete inside submit */

    /* The guest. */
    char (*guest)[PAGE], (*shadow)[PAGE];
    struct {
        bool granted, read_only;
        int mapped;
        bool was_mapped; /* when the pass began */
    } pages[PAGES];
    uint32_t req_prod; /* the front's own */
    uint32_t rsp_seen;
    uint64_t next_sector, next_id;

    /* The hypervisor and the allocator. */
    struct vbd_hypervisor hypervisor;
    struct vbd_allocator allocator;
    long live, allocations, fail_allocation;
    int notified, mapped;
    unsigned fail_copy, fail_map; /* the n-th from now; 0: none */
    uint32_t evil;                /* the guest writes when data is fetched; 0: it does not */

    /* The storage. */
    struct vbd_channel channel;
    struct operation held[2 * RECORDS];
    unsigned held_count;
    uint64_t disk_max; /* sectors, the most it had */
    uint64_t contents;

    /* The model. */
    struct vbd_queue *queue;
    struct record records[RECORDS];
    struct record *order[RECORDS]; /* as they were taken */
    unsigned count;
    uint32_t taken;            /* index of the next request to be taken */
    uint32_t prod;             /* req_prod when the pass began */
    uint64_t answered, events; /* in all */
    bool stopped, broken, in_pass;
    uint64_t now;
};

/* disk_guest.c */
void guest_begin(struct world *w);
/* The guest writes: into a page, at an offset, as many bytes as the page has room for. */
void guest_write(struct world *w, uint32_t page, uint32_t offset, const void *bytes, size_t len);
/* The k-th shared word: req_prod, req_event, rsp_prod, rsp_event. */
uint32_t guest_word(const struct world *w, unsigned k);
void guest_set_word(struct world *w, unsigned k, uint32_t value);
/* Where a slot is, in bytes from the first ring page on. */
uint32_t guest_slot(const struct world *w, uint32_t index);
void guest_grant(struct world *w, uint32_t page, bool granted, bool read_only);
/* Whether the back can get at a page of data. */
bool guest_reachable(const struct world *w, uint32_t page, bool writable);
/* Whether the guest's memory is what the model says; sectors of reads that have come are taken
 * over. */
void guest_check(struct world *w);

/* disk_request.c */
/* Reads the request at this index of the ring and judges it. */
void request_read(struct world *w, uint32_t index, struct record *ret);
/* Writes one that the next bytes describe, into the next slot. */
void request_put(struct world *w, struct input *in);

/* disk_storage.c */
void storage_begin(struct world *w);
/* Completes the k-th of the operations held. */
void storage_complete(struct world *w, unsigned k, int result);
/* One sector of what a read brought. */
void disk_content(uint64_t content, uint32_t sector, void *ret);

/* disk_model.c */
void model_begin(struct world *w);
/* Notes what was taken; called as soon as anything of a pass is seen. */
void model_sync(struct world *w);
bool model_pass(struct world *w);
/* All comes to an end, and nothing is left. */
void model_end(struct world *w);

/* disk_keys.c */
void keys_step(struct input *in);

#endif
