/* polling.h - looking for a while before sleeping, as long as that pays: for a thread that would
 * otherwise be woken at once. It pays where something comes in time; where it does not, or where
 * others want the processor, the thread sleeps, and tries again after a while.
 */
#ifndef LINUX_POLLING_H
#define LINUX_POLLING_H

#include <stdbool.h>
#include <stdint.h>

struct vbd_polling {
    unsigned pause, left; /* sleeps without a look: after the last one, and still */
    bool beside; /* the last find was there after others had this processor: perhaps they made it */
};

/* Looks until found(ctx), or the patience, in nanoseconds, is over; false: sleep now. */
bool vbd_polling_look(struct vbd_polling *p, uint64_t patience, bool (*found)(void *ctx),
                      void *ctx);

#endif
