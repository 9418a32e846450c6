/* text.c - see text.h. Called by every portable room; must not call libc beyond memcpy and memcmp.
 */
#include "base/text.h"

#include <stdarg.h>
#include <string.h>

struct vbd_text vbd_text_on(char *buffer, size_t size)
{
    buffer[0] = '\0';
    return (struct vbd_text){.at = buffer, .size = size};
}

struct vbd_text *vbd_text_bytes(struct vbd_text *t, const void *bytes, size_t len)
{
    size_t room = t->size - 1 - t->len;

    if (len > room) {
        len = room;
        t->cut = true;
    }
    if (len > 0)
        memcpy(t->at + t->len, bytes, len);
    t->len += len;
    t->at[t->len] = '\0';
    return t;
}

struct vbd_text *vbd_text_str(struct vbd_text *t, const char *s)
{
    return vbd_text_bytes(t, s, vbd_str_len(s));
}

struct vbd_text *vbd_text_u64(struct vbd_text *t, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + (int)(n % 10));
        n /= 10;
    } while (n > 0);
    return vbd_text_bytes(t, digits + at, sizeof digits - at);
}

bool vbd_text_join(char *buffer, size_t size, ...)
{
    struct vbd_text t = vbd_text_on(buffer, size);
    va_list parts;
    const char *part;

    va_start(parts, size);
    while ((part = va_arg(parts, const char *)) != NULL)
        vbd_text_str(&t, part);
    va_end(parts);
    return !t.cut;
}

void vbd_text_make_printable(char *s)
{
    for (; *s != '\0'; s++)
        if (*s < ' ' || *s > '~')
            *s = '?';
}

size_t vbd_str_len(const char *s)
{
    size_t n = 0;

    /* The barrier keeps the compiler from turning this loop into a call of strlen. */
    while (s[n] != '\0') {
        n++;
        __asm__ volatile("" : : : "memory");
    }
    return n;
}

bool vbd_str_eq(const char *a, const char *b)
{
    size_t n = vbd_str_len(a);

    return n == vbd_str_len(b) && memcmp(a, b, n) == 0;
}

bool vbd_str_starts(const char *s, const char *prefix)
{
    size_t n = vbd_str_len(prefix);

    return vbd_str_len(s) >= n && memcmp(s, prefix, n) == 0;
}

const char *vbd_bytes_find(const char *bytes, size_t len, char c)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] == c)
            return bytes + i;
    return NULL;
}

bool vbd_parse_u64(const char *bytes, size_t len, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;

    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] < '0' || bytes[i] > '9')
            return false;
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(bytes[i] - '0'), &n))
            return false;
    }
    if (n > max)
        return false;
    *ret = n;
    return true;
}
