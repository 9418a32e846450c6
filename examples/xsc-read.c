/* xsc-read.c - the shortest use of libxsc: reads one node of xenstore, blocking.
 *
 *   cc -o xsc-read xsc-read.c $(pkg-config --cflags --libs libxsc)
 *   ./xsc-read /local/domain/0/name
 *
 * A path without a leading slash is relative to the own domain's directory.
 */
#include <stdio.h>
#include <stdlib.h>

#include <vbdkit/xsc_linux.h>

static int print_node(struct xsc_handle *h, void *arg)
{
    const char *path = arg;
    char *value;
    size_t len;
    int r = xsc_read(h, path, &value, &len);

    if (r < 0)
        return r;
    (void)fwrite(value, 1, len, stdout); /* a value is bytes, not a string */
    (void)putchar('\n');
    free(value);
    return 0;
}

int main(int argc, char **argv)
{
    struct xsc_client *client;
    struct vbd_error why = {""};
    int r;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: xsc-read PATH\n");
        return 2;
    }
    r = xsc_client_open(NULL, &client, &why);
    if (r == 0) {
        r = xsc_immediate(client, print_node, argv[1], &why);
        xsc_client_close(client);
    }
    if (r < 0)
        (void)fprintf(stderr, "xsc-read: %s\n", why.text);
    return r < 0 ? 1 : 0;
}
