/* must.h - what every target promises by: a condition that does not hold ends the run, so that the
 * fuzzer keeps the input. */
#ifndef FUZZ_MUST_H
#define FUZZ_MUST_H

#include <stdio.h>
#include <stdlib.h>

static inline _Noreturn void must_broken(const char *file, int line, const char *promise)
{
    (void)fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, promise);
    abort();
}

#define must(promise) ((promise) ? (void)0 : must_broken(__FILE__, __LINE__, #promise))

#endif
