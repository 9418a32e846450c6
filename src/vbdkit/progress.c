/* progress.c - see progress.h. Called by the commands that move a disk's worth of bytes. */
#include "vbdkit/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "vbdkit/program.h"

enum { WIDTH = 32 };

static const uint64_t second = 1000000000, interval = 200000000;

void progress_begin(struct progress *p, const char *what, uint64_t total, bool quiet)
{
    *p = (struct progress){.what = what,
                           .total = total,
                           .began = tool_now_ns(),
                           .visible = !quiet && isatty(STDERR_FILENO) == 1};
}

static void draw(const struct progress *p, uint64_t done, uint64_t at)
{
    static const char full[] = "################################",
                      none[] = "                                ";
    double seconds = (double)(at - p->began) / (double)second;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    uint64_t part = p->total > 0 ? done * WIDTH / p->total : 0;
    int filled = part < WIDTH ? (int)part : WIDTH;

    (void)fprintf(stderr, "\r%s [%.*s%.*s] %3.0f%%  %.1f of %.1f MiB  %.1f MiB/s  %.0f s ", p->what,
                  filled, full, WIDTH - filled, none,
                  p->total > 0 ? (double)done * 100 / (double)p->total : 0.0,
                  (double)done / 1048576, (double)p->total / 1048576, rate / 1048576,
                  rate > 0 && p->total > done ? (double)(p->total - done) / rate : 0.0);
    (void)fflush(stderr);
}

void progress_at(struct progress *p, uint64_t done)
{
    uint64_t at;

    if (!p->visible)
        return;
    at = tool_now_ns();
    if (at - p->shown < interval)
        return;
    p->shown = at;
    draw(p, done, at);
}

void progress_end(struct progress *p, uint64_t done)
{
    if (!p->visible)
        return;
    draw(p, done, tool_now_ns());
    (void)fputc('\n', stderr);
}
