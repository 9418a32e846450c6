/* inside.h - the machine's own structures, for the files of this folder.
 *
 * Who owns what: a machine its domains; a domain its grants, ports and sessions; a session (one
 * open handle) the shares it made, the pins and accesses it holds, the ports it bound. Whatever
 * ends, ends what it owns, in hl_session_end and hl_domain_end; nothing is left to time.
 */
#ifndef HYPERLESS_INSIDE_H
#define HYPERLESS_INSIDE_H

#include "hyperless/machine/machine.h"

struct hl_link;
struct hl_port;
struct hl_session;
struct hl_share;
struct hl_xenbus;

struct hl_machine {
    struct hl_loop loop;
    struct hl_hooks hooks;
    char folder[80];
    struct hl_dom *domains[HL_DOMID_MAX + 1];
    struct hl_port *virqs[32]; /* bound by domain 0 */
    int answers[2];            /* a pipe: hl_machine_born and _buried, from other threads */
    struct hl_source answer;
    int spare;         /* a descriptor to give up when there is none left; see hl_server_accept */
    void *queue_timer; /* of queue.c */
};

enum hl_phase {
    HL_PHASE_BUILDING,  /* in hl_domain_new */
    HL_PHASE_BEGINNING, /* being introduced to xenstored */
    HL_PHASE_RUNNING,
    HL_PHASE_DYING /* being buried there */
};

struct hl_dom {
    struct hl_machine *machine;
    uint32_t domid;
    enum hl_phase phase;
    bool doomed;             /* to end as soon as it has been introduced */
    bool keep;               /* made by HL_CREATE: lives without holders */
    struct vbd_list holders; /* sessions of domain 0 that keep it alive */
    struct hl_table grants;  /* struct hl_share, by reference */
    struct hl_table ports;   /* struct hl_port, by number */
    struct vbd_list sessions;
    uint32_t session_count;
    struct vbd_list waiting; /* sessions of domain 0 that wait for the phase to change */
    struct hl_source listener;
    struct hl_share *store;
    struct hl_port *store_port;
    struct hl_xenbus *xenbus; /* NULL: the domain drives its store ring by itself */
};

/* What happens when a share or a mapping ends: HL_NOTIFY_BYTE, HL_NOTIFY_EVENT. */
struct hl_notice {
    uint32_t flags;
    uint32_t offset;
    struct hl_port *port; /* counted in its `references` */
};

struct hl_share {
    struct hl_dom *owner;       /* NULL once it is gone */
    struct hl_session *session; /* that made it; NULL: the domain builder, or ended */
    uint32_t number;            /* in its session */
    bool ended;                 /* no longer shared: gone with its last pin */
    uint32_t grantee;
    bool writable;
    int file;
    uint32_t pages;
    uint32_t pins;
    char *page; /* own mapping, for a notice on a read-only page */
    struct hl_notice notice;
    struct vbd_list accesses;
    uint32_t refs[];
};

/* A page that a gnttab session has mapped. */
struct hl_pin {
    struct hl_share *share;
    uint32_t page;
    bool writable;
    struct hl_notice notice;
};

/* A share that a gnttab session copies from and to. */
struct hl_access {
    struct vbd_list link; /* in the share's `accesses`, until it is revoked */
    struct hl_session *session;
    uint32_t number;
};

struct hl_port {
    struct hl_dom *domain;
    uint32_t number;
    struct hl_session *session; /* NULL: the domain's kernel, or closed and still referred to */
    struct hl_link *link;
    uint32_t side;
    uint32_t remote_domid; /* who may bind the other end */
    uint32_t references;   /* by notices */
    int virq;              /* -1: none */
    bool closed;
};

/* The pair of ends, and the page they share. */
struct hl_link {
    int file;
    struct hl_channel *channel;
    struct hl_port *ends[2]; /* NULL: unbound */
};

enum hl_session_kind { HL_SESSION_NEW, HL_SESSION_GNTTAB, HL_SESSION_GNTSHR, HL_SESSION_EVTCHN };

struct hl_session {
    struct hl_source source; /* the connection */
    struct hl_dom *domain;
    struct vbd_list link; /* in the domain's `sessions` */
    enum hl_session_kind kind;
    int process; /* pidfd of the program, -1 when it was gone already */
    /* gnttab */
    struct hl_table pins, accesses;
    struct hl_epoch *epoch;
    uint32_t *revoked; /* numbers of accesses, not told yet */
    uint32_t revoked_count, revoked_room;
    /* gntshr */
    struct hl_table shares;
    /* evtchn */
    int queue;          /* the handle's eventfd */
    long long queue_id; /* what /proc calls it */
    int32_t restricted; /* to this domain; -1: to none */
    int to_close;       /* a descriptor made for the reply under way, or -1 */
    /* toolstack */
    struct hl_request asked; /* what waits for a domain's phase to change */
    struct vbd_list wait;    /* in that domain's `waiting` */
    struct hl_dom *made;     /* the domain that its request is making */
    struct hl_dom *holds;
    struct vbd_list hold; /* in that domain's `holders` */
};

