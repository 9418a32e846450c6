/* clock.h - the one clock of this room: nanoseconds, and it never goes back. */
#ifndef LINUX_CLOCK_H
#define LINUX_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t vbd_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
