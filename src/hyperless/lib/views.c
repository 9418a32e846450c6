/* views.c - see views.h. Called by copy.c and by opening and closing a handle. */
#include "hyperless/lib/views.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/grant_table.h>

#include "hyperless/lib/handle.h"

/* The pages of one domain that are in view. */
struct hl_peer {
    uint32_t room;
    struct hl_spot *spots; /* by grant reference */
};

struct hl_view {
    char *start;
    uint32_t domid, count;
    uint32_t refs[];
};

struct hl_views *hl_views_new(struct hl_connection *connection, uint32_t own_domid, int epoch)
{
    struct hl_views *v = calloc(1, sizeof *v);

    if (v == NULL) {
        (void)close(epoch);
        return NULL;
    }
    v->connection = connection;
    v->own_domid = own_domid;
    v->epoch = hl_map_page(epoch, PROT_READ);
    v->peers = calloc(HL_DOMID_MAX + 1, sizeof(struct hl_peer *));
    (void)pthread_rwlock_init(&v->lock, NULL);
    if (v->epoch == NULL || v->peers == NULL) {
        hl_views_free(v);
        return NULL;
    }
    v->epoch_seen = __atomic_load_n(&v->epoch->revocations, __ATOMIC_ACQUIRE);
    return v;
}

static void drop(struct hl_views *v, uint32_t number)
{
    struct hl_view *view = number < v->view_room ? v->views[number] : NULL;

    if (view == NULL)
        return;
    for (uint32_t i = 0; i < view->count; i++)
        v->peers[view->domid]->spots[view->refs[i]].page = NULL;
    (void)munmap(view->start, (size_t)view->count * HL_PAGE);
    free(view);
    v->views[number] = NULL;
}

void hl_views_free(struct hl_views *v)
{
    if (v == NULL)
        return;
    for (uint32_t i = 0; i < v->view_room; i++)
        drop(v, i);
    for (uint32_t i = 0; v->peers != NULL && i <= HL_DOMID_MAX; i++) {
        if (v->peers[i] != NULL)
            free(v->peers[i]->spots);
        free(v->peers[i]);
    }
    if (v->epoch != NULL)
        (void)munmap((void *)(uintptr_t)v->epoch, HL_PAGE);
    (void)pthread_rwlock_destroy(&v->lock);
    free(v->peers);
    free(v->views);
    free(v);
}

struct hl_spot hl_views_find(const struct hl_views *v, uint32_t domid, uint32_t ref)
{
    const struct hl_peer *peer = domid <= HL_DOMID_MAX ? v->peers[domid] : NULL;

    if (peer == NULL || ref >= peer->room)
        return (struct hl_spot){0};
    return peer->spots[ref];
}

int hl_views_refresh(struct hl_views *v)
{
    struct hl_reply reply;

    v->epoch_seen = __atomic_load_n(&v->epoch->revocations, __ATOMIC_ACQUIRE);
    do {
        struct hl_request request = {.op = HL_REVOKED};

        if (hl_ask(v->connection, &request, &reply, NULL) < 0)
            return -1;
        for (uint32_t i = 0; i < reply.count; i++)
            drop(v, reply.refs[i]);
    } while (reply.flags & HL_MORE);
    return 0;
}

/* --- adding --- */

static int make_peer_room(struct hl_views *v, uint32_t domid, uint32_t ref)
{
    struct hl_peer *peer = v->peers[domid];
    struct hl_spot *spots;
    uint32_t room = 512;

    if (peer == NULL)
        peer = v->peers[domid] = calloc(1, sizeof *peer);
    if (peer == NULL)
        return -1;
    if (ref < peer->room)
        return 0;
    while (room <= ref)
        room *= 2;
    spots = realloc(peer->spots, room * sizeof *spots);
    if (spots == NULL)
        return -1;
    for (uint32_t i = peer->room; i < room; i++)
        spots[i] = (struct hl_spot){0};
    peer->spots = spots;
    peer->room = room;
    return 0;
}

static int make_view_room(struct hl_views *v, uint32_t number)
{
    uint32_t room = v->view_room > 0 ? v->view_room : 64;
    struct hl_view **views;

    if (number < v->view_room)
        return 0;
    while (room <= number)
        room *= 2;
    views = realloc(v->views, room * sizeof(struct hl_view *));
    if (views == NULL)
        return -1;
    for (uint32_t i = v->view_room; i < room; i++)
        views[i] = NULL;
    v->views = views;
    v->view_room = room;
    return 0;
}

static int enter(struct hl_views *v, struct hl_view *view, const struct hl_reply *reply)
{
    view->count = reply->count;
    for (uint32_t i = 0; i < reply->count; i++) {
        view->refs[i] = reply->refs[i];
        if (make_peer_room(v, view->domid, view->refs[i]) < 0)
            return -1;
    }
    if (make_view_room(v, reply->number) < 0)
        return -1;
    for (uint32_t i = 0; i < view->count; i++)
        v->peers[view->domid]->spots[view->refs[i]] = (struct hl_spot){
            .page = view->start + (size_t)i * HL_PAGE, .writable = reply->flags & HL_WRITABLE};
    v->views[reply->number] = view;
    return 0;
}

static int show(struct hl_views *v, uint32_t domid, const struct hl_reply *reply, int fd)
{
    struct hl_view *view = calloc(1, sizeof *view + reply->count * sizeof view->refs[0]);
    int prot = reply->flags & HL_WRITABLE ? PROT_READ | PROT_WRITE : PROT_READ;

    if (view == NULL)
        return -1;
    view->domid = domid;
    view->start = mmap(NULL, (size_t)reply->count * HL_PAGE, prot, MAP_SHARED, fd, 0);
    if (view->start == MAP_FAILED) {
        free(view);
        return -1;
    }
    if (enter(v, view, reply) == 0)
        return 0;
    (void)munmap(view->start, (size_t)reply->count * HL_PAGE);
    free(view);
    return -1;
}

int hl_views_add(struct hl_views *v, uint32_t domid, uint32_t ref, bool *failed)
{
    struct hl_request request = {.op = HL_ACCESS, .count = 1, .grants = {{domid, ref}}};
    struct hl_reply reply;
    int fds[HL_BATCH], r;
    uint32_t count = 0;

    *failed = hl_call(v->connection, &request, 1, &reply, fds, &count) < 0;
    if (*failed)
        return -1;
    if (reply.status < 0)
        return reply.status;
    *failed = count != 1 || show(v, domid, &reply, fds[0]) < 0;
    r = *failed ? -1 : 0;
    for (uint32_t i = 0; i < count; i++)
        (void)close(fds[i]);
    return r;
}
