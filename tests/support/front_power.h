/* front_power.h - power cuts and backends that die, for tests of blkfront: a caller submits
 * operations at random to the queues of a front; their backends work on one device that completes
 * out of order (power.h), leave amid the work, and others with other offers come. What the caller
 * saw and what the device did is kept as a history for power_check.
 *
 * An operation that is not done when its backend leaves counts as a request that failed then: what
 * it did to the disk may be there or not. It counts as a new request from there on, with data of
 * its own, sent behind all that was submitted before it. So what an operation's second life does
 * is told apart from what was left of its first.
 */
#ifndef TESTS_FRONT_POWER_H
#define TESTS_FRONT_POWER_H

#include "blkfront/queue.h"
#include "support/power.h"

enum { FRONT_POWER_OPS = VBD_IO_ZERO + 1 };

struct front_power_config {
    uint64_t seed;
    unsigned queues, requests;         /* queues: of a backend, the most */
    unsigned weights[FRONT_POWER_OPS]; /* by enum vbd_io_op */
    uint32_t errors_per_million;       /* operations that the device fails */
    int error;                         /* with this */
    unsigned patience;                 /* steps until a backend leaves, about */
    bool no_barriers;                  /* no backend has any, and all can flush */
    /* How a front breaks its promise: called for the queue in which all waits, when the backend
     * has left. */
    void (*mutation)(struct vbd_front_queue *q);
};

struct front_power_report {
    struct power_report power;
    uint64_t operations, kinds[FRONT_POWER_OPS]; /* that were done with 0 */
    uint64_t failed, refused;                    /* refused: not supported */
    uint64_t backends, recovered, merged, uncopied;
    uint64_t dropped, executed; /* by the device, of a backend that had left */
    uint64_t read_wrong;        /* sectors read that could not be what is there */
    uint64_t forgotten;         /* operations never done */
};

/* --- front_power_judge.c --- */

/* What an operation is in a history: zeroes count as a discard. */
enum power_kind front_power_kind(enum vbd_io_op op);
/* An operation is done. */
void front_power_count(struct front_power_report *report, enum vbd_io_op op, int result);
/* Whether an operation may end like this, with a backend that offered this disk. */
bool front_power_explained(const struct front_power_config *config,
                           const struct vbd_front_disk *disk, enum vbd_io_op op, int result);
/* How many of the sectors that a read has returned can't be what was on the disk since it was sent.
 */
unsigned front_power_misread(const struct power_history *h, unsigned read, const char *data);

/* --- front_power.c --- */

/* Drives a whole workload, until the front is idle. Fails the test when an operation is done twice
 * or with an error that nothing explains. The caller frees the history. */
struct power_history *front_power_run(const struct front_power_config *config,
                                      struct front_power_report *report);

#endif
