/* dialogue.c - commands and answers through xenstore, see dialogue.h. Called by rules.c and
 * rules_peer.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actor.h"
#include "dialogue.h"

enum { PATH_SIZE = 80, NODE_SIZE = ACTOR_LINE + 16 };

struct dialogue {
    struct xsc_client *client;
    struct xsc_queue *queue; /* watches the node that is read */
    char written[PATH_SIZE], read[PATH_SIZE];
    unsigned long number; /* of the last request sent or taken */
};

/* One node and its value, for the functions that run with a handle. */
struct node {
    const char *path;
    char *value;
    size_t size;
};

static int read_with(struct xsc_handle *h, void *arg)
{
    struct node *n = arg;
    char *value = NULL;
    size_t len = 0;
    int status = xsc_read(h, n->path, &value, &len);

    if (status == 0)
        (void)snprintf(n->value, n->size, "%s", value);
    free(value);
    return status;
}

static int write_with(struct xsc_handle *h, void *arg)
{
    const struct node *n = arg;

    return xsc_write(h, n->path, n->value, strlen(n->value));
}

/* Reads "NUMBER TEXT". Returns 0, or -errno; -ENOENT also for a value of another form. */
static int read_message(struct dialogue *d, unsigned long *number, char *text, size_t size)
{
    char value[NODE_SIZE];
    struct node n = {d->read, value, sizeof value};
    int status = xsc_immediate(d->client, read_with, &n, NULL);
    char *rest;

    if (status < 0)
        return status;
    *number = strtoul(value, &rest, 10);
    if (*rest != ' ')
        return -ENOENT;
    (void)snprintf(text, size, "%s", rest + 1);
    return 0;
}

static int write_message(struct dialogue *d, const char *text)
{
    char value[NODE_SIZE];
    struct node n = {d->written, value, sizeof value};

    (void)snprintf(value, sizeof value, "%lu %s", d->number, text);
    return xsc_immediate(d->client, write_with, &n, NULL);
}

static long now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int wait_for_event(struct dialogue *d, long deadline)
{
    struct xsc_event event;
    long left = deadline - now_ms();
    int status = deadline < 0 ? xsc_queue_next(d->queue, -1, &event)
                              : xsc_queue_next(d->queue, left > 0 ? (int)left : 0, &event);

    if (status == 0)
        xsc_event_clear(&event);
    return status;
}

/* Waits until the node that is read has another number (want_new), or this dialogue's. A look for
 * each event is enough: the watch itself begins with one. */
static int wait_message(struct dialogue *d, bool want_new, char *text, size_t size, long deadline)
{
    unsigned long number = 0;
    int status;

    do {
        status = wait_for_event(d, deadline);
        if (status < 0)
            return status;
        status = read_message(d, &number, text, size);
        if (status < 0 && status != -ENOENT)
            return status;
    } while (status < 0 || (number != d->number) != want_new);
    d->number = number;
    return 0;
}

static struct dialogue *start(struct xsc_client *client, const char *written, const char *read)
{
    struct dialogue *d = calloc(1, sizeof *d);
    struct vbd_error why = {""};

    if (d == NULL)
        return NULL;
    d->client = client;
    (void)snprintf(d->written, sizeof d->written, "%s", written);
    (void)snprintf(d->read, sizeof d->read, "%s", read);
    if (xsc_queue_new(client, 8, &d->queue) < 0 || xsc_watch(d->queue, read, "rules", &why) < 0) {
        (void)fprintf(stderr, "rules: cannot watch %s: %s\n", read, why.text);
        dialogue_end(d);
        return NULL;
    }
    return d;
}

struct dialogue *dialogue_call(struct xsc_client *client, unsigned peer, int timeout_ms)
{
    char request[PATH_SIZE], answer[PATH_SIZE], text[ACTOR_LINE];
    struct dialogue *d;

    (void)snprintf(request, sizeof request, "/local/domain/%u/data/rules/request", peer);
    (void)snprintf(answer, sizeof answer, "/local/domain/%u/data/rules/answer", peer);
    d = start(client, request, answer);
    if (d == NULL)
        return NULL;
    if (wait_message(d, true, text, sizeof text, now_ms() + timeout_ms) < 0) {
        (void)fprintf(stderr, "rules: no rules_peer in domain %u\n", peer);
        dialogue_end(d);
        return NULL;
    }
    return d;
}

int dialogue_send(struct dialogue *d, const char *command)
{
    d->number++;
    return write_message(d, command);
}

int dialogue_receive(struct dialogue *d, char *answer, size_t size, int timeout_ms)
{
    return wait_message(d, false, answer, size, now_ms() + timeout_ms);
}

struct dialogue *dialogue_listen(struct xsc_client *client)
{
    struct dialogue *d = start(client, "data/rules/answer", "data/rules/request");
    char text[ACTOR_LINE];
    int status;

    if (d == NULL)
        return NULL;
    d->number = 1; /* 0 is what the other end has seen before it has seen anything */
    status = read_message(d, &d->number, text, sizeof text);
    if (status == 0 || status == -ENOENT)
        status = write_message(d, "ready");
    if (status < 0) {
        (void)fprintf(stderr, "rules_peer: %s\n", strerror(-status));
        dialogue_end(d);
        return NULL;
    }
    return d;
}

int dialogue_next(struct dialogue *d, char *command, size_t size)
{
    return wait_message(d, true, command, size, -1);
}

int dialogue_answer(struct dialogue *d, const char *answer)
{
    return write_message(d, answer);
}

void dialogue_end(struct dialogue *d)
{
    if (d != NULL)
        (void)xsc_queue_free(d->queue);
    free(d);
}

int own_domid(struct xsc_client *client)
{
    char value[16];
    struct node n = {"domid", value, sizeof value};
    int status = xsc_immediate(client, read_with, &n, NULL);

    return status < 0 ? status : (int)actor_number(value);
}
