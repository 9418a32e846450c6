/* connection.h - a library's connection to the broker, one for each open handle. */
#ifndef HYPERLESS_CONNECTION_H
#define HYPERLESS_CONNECTION_H

#include <pthread.h>
#include <stddef.h>

#include "hyperless/protocol.h"

#define HL_EXPORT __attribute__((visibility("default")))

struct hl_connection {
    int fd;
    pthread_mutex_t lock; /* one request at a time */
};

/* Connects to the broker of $HYPERLESS. 0, or -1 with errno: ENODEV when this process runs in no
 * domain. */
int hl_connect(struct hl_connection *c);
/* The same, and sends the opening request `op`, whose descriptor, if it
 * answers with one, goes to *ret_fd (may be NULL). Returns 0, or -1 with errno. */
int hl_open(struct hl_connection *c, enum hl_op op, int *ret_fd);
void hl_close(struct hl_connection *c);
/* Makes a request, with grants[0..grants). Descriptors that come along go to fds (room for
 * HL_BATCH; unwanted ones are closed when fds is NULL), their number to *ret_fds. Returns 0, or -1
 * with errno as the broker answered it; EMFILE also when descriptors came for which this process
 * has no room: then *ret is valid, and the broker has done what was asked. */
int hl_call(struct hl_connection *c, struct hl_request *request, uint32_t grants,
            struct hl_reply *ret, int *fds, uint32_t *ret_fds);
/* The same for requests without grants, whose one descriptor goes to *ret_fd (-1: none). */
int hl_ask(struct hl_connection *c, struct hl_request *request, struct hl_reply *ret, int *ret_fd);
/* Sends a descriptor beside a request. */
int hl_send_descriptor(struct hl_connection *c, struct hl_request *request, int fd,
                       struct hl_reply *ret);
/* Maps one shared page of a descriptor, and closes the descriptor. NULL with errno. */
void *hl_map_page(int fd, int prot);

#endif
