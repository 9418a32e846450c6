/* histogram.h - how long things took: a count for each range of nanoseconds, four ranges to a
 * power of two, so that a percentile is right within a fifth.
 *
 * Counts are written by one thread and read by any. The ranges reach from a microsecond to about a
 * minute; what is outside falls into the first or the last.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    VBD_HISTOGRAM_FIRST = 10, /* log2 of the first range's nanoseconds */
    VBD_HISTOGRAM_LAST = 36,
    VBD_HISTOGRAM_RANGES = (VBD_HISTOGRAM_LAST - VBD_HISTOGRAM_FIRST) * 4
};

static inline unsigned vbd_histogram_range(uint64_t ns)
{
    unsigned log;

    if (ns < 1u << VBD_HISTOGRAM_FIRST)
        return 0;
    log = 63 - (unsigned)__builtin_clzll(ns);
    if (log >= VBD_HISTOGRAM_LAST)
        return VBD_HISTOGRAM_RANGES - 1;
    return (log - VBD_HISTOGRAM_FIRST) * 4 + (unsigned)(ns >> (log - 2) & 3);
}

/* The nanoseconds at which a range ends. */
static inline uint64_t vbd_histogram_end(unsigned range)
{
    return (uint64_t)(range % 4 + 5) << (range / 4 + VBD_HISTOGRAM_FIRST - 2);
}

#endif
