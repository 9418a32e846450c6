/* xsc_script.h - a scripted xenstored on a thread, for what no daemon of today answers, and for
 * what must happen to a connection at a given moment. Included by tests beside xsc_support.h.
 */
#ifndef UNIT_XSC_SCRIPT_H
#define UNIT_XSC_SCRIPT_H

#include "xsc_support.h"

/* A server that answers every request with what `says` says, until the connection ends. */
struct script {
    int peer;
    /* Fills in the answer's payload and returns its size, or -1 with an error's word in it. */
    int (*says)(const struct message *m, char payload[64]);
    pthread_mutex_t lock;
    struct message last; /* under the lock */
    pthread_t thread;
};

static inline void *script_run(void *arg)
{
    struct script *s = arg;
    struct message m;
    char payload[64];

    while (peer_takes(s->peer, &m)) {
        char wire[HEADER + sizeof payload];
        int n = s->says(&m, payload);
        uint32_t type = n < 0 ? (uint32_t)XSC_OP_ERROR : m.type;
        size_t len = n < 0 ? strlen(payload) + 1 : (size_t)n;

        (void)pthread_mutex_lock(&s->lock);
        s->last = m;
        (void)pthread_mutex_unlock(&s->lock);
        len = put_message(wire, type, m.id, payload, len);
        (void)!send(s->peer, wire, len, MSG_NOSIGNAL);
    }
    close(s->peer);
    return NULL;
}

/* A client of a server that runs until script_end. */
static inline struct xsc_client *script_start(struct script *s,
                                              int (*says)(const struct message *, char *))
{
    struct xsc_client *c;

    *s = (struct script){.says = says, .lock = PTHREAD_MUTEX_INITIALIZER};
    c = paired_client(&s->peer);
    assert_int_equal(pthread_create(&s->thread, NULL, script_run, s), 0);
    return c;
}

static inline void script_end(struct script *s, struct xsc_client *c)
{
    assert_null(xsc_client_close(c));
    assert_true(joined(s->thread));
}

/* The last request that was answered. */
static inline struct message script_last(struct script *s)
{
    struct message m;

    (void)pthread_mutex_lock(&s->lock);
    m = s->last;
    (void)pthread_mutex_unlock(&s->lock);
    return m;
}

/* "OK" to everything. */
static inline int script_ok(const struct message *m, char payload[64])
{
    (void)m;
    memcpy(payload, "OK", 3);
    return 3;
}

#endif
