/* slot.h - a request under way, and the rows it stands in on its way through the rooms. */
#ifndef BLKBACK_SLOT_H
#define BLKBACK_SLOT_H

#include "base/list.h"
#include "blkif/protocol.h"
#include "vbdkit/storage.h"

struct vbd_queue;
struct vbd_slot;

/* First in, first out; a slot stands in one row at most. Moving on is three stores. */
struct vbd_row {
    struct vbd_slot *first, **end;
};

/* A write barrier is three operations of the storage, or one when it has no data. */
enum vbd_barrier { VBD_BARRIER_FLUSH_BEFORE, VBD_BARRIER_WRITE, VBD_BARRIER_FLUSH_AFTER };

enum { VBD_MERGE_MAX = 16 /* requests that go to the storage as one */ };

/* Owned by the queue; in exactly one row, or held by the storage. What every request touches comes
 * first. */
struct vbd_slot {
    struct vbd_io io; /* what the storage gets, for this request or for several */
    struct vbd_queue *queue;
    struct vbd_slot *next; /* in its row */
    char *buffer;          /* where its data is: one piece, packed tightly */
    uint32_t bytes;        /* of data, as judged */
    /* The run at `buffer` is the right one for bytes_least and the bytes_range - 1 lengths above.
     */
    uint32_t bytes_least, bytes_range;
    /* Cleared when the slot is taken into use: eight bytes. */
    bool undescribed;             /* the segments of an indirect request are not here yet */
    bool fetched;                 /* the data of a write is here */
    bool copy_failed;             /* a piece of its data or descriptors could not be copied */
    bool alone;                   /* never merged: it was, and that failed */
    uint32_t barrier;             /* enum vbd_barrier, the step under way */
    uint64_t taken_at;            /* nanoseconds */
    union vbd_descriptor *parts;  /* the request's segments, wherever they are */
    struct vbd_response response; /* what it will be, unless something fails */
    struct vbd_request request;   /* the private copy */
    struct vbd_iovec memory[VBD_MERGE_MAX]; /* io's: this slot's memory, then that of `merged` */
    struct vbd_row merged;                  /* slots that go with this one */
    union vbd_descriptor *indirect;         /* room for an indirect request's segments */
    uint64_t sequence;          /* flushes and what changes the disk: the order of taking */
    uint32_t writes_before;     /* flush: writes taken earlier and not finished yet */
    uint32_t page;              /* where its run of the queue's memory begins, when it has one */
    uint8_t order;              /* of this run */
    bool has_run;               /* kept when the slot is free, for the next request as long */
    bool in_place;              /* its data goes into pages that it holds */
    bool settled;               /* for fronts that need answers in the order of requests, and its */
    struct vbd_list ring_order; /* place among those */
};

static inline void vbd_row_init(struct vbd_row *row)
{
    row->first = NULL;
    row->end = &row->first;
}

static inline void vbd_row_append(struct vbd_row *row, struct vbd_slot *slot)
{
    slot->next = NULL;
    *row->end = slot;
    row->end = &slot->next;
}

/* Takes the slot out that *at points to: the row's first, or the next of one in it. */
static inline void vbd_row_cut(struct vbd_row *row, struct vbd_slot **at)
{
    if (row->end == &(*at)->next)
        row->end = at;
    *at = (*at)->next;
}

/* Takes the first out, or returns NULL. */
static inline struct vbd_slot *vbd_row_pop(struct vbd_row *row)
{
    struct vbd_slot *slot = row->first;

    if (slot != NULL)
        vbd_row_cut(row, &row->first);
    return slot;
}

/* All of `from` behind those in `to`. */
static inline void vbd_row_append_all(struct vbd_row *to, struct vbd_row *from)
{
    if (from->first == NULL)
        return;
    *to->end = from->first;
    to->end = from->end;
    vbd_row_init(from);
}

/* All of `from` before those in `to`. */
static inline void vbd_row_prepend_all(struct vbd_row *to, struct vbd_row *from)
{
    if (from->first == NULL)
        return;
    if (to->first == NULL)
        to->end = from->end;
    *from->end = to->first;
    to->first = from->first;
    vbd_row_init(from);
}

static inline void vbd_row_prepend(struct vbd_row *row, struct vbd_slot *slot)
{
    slot->next = row->first;
    if (row->first == NULL)
        row->end = &slot->next;
    row->first = slot;
}

/* A read or write: all but flushes, barriers and discards. */
static inline bool vbd_slot_plain(const struct vbd_slot *slot)
{
    return slot->request.effect <= VBD_OP_WRITE;
}

/* Whether a request changes the disk. */
static inline bool vbd_slot_modifies(const struct vbd_slot *slot)
{
    return slot->request.effect == VBD_OP_WRITE || slot->request.effect == VBD_OP_WRITE_BARRIER ||
           slot->request.effect == VBD_OP_DISCARD;
}

/* Whether data comes from the guest. */
static inline bool vbd_slot_writes(const struct vbd_slot *slot)
{
    return slot->request.effect == VBD_OP_WRITE || slot->request.effect == VBD_OP_WRITE_BARRIER;
}

#endif
