/* test_file_storage.c - images that can be opened, and those that can't: each with its error and
 * its sentence, and nothing lost or left open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vbdkit/vbd_linux.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/vbdkit-files-XXXXXX");
    return mkdtemp(dir) == NULL || chmod(dir, 0755) < 0 ? -1 : 0;
}

static int remove_dir(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static const char *make(const char *name, off_t size, mode_t mode)
{
    static char path[128];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    fd = open(path, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0 && ftruncate(fd, size) == 0 && fchmod(fd, mode) == 0);
    close(fd);
    return path;
}

static int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void refuse(const char *path, bool read_only, int error, const char *says)
{
    struct vbd_storage *storage = NULL;
    struct vbd_error why = {""};
    int before = open_descriptors();

    assert_int_equal(vbd_file_open(path, read_only, &storage, &why), error);
    assert_null(storage);
    if (strstr(why.text, says) == NULL || strstr(why.text, path) == NULL)
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", why.text, path, says);
    assert_int_equal(open_descriptors(), before);
}

static void test_a_file_tells_its_size(void **state)
{
    struct vbd_storage *storage;
    struct vbd_error why = {"untouched"};

    (void)state;
    assert_int_equal(vbd_file_open(make("a", 3 * 512, 0600), false, &storage, &why), 0);
    assert_int_equal(storage->info.bytes, 3 * 512);
    assert_false(storage->info.read_only);
    assert_string_equal(why.text, "untouched");
    storage->ops->close(storage);
}

static void test_bad_files_are_refused_with_a_sentence(void **state)
{
    char fifo[128];

    (void)state;
    refuse("/nonexistent/x", false, -ENOENT, "cannot open");
    refuse(dir, false, -EISDIR, "is a directory");
    refuse(dir, true, -EISDIR, "is a directory");
    refuse("/dev/null", false, -ENOTBLK, "neither a file nor a block device");
    refuse(make("odd", 1000, 0600), false, -EINVAL, "1000 bytes, is not a multiple of 512");
    refuse(make("empty", 0, 0600), false, -EINVAL, "is empty");
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    refuse(fifo, false, -ENOTBLK, "neither"); /* and at once: nobody writes to it */
    refuse(fifo, true, -ENOTBLK, "neither");
    refuse("", false, -ENOENT, "cannot open");
}

/* As an ordinary user, when this runs as root: permissions count then. */
static void test_an_unreadable_file_is_refused(void **state)
{
    char secret[128], locked[128];
    int status = 0;
    pid_t child;

    (void)state;
    (void)snprintf(secret, sizeof secret, "%s", make("secret", 512, 0000));
    (void)snprintf(locked, sizeof locked, "%s", make("locked", 512, 0444));
    child = fork();
    if (child == 0) {
        struct vbd_storage *storage;
        struct vbd_error why = {""};

        if (getuid() == 0 && setuid(65534) < 0)
            _exit(2);
        if (vbd_file_open(secret, true, &storage, &why) != -EACCES ||
            strstr(why.text, "Permission denied") == NULL)
            _exit(3);
        if (vbd_file_open(locked, false, &storage, &why) != -EACCES ||
            strstr(why.text, "for writing: Permission denied") == NULL)
            _exit(4);
        if (vbd_file_open(locked, true, &storage, &why) != 0)
            _exit(5);
        storage->ops->close(storage);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_tells_its_size),
        cmocka_unit_test(test_bad_files_are_refused_with_a_sentence),
        cmocka_unit_test(test_an_unreadable_file_is_refused),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
