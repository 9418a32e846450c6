/* handle.h - the inside of a grant handle, for gnttab.c, copy.c and gntshr.c. */
#ifndef HYPERLESS_HANDLE_H
#define HYPERLESS_HANDLE_H

#include <xengnttab.h>

#include "base/list.h"
#include "hyperless/lib/connection.h"

/* What this handle may copy from and to: pages of others, kept mapped. See copy.c. */
struct hl_views;

struct xengntdev_handle {
    struct hl_connection connection;
    pthread_mutex_t lock;   /* of the lists */
    struct vbd_list areas;  /* struct area of gnttab.c (mapped), or of gntshr.c (shared) */
    struct hl_views *views; /* gnttab only */
};

/* epoch: the descriptor that HL_OPEN_GNTTAB answered with; taken. NULL with errno. */
struct hl_views *hl_views_new(struct hl_connection *connection, uint32_t own_domid, int epoch);
void hl_views_free(struct hl_views *views);

#endif
