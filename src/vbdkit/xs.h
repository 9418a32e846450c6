/* xs.h - the parts of "vbdkit xs", for xs.c. */
#ifndef VBDKIT_XS_H
#define VBDKIT_XS_H

#include <json-c/json.h>
#include <stdio.h>

#include "vbdkit/program.h"

struct xs {
    struct xsc_client *client;
    const char *name; /* of the command, for messages: "xs read" */
    char **arguments; /* behind the options, and NULL */
    int count;
    /* options */
    const char *xenstore;
    bool json, flat, perms, raw, gone;
    int timeout_ms; /* negative: for ever */
    long events;    /* of watch; 0: no end */
};

/* Each command: exit status. */
int xs_ls(struct xs *x);
int xs_watch(struct xs *x);
int xs_wait(struct xs *x);
int xs_txn(struct xs *x);

/* Connects, once the arguments are known to be right. Exit status. */
int xs_open(struct xs *x);
/* The arguments are wrong: says so. Exit status. */
int xs_wrong(const struct xs *x, const char *sentence);
/* Runs fn as xsc_immediate or xsc_transaction does; prints what failed. Exit status. */
int xs_run(struct xs *x, bool transaction, xsc_handle_fn *fn, void *arg);
/* Prints a value for people: on one line, what is not printable as \xNN. */
void xs_print_value(FILE *to, const char *data, size_t len);
/* A value as JSON: a string where it is printable ASCII, else {"hex": "..."}. */
json_object *xs_json_value(const char *data, size_t len);
/* Prints a JSON document and frees it. */
void xs_print_json(json_object *document);
/* Permissions as text: "n0,r4". malloc'ed; NULL when they can't be read. */
char *xs_perms_text(struct xsc_handle *h, const char *path);

#endif
