/* xsc_domains.c - the operations of a handle that speak of domains: for toolstacks, which tell
 * xenstored who comes and goes. Called by users; domain 0's alone may make them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "linux/xsc_handle.h"

enum {
    NUMBER = 24,       /* bytes of a decimal number and its NUL */
    DOMID_MAX = 0x7fef /* DOMID_FIRST_RESERVED - 1 */
};

/* A domain operation's strings: the domain first, as the call's path, then `count` numbers. */
static int call_domain(struct xsc_handle *h, enum xsc_op op, unsigned domid,
                       const unsigned long *numbers, size_t count, char **ret, size_t *ret_len)
{
    char domain[NUMBER], value[2 * NUMBER];
    struct xsc_call call = {.op = op, .path = domain, .value = value};

    (void)snprintf(domain, sizeof domain, "%u", domid);
    if (domid > DOMID_MAX)
        return xsc_handle_fail(h, &call, -EINVAL, "there is no domain of such a number");
    for (size_t i = 0; i < count; i++)
        call.value_len += (size_t)snprintf(value + call.value_len, NUMBER, "%lu", numbers[i]) + 1;
    return xsc_handle_call(h, &call, ret, ret_len);
}

int xsc_introduce(struct xsc_handle *h, unsigned domid, unsigned long frame, uint32_t port)
{
    unsigned long numbers[] = {frame, port};

    return call_domain(h, XSC_OP_INTRODUCE, domid, numbers, 2, NULL, NULL);
}

int xsc_release(struct xsc_handle *h, unsigned domid)
{
    return call_domain(h, XSC_OP_RELEASE, domid, NULL, 0, NULL, NULL);
}

int xsc_is_introduced(struct xsc_handle *h, unsigned domid, bool *ret)
{
    char *word = NULL;
    size_t len;
    int r = call_domain(h, XSC_OP_IS_INTRODUCED, domid, NULL, 0, &word, &len);

    if (r < 0)
        return r;
    *ret = word != NULL && word[0] == 'T';
    free(word);
    return 0;
}

int xsc_resume_domain(struct xsc_handle *h, unsigned domid)
{
    return call_domain(h, XSC_OP_RESUME_DOMAIN, domid, NULL, 0, NULL, NULL);
}

int xsc_set_target(struct xsc_handle *h, unsigned domid, unsigned target)
{
    unsigned long numbers[] = {target};

    return call_domain(h, XSC_OP_SET_TARGET, domid, numbers, 1, NULL, NULL);
}
