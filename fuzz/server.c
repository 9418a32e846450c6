/* server.c - the other end of the wire, as xs_wire.h lays it out: puts the session's bytes together
 * to requests, and writes answers that are friendly, odd or wrong, as the input says. */
#include "world.h"

void server_forget(struct world *w)
{
    w->out_len = w->unanswered_count = w->token_count = 0;
}

static void remember_token(struct world *w, const struct request *r)
{
    const char *token = memchr(r->payload, '\0', r->len);

    if (r->type == XSC_OP_WATCH && token != NULL && w->token_count < TOKENS)
        (void)snprintf(w->tokens[w->token_count++], sizeof w->tokens[0], "%s", token + 1);
}

static void remember_request(struct world *w)
{
    struct request *r;

    if (w->unanswered_count == UNANSWERED)
        (void)server_pick(w, 0);
    r = &w->unanswered[w->unanswered_count++];
    memcpy(r, w->out, HEADER);
    memcpy(r->payload, w->out + HEADER, r->len);
    r->payload[r->len] = '\0';
    if (r->tx != 0)
        w->last_transaction = r->tx;
}

/* The requests that were sent have ids of their own; a watch's token is remembered. */
static void take_request(struct world *w)
{
    const struct request *last;

    remember_request(w);
    last = &w->unanswered[w->unanswered_count - 1];
    for (size_t i = 0; i + 1 < w->unanswered_count; i++)
        must(w->unanswered[i].id != last->id);
    remember_token(w, last);
}

static size_t message_size(const struct world *w)
{
    uint32_t header[4];

    if (w->out_len < HEADER)
        return HEADER;
    memcpy(header, w->out, sizeof header);
    must(header[3] <= XSC_PAYLOAD_MAX);
    return HEADER + header[3];
}

void server_takes(struct world *w, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        w->out[w->out_len++] = bytes[i];
        if (w->out_len >= HEADER && w->out_len == message_size(w)) {
            take_request(w);
            w->out_len = 0;
        }
    }
}

/* A slice begins at a message, or continues the one that was begun, and ends with it. */
static void check_slice(const struct world *w, const struct xsc_slice *slice)
{
    uint32_t header[4];

    if (w->out_len >= HEADER)
        must(slice->len == message_size(w) - w->out_len);
    if (w->out_len > 0)
        return;
    must(slice->len >= HEADER);
    memcpy(header, slice->bytes, sizeof header);
    must(slice->len == HEADER + header[3]);
}

void server_drain(struct world *w, size_t max)
{
    struct xsc_slice slice;

    while (max > 0 && xsc_output(w->x, &slice, 1) > 0) {
        size_t part = slice.len < max ? slice.len : max;

        check_slice(w, &slice);
        server_takes(w, slice.bytes, part);
        xsc_output_sent(w->x, part);
        max -= part;
    }
}

const struct request *server_pick(struct world *w, unsigned which)
{
    static struct request picked;
    size_t i;

    if (w->unanswered_count == 0)
        return NULL;
    i = which % w->unanswered_count;
    picked = w->unanswered[i];
    memmove(&w->unanswered[i], &w->unanswered[i + 1],
            (--w->unanswered_count - i) * sizeof w->unanswered[0]);
    return &picked;
}

static size_t put(uint8_t *to, uint32_t type, uint32_t id, const void *data, size_t len)
{
    uint32_t header[4] = {type, id, 0, (uint32_t)len};

    must(HEADER + len <= SERVER_MESSAGE_MAX);
    memcpy(to, header, HEADER);
    if (len > 0)
        memcpy(to + HEADER, data, len);
    return HEADER + len;
}

/* Names "n", each with its NUL. */
static size_t names(char *to, size_t count, size_t name_len)
{
    size_t len = 0;

    for (size_t i = 0; i < count && len + name_len < 6000; i++) {
        memset(to + len, 'a' + (int)(i % 26), name_len);
        to[len + name_len] = '\0';
        len += name_len + 1;
    }
    return len;
}

