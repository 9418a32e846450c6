/* text.h - strings and numbers without libc: a bounded text builder, comparison, number parsing.
 *
 * Used by every portable room. Nothing here allocates; a text that does not fit is cut, stays
 * terminated, and says so.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vbd_text {
    char *at;    /* caller's buffer, always NUL-terminated */
    size_t size; /* bytes in it, at least 1 */
    size_t len;  /* bytes used, without the NUL */
    bool cut;    /* something did not fit */
};

/* Each append returns its text, so that calls can be nested where that reads well. */
struct vbd_text vbd_text_on(char *buffer, size_t size);
struct vbd_text *vbd_text_str(struct vbd_text *t, const char *s);
struct vbd_text *vbd_text_bytes(struct vbd_text *t, const void *bytes, size_t len);
struct vbd_text *vbd_text_u64(struct vbd_text *t, uint64_t n);

/* Joins the strings up to a NULL. Returns false when the result was cut. */
bool vbd_text_join(char *buffer, size_t size, ...) __attribute__((sentinel));

/* Turns every byte that is no printable ASCII into '?': for what guests wrote, before people read
 * it. */
void vbd_text_make_printable(char *s);

size_t vbd_str_len(const char *s);
bool vbd_str_eq(const char *a, const char *b);
bool vbd_str_starts(const char *s, const char *prefix);
/* Finds byte c in len bytes; NULL when it is not there. */
const char *vbd_bytes_find(const char *bytes, size_t len, char c);

/* Parses a decimal number that fills all len bytes (no sign, no blanks) and is at most max.
 * Returns false, and leaves *ret alone, for anything else. */
bool vbd_parse_u64(const char *bytes, size_t len, uint64_t max, uint64_t *ret);

#endif
