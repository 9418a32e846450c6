/* admission.c - limits: a slot is charged before a request is taken, and given back when it has
 * been answered. Called by intake and respond. */
#include "blkback/queue.h"

struct vbd_slot *vbd_admit(struct vbd_queue *q)
{
    struct vbd_list *link = q->free.prev; /* the last one given back */

    if (link == &q->free)
        return NULL;
    vbd_list_remove(link);
    q->in_flight++;
    return VBD_CONTAINER(link, struct vbd_slot, link);
}

void vbd_release(struct vbd_queue *q, struct vbd_slot *slot)
{
    vbd_list_append(&q->free, &slot->link);
    q->in_flight--;
}