static size_t put_names(const struct request *to, struct input *in, uint8_t *bytes)
{
    char text[8000];
    uint8_t count = take_byte(in), name_len = take_byte(in);

    return put(bytes, to->type, to->id, text, names(text, count, name_len));
}

/* One part of a directory: a generation, names, and an empty one when it is the last. */
static size_t put_part(const struct request *to, struct input *in, uint8_t *bytes)
{
    char text[8000];
    uint8_t how = take_byte(in);
    size_t len = (size_t)snprintf(text, 64, "%u", how % 4U) + 1;

    len += names(text + len, how / 4 % 8, take_byte(in));
    if (how >= 128)
        text[len++] = '\0';
    return put(bytes, to->type, to->id, text, len);
}

static size_t put_error(const struct request *to, struct input *in, uint8_t *bytes)
{
    static const char *const words[] = {"ENOENT", "EAGAIN", "E2BIG",  "ENOSYS", "EQUOTA", "EINVAL",
                                        "EEXIST", "EIO",    "EACCES", "",       "EWHAT"};
    uint8_t which = take_byte(in);
    const char *word = words[which % 11];

    return put(bytes, XSC_OP_ERROR, to->id, word, strlen(word) + (which < 0xf0));
}

static size_t put_number(const struct request *to, struct input *in, uint8_t *bytes)
{
    static const char *const numbers[] = {"1", "4294967295", "0", "-1", "4294967296", "12x", " 1"};
    uint8_t which = take_byte(in);
    const char *number = numbers[which % 7];

    return put(bytes, to->type, to->id, number, strlen(number) + (which < 0xf0));
}

static size_t put_raw(uint32_t type, uint32_t id, struct input *in, uint8_t *bytes)
{
    const uint8_t *data;
    size_t len = take_bytes(in, &data, take_byte(in));

    return put(bytes, type, id, data, len);
}

size_t server_answer(struct world *w, const struct request *to, struct input *in, uint8_t *bytes)
{
    uint8_t how = take_byte(in);

    switch (how % 10) {
    case 0:
        return put(bytes, to->type, to->id, "OK", 3);
    case 1:
    case 2:
        return put_error(to, in, bytes);
    case 3:
        return put_number(to, in, bytes);
    case 4:
        return put_names(to, in, bytes);
    case 5:
        return put_part(to, in, bytes);
    case 6:
        return put_raw(to->type, to->id, in, bytes);
    case 7:
        return put_raw(take_byte(in), to->id, in, bytes);
    case 8:
        return put_raw(to->type, to->id + take_byte(in), in, bytes);
    default:
        return server_friendly(w, to, bytes);
    }
}

size_t server_friendly(struct world *w, const struct request *to, uint8_t *bytes)
{
    static const char part[] = "7\0one\0two\0"; /* and the NUL of the literal: the last part */

    if (to->type == XSC_OP_TRANSACTION_START) {
        char number[16];

        w->last_transaction = w->last_transaction % 1000 + 1;
        (void)snprintf(number, sizeof number, "%u", w->last_transaction);
        return put(bytes, to->type, to->id, number, strlen(number) + 1);
    }
    if (to->type == XSC_OP_DIRECTORY)
        return put(bytes, to->type, to->id, "one\0two", 8);
    if (to->type == XSC_OP_DIRECTORY_PART)
        return put(bytes, to->type, to->id, part, sizeof part);
    return put(bytes, to->type, to->id, "OK", 3);
}

size_t server_event(struct world *w, struct input *in, uint8_t *bytes)
{
    char text[256];
    uint8_t which = take_byte(in);
    const char *path = some_path(take_byte(in));
    const char *token = w->token_count > 0 ? w->tokens[which % w->token_count] : "none";
    size_t len = (size_t)snprintf(text, sizeof text, "%s%c%s", path, '\0', token) + 1;

    if (which >= 0xf0) /* odd: cut, or with more behind it */
        len -= which % 8U < len ? which % 8U : 0;
    return put(bytes, XSC_OP_WATCH_EVENT, which >= 0xe0 ? which : 0, text, len);
}
