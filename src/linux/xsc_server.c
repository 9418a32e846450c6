/* xsc_server.c - the operations of a handle that speak to the server itself: control, restrict,
 * reset, features, quotas. Called by users. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "linux/error.h"
#include "linux/xsc_handle.h"

/* Strings with their NULs, as most of these operations take them. */
struct words {
    char bytes[XSC_PAYLOAD_MAX];
    size_t len;
    bool full;
};

static void add(struct words *w, const char *word)
{
    size_t size = strlen(word) + 1;

    if (size > sizeof w->bytes - w->len) {
        w->full = true;
        return;
    }
    memcpy(w->bytes + w->len, word, size);
    w->len += size;
}

static void add_number(struct words *w, unsigned long n)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%lu", n);
    add(w, text);
}

static int call_words(struct xsc_handle *h, enum xsc_op op, const struct words *w, char **ret,
                      size_t *ret_len)
{
    struct xsc_call call = {.op = op, .value = w->bytes, .value_len = w->len};

    if (w->full)
        return xsc_handle_fail(h, &call, -E2BIG, strerror(E2BIG));
    return xsc_handle_call(h, &call, ret, ret_len);
}

/* An answer that must be a number. */
static int call_number(struct xsc_handle *h, enum xsc_op op, const struct words *w, uint32_t *ret)
{
    uint64_t n = 0;
    char *text = NULL;
    size_t len;
    int r = call_words(h, op, w, &text, &len);

    if (r < 0)
        return r;
    if (text != NULL && vbd_parse_u64(text, strlen(text), UINT32_MAX, &n))
        *ret = (uint32_t)n;
    else
        r = vbd_fail(&h->why, -EPROTO, "%s: \"%.40s\" is no number", xsc_op_name(op),
                     text != NULL ? text : "");
    free(text);
    return r;
}

int xsc_control(struct xsc_handle *h, const char *const *command, size_t count, char **ret,
                size_t *ret_len)
{
    struct words w = {.len = 0};

    for (size_t i = 0; i < count; i++)
        add(&w, command[i]);
    return call_words(h, XSC_OP_CONTROL, &w, ret, ret_len);
}

int xsc_restrict(struct xsc_handle *h, unsigned domid)
{
    struct words w = {.len = 0};

    add_number(&w, domid);
    return call_words(h, XSC_OP_RESTRICT, &w, NULL, NULL);
}

int xsc_reset_watches(struct xsc_handle *h)
{
    struct words w = {.len = 0};

    add(&w, ""); /* oxenstored waits for more after a request without a byte */
    return call_words(h, XSC_OP_RESET_WATCHES, &w, NULL, NULL);
}

int xsc_get_features(struct xsc_handle *h, int domid, uint32_t *ret)
{
    struct words w = {.len = 0};

    if (domid >= 0)
        add_number(&w, (unsigned long)domid);
    return call_number(h, XSC_OP_GET_FEATURE, &w, ret);
}

int xsc_set_features(struct xsc_handle *h, unsigned domid, uint32_t features)
{
    struct words w = {.len = 0};

    add_number(&w, domid);
    add_number(&w, features);
    return call_words(h, XSC_OP_SET_FEATURE, &w, NULL, NULL);
}

int xsc_get_quota(struct xsc_handle *h, int domid, const char *quota, uint32_t *ret)
{
    struct words w = {.len = 0};

    if (domid >= 0)
        add_number(&w, (unsigned long)domid);
    add(&w, quota);
    return call_number(h, XSC_OP_GET_QUOTA, &w, ret);
}

int xsc_set_quota(struct xsc_handle *h, int domid, const char *quota, uint32_t value)
{
    struct words w = {.len = 0};

    if (domid >= 0)
        add_number(&w, (unsigned long)domid);
    add(&w, quota);
    add_number(&w, value);
    return call_words(h, XSC_OP_SET_QUOTA, &w, NULL, NULL);
}

int xsc_quota_names(struct xsc_handle *h, char **ret)
{
    struct words w = {.len = 0};
    size_t len;

    return call_words(h, XSC_OP_GET_QUOTA, &w, ret, &len);
}
