/* hostile_requests.c - misdeeds in a request's own numbers: operations, segments, sectors, indirect
 * requests, discards, ids, and more at once than there is room for. Most are one request that must
 * get an error and change nothing. Rows for test_hostile_guest.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hostile.h"

static const uint64_t all_ones = UINT64_MAX;

/* --- ids --- */

static void same_id(struct hostile *h, unsigned times, uint64_t id)
{
    struct hand_request r = hostile_pages(h, 0, 0, 1);
    struct hand_response response;
    uint32_t before = h->front.rsp_cons;

    r.id = id;
    for (unsigned i = 0; i < times; i++)
        handfront_put(&h->front, &r);
    response = hostile_answers(h, &h->front);
    assert_true(response.id == id && response.status == OKAY);
    assert_int_equal(h->front.rsp_cons - before, times);
}

static void same_id_twice(struct hostile *h)
{
    same_id(h, 2, 77);
}

static void same_id_thrice(struct hostile *h)
{
    same_id(h, 3, 77);
}

static void same_id_in_the_whole_ring(struct hostile *h)
{
    same_id(h, h->front.size, 0);
}

static void ids_of_all_ones_and_zero(struct hostile *h)
{
    same_id(h, 1, all_ones);
    same_id(h, 1, 0);
    same_id(h, 1, 1ull << 63);
}

/* --- descriptors --- */

static void indirect_gets(struct hostile *h, const struct hand_indirect *r, int16_t status)
{
    assert_int_equal(hostile_ask_indirect(h, r), status);
}

static void descriptors_of_ones(struct hostile *h)
{
    struct hand_indirect r = hostile_indirect(h, 1, 0, 256);

    memset(hostile_page(h, DESCRIPTORS), 0xff, SIM_PAGE);
    indirect_gets(h, &r, FAULTY);
}

static void descriptors_of_noise(struct hostile *h)
{
    for (unsigned round = 0; round < 20; round++) {
        struct hand_indirect r = hostile_indirect(h, 1, 0, 256);
        uint32_t noise = round + 1;

        for (unsigned i = 0; i < SIM_PAGE; i++) {
            noise = noise * 1664525u + 1013904223u;
            hostile_page(h, DESCRIPTORS)[i] = (char)(noise >> 24);
        }
        indirect_gets(h, &r, FAULTY);
    }
}

static void last_descriptor_wrong(struct hostile *h)
{
    struct hand_indirect r = hostile_indirect(h, 1, 0, 256);

    hostile_describe(h, 255, sim_grant(h->s->sim, DATA, false), 7, 6);
    indirect_gets(h, &r, FAULTY);
}

static void last_described_grant_wrong(struct hostile *h)
{
    struct hand_indirect r = hostile_indirect(h, 1, 0, 256);

    hostile_describe(h, 255, SIM_FIRST_GRANT + STRANGE, 0, 7);
    indirect_gets(h, &r, FAULTY);
}

static void descriptors_not_granted(struct hostile *h)
{
    static const uint32_t grants[] = {0, UINT32_MAX, SIM_FIRST_GRANT + STRANGE, 1u << 31};

    for (unsigned i = 0; i < 4; i++) {
        struct hand_indirect r = hostile_indirect(h, 1, 0, 32);

        r.grants[0] = grants[i];
        indirect_gets(h, &r, FAULTY);
    }
}

static void descriptors_revoked(struct hostile *h)
{
    struct hand_indirect r = hostile_indirect(h, 1, 0, 32);

    sim_revoke(h->s->sim, r.grants[0]);
    indirect_gets(h, &r, FAULTY);
}

static void second_page_of_descriptors_missing(struct hostile *h)
{
    struct hand_indirect r = hostile_indirect(h, 1, 0, 513);

    r.grants[1] = SIM_FIRST_GRANT + STRANGE;
    indirect_gets(h, &r, FAULTY);
}

static void one_grant_for_all_descriptors(struct hostile *h)
{
    struct hand_indirect r = hostile_indirect(h, 0, 0, 256);

    for (unsigned i = 1; i < 8; i++)
        r.grants[i] = r.grants[0];
    r.count = 4096; /* 16 MiB: past the end */
    indirect_gets(h, &r, FAULTY);
    r.count = 256;
    indirect_gets(h, &r, OKAY);
}

/* The data of the read is delivered over the descriptors that say where it goes. */
static void descriptors_that_describe_themselves(struct hostile *h)
{
    struct hand_indirect r = hostile_indirect(h, 0, 0, 256);

    for (unsigned i = 0; i < 256; i++)
        hostile_describe(h, i, sim_grant(h->s->sim, DESCRIPTORS, false), 0, 7);
    indirect_gets(h, &r, OKAY);
    r = hostile_indirect(h, 0, 0, 1);
}

