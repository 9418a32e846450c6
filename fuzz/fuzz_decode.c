/* fuzz_decode.c - a server that knows the requests: answers go to requests that wait for them,
 * events to watches that were set, and what is in them is well-formed, odd or wrong, as the input
 * says. An input is: the number of the allocation that fails (0: none does), then steps. */
#include "world.h"

/* Gives the session the message in one piece, or in two. */
static void feed(struct world *w, const uint8_t *bytes, size_t len, uint8_t cut)
{
    size_t first = cut < 128 ? len : (size_t)(cut - 128) % (len + 1);

    if (world_feed(w, bytes, first) == 0 && first < len) {
        world_check(w);
        (void)world_feed(w, bytes + first, len - first);
    }
}

static void answer(struct world *w, struct input *in, bool friendly)
{
    uint8_t bytes[SERVER_MESSAGE_MAX];
    uint8_t which = take_byte(in);
    const struct request *to = server_pick(w, which);

    if (to == NULL)
        return;
    if (friendly)
        feed(w, bytes, server_friendly(w, to, bytes), 0);
    else
        feed(w, bytes, server_answer(w, to, in, bytes), take_byte(in));
}

/* Answers all that was asked, and what is asked then, for a while. */
static void settle(struct world *w)
{
    struct input none = {NULL, 0};

    for (int i = 0; i < 30 && xsc_why(w->x)[0] == '\0'; i++) {
        server_drain(w, SIZE_MAX);
        answer(w, &none, true);
    }
}

static void step(struct world *w, struct input *in)
{
    uint8_t op = take_byte(in);
    uint8_t bytes[SERVER_MESSAGE_MAX];

    if (op < 110) {
        world_op(w, op % WORLD_OPS, in);
    } else if (op < 130) {
        size_t len = server_event(w, in, bytes);

        feed(w, bytes, len, take_byte(in));
    } else if (op < 140) {
        settle(w);
    } else {
        server_drain(w, SIZE_MAX);
        answer(w, in, op < 160);
    }
    world_check(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world w;
    struct input in = {data, size};

    if (!world_begin(&w, take_byte(&in)))
        return 0;
    for (int steps = 0; in.left > 0 && steps < STEPS; steps++)
        step(&w, &in);
    world_end(&w);
    return 0;
}