/* --- machine.c --- */
struct hl_dom *hl_domain(const struct hl_machine *m, uint32_t domid); /* NULL: none */
int hl_domain_new(struct hl_machine *m, uint32_t domid, bool kernel, struct hl_dom **ret);
/* Ends a domain: its sessions, shares and ports go, its programs are killed. */
void hl_domain_end(struct hl_dom *d);
/* A session no longer holds its domain, which ends with the last one. */
void hl_domain_let_go(struct hl_session *s);

/* --- shares.c --- */
/* Makes a share of `pages` pages. -errno as gntalloc's. Its references are in (*ret)->refs. */
int hl_share_new(struct hl_dom *owner, uint32_t grantee, uint32_t pages, bool writable,
                 struct hl_share **ret);
/* No longer shared by its owner; gone with its last pin. */
void hl_share_end(struct hl_share *share);
/* Its domain is gone: nobody finds it or copies from it any more; mappings stay. */
void hl_share_orphan(struct hl_share *share);
/* Finds a grant for `user`; NULL with a GNTST_* status. */
struct hl_share *hl_grant_find(const struct hl_dom *user, struct hl_grant grant, uint32_t *ret_page,
                               int32_t *status);
int hl_pin(struct hl_session *s, struct hl_grant grant, bool writable, uint32_t *ret);
void hl_unpin(struct hl_session *s, uint32_t number);
int hl_access_new(struct hl_session *s, struct hl_share *share, uint32_t *ret);
/* Forgets up to max revoked accesses, as told to the program; their numbers. */
uint32_t hl_access_told(struct hl_session *s, uint32_t *numbers, uint32_t max);
/* Ends what a gnttab or gntshr session holds. */
void hl_session_drop_grants(struct hl_session *s);

/* --- channels.c --- */
/* Ports of a session, or (session NULL) of a domain's kernel. -errno as Linux' evtchn answers. */
int hl_bind_unbound(struct hl_dom *d, struct hl_session *s, uint32_t remote, struct hl_port **ret);
int hl_bind_interdomain(struct hl_dom *d, struct hl_session *s, uint32_t remote,
                        uint32_t remote_port, struct hl_port **ret);
int hl_bind_virq(struct hl_session *s, uint32_t virq, struct hl_port **ret);
void hl_port_close(struct hl_port *port);
/* Sends an event to the port's other end, as its owner would; to the port itself. */
void hl_port_notify(struct hl_port *port);
void hl_port_raise(struct hl_port *port);
struct hl_port *hl_port_of(const struct hl_session *s, uint32_t number);
struct hl_port *hl_port_peer(const struct hl_port *port);
/* Prepares a notice from a request, in the caller's domain; drops one without doing it; does it. */
int hl_notice_set(struct hl_notice *n, const struct hl_dom *d, const struct hl_request *request);
void hl_notice_do(struct hl_notice *n, const struct hl_share *share, uint32_t page);
/* Drops a notice without doing it. */
void hl_notice_forget(struct hl_notice *n);
/* Moves every port of one evtchn session to another. */
void hl_ports_adopt(struct hl_session *from, struct hl_session *to);
void hl_session_drop_ports(struct hl_session *s);

/* --- queue.c --- */
int hl_queue_init(struct hl_machine *m);
void hl_queue_finish(struct hl_machine *m);
/* Adds to a handle's eventfd. Never waits: what a program has filled up takes no more. */
void hl_queue_post(struct hl_machine *m, int queue);
/* What /proc says of an eventfd: its id, the same in every process; its count. -1: it is none. */
long long hl_queue_id(int fd);
long long hl_queue_count(int fd);

/* --- session.c --- */
struct hl_session *hl_session_new(struct hl_dom *d, int connection);
/* Answers one request: fills the reply and up to HL_BATCH descriptors (not to be closed). Returns
 * false when the answer comes later. `descriptor` came with the request, or -1. */
bool hl_session_request(struct hl_session *s, const struct hl_request *request, int descriptor,
                        struct hl_reply *reply, int *fds, uint32_t *fd_count);
void hl_session_end(struct hl_session *s);

/* --- server.c --- */
/* Listens in the domain's folder. -errno. */
int hl_server_listen(struct hl_dom *d);
void hl_server_close(struct hl_dom *d);
void hl_server_reply(struct hl_session *s, const struct hl_reply *reply, const int *fds,
                     uint32_t fd_count);
/* Accepts a connection, or turns one away when there is no descriptor left: -1. */
int hl_server_accept(struct hl_machine *m, int listener);
/* The path of a thing in the domain's folder. false: too long. */
bool hl_domain_path(const struct hl_dom *d, const char *name, char *path, size_t size);

/* --- xenbus.c --- */
int hl_xenbus_new(struct hl_dom *d, struct hl_xenbus **ret);
void hl_xenbus_free(struct hl_xenbus *x);
/* The eventfd of the domain's kernel, for ports without a session; -1: none. */
int hl_xenbus_queue(const struct hl_xenbus *x);

#endif
