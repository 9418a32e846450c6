/* negotiate.c - see negotiate.h. Called when a front is ready to connect; every value is the
 * guest's and is believed only after it has been parsed and bounded. */
#include "xenbus/negotiate.h"

#include <errno.h>

#include "base/names.h"

static const struct vbd_name protocols[] = {
    {"x86_64-abi", VBD_PROTOCOL_X86_64},
    {"x86_32-abi", VBD_PROTOCOL_X86_32},
};

static int refuse(struct vbd_text *why, enum vbd_front_key key, const char *value,
                  const char *objection)
{
    vbd_text_str(why, vbd_front_key_names[key]);
    vbd_text_str(why, ": ");
    if (value != NULL) {
        vbd_text_str(why, "\"");
        vbd_text_bytes(why, value, vbd_str_len(value) < 40 ? vbd_str_len(value) : 40);
        vbd_text_str(why, "\" ");
    }
    vbd_text_str(why, objection);
    vbd_text_make_printable(why->at);
    return -EINVAL;
}

static int number(const char *const *values, enum vbd_front_key key, uint32_t max, uint32_t *ret,
                  struct vbd_text *why)
{
    const char *value = values[key];
    uint64_t n;

    if (value == NULL)
        return refuse(why, key, NULL, "the frontend did not write this key");
    if (!vbd_parse_u64(value, vbd_str_len(value), max, &n))
        return refuse(why, key, value, "is not a number in range");
    *ret = (uint32_t)n;
    return 0;
}

static int protocol(const char *value, enum vbd_protocol native, enum vbd_protocol *ret,
                    struct vbd_text *why)
{
    const struct vbd_name *row;

    if (value == NULL) {
        *ret = native;
        return 0;
    }
    row = vbd_name_find(protocols, VBD_COUNT(protocols), value, vbd_str_len(value));
    if (row == NULL)
        return refuse(why, VBD_FRONT_PROTOCOL, value, "is neither x86_64-abi nor x86_32-abi");
    *ret = (enum vbd_protocol)row->value;
    return 0;
}

/* Both schemes of multi-page rings: ring-page-order (Linux), num-ring-pages (FreeBSD). */
static int ring_pages(const char *const *values, uint32_t order_max, uint32_t *ret,
                      struct vbd_text *why)
{
    uint32_t n = 0;
    int r = 0;

    if (values[VBD_FRONT_RING_PAGE_ORDER] != NULL) {
        r = number(values, VBD_FRONT_RING_PAGE_ORDER, order_max, &n, why);
        n = 1u << n;
    } else if (values[VBD_FRONT_NUM_RING_PAGES] != NULL) {
        r = number(values, VBD_FRONT_NUM_RING_PAGES, 1u << order_max, &n, why);
        if (r == 0 && (n == 0 || (n & (n - 1)) != 0))
            r = refuse(why, VBD_FRONT_NUM_RING_PAGES, values[VBD_FRONT_NUM_RING_PAGES],
                       "is not a power of two");
    } else {
        n = 1;
    }
    if (r == 0)
        *ret = n;
    return r;
}

static int queue_count(const char *const *values, uint32_t max, uint32_t *ret, struct vbd_text *why)
{
    int r = 0;

    *ret = 1;
    if (values[VBD_FRONT_QUEUES] != NULL)
        r = number(values, VBD_FRONT_QUEUES, max, ret, why);
    if (r == 0 && *ret == 0)
        r = refuse(why, VBD_FRONT_QUEUES, values[VBD_FRONT_QUEUES], "is no number of queues");
    return r;
}

int vbd_negotiate(const char *const values[VBD_FRONT_KEYS], const struct vbd_negotiable *offered,
                  struct vbd_agreement *ret, struct vbd_text *why)
{
    const char *persistent = values[VBD_FRONT_PERSISTENT];
    struct vbd_agreement a = {0};
    int r = protocol(values[VBD_FRONT_PROTOCOL], offered->native, &a.protocol, why);

    if (r == 0)
        r = ring_pages(values, offered->ring_order_max, &a.ring_pages, why);
    if (r == 0)
        r = queue_count(values, offered->queues_max, &a.queue_count, why);
    a.persistent = persistent != NULL && vbd_str_eq(persistent, "1");
    if (r == 0)
        *ret = a;
    return r;
}

static int ring_refs(const char *const *values, uint32_t pages, struct vbd_agreed_queue *q,
                     struct vbd_text *why)
{
    /* A front with one page writes ring-ref; Linux with an order of 0 may write ring-ref0. */
    if (pages == 1 && values[VBD_FRONT_RING_REF] != NULL)
        return number(values, VBD_FRONT_RING_REF, UINT32_MAX, &q->ring_refs[0], why);
    if (pages == 1 && values[VBD_FRONT_RING_REF_0] == NULL)
        return refuse(why, VBD_FRONT_RING_REF, NULL, "the frontend did not write this key");
    for (uint32_t i = 0; i < pages; i++) {
        int r = number(values, (enum vbd_front_key)(VBD_FRONT_RING_REF_0 + i), UINT32_MAX,
                       &q->ring_refs[i], why);

        if (r < 0)
            return r;
    }
    return 0;
}

int vbd_negotiate_queue(const char *const values[VBD_FRONT_KEYS], struct vbd_agreement *a,
                        uint32_t queue, struct vbd_text *why)
{
    struct vbd_agreed_queue *q = &a->queues[queue];
    int r = number(values, VBD_FRONT_EVENT_CHANNEL, UINT32_MAX, &q->remote_port, why);

    return r < 0 ? r : ring_refs(values, a->ring_pages, q, why);
}
