/* program.h - what the subcommands of vbdkit share: exit statuses, the tool's connection, names. */
#ifndef VBDKIT_PROGRAM_H
#define VBDKIT_PROGRAM_H

#include "vbdkit/vbd.h"
#include "vbdkit/xsc_linux.h"

/* Exit statuses, as in the manual. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_CONNECTED = 3 /* attach: offered, but the guest has not taken it; xs: out of time */
};

int serve_main(int argc, char **argv);
int attach_main(int argc, char **argv);
int detach_main(int argc, char **argv);
int list_main(int argc, char **argv);
int stat_main(int argc, char **argv);
int hyperless_main(int argc, char **argv);
int front_main(int argc, char **argv);
int xs_main(int argc, char **argv);

/* --- tool.c: the tools around the daemon --- */

/* A connection to xenstore, and where in it this program stands. */
struct tool {
    const char *command; /* "attach", for messages */
    struct xsc_client *client;
    unsigned domid; /* of this domain */
};

/* Prints "vbdkit COMMAND: ..." to stderr and returns EXIT_FAILED. */
int tool_fail(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the usage line to stdout and exits: somebody asked for it. */
void tool_help(const char *usage) __attribute__((noreturn));
/* Prints the usage line to stderr and returns EXIT_USAGE. */
int tool_usage(const char *usage);
/* Connects (address NULL: the usual places). 0, or an exit status with the reason printed. */
int tool_open(struct tool *t, const char *command, const char *address);
void tool_close(struct tool *t);
/* Finds a guest by number or name. 0, or an exit status with the reason printed. */
int tool_guest(struct tool *t, const char *guest, unsigned *ret);
/* Parses a device name or number. 0, or an exit status with the reason printed. */
int tool_vdev(struct tool *t, const char *name, uint32_t *ret);
/* Parses a number of seconds into milliseconds. 0, or an exit status with the reason printed. */
int tool_seconds(const char *command, const char *text, int *ret_ms);
/* Nanoseconds of a clock that never goes back. */
uint64_t tool_now_ns(void);
/* Reads "dir/key" as a malloc'ed string; NULL when it is missing. */
char *tool_read(struct xsc_handle *h, const char *dir, const char *key);

/* One of the toolstack calls of vbd.h, waited for. */
typedef int toolstack_call(const struct vbd_allocator *a, struct xsc *x, const struct vbd_id *id,
                           vbd_toolstack_done *done, void *ctx);
/* Runs it: 0, or -errno with the sentence in *why. */
int tool_call(struct tool *t, toolstack_call *call, const struct vbd_id *id, struct vbd_error *why);
int tool_create(struct tool *t, const struct vbd_spec *spec, struct vbd_error *why);

#endif
