/* error.h - fills a struct vbd_error with printf, for the Linux rooms. */
#ifndef LINUX_ERROR_H
#define LINUX_ERROR_H

#include "vbdkit/common.h"

/* Writes the sentence, when there is a place for it, and returns `error` (a negative errno). */
int vbd_fail(struct vbd_error *why, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
