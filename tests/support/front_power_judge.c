/* front_power_judge.c - see front_power.h: what a read may return, and which errors there may be.
 */
#include <errno.h>

#include "support/front_power.h"

enum power_kind front_power_kind(enum vbd_io_op op)
{
    static const enum power_kind kinds[] = {
        [VBD_IO_READ] = POWER_READ,       [VBD_IO_WRITE] = POWER_WRITE,
        [VBD_IO_FLUSH] = POWER_FLUSH,     [VBD_IO_DISCARD] = POWER_DISCARD,
        [VBD_IO_BARRIER] = POWER_BARRIER, [VBD_IO_ZERO] = POWER_DISCARD};

    return kinds[op];
}

void front_power_count(struct front_power_report *report, enum vbd_io_op op, int result)
{
    report->operations++;
    report->kinds[op] += result == 0;
    report->refused += result == -EOPNOTSUPP;
    report->failed += result < 0 && result != -EOPNOTSUPP;
}

static bool is_offered(const struct vbd_front_disk *disk, enum vbd_io_op op)
{
    if (op == VBD_IO_FLUSH || op == VBD_IO_BARRIER)
        return disk->flush || disk->barrier;
    return op != VBD_IO_DISCARD || disk->discard;
}

bool front_power_explained(const struct front_power_config *config,
                           const struct vbd_front_disk *disk, enum vbd_io_op op, int result)
{
    if (config->mutation != NULL)
        return true;
    if (!is_offered(disk, op))
        return result == -EOPNOTSUPP;
    return result == 0 || (config->errors_per_million > 0 && result == config->error);
}

/* Whether `b`, which succeeded, replaced what `a` wrote. */
static bool replaced(const struct power_history *h, unsigned a, unsigned b)
{
    const struct power_request *old = &h->requests[a], *new = &h->requests[b];

    if (a == 0 || old->answered < new->sent)
        return true;
    for (unsigned i = a; i <= b && old->queue == new->queue; i++) {
        const struct power_request *r = &h->requests[i];

        if (r->kind == POWER_BARRIER && r->queue == old->queue && r->status == 0)
            return true;
    }
    return false;
}

static bool covers(const struct power_request *r, unsigned sector)
{
    return r->kind != POWER_READ && r->kind != POWER_FLUSH && sector - r->sector < r->count;
}

static bool may_be_read(const struct power_history *h, unsigned seen, unsigned sector,
                        uint64_t sent)
{
    for (unsigned i = 1; i < h->request_count; i++) {
        const struct power_request *r = &h->requests[i];

        if (i != seen && covers(r, sector) && r->status == 0 && r->answered < sent &&
            replaced(h, seen, i))
            return false;
    }
    return true;
}

static bool zeroes_may_be_read(const struct power_history *h, unsigned sector, uint64_t sent)
{
    for (unsigned i = 0; i < h->request_count; i++) {
        const struct power_request *r = &h->requests[i];

        if ((i == 0 || r->kind == POWER_DISCARD) && covers(r, sector) &&
            may_be_read(h, i, sector, sent))
            return true;
    }
    return false;
}

unsigned front_power_misread(const struct power_history *h, unsigned read, const char *data)
{
    const struct power_request *r = &h->requests[read];
    unsigned wrong = 0;

    for (unsigned i = 0; i < r->count; i++) {
        unsigned sector = r->sector + i;
        int seen = power_read_stamp(data + (size_t)i * 512, sector);
        bool may = seen < 0 ? zeroes_may_be_read(h, sector, r->sent)
                            : may_be_read(h, (unsigned)seen, sector, r->sent);

        wrong += !may;
    }
    return wrong;
}
