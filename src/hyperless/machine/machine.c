/* machine.c - domains come and go. Called by the embedder and, for the toolstack's requests, by
 * session.c. A domain is born when the embedder has introduced it to xenstored, and its number is
 * free again when the embedder has buried it there.
 */
#include "hyperless/machine/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xen/xen.h>

#include "hyperless/machine/inside.h"

/* What hl_machine_born and hl_machine_buried send through the pipe. */
struct answer {
    uint32_t domid;
    int32_t error;
    bool buried;
};

struct hl_dom *hl_domain(const struct hl_machine *m, uint32_t domid)
{
    return domid <= HL_DOMID_MAX ? m->domains[domid] : NULL;
}

bool hl_domain_path(const struct hl_dom *d, const char *name, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/dom%u%s%s", d->machine->folder, d->domid,
                     name[0] != '\0' ? "/" : "", name);

    return n > 0 && (size_t)n < size;
}

/* --- making one --- */

static int make_folder(const struct hl_dom *d)
{
    char path[108];

    if (!hl_domain_path(d, "", path, sizeof path))
        return -ENAMETOOLONG;
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* What the domain builder does on Xen: a page for the ring to xenstored, granted to domain 0, and
 * the port that goes with it. */
static int build_store(struct hl_dom *d, bool kernel)
{
    int r = hl_share_new(d, 0, 1, true, &d->store);

    if (r == 0 && kernel)
        r = hl_xenbus_new(d, &d->xenbus);
    if (r == 0)
        r = hl_bind_unbound(d, NULL, 0, &d->store_port);
    return r;
}

int hl_domain_new(struct hl_machine *m, uint32_t domid, bool kernel, struct hl_dom **ret)
{
    struct hl_dom *d = calloc(1, sizeof *d);
    int r;

    if (d == NULL)
        return -ENOMEM;
    d->machine = m;
    d->domid = domid;
    d->listener.fd = -1;
    vbd_list_init(&d->sessions);
    vbd_list_init(&d->waiting);
    vbd_list_init(&d->holders);
    m->domains[domid] = d;
    d->phase = HL_PHASE_BUILDING;
    r = hl_table_begin_at(&d->grants, HL_STORE_GRANT);
    if (r == 0)
        r = hl_table_begin_at(&d->ports, 1);
    if (r == 0)
        r = make_folder(d);
    if (r == 0)
        r = build_store(d, kernel);
    if (r == 0)
        r = hl_table_begin_at(&d->grants, HL_FIRST_GRANT);
    if (r == 0)
        r = hl_server_listen(d);
    if (r < 0) {
        hl_domain_end(d);
        return r;
    }
    d->phase = HL_PHASE_BEGINNING;
    *ret = d;
    return 0;
}

/* --- ending one --- */

static void remove_folder(const struct hl_dom *d)
{
    char path[108];

    if (hl_domain_path(d, "", path, sizeof path))
        (void)rmdir(path);
}

static void free_domain(struct hl_dom *d)
{
    struct hl_reply cancelled = {.error = -ECANCELED};
    struct vbd_list *link;

    d->machine->domains[d->domid] = NULL;
    while ((link = vbd_list_pop(&d->waiting)) != NULL)
        hl_server_reply(VBD_CONTAINER(link, struct hl_session, wait), &cancelled, NULL, 0);
    hl_table_free(&d->grants);
    hl_table_free(&d->ports);
    free(d);
}

/* Sessions that wait are asked again: what they wanted may be there, or gone. */
static void wake(struct hl_dom *d, int error)
{
    struct vbd_list waiting;
    struct vbd_list *link;

    vbd_list_init(&waiting);
    while ((link = vbd_list_pop(&d->waiting)) != NULL)
        vbd_list_append(&waiting, link);
    while ((link = vbd_list_pop(&waiting)) != NULL) {
        struct hl_session *s = VBD_CONTAINER(link, struct hl_session, wait);
        struct hl_reply reply = {.error = error};
        uint32_t fds = 0;

        if (error < 0)
            s->made = NULL;
        if (error < 0 || hl_session_request(s, &s->asked, -1, &reply, NULL, &fds))
            hl_server_reply(s, &reply, NULL, 0);
    }
}

static void end_ports(struct hl_dom *d)
{
    for (uint32_t i = 0; i < d->ports.used; i++) {
        struct hl_port *port = hl_table_get(&d->ports, i);

        if (port != NULL)
            hl_port_close(port);
    }
}

/* They see the end of their connections, and end what they started in the domain. */
static void tell_holders(struct hl_dom *d)
{
    struct vbd_list *link;

    while ((link = vbd_list_pop(&d->holders)) != NULL) {
        struct hl_session *s = VBD_CONTAINER(link, struct hl_session, hold);

        s->holds = NULL;
        (void)shutdown(s->source.fd, SHUT_RDWR);
    }
}

/* Shares that others have mapped outlive the domain, but nobody finds them any more. */
static void end_everything(struct hl_dom *d)
{
    hl_server_close(d);
    tell_holders(d);
    while (!vbd_list_empty(&d->sessions))
        hl_session_end(VBD_CONTAINER(d->sessions.next, struct hl_session, link));
    hl_xenbus_free(d->xenbus);
    d->xenbus = NULL;
    if (d->store != NULL)
        hl_share_end(d->store);
    d->store = NULL;
    end_ports(d);
    d->store_port = NULL;
    for (uint32_t i = 0; i < d->grants.used; i++) {
        struct hl_share *share = hl_table_get(&d->grants, i);

        if (share != NULL)
            hl_share_orphan(share);
    }
    remove_folder(d);
}

static void raise_dom_exc(const struct hl_machine *m)
{
    if (m->virqs[VIRQ_DOM_EXC] != NULL)
        hl_port_raise(m->virqs[VIRQ_DOM_EXC]);
}

void hl_domain_end(struct hl_dom *d)
{
    struct hl_machine *m = d->machine;
    bool was_known = d->phase == HL_PHASE_RUNNING;

    if (d->phase == HL_PHASE_DYING)
        return;
    if (d->phase == HL_PHASE_BEGINNING) { /* being introduced: its end waits for that */
        d->doomed = true;
        return;
    }
    d->phase = HL_PHASE_DYING;
    end_everything(d);
    if (!was_known || d->domid == 0) { /* xenstored has never heard of it, or goes with it */
        free_domain(d);
        return;
    }
    raise_dom_exc(m);
    m->hooks.bury(m->hooks.ctx, d->domid);
    wake(d, 0);
}

void hl_domain_let_go(struct hl_session *s)
{
    struct hl_dom *d = s->holds;

    s->holds = NULL;
    vbd_list_remove(&s->hold);
    if (vbd_list_empty(&d->holders) && !d->keep)
        hl_domain_end(d);
}

/* --- answers of the embedder --- */

static void send_answer(struct hl_machine *m, struct answer answer)
{
    (void)!write(m->answers[1], &answer, sizeof answer);
}

void hl_machine_born(struct hl_machine *m, uint32_t domid, int error)
{
    send_answer(m, (struct answer){.domid = domid, .error = error});
}

void hl_machine_buried(struct hl_machine *m, uint32_t domid)
{
    send_answer(m, (struct answer){.domid = domid, .buried = true});
}

static void born(struct hl_dom *d, int error)
{
    if (error == 0 && d->doomed)
        error = -ECANCELED;
    if (error == 0) {
        d->phase = HL_PHASE_RUNNING;
        wake(d, 0);
        if (vbd_list_empty(&d->holders) && !d->keep)
            hl_domain_end(d); /* whoever asked for it has gone meanwhile */
        return;
    }
    wake(d, error);
    d->phase = HL_PHASE_RUNNING; /* xenstored may know it in part: it is to be buried */
    hl_domain_end(d);
}

/* The number is free: those who wait for it are asked again, after it is. */
static void buried(struct hl_dom *d)
{
    struct hl_machine *m = d->machine;
    uint32_t domid = d->domid;
    struct hl_dom last = {.machine = m, .domid = domid};
    struct vbd_list *link;

    vbd_list_init(&last.waiting);
    while ((link = vbd_list_pop(&d->waiting)) != NULL)
        vbd_list_append(&last.waiting, link);
    free_domain(d);
    wake(&last, 0);
}

static void answered(struct hl_source *source, uint32_t events)
{
    struct hl_machine *m = VBD_CONTAINER(source, struct hl_machine, answer);
    struct answer answer;

    (void)events;
    while (read(m->answers[0], &answer, sizeof answer) == (ssize_t)sizeof answer) {
        struct hl_dom *d = hl_domain(m, answer.domid);

        if (d == NULL)
            continue;
        if (answer.buried)
            buried(d);
        else if (d->phase == HL_PHASE_BEGINNING)
            born(d, answer.error);
    }
}

/* --- the machine --- */

static int open_machine(struct hl_machine *m)
{
    struct hl_dom *zero;
    int r = hl_loop_init(&m->loop);

    if (r < 0)
        return r;
    if (pipe2(m->answers, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    m->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r = hl_queue_init(m);
    if (r < 0)
        return r;
    m->answer = (struct hl_source){.fd = m->answers[0], .ready = answered};
    r = hl_loop_add(&m->loop, &m->answer, EPOLLIN);
    if (r == 0)
        r = hl_domain_new(m, 0, true, &zero);
    if (r == 0) {
        zero->phase = HL_PHASE_RUNNING;
        zero->keep = true;
    }
    return r;
}

int hl_machine_new(const char *folder, const struct hl_hooks *hooks, struct hl_machine **ret)
{
    struct hl_machine *m = calloc(1, sizeof *m);
    int r;

    if (m == NULL)
        return -ENOMEM;
    m->loop.epoll = m->answers[0] = m->answers[1] = m->spare = -1;
    m->hooks = *hooks;
    r = strlen(folder) < sizeof m->folder ? 0 : -ENAMETOOLONG;
    if (r == 0) {
        (void)snprintf(m->folder, sizeof m->folder, "%s", folder);
        r = open_machine(m);
    }
    if (r < 0) {
        hl_machine_free(m);
        return r;
    }
    *ret = m;
    return 0;
}

static void no_burial(void *ctx, uint32_t domid)
{
    (void)ctx, (void)domid;
}

void hl_machine_free(struct hl_machine *m)
{
    if (m == NULL)
        return;
    m->hooks.bury = no_burial;
    for (uint32_t i = HL_DOMID_MAX + 1; i-- > 0;) { /* domain 0 last: it maps of the others */
        if (m->domains[i] == NULL)
            continue;
        if (m->domains[i]->phase == HL_PHASE_BEGINNING)
            m->domains[i]->phase = HL_PHASE_RUNNING; /* nobody introduces it any more */
        hl_domain_end(m->domains[i]);
        if (m->domains[i] != NULL)
            free_domain(m->domains[i]);
    }
    hl_loop_free(&m->loop);
    hl_queue_finish(m);
    if (m->spare >= 0)
        (void)close(m->spare);
    for (int i = 0; i < 2; i++)
        if (m->answers[i] >= 0)
            (void)close(m->answers[i]);
    free(m);
}

int hl_machine_process(struct hl_machine *m, int timeout_ms)
{
    return hl_loop_turn(&m->loop, timeout_ms);
}

struct hl_loop *hl_machine_loop(struct hl_machine *m)
{
    return &m->loop;
}
