/* log.c - the daemon's log: one line each to stderr. Called from any thread through the log seam.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbdkit/server.h"

static const struct {
    const char *name;
    const char *priority; /* of sd-daemon(3), when the journal reads stderr */
} levels[] = {
    [VBD_LOG_ERROR] = {"error", "<3>"},
    [VBD_LOG_WARNING] = {"warning", "<4>"},
    [VBD_LOG_INFO] = {"info", "<6>"},
    [VBD_LOG_DEBUG] = {"debug", "<7>"},
};

static enum vbd_log_level limit;

static void write_line(void *ctx, enum vbd_log_level level, const char *subject, const char *text)
{
    (void)ctx;
    if (level > limit)
        return;
    if (getenv("JOURNAL_STREAM") != NULL)
        (void)fprintf(stderr, "%s%s: %s\n", levels[level].priority, subject, text);
    else
        (void)fprintf(stderr, "vbdkit %s: %s: %s\n", levels[level].name, subject, text);
}

struct vbd_log log_to_stderr(enum vbd_log_level most)
{
    limit = most;
    return (struct vbd_log){.write = write_line};
}

int log_level_parse(const char *name)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (strcmp(name, levels[i].name) == 0)
            return (int)i;
    return -1;
}
