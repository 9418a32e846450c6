/* front_guest.c - the seams that the queue stands on: memory that is counted, pages that can be
 * looked up by their grants, events that are counted. Any call may fail. */
#include <errno.h>

#include "front.h"

static bool fails(void)
{
    return w.fail > 0 && --w.fail == 0;
}

static void *get(void *ctx, size_t size)
{
    (void)ctx;
    if (fails())
        return NULL;
    w.live++;
    return calloc(1, size);
}

static void put_away(void *ctx, void *memory)
{
    (void)ctx;
    w.live -= memory != NULL;
    free(memory);
}

static int share(void *ctx, unsigned domid, size_t count, uint32_t *grants, void **ret)
{
    (void)ctx, (void)domid;
    if (fails() || w.next_grant + count > GRANTS)
        return -ENOSPC;
    *ret = aligned_alloc(VBD_GUEST_PAGE, count * VBD_GUEST_PAGE);
    memset(*ret, 0, count * VBD_GUEST_PAGE);
    for (size_t i = 0; i < count; i++) {
        grants[i] = w.next_grant++;
        w.grants[grants[i]] = (char *)*ret + i * VBD_GUEST_PAGE;
    }
    w.live++;
    return 0;
}

static void unshare(void *ctx, void *pages, size_t count, const uint32_t *grants)
{
    (void)ctx;
    for (size_t i = 0; i < count; i++)
        w.grants[grants[i]] = NULL;
    free(pages);
    w.live--;
}

static int offer(void *ctx, unsigned domid, uint32_t *port, struct vbd_event_channel **ret)
{
    (void)ctx, (void)domid;
    if (fails())
        return -ENOSPC;
    *port = 1;
    *ret = (struct vbd_event_channel *)(void *)&w;
    w.ports++;
    return 0;
}

static void withdraw(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx, (void)channel;
    w.ports--;
}

static void notify(void *ctx, struct vbd_event_channel *channel)
{
    (void)ctx, (void)channel;
    w.notified++;
}

void guest_begin(void)
{
    w.guest =
        (struct vbd_guest){sizeof w.guest, NULL, share, unshare, offer, withdraw, notify, NULL};
    w.allocator = (struct vbd_allocator){NULL, get, put_away};
}
