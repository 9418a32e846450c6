/* xsc-sans-io.c - a session of libxsc driven by hand: the program moves every byte and brings the
 * memory. A kernel or unikernel does the same over its own ring; here it is a Unix socket.
 *
 *   cc -o xsc-sans-io xsc-sans-io.c $(pkg-config --cflags --libs libxsc)
 *   ./xsc-sans-io /run/xenstored/socket /local/domain/0/name
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vbdkit/xsc.h>

static void *take_memory(void *ctx, size_t size)
{
    (void)ctx;
    return calloc(1, size); /* the library wants zeroed memory */
}

static void give_memory(void *ctx, void *memory)
{
    (void)ctx;
    free(memory);
}

static void answered(void *ctx, const struct xsc_reply *reply)
{
    *(int *)ctx = reply->error;
    if (reply->error == 0)
        (void)printf("%.*s\n", (int)reply->len, reply->data);
    else
        (void)fprintf(stderr, "xsc-sans-io: %s\n",
                      reply->error_name[0] != '\0' ? reply->error_name : strerror(-reply->error));
}

/* One turn: all that is to be written, then one read. False when the connection is over. */
static bool turn(struct xsc *x, int fd)
{
    struct xsc_slice slice;
    char bytes[4096];
    ssize_t n = 1;

    while (n > 0 && xsc_output(x, &slice, 1) == 1) {
        n = write(fd, slice.bytes, slice.len);
        if (n > 0)
            xsc_output_sent(x, (size_t)n);
    }
    if (n > 0)
        n = read(fd, bytes, sizeof bytes);
    if (n <= 0)
        xsc_disconnected(x, "the server hung up");
    return n > 0 && xsc_feed(x, bytes, (size_t)n) == 0;
}

int main(int argc, char **argv)
{
    const struct vbd_allocator memory = {.alloc = take_memory, .free = give_memory};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct xsc_call call = {.op = XSC_OP_READ, .path = argc == 3 ? argv[2] : ""};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), result = -1;
    struct xsc *x;

    if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path) {
        (void)fprintf(stderr, "usage: xsc-sans-io SOCKET PATH\n");
        return 2;
    }
    memcpy(address.sun_path, argv[1], strlen(argv[1]) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 || xsc_new(&memory, &x) < 0) {
        perror("xsc-sans-io");
        return 1;
    }
    if (xsc_submit(x, &call, (struct xsc_completion){answered, &result, NULL}) < 0)
        (void)fprintf(stderr, "xsc-sans-io: %s is not a path that xenstore takes\n", argv[2]);
    while (xsc_pending(x) > 0 && turn(x, fd))
        ;
    xsc_free(x);
    (void)close(fd);
    return result == 0 ? 0 : 1;
}