static void ring_as_descriptors(struct hostile *h)
{
    struct hand_indirect r = hostile_indirect(h, 1, 0, 256);

    r.grants[0] = SIM_FIRST_GRANT + h->front.ring_page;
    indirect_gets(h, &r, FAULTY);
}

/* --- too much at once --- */

static void ring_of_the_largest_requests(struct hostile *h)
{
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < h->front.size; i++) {
            struct hand_indirect r = hostile_indirect(h, (uint8_t)(i % 2), 0, 256);

            handfront_put_indirect(&h->front, &r);
        }
        assert_int_equal(hostile_answers(h, &h->front).status, OKAY);
    }
}

static void ring_of_barriers_and_flushes(struct hostile *h)
{
    for (unsigned i = 0; i < h->front.size * 2; i++) {
        struct hand_request r = hostile_pages(h, (uint8_t)(2 + i % 2), 0, i % 4 == 0 ? 11 : 0);

        handfront_put(&h->front, &r);
        if (i + 1 == h->front.size)
            assert_int_equal(hostile_answers(h, &h->front).status, OKAY);
    }
    assert_int_equal(hostile_answers(h, &h->front).status, OKAY);
}

/* Good and bad requests of all kinds mixed: each has one answer. */
static void ring_of_everything(struct hostile *h)
{
    for (unsigned i = 0; i < 20 * h->front.size; i++) {
        struct hand_request r =
            hostile_pages(h, (uint8_t)(i * 7 % 10), i * 37 % 2060, (i * 5) % 14);

        r.segments[3].last = (uint8_t)(i % 9);
        handfront_put(&h->front, &r);
        if ((i + 1) % h->front.size == 0)
            (void)hostile_answers(h, &h->front);
    }
}

/* --- the disk's end --- */

static void disk_smaller_than_its_image(struct hostile *h)
{
    struct hand_request r = hostile_pages(h, 1, 0, 1);

    assert_int_equal(truncate(h->disk, STAGE_DISK_BYTES / 2), 0);
    stage_write(h->s, back_key(HOSTILE, "params"), h->disk);
    stage_expect(h->s, back_key(HOSTILE, "sectors"), "1024");
    r.sector = DISK_SECTORS / 2 - 4;
    assert_int_equal(hostile_ask(h, &r), FAULTY);
    r.sector = DISK_SECTORS - 8;
    assert_int_equal(hostile_ask(h, &r), FAULTY);
    assert_int_equal(truncate(h->disk, STAGE_DISK_BYTES), 0);
}

static void tail_of_the_image_that_is_no_sector(struct hostile *h)
{
    struct hand_request r;

    assert_int_equal(truncate(h->disk, STAGE_DISK_BYTES - 512), 0);
    h->back = stage_run(h->s, HOSTILE);
    hostile_prepare(h);
    hostile_go(h);
    r = hostile_pages(h, 1, DISK_SECTORS - 8, 1);
    assert_int_equal(hostile_ask(h, &r), FAULTY);
    r.segments[0].last = 6; /* all that the image has there */
    assert_int_equal(hostile_ask(h, &r), FAULTY);
    assert_int_equal(truncate(h->disk, STAGE_DISK_BYTES), 0);
}

#define ASK(what, op, count, sector, first, last, gets)                                            \
    {                                                                                              \
        .name = what, .commit = hostile_ask_row, .end = ENDS_UNTOUCHED, .ask = {                   \
            op,                                                                                    \
            count,                                                                                 \
            0,                                                                                     \
            sector,                                                                                \
            0,                                                                                     \
            first,                                                                                 \
            last,                                                                                  \
            gets                                                                                   \
        }                                                                                          \
    }
#define INDIRECT(what, inner, segments, sector, gets)                                              \
    {                                                                                              \
        .name = what, .commit = hostile_ask_row, .end = ENDS_UNTOUCHED, .ask = {                   \
            6,                                                                                     \
            inner,                                                                                 \
            segments,                                                                              \
            sector,                                                                                \
            0,                                                                                     \
            0,                                                                                     \
            0,                                                                                     \
            gets                                                                                   \
        }                                                                                          \
    }
