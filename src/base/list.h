/* list.h - an intrusive doubly linked list with a sentinel, for all rooms.
 *
 * A struct vbd_list is both head and link. A link that is in no list points at itself, so removing
 * twice is harmless.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct vbd_list {
    struct vbd_list *next, *prev;
};

#define VBD_CONTAINER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void vbd_list_init(struct vbd_list *l)
{
    l->next = l->prev = l;
}

static inline bool vbd_list_empty(const struct vbd_list *l)
{
    return l->next == l;
}

static inline void vbd_list_append(struct vbd_list *head, struct vbd_list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void vbd_list_prepend(struct vbd_list *head, struct vbd_list *link)
{
    vbd_list_append(head->next, link);
}

static inline void vbd_list_remove(struct vbd_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    vbd_list_init(link);
}

/* Takes the first link off, or returns NULL. */
static inline struct vbd_list *vbd_list_pop(struct vbd_list *head)
{
    struct vbd_list *first = head->next;

    if (first == head)
        return NULL;
    vbd_list_remove(first);
    return first;
}

/* Walks a list whose body may remove `at` (but no other link). */
#define VBD_LIST_EACH(at, after, head)                                                             \
    for (struct vbd_list *at = (head)->next, *after = at->next; at != (head);                      \
         at = after, after = at->next)

#endif
