/* world.h - one libxsc session under a fuzzer: everything that was asked of it, everything it
 * called, and the promises of xsc.h that must hold whatever happens. A promise that is broken
 * aborts.
 *
 * world.c keeps the records and judges; ops.c is the small language in which an input drives the
 * session; server.c is the other end of the wire.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "input.h"
#include "must.h"
#include "vbdkit/xsc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    HEADER = 16,
    TICKETS = 512, /* calls of one input; what would be more is not made */
    WATCHES = 64,  /* watches ever made, and batches: their records stay, to see late callbacks */
    JOBS = 32,
    SUSPENSIONS = 64,
    UNANSWERED = 64, /* requests that the server remembers; it forgets the oldest */
    TOKENS = 16,
    STEPS = 400 /* of one input: a long one is slow, and tells nothing new */
};

/* A completion that was handed in. */
struct ticket {
    struct world *world;
    bool submitting, accepted, done, released;
    uint8_t deed; /* what its `done` does to the session */
};

struct watching {
    struct world *world;
    struct xsc_watch *watch; /* NULL when removed */
    struct ticket *set;
    uint8_t deed;
};

/* A batch. */
struct job {
    struct world *world;
    struct xsc_batch *batch; /* NULL when freed */
    bool submitting, running;
    int asked; /* how often xsc_batch_then's function was called in this run */
    uint8_t deed, more;
};

struct suspension {
    struct world *world;
    bool submitting, accepted, done;
};

struct request {
    uint32_t type, id, tx, len;
    char payload[XSC_PAYLOAD_MAX + 1];
};

struct world {
    struct vbd_allocator allocator;
    long live;
    unsigned long allocations, fail_at; /* the fail_at-th allocation answers NULL */
    struct xsc *x;
    bool may_call_back; /* a call is under way whose business is to call back */
    int depth;          /* of callbacks */
    struct ticket tickets[TICKETS];
    struct watching watches[WATCHES];
    struct job jobs[JOBS];
    struct suspension suspensions[SUSPENSIONS];
    size_t ticket_count, watch_count, job_count, suspension_count;

    /* the wire: what came out and is not a whole message yet, and whole ones without an answer */
    uint8_t out[HEADER + XSC_PAYLOAD_MAX];
    size_t out_len;
    struct request unanswered[UNANSWERED];
    size_t unanswered_count;
    char tokens[TOKENS][64]; /* of the watches that the server was asked for */
    size_t token_count;
    uint32_t last_transaction;
};

/* world.c */
/* Makes the session; false when there was no memory. */
bool world_begin(struct world *w, unsigned long fail_at);
/* Frees the session and says that every promise was kept. */
void world_end(struct world *w);
/* Says that what can be seen of the session between two calls is consistent. */
void world_check(struct world *w);
/* The next ticket, or NULL when there are no more. `submitted` notes what the call said. */
struct ticket *ticket_new(struct world *w, uint8_t deed);
struct xsc_completion ticket_completion(struct ticket *t);
void ticket_submitted(struct ticket *t, int result);
struct job *job_new(struct world *w, enum xsc_batch_kind kind, uint8_t deed);
void job_submit(struct job *j);
void job_free(struct job *j);
int job_more(void *ctx, struct xsc_batch *b);
void watching_new(struct world *w, const char *path, int depth, uint8_t deed);
void watching_remove(struct watching *v);
void world_suspend(struct world *w);
void world_resume(struct world *w, bool new_connection);
void world_lose(struct world *w, const char *why);
int world_feed(struct world *w, const void *bytes, size_t len);

/* ops.c */
enum { WORLD_OPS = 20 };
/* Does what the next bytes say: op is less than WORLD_OPS. */
void world_op(struct world *w, unsigned op, struct input *in);
/* What a callback does: little, from one byte. */
void world_deed(struct world *w, uint8_t deed);
const char *some_path(uint8_t which);

/* server.c */
/* Bytes that came out of the session: messages are put together and remembered. */
void server_takes(struct world *w, const uint8_t *bytes, size_t len);
/* Lets the transport write up to max bytes of the output. */
void server_drain(struct world *w, size_t max);
/* The server is another one: nothing that it was told is known. */
void server_forget(struct world *w);
/* Takes the request with this number off the list (modulo); NULL when there is none. Valid until
 * the next call. */
const struct request *server_pick(struct world *w, unsigned which);
/* Writes an answer that the next bytes describe, to the request `to`; returns its size. */
size_t server_answer(struct world *w, const struct request *to, struct input *in, uint8_t *bytes);
/* Writes the answer that a friendly server would give. */
size_t server_friendly(struct world *w, const struct request *to, uint8_t *bytes);
/* Writes an event for a watch that the server was asked for, or for none. */
size_t server_event(struct world *w, struct input *in, uint8_t *bytes);
enum { SERVER_MESSAGE_MAX = HEADER + 8192 };

#endif
