/* bytes.h - a growing queue of bytes, for xenbus.c and xenbus_client.c. */
#ifndef HYPERLESS_BYTES_H
#define HYPERLESS_BYTES_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct hl_bytes {
    char *at;
    size_t start, len, room; /* len bytes from at + start on */
};

static inline int hl_bytes_append(struct hl_bytes *b, const void *bytes, size_t len)
{
    if (b->start > 0 && b->start + b->len + len > b->room) {
        memmove(b->at, b->at + b->start, b->len);
        b->start = 0;
    }
    if (b->start + b->len + len > b->room) {
        size_t room = (b->start + b->len + len) * 2;
        char *at = realloc(b->at, room);

        if (at == NULL)
            return -ENOMEM;
        b->at = at;
        b->room = room;
    }
    if (len > 0)
        memcpy(b->at + b->start + b->len, bytes, len);
    b->len += len;
    return 0;
}

static inline void hl_bytes_consume(struct hl_bytes *b, size_t n)
{
    b->start += n;
    b->len -= n;
    if (b->len == 0)
        b->start = 0;
}

static inline void hl_bytes_free(struct hl_bytes *b)
{
    free(b->at);
    *b = (struct hl_bytes){0};
}

#endif
