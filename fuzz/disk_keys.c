/* disk_keys.c - what comes out of xenstore: the front's keys, states and options from the input. */
#include <errno.h>

#include "disk.h"
#include "vbdkit/vbd.h"
#include "xenbus/lifecycle.h"
#include "xenbus/negotiate.h"

enum { VALUE = 64 };

/* The value of a key: the input's bytes, or a likely text. NULL: missing. */
static const char *take_value(struct input *in, char buffer[VALUE])
{
    static const char *const likely[] = {
        "0", "1",  "2",  "4",  "16",         "17",         "x86_64-abi",           "x86_32-abi",
        "",  "-1", "00", "3 ", "4294967295", "4294967296", "18446744073709551616", "6",
    };
    uint8_t how = take_byte(in);
    const uint8_t *bytes;
    size_t len;

    if (how < 16)
        return NULL;
    if (how < 200)
        return likely[how % 16];
    len = take_bytes(in, &bytes, how - 200);
    if (len > 0)
        memcpy(buffer, bytes, len);
    buffer[len] = '\0';
    return buffer;
}

/* A decimal number no larger than max, or -1. */
static int64_t number(const char *value, uint64_t max)
{
    uint64_t n = 0;

    if (value == NULL || *value == '\0')
        return -1;
    for (; *value >= '0' && *value <= '9'; value++)
        if ((n = n * 10 + (uint64_t)(*value - '0')) > max)
            return -1;
    return *value == '\0' ? (int64_t)n : -1;
}

static void check_sentence(const char *text, size_t size)
{
    size_t len = strnlen(text, size);

    must(len > 0 && len < size);
    for (size_t i = 0; i < len; i++)
        must(text[i] >= ' ' && text[i] <= '~');
}

static int expected_pages(const char *const *values, const struct vbd_negotiable *offered)
{
    int64_t n;

    if (values[VBD_FRONT_RING_PAGE_ORDER] != NULL) {
        n = number(values[VBD_FRONT_RING_PAGE_ORDER], offered->ring_order_max);
        return n < 0 ? -1 : 1 << n;
    }
    if (values[VBD_FRONT_NUM_RING_PAGES] == NULL)
        return 1;
    n = number(values[VBD_FRONT_NUM_RING_PAGES], 1u << offered->ring_order_max);
    return n > 0 && (n & (n - 1)) == 0 ? (int)n : -1;
}

static void check_agreement(const char *const *values, const struct vbd_negotiable *offered,
                            const struct vbd_agreement *a)
{
    const char *queues = values[VBD_FRONT_QUEUES], *protocol = values[VBD_FRONT_PROTOCOL];

    must((int)a->ring_pages == expected_pages(values, offered));
    must(a->queue_count == (queues == NULL ? 1 : number(queues, offered->queues_max)));
    must(a->queue_count >= 1 && a->queue_count <= VBD_QUEUES_MAX);
    must(a->protocol == (protocol == NULL                      ? offered->native
                         : strcmp(protocol, "x86_32-abi") == 0 ? VBD_PROTOCOL_X86_32
                                                               : VBD_PROTOCOL_X86_64));
    must(protocol == NULL || strncmp(protocol, "x86_", 4) == 0);
}

static void check_queue(const char *const *values, struct vbd_agreement *a, struct vbd_text *why)
{
    const struct vbd_agreed_queue *q = &a->queues[a->queue_count - 1];
    const char *first = values[VBD_FRONT_RING_REF];
    bool single = a->ring_pages == 1 && first != NULL;
    bool good = number(values[VBD_FRONT_EVENT_CHANNEL], UINT32_MAX) >= 0;

    for (uint32_t i = 0; i < a->ring_pages; i++)
        good &= number(single ? first : values[VBD_FRONT_RING_REF_0 + i], UINT32_MAX) >= 0;
    if (vbd_negotiate_queue(values, a, a->queue_count - 1, why) < 0) {
        must(!good);
        check_sentence(why->at, why->size);
        return;
    }
    must(good && q->remote_port == number(values[VBD_FRONT_EVENT_CHANNEL], UINT32_MAX));
    for (uint32_t i = 0; i < a->ring_pages; i++)
        must(q->ring_refs[i] ==
             number(single ? first : values[VBD_FRONT_RING_REF_0 + i], UINT32_MAX));
}

static void negotiate(struct input *in)
{
    const char *values[VBD_FRONT_KEYS] = {NULL};
    char buffers[VBD_FRONT_KEYS][VALUE], sentence[128];
    struct vbd_text why = vbd_text_on(sentence, sizeof sentence);
    struct vbd_negotiable offered = {.native = VBD_PROTOCOL_X86_64};
    struct vbd_agreement a = {.queue_count = 77};
    uint8_t limits = take_byte(in);

    offered.ring_order_max = limits % 5;
    offered.queues_max = 1 + (limits >> 4);
    for (size_t i = 0; i < VBD_FRONT_KEYS; i++)
        values[i] = i < VBD_FRONT_RING_REF_0 || in->left > 0 ? take_value(in, buffers[i]) : "9";
    if (vbd_negotiate(values, &offered, &a, &why) < 0) {
        must(a.queue_count == 77);
        check_sentence(why.at, why.size);
    } else {
        check_agreement(values, &offered, &a);
        check_queue(values, &a, &why);
    }
}

