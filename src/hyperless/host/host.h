/* host.h - what makes a machine usable: a real xenstored, a toolstack, programs started in domains.
 * For the commands "vbdkit hyperless ...".
 */
#ifndef HYPERLESS_HOST_H
#define HYPERLESS_HOST_H

#include <stdbool.h>
#include <sys/types.h>

#include "hyperless/protocol.h"
#include "vbdkit/common.h"

/* --- environment.c --- */

/* Where the drop-in libraries are: beside this program in a build tree, or installed. The file's
 * name is "libhyperless.so" or "hyperless-xenstored.so". false: nowhere. */
bool hl_library_path(const char *name, char *path, size_t size);
/* Sets the environment of a program that is to run in a domain, given the machine's folder. -errno
 * with a sentence. */
int hl_enter_domain(const char *folder, uint32_t domid, struct vbd_error *why);
/* The machine's folder of this process, from its environment; false: it runs in no machine's
 * domain 0. */
bool hl_machine_folder(char *folder, size_t size);
/* Removes a folder and all below it. */
void hl_remove_tree(const char *folder);
/* Makes a temporary folder, below $TMPDIR or /tmp. -errno. */
int hl_temporary_folder(char *folder, size_t size);

/* --- xenstored.c --- */

enum hl_xenstored { HL_XENSTORED_C, HL_XENSTORED_OCAML };

/* Starts a daemon in folder/xenstored, in domain 0 of that machine; its process. -errno with a
 * sentence. */
pid_t hl_xenstored_start(enum hl_xenstored which, const char *folder, struct vbd_error *why);
/* The path of its socket. */
void hl_xenstored_socket(const char *folder, char *path, size_t size);
/* Waits until it answers, for at most 10 s. 0 or -errno. */
int hl_xenstored_wait(const char *folder);
/* Prints the end of its log to stderr. */
void hl_xenstored_explain(const char *folder);

/* --- toolstack.c --- */

struct hl_machine;
struct hl_toolstack;

/* Connects to the machine's xenstored and writes what domain 0 starts with. -errno with a
 * sentence. Any thread. */
int hl_toolstack_new(struct hl_machine *m, const char *folder, struct hl_toolstack **ret,
                     struct vbd_error *why);
/* Waits for what is under way and disconnects. */
void hl_toolstack_free(struct hl_toolstack *t);
/* The machine's hooks; each works in a thread of its own and answers the machine. */
void hl_toolstack_introduce(struct hl_toolstack *t, uint32_t domid, uint32_t port);
void hl_toolstack_bury(struct hl_toolstack *t, uint32_t domid);

#endif
