/* fuzz_frame.c - a server's bytes, any, cut anywhere, between calls of any kind. An input is: the
 * number of the allocation that fails (0: none does), then steps; a step of 128 and above is
 * followed by that many bytes, less 128, for the session. */
#include "world.h"

static void step(struct world *w, struct input *in)
{
    uint8_t op = take_byte(in);

    if (op < 128) {
        world_op(w, op % WORLD_OPS, in);
    } else {
        const uint8_t *bytes;
        size_t len = take_bytes(in, &bytes, op - 128U);

        (void)world_feed(w, bytes, len);
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
