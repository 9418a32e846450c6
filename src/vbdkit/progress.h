/* progress.h - a bar on a terminal's stderr for work that takes long; elsewhere nothing is shown.
 */
#ifndef VBDKIT_PROGRESS_H
#define VBDKIT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what;      /* "read" */
    uint64_t total;        /* bytes; 0: not known */
    uint64_t began, shown; /* ns */
    bool visible;
};

void progress_begin(struct progress *p, const char *what, uint64_t total, bool quiet);
/* So many bytes are done; draws a few times a second. */
void progress_at(struct progress *p, uint64_t done);
/* Draws the end and a newline. */
void progress_end(struct progress *p, uint64_t done);

#endif
