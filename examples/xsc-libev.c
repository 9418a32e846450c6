/* xsc-libev.c - libxsc in a program whose loop is libev's: prints the names below a path, and again
 * whenever they change.
 *
 *   cc -o xsc-libev xsc-libev.c $(pkg-config --cflags --libs libxsc) -lev
 *   ./xsc-libev /local/domain
 *
 * Three things make it part of a loop: an io watcher on the client's descriptor that calls
 * xsc_client_process; a prepare watcher that looks, before the loop sleeps, at which events are
 * wanted now; and completions, which run inside of process. Any other loop takes the same three.
 */
#include <ev.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <vbdkit/xsc_linux.h>

struct program {
    struct xsc_client *client;
    const char *path;
    ev_io io;
    ev_prepare prepare;
};

static void listed(void *ctx, const struct xsc_reply *reply)
{
    const struct program *p = ctx;
    const char *at = reply->data;

    if (reply->error < 0) {
        (void)printf("%s: %s\n", p->path, strerror(-reply->error));
        return;
    }
    (void)printf("%s:", p->path);
    for (; at < reply->data + reply->len; at += strlen(at) + 1)
        (void)printf(" %s", at);
    (void)putchar('\n');
    (void)fflush(stdout);
}

/* Once at the start, at each change, and (path NULL) when changes may have been missed. */
static void changed(void *ctx, const char *path)
{
    struct program *p = ctx;

    (void)path;
    (void)xsc_list(xsc_client_session(p->client), 0, p->path,
                   (struct xsc_completion){.done = listed, .ctx = p});
}

static void ready(struct ev_loop *loop, ev_io *io, int events)
{
    struct program *p = io->data;

    (void)events;
    if (xsc_client_process(p->client) < 0) {
        (void)fprintf(stderr, "xsc-libev: %s\n", xsc_why(xsc_client_session(p->client)));
        ev_break(loop, EVBREAK_ALL);
    }
}

static void about_to_sleep(struct ev_loop *loop, ev_prepare *prepare, int events)
{
    struct program *p = prepare->data;
    short wanted = xsc_client_events(p->client);
    int mask = (wanted & POLLIN ? EV_READ : 0) | (wanted & POLLOUT ? EV_WRITE : 0);

    (void)events;
    if (mask == (p->io.events & (EV_READ | EV_WRITE)))
        return;
    ev_io_stop(loop, &p->io);
    ev_io_set(&p->io, xsc_client_fd(p->client), mask);
    ev_io_start(loop, &p->io);
}

static void run(struct program *p)
{
    struct ev_loop *loop = ev_default_loop(0);

    ev_io_init(&p->io, ready, xsc_client_fd(p->client), EV_READ);
    ev_prepare_init(&p->prepare, about_to_sleep);
    p->io.data = p->prepare.data = p;
    ev_io_start(loop, &p->io);
    ev_prepare_start(loop, &p->prepare);
    ev_run(loop, 0);
}

int main(int argc, char **argv)
{
    struct program p = {.path = argc == 2 ? argv[1] : NULL};
    struct vbd_error why = {""};
    struct xsc_watch *watch;

    if (p.path == NULL) {
        (void)fprintf(stderr, "usage: xsc-libev PATH\n");
        return 2;
    }
    if (xsc_client_open(NULL, &p.client, &why) < 0) {
        (void)fprintf(stderr, "xsc-libev: %s\n", why.text);
        return 1;
    }
    if (xsc_watch_add(xsc_client_session(p.client), p.path, changed, &p, (struct xsc_completion){0},
                      &watch) == 0)
        run(&p);
    (void)xsc_client_close(p.client);
    return 1;
}
