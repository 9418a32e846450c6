/* server.h - the parts of the daemon: devices, control socket, log, readiness. For serve.c. */
#ifndef VBDKIT_SERVER_H
#define VBDKIT_SERVER_H

#include <json-c/json.h>

#include "vbdkit/vbd_linux.h"

/* --- devices.c: every vbd of one class that this domain serves --- */

struct devices;

struct devices_config {
    const char *backend_class;
    unsigned domid; /* of this domain */
    int only_guest; /* serve this guest alone; negative for all */
    struct vbd_back_options options;
    const struct vbd_platform *platform;
    struct xsc *x;
};

/* Watches backend/CLASS and runs a back for each device there. -errno. */
int devices_new(const struct devices_config *config, struct devices **ret);
/* Asks every back to finish and let go; guests stay connected. */
void devices_park(struct devices *d);
/* Tells all backs the time; returns when one wants to be told again, or 0. See vbd_back_tick. */
uint64_t devices_tick(struct devices *d, uint64_t now);
/* True when no back is left. */
bool devices_all_ended(const struct devices *d);
/* True when devices can't be found: the watch was refused. */
bool devices_failed(const struct devices *d);
void devices_free(struct devices *d);
/* All devices with their counters, as a new JSON object. */
json_object *devices_json(const struct devices *d);

/* --- back_json.c --- */

/* A back with its counters and latencies, as a new JSON object. */
json_object *back_json(const struct vbd_back *back);

/* --- image.c: the source of storage: what "params" means --- */

extern const struct vbd_source image_source;
/* The image's path in a value of "params": what is behind a prefix such as "aio:" or "tap2:raw:".
 */
const char *image_path(const char *params);

/* --- log.c --- */

/* A log to stderr, with journal priorities when stderr is the journal. */
struct vbd_log log_to_stderr(enum vbd_log_level most);
/* -1 when the name is none of error, warning, info, debug. */
int log_level_parse(const char *name);

/* --- notify.c --- */

/* Tells systemd (sd_notify's protocol) a state such as "READY=1"; nothing when there is none. */
void notify_systemd(const char *state);

/* --- control.c: the socket that "vbdkit stat" asks --- */

struct control;
/* Listens at path (an old socket there is replaced). -errno with a sentence. */
int control_open(const char *path, struct control **ret, struct vbd_error *why);
void control_close(struct control *c);
int control_fd(const struct control *c);
/* Answers one waiting client with the JSON document. */
void control_answer(struct control *c, const struct devices *d);

enum { CONTROL_PATH_MAX = 108 };
/* The default path for a class. */
void control_path(const char *backend_class, char path[CONTROL_PATH_MAX]);

#endif
