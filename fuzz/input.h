/* input.h - what the fuzzer gave, taken piece by piece; an input that is used up answers zeros. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t take_byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static inline uint32_t take_word(struct input *in)
{
    uint32_t word = 0;

    for (int i = 0; i < 4; i++)
        word = word << 8 | take_byte(in);
    return word;
}

/* Takes up to `want` bytes as they are; returns how many there were. */
static inline size_t take_bytes(struct input *in, const uint8_t **bytes, size_t want)
{
    size_t have = want < in->left ? want : in->left;

    *bytes = in->at;
    in->at += have;
    in->left -= have;
    return have;
}

#endif
