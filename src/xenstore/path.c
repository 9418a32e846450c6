/* path.c - what a xenstore path may look like (xenstore.txt, "Paths"). Called by encode.c and by
 * users of the library; checks form only, not whether a node exists. */
#include <errno.h>

#include "base/text.h"
#include "vbdkit/xsc.h"

static bool allowed(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           vbd_bytes_find("-/_@", 4, c) != NULL;
}

static const char *objection(const char *path, size_t len)
{
    size_t limit = path[0] == '/' ? XSC_ABSOLUTE_PATH_MAX : XSC_RELATIVE_PATH_MAX;

    if (len == 0)
        return "the path is empty";
    if (len > limit)
        return "the path is too long (3072 bytes absolute, 2048 relative)";
    if (len > 1 && path[len - 1] == '/')
        return "the path ends in a slash";
    for (size_t i = 0; i < len; i++) {
        if (!allowed(path[i]))
            return "the path has a character other than letters, digits and -/_@";
        if (path[i] == '/' && i + 1 < len && path[i + 1] == '/')
            return "the path has an empty component";
    }
    return NULL;
}

int xsc_check_path(const char *path, const char **ret_why)
{
    const char *why = objection(path, vbd_str_len(path));

    if (why == NULL)
        return 0;
    *ret_why = why;
    return -EINVAL;
}
