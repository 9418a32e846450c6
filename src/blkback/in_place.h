/* in_place.h - reads whose data the storage puts into the guest's pages itself, without a copy:
 * where the front keeps its grants, so that its pages stay mapped, and the storage does not mind
 * that the guest may change them meanwhile. Written data is copied always (guest_memory).
 *
 * Called by a pass, before dispatch, and by dispatch when the storage has finished. A read that
 * fails with -EFAULT or -EINVAL is tried again by copy: the storage's kernel can't reach the page.
 */
#ifndef BLKBACK_IN_PLACE_H
#define BLKBACK_IN_PLACE_H

#include "blkback/dispatch.h"

/* Of the batch, those that can. */
void vbd_read_in_place(struct vbd_queue *q);
/* The slot's pages are let go of, and it is as any other. */
void vbd_leave_place(struct vbd_queue *q, struct vbd_slot *slot);
/* What dispatch's finish is for others. */
void vbd_finish_in_place(struct vbd_queue *q, struct vbd_slot *slot, int result);

#endif
