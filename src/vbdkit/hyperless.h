/* hyperless.h - the parts of "vbdkit hyperless", for hyperless.c. */
#ifndef VBDKIT_HYPERLESS_H
#define VBDKIT_HYPERLESS_H

/* Each gets its own name as argv[0] and returns an exit status. */
int hyperless_run(int argc, char **argv);
int hyperless_exec(int argc, char **argv);
int hyperless_create(int argc, char **argv);
int hyperless_destroy(int argc, char **argv);
int hyperless_list(int argc, char **argv);

/* Prints the usage to stderr and returns EXIT_USAGE. */
int hyperless_usage(void);

/* Becomes the command, or says why not and exits with 126 or 127, as shells do. */
void hyperless_become(char **command) __attribute__((noreturn));

/* What a program that has ended leaves for its caller: its status, or 128 and its signal. */
int hyperless_status(int wait_status);

#endif
