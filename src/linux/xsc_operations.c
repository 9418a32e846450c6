/* xsc_operations.c - the operations of a handle: arguments in, results decoded. Called by users. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "linux/error.h"
#include "linux/xsc_handle.h"

int xsc_read(struct xsc_handle *h, const char *path, char **ret, size_t *ret_len)
{
    return xsc_handle_reads(h, XSC_OP_READ, path, ret, ret_len);
}

int xsc_write(struct xsc_handle *h, const char *path, const void *value, size_t len)
{
    struct xsc_call call = {.op = XSC_OP_WRITE, .path = path, .value = value, .value_len = len};

    return xsc_handle_call(h, &call, NULL, NULL);
}

int xsc_mkdir(struct xsc_handle *h, const char *path)
{
    struct xsc_call call = {.op = XSC_OP_MKDIR, .path = path};

    return xsc_handle_call(h, &call, NULL, NULL);
}

int xsc_rm(struct xsc_handle *h, const char *path)
{
    struct xsc_call call = {.op = XSC_OP_RM, .path = path};

    return xsc_handle_call(h, &call, NULL, NULL);
}

static size_t count_strings(const char *bytes, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += bytes[i] == '\0';
    return n + (len > 0 && bytes[len - 1] != '\0');
}

int xsc_directory(struct xsc_handle *h, const char *path, char ***ret, size_t *ret_count)
{
    char *bytes, **names, *at;
    size_t len, count;
    int r = xsc_handle_reads(h, XSC_OP_DIRECTORY, path, &bytes, &len);

    if (r < 0)
        return r;
    count = count_strings(bytes, len);
    names = malloc((count + 1) * sizeof *names + len + 1);
    if (names == NULL) {
        free(bytes);
        return vbd_fail(&h->why, -ENOMEM, "directory %s: %s", path, strerror(ENOMEM));
    }
    at = memcpy(names + count + 1, bytes, len + 1);
    for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
        names[i] = at;
    names[count] = NULL;
    free(bytes);
    *ret = names;
    *ret_count = count;
    return 0;
}

int xsc_get_domain_path(struct xsc_handle *h, unsigned domid, char **ret)
{
    char number[12];
    struct xsc_call call = {.op = XSC_OP_GET_DOMAIN_PATH, .path = number};
    size_t len;

    (void)snprintf(number, sizeof number, "%u", domid);
    return xsc_handle_call(h, &call, ret, &len);
}

static bool is_access(char c)
{
    return c == 'n' || c == 'r' || c == 'w' || c == 'b';
}

static int parse_permission(const char *s, struct xsc_permission *ret)
{
    uint64_t domid;

    if (!is_access(s[0]) || !vbd_parse_u64(s + 1, strlen(s + 1), UINT_MAX, &domid))
        return -EPROTO;
    *ret = (struct xsc_permission){.domid = (unsigned)domid, .access = s[0]};
    return 0;
}

int xsc_get_perms(struct xsc_handle *h, const char *path, struct xsc_permission **ret,
                  size_t *ret_count)
{
    struct xsc_permission *perms;
    size_t len, count;
    char *bytes, *at;
    int r = xsc_handle_reads(h, XSC_OP_GET_PERMS, path, &bytes, &len);

    if (r < 0)
        return r;
    count = count_strings(bytes, len);
    perms = calloc(count + 1, sizeof *perms);
    r = perms == NULL ? -ENOMEM : 0;
    at = bytes;
    for (size_t i = 0; r == 0 && i < count; i++, at += strlen(at) + 1)
        r = parse_permission(at, &perms[i]);
    free(bytes);
    if (r < 0) {
        free(perms);
        return vbd_fail(&h->why, r, "getperms %s: %s", path, strerror(-r));
    }
    *ret = perms;
    *ret_count = count;
    return 0;
}

int xsc_set_perms(struct xsc_handle *h, const char *path, const struct xsc_permission *perms,
                  size_t count)
{
    char value[XSC_PAYLOAD_MAX];
    struct xsc_call call = {.op = XSC_OP_SET_PERMS, .path = path, .value = value};

    for (size_t i = 0; i < count; i++) {
        size_t room = sizeof value - call.value_len;
        int n = snprintf(value + call.value_len, room, "%c%u", perms[i].access, perms[i].domid);

        if (!is_access(perms[i].access) || perms[i].domid > 0x7fef)
            return vbd_fail(&h->why, -EINVAL, "setperms %s: entry %zu is no permission", path, i);
        if (n < 0 || (size_t)n >= room)
            return vbd_fail(&h->why, -E2BIG, "setperms %s: too many entries", path);
        call.value_len += (size_t)n + 1;
    }
    return xsc_handle_call(h, &call, NULL, NULL);
}