#define DISCARD(what, flag, sector, sectors, gets)                                                 \
    {                                                                                              \
        .name = what, .commit = hostile_ask_row, .end = ENDS_UNTOUCHED, .ask = {                   \
            5,                                                                                     \
            flag,                                                                                  \
            0,                                                                                     \
            sector,                                                                                \
            sectors,                                                                               \
            0,                                                                                     \
            0,                                                                                     \
            gets                                                                                   \
        }                                                                                          \
    }
#define WITH(what, ...)                                                                            \
    {                                                                                              \
        .commit = hostile_ask_row, .end = ENDS_UNTOUCHED, what, __VA_ARGS__                        \
    }

static const struct misdeed rows[] = {
    ASK("operation 4, reserved", 4, 1, 0, 0, 7, NOT_SUPPORTED),
    ASK("operation 7, unknown", 7, 1, 0, 0, 7, NOT_SUPPORTED),
    ASK("operation 8, unknown", 8, 11, 0, 0, 7, NOT_SUPPORTED),
    ASK("operation 255, unknown", 255, 255, all_ones, 0, 7, NOT_SUPPORTED),
    ASK("read without segments", 0, 0, 0, 0, 7, FAULTY),
    ASK("write without segments", 1, 0, 0, 0, 7, FAULTY),
    ASK("read of 12 segments", 0, 12, 0, 0, 7, FAULTY),
    ASK("write of 12 segments", 1, 12, 0, 0, 7, FAULTY),
    ASK("read of 255 segments", 0, 255, 0, 0, 7, FAULTY),
    ASK("write of 255 segments", 1, 255, 0, 0, 7, FAULTY),
    ASK("barrier of 12 segments", 2, 12, 0, 0, 7, FAULTY),
    ASK("flush with a segment", 3, 1, 0, 0, 7, FAULTY),
    ASK("flush with 255 segments", 3, 255, all_ones, 0, 7, FAULTY),
    ASK("first after last", 1, 1, 0, 5, 4, FAULTY),
    ASK("first 255 after last 0", 1, 1, 0, 255, 0, FAULTY),
    ASK("last of 8", 1, 1, 0, 0, 8, FAULTY),
    ASK("last of 255", 1, 1, 0, 0, 255, FAULTY),
    ASK("first and last of 255", 1, 1, 0, 255, 255, FAULTY),
    ASK("the eleventh segment wrong", 1, 11, 0, 0, 8, FAULTY),
    ASK("read at the end", 0, 1, DISK_SECTORS, 0, 0, FAULTY),
    ASK("write at the end", 1, 1, DISK_SECTORS, 0, 0, FAULTY),
    ASK("write across the end", 1, 1, DISK_SECTORS - 7, 0, 7, FAULTY),
    ASK("eleven segments across the end", 1, 11, DISK_SECTORS - 87, 0, 7, FAULTY),
    ASK("write far past the end", 1, 1, 1ull << 40, 0, 7, FAULTY),
    ASK("sector whose byte overflows 2^64", 1, 1, 1ull << 55, 0, 7, FAULTY),
    ASK("sector of 2^63", 1, 1, 1ull << 63, 0, 7, FAULTY),
    ASK("sector and count overflow 2^64", 1, 1, UINT64_MAX - 7, 0, 7, FAULTY),
    ASK("read whose end wraps to 1", 0, 2, UINT64_MAX - 14, 0, 7, FAULTY),
    ASK("sector of all ones", 1, 1, UINT64_MAX, 0, 0, FAULTY),
    ASK("barrier without data at a sector of all ones", 2, 0, UINT64_MAX, 0, 0, OKAY),
    INDIRECT("indirect barrier", 2, 8, 0, NOT_SUPPORTED),
    INDIRECT("indirect flush", 3, 0, 0, NOT_SUPPORTED),
    INDIRECT("indirect discard", 5, 8, 0, NOT_SUPPORTED),
    INDIRECT("indirect indirect", 6, 8, 0, NOT_SUPPORTED),
    INDIRECT("indirect operation 255", 255, 8, 0, NOT_SUPPORTED),
    INDIRECT("indirect without segments", 1, 0, 0, FAULTY),
    INDIRECT("indirect of a segment too many", 1, 257, 0, FAULTY),
    INDIRECT("indirect of 4097 segments", 1, 4097, 0, FAULTY),
    INDIRECT("indirect of 65535 segments", 1, 65535, 0, FAULTY),
    INDIRECT("indirect across the end", 1, 256, 8, FAULTY),
    INDIRECT("indirect at a sector of all ones", 1, 1, UINT64_MAX, FAULTY),
    WITH(.name = "indirect where none was offered", .options = "indirect-segments=0",
         .ask = {6, 1, 8, 0, 0, 0, 0, NOT_SUPPORTED}),
    UNTOUCHED("descriptors of ones", descriptors_of_ones),
    UNTOUCHED("descriptors of noise", descriptors_of_noise),
    UNTOUCHED("the last descriptor wrong", last_descriptor_wrong),
    UNTOUCHED("the last described grant wrong", last_described_grant_wrong),
    UNTOUCHED("descriptors not granted", descriptors_not_granted),
    UNTOUCHED("descriptors revoked", descriptors_revoked),
    {.name = "second page of descriptors missing",
     .commit = second_page_of_descriptors_missing,
     .end = ENDS_UNTOUCHED,
     .options = "indirect-segments=4096"},
    {.name = "one grant for all pages of descriptors",
     .commit = one_grant_for_all_descriptors,
     .end = ENDS_UNTOUCHED,
     .options = "indirect-segments=4096"},
    UNTOUCHED("descriptors that describe themselves", descriptors_that_describe_themselves),
    UNTOUCHED("the ring as descriptors", ring_as_descriptors),
    DISCARD("discard at the end", 0, DISK_SECTORS, 8, FAULTY),
    DISCARD("discard across the end", 0, DISK_SECTORS - 8, 9, FAULTY),
    DISCARD("discard of all ones", 0, 0, UINT64_MAX, FAULTY),
    DISCARD("discard whose end overflows 2^64", 0, UINT64_MAX - 7, 8, FAULTY),
    DISCARD("discard whose bytes overflow 2^64", 0, 8, 1ull << 55, FAULTY),
    DISCARD("discard of nothing", 0, 0, 0, FAULTY),
    DISCARD("secure discard where none was offered", 1, 0, 8, NOT_SUPPORTED),
    DISCARD("discard with all flags", 255, 0, 8, NOT_SUPPORTED),
    WITH(.name = "discard where none was offered", .options = "discard=0",
         .ask = {5, 0, 0, 0, 8, 0, 0, NOT_SUPPORTED}),
    WITH(.name = "discard of a read-only disk", .read_only = true,
         .ask = {5, 0, 0, 0, 8, 0, 0, NOT_SUPPORTED}),
    WITH(.name = "write to a read-only disk", .read_only = true,
         .ask = {1, 1, 0, 0, 0, 0, 7, FAULTY}),
    WITH(.name = "barrier to a read-only disk", .read_only = true,
         .ask = {2, 1, 0, 0, 0, 0, 7, FAULTY}),
    WITH(.name = "indirect write to a read-only disk", .read_only = true,
         .ask = {6, 1, 8, 0, 0, 0, 0, FAULTY}),
    WITH(.name = "half a logical sector", .options = "sector-size=4096",
         .ask = {1, 1, 0, 8, 0, 0, 3, FAULTY}),
    WITH(.name = "a sector amid a logical sector", .options = "sector-size=4096",
         .ask = {1, 1, 0, 4, 0, 0, 7, FAULTY}),
    UNTOUCHED("the same id twice", same_id_twice),
    UNTOUCHED("the same id thrice", same_id_thrice),
    UNTOUCHED("the same id in the whole ring", same_id_in_the_whole_ring),
    UNTOUCHED("ids of all ones and zero", ids_of_all_ones_and_zero),
    {.name = "a ring of the largest requests, little memory",
     .commit = ring_of_the_largest_requests,
     .end = ENDS_SERVED,
     .options = "memory=64"},
    {.name = "a ring of the largest requests, one in flight",
     .commit = ring_of_the_largest_requests,
     .end = ENDS_SERVED,
     .options = "in-flight=1,memory=64"},
    {.name = "a large ring of the largest requests",
     .commit = ring_of_the_largest_requests,
     .end = ENDS_SERVED,
     .pages = 4,
     .options = "memory=64,in-order=1"},
    SERVED("a ring of barriers and flushes", ring_of_barriers_and_flushes),
    SERVED("good and bad requests mixed", ring_of_everything),
    {.name = "good and bad requests mixed, in order",
     .commit = ring_of_everything,
     .end = ENDS_SERVED,
     .options = "in-order=1,in-flight=3"},
    SERVED("past the end of a disk that has shrunk", disk_smaller_than_its_image),
    {.name = "the image's tail that is no logical sector",
     .commit = tail_of_the_image_that_is_no_sector,
     .end = ENDS_SERVED,
     .begin = BEGINS_CREATED,
     .options = "sector-size=4096"},
};

const struct misdeeds misdeeds_of_requests = {rows, sizeof rows / sizeof rows[0]};