/* --- what the back offers --- */

static void offer(struct input *in)
{
    struct vbd_back_key keys[VBD_BACK_KEYS];
    uint8_t bits = take_byte(in);
    struct vbd_back_offer o = {.sectors = (uint64_t)take_word(in) << 32 | take_word(in),
                               .sector_size = bits & 1 ? 512 : 4096,
                               .read_only = (bits & 2) != 0,
                               .ring_order_max = bits % 5,
                               .segments_indirect = bits & 4 ? take_word(in) : 0,
                               .discard = (bits & 8) != 0,
                               .barrier = (bits & 16) != 0,
                               .discard_granularity = take_word(in)};
    size_t n = vbd_back_keys(&o, keys);

    must(n <= VBD_BACK_KEYS);
    for (size_t i = 0; i < n; i++) {
        must(number(keys[i].value, INT64_MAX) >= 0 || o.sectors > INT64_MAX);
        must(strcmp(keys[i].name, "sectors") != 0 ||
             strtoull(keys[i].value, NULL, 10) == o.sectors);
        for (size_t k = 0; k < i; k++)
            must(strcmp(keys[i].name, keys[k].name) != 0);
    }
}

/* --- states --- */

static enum vbd_state parse(struct input *in)
{
    char buffer[VALUE];
    const char *value = take_value(in, buffer);
    int64_t n = number(value, 8);
    enum vbd_state state = vbd_state_parse(value);

    must((int)state == (n < 0 ? 0 : (int)n));
    must(vbd_state_name(state)[0] != '\0');
    return state;
}

static void next_step(struct input *in)
{
    uint8_t how = take_byte(in);
    enum vbd_phase phase = (enum vbd_phase)(how % (VBD_PHASE_FAILED + 1));
    struct vbd_view v = {
        .back_gone = how >= 240, .online = (how & 16) != 0, .guest_gone = (how & 32) != 0};
    enum vbd_step step;
    bool ready, anew;

    v.back = parse(in);
    v.front = parse(in);
    v.published = parse(in);
    step = vbd_next_step(phase, &v);
    must(vbd_phase_name(phase)[0] != '\0');
    ready = v.front == VBD_STATE_INITIALISED || v.front == VBD_STATE_CONNECTED;
    anew = v.published != VBD_STATE_INITIALISING && v.back == VBD_STATE_INITIALISING &&
           v.front == VBD_STATE_INITIALISING;
    must((step == VBD_STEP_END) == (v.back_gone || anew));
    must(step != VBD_STEP_CONNECT || (phase == VBD_PHASE_WAITING && ready && v.online));
    must((step != VBD_STEP_CLOSE && step != VBD_STEP_CLOSING) || phase == VBD_PHASE_CONNECTED);
    must(step != VBD_STEP_OFFER || phase == VBD_PHASE_OPENING || phase == VBD_PHASE_CLOSED);
    must(step != VBD_STEP_REMOVE || v.guest_gone);
}

/* --- options --- */

static void check_options(const struct vbd_back_options *o)
{
#define IN_RANGE(field, name, usual, least, most, text)                                            \
    must((int64_t)o->field >= (least) && o->field <= (most));
    VBD_BACK_OPTIONS(IN_RANGE)
#undef IN_RANGE
}

static void append(char *text, size_t size, const char *more)
{
    strncat(text, more, size - strlen(text) - 1);
}

static void append_value(char *text, size_t size, const char *value)
{
    if (value == NULL)
        return;
    append(text, size, "=");
    append(text, size, value);
}

/* Options by their names, with values of the input; commas and bytes where it likes. */
static void parse_options(struct input *in)
{
    static const char *const names[] = {
#define NAME(field, name, usual, least, most, text) name,
        VBD_BACK_OPTIONS(NAME)
#undef NAME
    };
    char text[256] = "", buffer[VALUE];
    struct vbd_back_options o, before;
    struct vbd_error why = {""};

    for (unsigned n = take_byte(in) % 5; n > 0; n--) {
        append(text, sizeof text, names[take_byte(in) % (sizeof names / sizeof names[0])]);
        append_value(text, sizeof text, take_value(in, buffer));
        append(text, sizeof text, n > 1 ? "," : "");
    }
    vbd_back_options_init(&o);
    before = o;
    if (vbd_back_options_parse(text, &o, &why) < 0) {
        must(memcmp(&o, &before, sizeof o) == 0);
        check_sentence(why.text, sizeof why.text);
    }
    check_options(&o);
}

void keys_step(struct input *in)
{
    uint8_t how = take_byte(in);

    if (how < 100)
        negotiate(in);
    else if (how < 180)
        next_step(in);
    else if (how < 190)
        offer(in);
    else
        parse_options(in);
}
