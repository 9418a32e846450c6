/* environment.c - see host.h. Called by the commands, in processes about to start programs. */
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hyperless/host/host.h"

/* Installed, the libraries are in LIBDIR/vbdkit; in a build tree, in hyperless/ beside the
 * program. */
bool hl_library_path(const char *name, char *path, size_t size)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash;

    if (n > 0) {
        program[n] = '\0';
        slash = strrchr(program, '/');
        n = snprintf(path, size, "%.*s/hyperless/%s", (int)(slash - program), program, name);
        if (n > 0 && (size_t)n < size && access(path, R_OK) == 0)
            return true;
    }
    n = snprintf(path, size, "%s/vbdkit/%s", VBDKIT_LIBDIR, name);
    return n > 0 && (size_t)n < size && access(path, R_OK) == 0;
}

static int preload(struct vbd_error *why)
{
    char library[PATH_MAX], value[PATH_MAX * 2];
    const char *before = getenv("LD_PRELOAD");

    if (!hl_library_path("libhyperless.so", library, sizeof library)) {
        (void)snprintf(why->text, sizeof why->text,
                       "libhyperless.so is neither beside this program nor in %s/vbdkit",
                       VBDKIT_LIBDIR);
        return -ENOENT;
    }
    if (before != NULL && strstr(before, library) != NULL)
        return 0;
    (void)snprintf(value, sizeof value, "%s%s%s", library, before != NULL ? ":" : "",
                   before != NULL ? before : "");
    return setenv("LD_PRELOAD", value, 1) < 0 ? -errno : 0;
}

int hl_enter_domain(const char *folder, uint32_t domid, struct vbd_error *why)
{
    char domain[PATH_MAX], store[PATH_MAX + 16];
    int r = preload(why);

    if (r < 0)
        return r;
    (void)snprintf(domain, sizeof domain, "%s/dom%u", folder, domid);
    if (domid == 0)
        hl_xenstored_socket(folder, store, sizeof store);
    else
        (void)snprintf(store, sizeof store, "%s/%s", domain, HL_XENSTORE);
    (void)setenv(HL_ENVIRONMENT, domain, 1);
    (void)setenv("XENSTORED_PATH", store, 1);
    (void)snprintf(store, sizeof store, "%s/run", domain);
    (void)mkdir(store, 0700);
    (void)setenv("VBDKIT_RUNDIR", store, 1);
    return 0;
}

bool hl_machine_folder(char *folder, size_t size)
{
    const char *domain = getenv(HL_ENVIRONMENT);
    static const char zero[] = "/dom0";
    size_t len = domain != NULL ? strlen(domain) : 0;

    if (len < sizeof zero || len >= size || strcmp(domain + len - strlen(zero), zero) != 0)
        return false;
    memcpy(folder, domain, len + 1);
    folder[len - strlen(zero)] = '\0';
    return true;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status, (void)kind, (void)at;
    (void)remove(path);
    return 0;
}

void hl_remove_tree(const char *folder)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int hl_temporary_folder(char *folder, size_t size)
{
    const char *parent = getenv("TMPDIR");
    int n = snprintf(folder, size, "%s/hyperless.XXXXXX", parent != NULL ? parent : "/tmp");

    if (n < 0 || (size_t)n >= size)
        return -ENAMETOOLONG;
    return mkdtemp(folder) == NULL ? -errno : 0;
}
