/* vbd.c - nbdkit's plugin "vbd": a vbd of this domain as an NBD export, for every NBD client.
 * Loaded by nbdkit, which "vbdkit front export" starts; uses the public calls of libvbd alone.
 *
 * The disk is opened once, by the process that serves, and all connections share it: nbdkit's
 * threads call at once, and their requests are under way at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "vbdkit/front_linux.h"

static struct vbd_disk *disk;
static char *name, *xenstore;
static struct vbd_front_options options;
static int timeout_seconds = VBD_DISK_TIMEOUT_MS / 1000;

/* --- configuration --- */

static void load(void)
{
    vbd_front_options_init(&options);
}

static int keep(char **place, const char *value)
{
    free(*place);
    *place = strdup(value);
    if (*place == NULL)
        nbdkit_error("no memory");
    return *place == NULL ? -1 : 0;
}

static int read_timeout(const char *value)
{
    int seconds;

    if (nbdkit_parse_int("timeout", value, &seconds) < 0)
        return -1;
    if (seconds < 0 || seconds > 86400) {
        nbdkit_error("timeout: %s is no number of seconds from 0 to 86400", value);
        return -1;
    }
    timeout_seconds = seconds;
    return 0;
}

static int config(const char *key, const char *value)
{
    struct vbd_error why = {""};

    if (strcmp(key, "name") == 0)
        return keep(&name, value);
    if (strcmp(key, "xenstore") == 0)
        return keep(&xenstore, value);
    if (strcmp(key, "timeout") == 0)
        return read_timeout(value);
    if (strcmp(key, "option") != 0) {
        nbdkit_error("there is no parameter \"%s\"", key);
        return -1;
    }
    if (vbd_front_options_parse(value, &options, &why) == 0)
        return 0;
    nbdkit_error("%s", why.text);
    return -1;
}

static int config_complete(void)
{
    if (name != NULL)
        return 0;
    nbdkit_error("say which vbd: name=xvda");
    return -1;
}

#define CONFIG_HELP                                                                                \
    "name=VBD        (required) the vbd: a number, a name such as xvda, or its image\n"            \
    "option=LIST     what to ask the backend for, see vbdkit-front(8)\n"                           \
    "timeout=N       seconds to wait for the backend\n"                                            \
    "xenstore=PATH   where xenstore is"

/* --- the disk --- */

/* Not before the fork: grants and event channels are the process' own. */
static int after_fork(void)
{
    struct vbd_disk_config c = {.struct_size = sizeof c,
                                .xenstore = xenstore,
                                .options = &options,
                                .timeout_ms = timeout_seconds * 1000};
    struct vbd_error why = {""};

    if (vbd_disk_open(name, &c, &disk, &why) == 0)
        return 0;
    nbdkit_error("%s", why.text);
    return -1;
}

static void unload(void)
{
    disk = vbd_disk_close(disk);
    free(name);
    free(xenstore);
}

static void *open_connection(int read_only)
{
    (void)read_only;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static struct vbd_front_info info(void)
{
    struct vbd_front_info i;

    vbd_disk_info(disk, &i);
    return i;
}

static int64_t get_size(void *handle)
{
    (void)handle;
    return (int64_t)(info().disk.sectors * 512);
}

static int block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    struct vbd_front_info i = info();

    (void)handle;
    *minimum = i.disk.sector_size;
    *preferred = i.physical_sector > 4096 ? i.physical_sector : 4096;
    *maximum = UINT32_MAX;
    return 0;
}

static int can_write(void *handle)
{
    (void)handle;
    return !info().disk.read_only;
}

static int can_flush(void *handle)
{
    struct vbd_front_info i = info();

    (void)handle;
    return i.disk.flush || i.disk.barrier;
}

static int can_trim(void *handle)
{
    (void)handle;
    return info().disk.discard;
}

/* nbdkit makes a flush of it. */
static int can_fua(void *handle)
{
    return can_flush(handle) ? NBDKIT_FUA_EMULATE : NBDKIT_FUA_NONE;
}

/* A flush covers what was done before it on any connection. */
static int can_multi_conn(void *handle)
{
    (void)handle;
    return 1;
}

/* --- requests --- */

static int ended(int r, const struct vbd_error *why)
{
    if (r == 0)
        return 0;
    nbdkit_error("%s", why->text);
    nbdkit_set_error(r == -EPROTO ? EIO : -r);
    return -1;
}

static int pread_disk(void *handle, void *bytes, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct vbd_error why = {""};

    (void)handle, (void)flags;
    return ended(vbd_disk_read(disk, bytes, count, offset, &why), &why);
}

static int pwrite_disk(void *handle, const void *bytes, uint32_t count, uint64_t offset,
                       uint32_t flags)
{
    struct vbd_error why = {""};

    (void)handle, (void)flags;
    return ended(vbd_disk_write(disk, bytes, count, offset, &why), &why);
}

static int flush_disk(void *handle, uint32_t flags)
{
    struct vbd_error why = {""};

    (void)handle, (void)flags;
    return ended(vbd_disk_flush(disk, &why), &why);
}

static int trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct vbd_error why = {""};

    (void)handle, (void)flags;
    return ended(vbd_disk_discard(disk, offset, count, false, &why), &why);
}

static int zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct vbd_error why = {""};

    (void)handle, (void)flags;
    return ended(vbd_disk_zero(disk, offset, count, &why), &why);
}

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static struct nbdkit_plugin plugin = {
    .name = "vbd",
    .longname = "nbdkit plugin for Xen virtual block devices",
    .version = VBDKIT_VERSION,
    .description = "Serves a vbd of this domain.",
    .load = load,
    .unload = unload,
    .config = config,
    .config_complete = config_complete,
    .config_help = CONFIG_HELP,
    .magic_config_key = "name",
    .after_fork = after_fork,
    .open = open_connection,
    .get_size = get_size,
    .block_size = block_size,
    .can_write = can_write,
    .can_flush = can_flush,
    .can_trim = can_trim,
    .can_fua = can_fua,
    .can_multi_conn = can_multi_conn,
    .pread = pread_disk,
    .pwrite = pwrite_disk,
    .flush = flush_disk,
    .trim = trim,
    .zero = zero,
};

struct nbdkit_plugin *plugin_init(void); /* which the macro defines */
NBDKIT_REGISTER_PLUGIN(plugin)
