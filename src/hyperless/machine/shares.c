/* shares.c - pages that domains share: grants, who has them mapped, who copies. Called by session.c
 * and machine.c. The rules are Xen's: a grant is for one domain; read-only is read-only; what is
 * mapped cannot be taken back, it ends with its last mapping.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/grant_table.h>

#include "hyperless/machine/inside.h"

/* --- shares --- */

/* The size is sealed: a sharer that could cut the file would kill whoever has it mapped. */
static int make_file(uint32_t pages)
{
    int file = memfd_create("hyperless-share", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (file < 0)
        return -errno;
    if (ftruncate(file, (off_t)pages * HL_PAGE) < 0 ||
        fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
        int error = -errno;

        (void)close(file);
        return error;
    }
    return file;
}

static void forget_refs(struct hl_share *share, uint32_t count)
{
    for (uint32_t i = 0; i < count && share->owner != NULL; i++)
        hl_table_remove(&share->owner->grants, share->refs[i]);
}

static int take_refs(struct hl_share *share)
{
    for (uint32_t i = 0; i < share->pages; i++) {
        int r = hl_table_add(&share->owner->grants, share, HL_GRANTS_MAX, &share->refs[i]);

        if (r < 0) {
            forget_refs(share, i);
            return r;
        }
    }
    return 0;
}

int hl_share_new(struct hl_dom *owner, uint32_t grantee, uint32_t pages, bool writable,
                 struct hl_share **ret)
{
    struct hl_share *share = calloc(1, sizeof *share + pages * sizeof share->refs[0]);
    int r;

    if (share == NULL)
        return -ENOMEM;
    share->owner = owner;
    share->grantee = grantee;
    share->pages = pages;
    share->writable = writable;
    vbd_list_init(&share->accesses);
    share->file = make_file(pages);
    r = share->file < 0 ? share->file : take_refs(share);
    if (r < 0) {
        if (share->file >= 0)
            (void)close(share->file);
        free(share);
        return r;
    }
    *ret = share;
    return 0;
}

/* The session's program is told, by its epoch, and asks which. The number stays taken until then.
 */
static void end_access(struct hl_access *access)
{
    struct hl_session *s = access->session;

    s->revoked[s->revoked_count++] = access->number; /* hl_access_new has made room */
    vbd_list_remove(&access->link);
    (void)__atomic_add_fetch(&s->epoch->revocations, 1, __ATOMIC_SEQ_CST);
}

static void end_accesses(struct hl_share *share)
{
    while (!vbd_list_empty(&share->accesses))
        end_access(VBD_CONTAINER(share->accesses.next, struct hl_access, link));
}

void hl_share_orphan(struct hl_share *share)
{
    end_accesses(share);
    share->owner = NULL;
}

static void release(struct hl_share *share)
{
    end_accesses(share);
    forget_refs(share, share->pages);
    if (share->page != NULL)
        (void)munmap(share->page, HL_PAGE);
    (void)close(share->file);
    free(share);
}

void hl_share_end(struct hl_share *share)
{
    if (share->session != NULL)
        hl_table_remove(&share->session->shares, share->number);
    share->session = NULL;
    share->ended = true;
    hl_notice_do(&share->notice, share, 0);
    if (share->pins == 0)
        release(share);
}

/* --- grants --- */

static uint32_t page_of(const struct hl_share *share, uint32_t ref)
{
    uint32_t i = 0;

    while (share->refs[i] != ref)
        i++;
    return i;
}

struct hl_share *hl_grant_find(const struct hl_dom *user, struct hl_grant grant, uint32_t *ret_page,
                               int32_t *status)
{
    uint32_t domid = grant.domid == DOMID_SELF ? user->domid : grant.domid;
    const struct hl_dom *d = hl_domain(user->machine, domid);
    struct hl_share *share;

    if (d == NULL || d->phase == HL_PHASE_DYING) {
        *status = GNTST_bad_domain;
        return NULL;
    }
    if (grant.ref >= HL_GRANTS_MAX) {
        *status = GNTST_bad_gntref;
        return NULL;
    }
    share = hl_table_get(&d->grants, grant.ref);
    if (share == NULL || share->grantee != user->domid) {
        *status = GNTST_general_error;
        return NULL;
    }
    *ret_page = page_of(share, grant.ref);
    *status = GNTST_okay;
    return share;
}

/* --- pins --- */

int hl_pin(struct hl_session *s, struct hl_grant grant, bool writable, uint32_t *ret)
{
    uint32_t page;
    int32_t status;
    struct hl_share *share = hl_grant_find(s->domain, grant, &page, &status);
    struct hl_pin *pin;
    int r;

    if (share == NULL || (writable && !share->writable))
        return -EINVAL;
    pin = calloc(1, sizeof *pin);
    if (pin == NULL)
        return -ENOMEM;
    *pin = (struct hl_pin){.share = share, .page = page, .writable = writable};
    r = hl_table_add(&s->pins, pin, HL_PINS_MAX, ret);
    if (r < 0) {
        free(pin);
        return r;
    }
    share->pins++;
    return 0;
}

void hl_unpin(struct hl_session *s, uint32_t number)
{
    struct hl_pin *pin = hl_table_get(&s->pins, number);
    struct hl_share *share;

    if (pin == NULL)
        return;
    share = pin->share;
    hl_table_remove(&s->pins, number);
    hl_notice_do(&pin->notice, share, pin->page);
    free(pin);
    share->pins--;
    if (share->pins == 0 && share->ended)
        release(share);
}

/* --- accesses --- */

static int make_room_for_revoked(struct hl_session *s)
{
    uint32_t need = s->accesses.count + 1;
    uint32_t room = s->revoked_room > 0 ? s->revoked_room : 16;
    uint32_t *revoked;

    if (need <= s->revoked_room)
        return 0;
    while (room < need)
        room *= 2;
    revoked = realloc(s->revoked, room * sizeof *revoked);
    if (revoked == NULL)
        return -ENOMEM;
    s->revoked = revoked;
    s->revoked_room = room;
    return 0;
}

int hl_access_new(struct hl_session *s, struct hl_share *share, uint32_t *ret)
{
    struct hl_access *access = calloc(1, sizeof *access);
    int r = access == NULL ? -ENOMEM : make_room_for_revoked(s);

    if (r == 0)
        r = hl_table_add(&s->accesses, access, HL_PINS_MAX, ret);
    if (r < 0) {
        free(access);
        return r;
    }
    access->session = s;
    access->number = *ret;
    vbd_list_append(&share->accesses, &access->link);
    return 0;
}

uint32_t hl_access_told(struct hl_session *s, uint32_t *numbers, uint32_t max)
{
    uint32_t n = s->revoked_count < max ? s->revoked_count : max;

    for (uint32_t i = 0; i < n; i++) {
        numbers[i] = s->revoked[--s->revoked_count];
        free(hl_table_get(&s->accesses, numbers[i]));
        hl_table_remove(&s->accesses, numbers[i]);
    }
    return n;
}

/* --- the end of a session --- */

void hl_session_drop_grants(struct hl_session *s)
{
    for (uint32_t i = 0; i < s->shares.used; i++)
        if (hl_table_get(&s->shares, i) != NULL)
            hl_share_end(hl_table_get(&s->shares, i));
    for (uint32_t i = 0; i < s->pins.used; i++)
        hl_unpin(s, i);
    for (uint32_t i = 0; i < s->accesses.used; i++) {
        struct hl_access *access = hl_table_get(&s->accesses, i);

        if (access != NULL)
            vbd_list_remove(&access->link);
        free(access);
    }
    hl_table_free(&s->shares);
    hl_table_free(&s->pins);
    hl_table_free(&s->accesses);
    free(s->revoked);
    if (s->epoch != NULL)
        (void)munmap(s->epoch, HL_PAGE);
}
