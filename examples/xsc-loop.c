/* xsc-loop.c - libxsc in an event loop: watches a path and prints each change with the new value.
 *
 *   cc -o xsc-loop xsc-loop.c $(pkg-config --cflags --libs libxsc)
 *   ./xsc-loop /local/domain/0/memory
 *
 * Change something below the path meanwhile, as with xenstore-write. Nothing here blocks but
 * poll().
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vbdkit/xsc_linux.h>

/* One read under way: the path, for the line that is printed. */
struct change {
    char path[4096]; /* more than the longest path of xenstore */
};

static void value_came(void *ctx, const struct xsc_reply *reply)
{
    const struct change *change = ctx;

    if (reply->error == 0)
        (void)printf("%s = \"%.*s\"\n", change->path, (int)reply->len, reply->data);
    else
        (void)printf("%s: %s\n", change->path, strerror(-reply->error));
    (void)fflush(stdout);
}

/* The watch says that a node has changed, not to what: ask. A callback may submit calls. */
static void changed(void *ctx, const char *path)
{
    struct xsc *session = ctx;
    struct change *change = malloc(sizeof *change);
    struct xsc_call call = {.op = XSC_OP_READ, .path = path};

    if (change == NULL)
        return;
    if (path == NULL) { /* only after xsc_resume: the watch fires anew by itself as well */
        free(change);
        return;
    }
    (void)snprintf(change->path, sizeof change->path, "%s", path);
    /* Whatever becomes of the call, `free` is called on the change exactly once. */
    (void)xsc_submit(session, &call, (struct xsc_completion){value_came, change, free});
}

static void watch_set(void *ctx, const struct xsc_reply *reply)
{
    if (reply->error < 0)
        (void)fprintf(stderr, "xsc-loop: cannot watch %s: %s\n", (const char *)ctx,
                      strerror(-reply->error));
}

int main(int argc, char **argv)
{
    struct xsc_client *client;
    struct xsc_watch *watch;
    struct xsc *session;
    struct vbd_error why = {""};
    int r;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: xsc-loop PATH\n");
        return 2;
    }
    if (xsc_client_open(NULL, &client, &why) < 0) {
        (void)fprintf(stderr, "xsc-loop: %s\n", why.text);
        return 1;
    }
    session = xsc_client_session(client);
    r = xsc_watch_add(session, argv[1], changed, session,
                      (struct xsc_completion){watch_set, argv[1], NULL}, &watch);
    while (r == 0) {
        struct pollfd fd = {.fd = xsc_client_fd(client), .events = xsc_client_events(client)};

        (void)poll(&fd, 1, -1);
        r = xsc_client_process(client); /* the callbacks run in here */
    }
    (void)fprintf(stderr, "xsc-loop: %s\n",
                  xsc_why(session)[0] != '\0' ? xsc_why(session) : strerror(-r));
    xsc_client_close(client);
    return 1;
}
