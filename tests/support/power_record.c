/* power_record.c - see power.h: log entries become a history. Each sector of data names the request
 * that wrote it, so that it is known again wherever it turns up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/power.h"

#define MAGIC UINT64_C(0x5ec70000)

void power_stamp(char *sector_data, unsigned request, unsigned sector)
{
    uint64_t word = MAGIC << 32 | (uint64_t)request << 16 | sector;

    for (unsigned i = 0; i < 64; i++)
        memcpy(sector_data + (size_t)i * 8, &word, 8);
}

/* The data must be whole, and belong to this sector. */
int power_read_stamp(const char *data, unsigned sector)
{
    uint64_t word;

    memcpy(&word, data, 8);
    assert_memory_equal(data, data + 8, 504);
    if (word == 0)
        return -1;
    assert_int_equal(word >> 32, MAGIC);
    assert_int_equal(word & 0xffff, sector);
    return (uint16_t)(word >> 16);
}

/* The request that zeroes written come from: no two that would overlap are under way. */
static uint16_t find_zeroes(const struct power_history *h, unsigned sector)
{
    for (unsigned i = h->request_count; i-- > 0;) {
        const struct power_request *r = &h->requests[i];

        if (r->kind == POWER_DISCARD && sector - r->sector < r->count && r->answered == POWER_NEVER)
            return (uint16_t)i;
    }
    fail_msg("zeroes written to sector %u that nobody asked for", sector);
    return 0;
}

static void read_content(const struct power_history *h, struct power_operation *o,
                         const struct vbd_logged *entry)
{
    unsigned sector = o->sector;

    for (uint32_t i = 0; i < entry->memory_count; i++) {
        const char *data = entry->memory[i].base;

        assert_int_equal(entry->memory[i].len % 512, 0);
        for (size_t at = 0; at < entry->memory[i].len; at += 512, sector++) {
            int request = power_read_stamp(data + at, sector);

            o->content[sector] = request < 0 ? find_zeroes(h, sector) : (uint16_t)request;
        }
    }
    assert_int_equal(sector, o->sector + o->count);
}

/* The request that a discard comes from: no two of the same range are under way. */
static uint16_t find_discard(const struct power_history *h, const struct power_operation *o)
{
    for (unsigned i = h->request_count; i-- > 0;) {
        const struct power_request *r = &h->requests[i];

        if (r->kind == POWER_DISCARD && r->sector == o->sector && r->count == o->count &&
            r->answered == POWER_NEVER)
            return (uint16_t)i;
    }
    fail_msg("a discard of sectors %u+%u that nobody asked for", o->sector, o->count);
    return 0;
}

static void begin(struct power_history *h, const struct vbd_logged *entry)
{
    struct power_operation *o = &h->operations[h->operation_count];

    assert_true(h->operation_count < POWER_OPERATIONS);
    h->by_number[entry->number] = h->operation_count++;
    o->op = entry->op;
    o->submitted = h->clock;
    o->completed = POWER_NEVER;
    if (o->op == VBD_IO_FLUSH)
        return;
    o->sector = (unsigned)(entry->offset / 512);
    o->count = (unsigned)(entry->length / 512);
    assert_true(o->sector + o->count <= POWER_SECTORS);
    if (o->op == VBD_IO_WRITE)
        read_content(h, o, entry);
    for (unsigned i = 0; o->op == VBD_IO_DISCARD && i < o->count; i++)
        o->content[o->sector + i] = find_discard(h, o);
}

static void record(void *ctx, const struct vbd_logged *entry)
{
    struct power_history *h = ctx;
    struct power_operation *o;

    h->clock++;
    if (entry->event == VBD_LOGGED_SUBMITTED) {
        begin(h, entry);
        return;
    }
    o = &h->operations[h->by_number[entry->submitted]];
    assert_int_equal(o->op, entry->op);
    assert_int_equal(o->completed, POWER_NEVER);
    o->completed = h->clock;
    o->result = entry->result;
}

struct vbd_log_sink power_sink(struct power_history *h)
{
    return (struct vbd_log_sink){
        .struct_size = sizeof(struct vbd_log_sink), .ctx = h, .record = record};
}
