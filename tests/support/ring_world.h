/* ring_world.h - a queue of blkback with a guest and a disk around it, for tests of its passes: the
 * guest is simulated and drives its ring by hand, the disk completes when told. Fails the test when
 * something was left under way or was not given back.
 */
#ifndef TESTS_RING_WORLD_H
#define TESTS_RING_WORLD_H

#include "blkback/queue.h"
#include "support/handfront.h"

enum {
    DISK_SECTORS = 8192,
    RING_PAGE = 0,
    DATA_PAGE = 64, /* first guest page for data */
    PORT = 3,
    HELD = 1024,
    INDIRECT_SEGMENTS = 32 /* of a keeping world */
};

/* A storage in memory whose operations complete when the test says so, in any order. */
struct slow_disk {
    struct vbd_channel channel;
    unsigned char *bytes;
    struct vbd_io *held[HELD];
    int count, submits, fail_next;
    int fail_with; /* -errno; 0: -EIO */
};

struct world {
    struct sim *sim;
    struct handfront front;
    struct slow_disk disk;
    struct vbd_event_channel *channel;
    struct vbd_queue *queue;
    void *ring;
    uint64_t now;
    bool answered[65536]; /* by id */
};

/* Does a read, write or discard on a disk in memory; the operation is within it. */
void move_data(unsigned char *disk, const struct vbd_io *io);
/* Completes the operation at this place of disk.held: the first `fail_next` ones with an error. */
void complete(struct slow_disk *d, int index);
void complete_all(struct slow_disk *d);
bool pass(struct world *w);
struct world *new_world(enum handfront_layout layout, unsigned ring_pages, uint32_t in_flight,
                        bool read_only);
/* With a queue of this config; its guest's part is filled in. */
struct world *new_world_of(enum handfront_layout layout, unsigned ring_pages,
                           struct vbd_queue_config config);
/* Whose front keeps its grants: so many of them stay mapped, and reads go into them where segments
 * are of whole units of `in_place` bytes, unless that is 0. The disk's bytes are all different. */
struct world *keeping_world(uint32_t persistent, uint32_t in_place);
void end_world(struct world *w);
/* What is left to do where the test has freed the queue. */
void leave_world(struct world *w);
/* A request of `pages` whole pages of guest memory from `page` on. */
struct hand_request whole_pages(struct world *w, uint8_t op, uint64_t id, uint64_t sector,
                                unsigned page, unsigned pages);
/* Completes all operations and makes a pass; the answer's status, as expect_answer. */
int16_t finish(struct world *w, uint64_t id);
/* Takes an answer, which must have this id and be the first to have it; its status. */
int16_t expect_answer(struct world *w, uint64_t id);
void expect_nothing(struct world *w);
/* Sends a request and makes a pass. */
void run(struct world *w, const struct hand_request *r);
/* Writes a guest's page to where it lies in guest memory, and looks at the disk. */
void write_page(struct world *w, uint64_t id, unsigned page);
struct vbd_counters counters(const struct world *w);

#endif
