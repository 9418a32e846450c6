/* power.h - power cuts, for tests: a guest drives queues of blkback by their rings over a device
 * that completes out of order; what the device was told, and what the guest saw, is kept as one
 * history; and from the history the disks that a power cut may leave are made and judged.
 *
 * What a device promises is what Linux' dm-log-writes takes for granted: a write that completed
 * before a flush was submitted is on the medium when that flush has completed. Every other write
 * may be there or not, each sector of 512 bytes for itself, until a later one that is on the medium
 * has replaced it.
 */
#ifndef TESTS_POWER_H
#define TESTS_POWER_H

#include "support/ring_world.h"
#include "vbdkit/layers.h"

enum {
    POWER_SECTORS = 64, /* of the disk: few, so that writes overlap */
    POWER_REQUESTS = 512,
    POWER_OPERATIONS = 2048,
    POWER_QUEUES = 2
};

#define POWER_NEVER UINT64_MAX

/* How a storage breaks its promise; it stands between the queue and the log. */
enum power_fault {
    POWER_HONEST,
    POWER_NO_FLUSH,        /* answers flushes without doing them */
    POWER_EARLY_WRITES,    /* answers writes before they are done: flushes pass them */
    POWER_EVERY_OTHER,     /* does the second flush, the fourth, ...: not that before a barrier */
    POWER_EVERY_OTHER_ODD, /* the first, the third, ...: not that after a barrier */
    POWER_HIDDEN_ERRORS,   /* answers a flush that failed as done */
    POWER_FAULTS
};

enum power_kind { POWER_READ, POWER_WRITE, POWER_BARRIER, POWER_FLUSH, POWER_DISCARD, POWER_KINDS };

/* A request of the guest. The first of a history is what the disk held before. One that makes
 * zeroes by writing them counts as a discard. */
struct power_request {
    enum power_kind kind;
    unsigned queue, sector, count;
    uint64_t sent, answered; /* ticks of the history's clock */
    int16_t status;
};

/* An operation of the device: what changes the disk, and flushes. */
struct power_operation {
    enum vbd_io_op op;
    unsigned sector, count;
    uint64_t submitted, completed; /* ticks */
    int result;
    uint16_t content[POWER_SECTORS]; /* by sector: the request whose data this is */
};

struct power_history {
    uint64_t clock; /* one tick for each event: a log entry, requests sent, a response seen */
    struct power_request requests[POWER_REQUESTS];
    unsigned request_count;
    struct power_operation operations[POWER_OPERATIONS];
    unsigned operation_count;
    int end[POWER_SECTORS]; /* what the device held at last: a request, or -1 for zeroes */
    uint64_t by_number[2 * POWER_OPERATIONS]; /* the operation of each log entry */
};

struct power_config {
    uint64_t seed;
    unsigned queues, requests;
    unsigned weights[POWER_KINDS];
    uint32_t errors_per_million; /* operations that the device fails */
    enum power_fault fault;
};

struct power_report {
    uint64_t cuts, images; /* tried */
    uint64_t uncertain;    /* cuts that left more than one possible disk */
    uint64_t losses;       /* images that break a promise */
    uint64_t flushes, barriers, merges, errors, discards, operations; /* what the history holds */
    char first[160];                                                  /* loss, in words */
};

/* --- power_device.c --- */

/* A disk in memory whose operations complete when told, and which any number of channels share. */
struct power_device {
    struct vbd_storage storage;
    unsigned char bytes[POWER_SECTORS * 512];
    struct vbd_io *held[HELD];
    unsigned count;
};

void power_device_init(struct power_device *d);
void power_device_complete(struct power_device *d, unsigned index);
/* Puts a fault over a storage, which it owns then. */
struct vbd_storage *power_faulty(struct vbd_storage *below, enum power_fault fault);

/* --- power_guest.c --- */

/* A sequence of numbers, the same for the same seed. */
uint64_t power_random(uint64_t *state);
/* Drives a whole workload, until all is answered. The caller frees the history. */
struct power_history *power_run(const struct power_config *config, struct power_report *report);

/* --- power_record.c --- */

/* A sink that writes a history. */
struct vbd_log_sink power_sink(struct power_history *h);
/* What a sector holds: which request wrote it there; -1 zeroes. */
int power_read_stamp(const char *sector_data, unsigned sector);
void power_stamp(char *sector_data, unsigned request, unsigned sector);

/* --- power_check.c --- */

/* Cuts the power after every tick, and judges `images` disks at each beside those that it tries
 * always: nothing new, everything new, and each write that may be the last one of its sector. */
void power_check(const struct power_history *h, uint64_t seed, unsigned images,
                 struct power_report *report);

#endif
