/* views.h - pages of other domains kept in view for grant copies, so that a copy is a memcpy.
 *
 * A view is one share of another domain, mapped whole on its first use: every page of a share is
 * granted to this domain with the same rights. The broker counts up an epoch when a share in view
 * is revoked; a lookup compares it first, so a copy that begins after an unshare has returned
 * finds nothing. Used by copy.c, with its lock held.
 */
#ifndef HYPERLESS_VIEWS_H
#define HYPERLESS_VIEWS_H

#include <stdbool.h>

#include "hyperless/lib/connection.h"

struct hl_views {
    struct hl_connection *connection;
    pthread_rwlock_t lock;
    uint32_t own_domid;
    const struct hl_epoch *epoch; /* shared, written by the broker */
    uint32_t epoch_seen;
    struct hl_peer **peers; /* by domid; HL_DOMID_MAX + 1 of them */
    struct hl_view **views; /* by the number of the access, as the broker chose it */
    uint32_t view_room;
};

/* One granted page. */
struct hl_spot {
    char *page; /* NULL: not in view */
    bool writable;
};

/* Looks a page up; a NULL page when it is not in view. Needs the lock for reading. */
struct hl_spot hl_views_find(const struct hl_views *v, uint32_t domid, uint32_t ref);
/* True when something was revoked since the last refresh. */
static inline bool hl_views_stale(const struct hl_views *v)
{
    return __atomic_load_n(&v->epoch->revocations, __ATOMIC_ACQUIRE) != v->epoch_seen;
}
/* Drops what was revoked. Needs the lock for writing. 0, or -1 with errno. */
int hl_views_refresh(struct hl_views *v);
/* Brings a page into view. Needs the lock for writing. 0; a GNTST_* status, negative, when the
 * grant is not ours to use; -1 with errno, and *failed set, when the broker could not be asked. */
int hl_views_add(struct hl_views *v, uint32_t domid, uint32_t ref, bool *failed);

#endif
