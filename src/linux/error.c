/* error.c - see error.h. Called by all of src/linux. */
#include "linux/error.h"

#include <stdarg.h>
#include <stdio.h>

int vbd_fail(struct vbd_error *why, int error, const char *format, ...)
{
    va_list args;

    if (why != NULL) {
        va_start(args, format);
        (void)vsnprintf(why->text, sizeof why->text, format, args);
        va_end(args);
    }
    return error;
}
