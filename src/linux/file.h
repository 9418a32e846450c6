/* file.h - a file or a block device as storage. Made by file_open.c, read and written by
 * file_storage.c; nobody else sees one. */
#ifndef LINUX_FILE_H
#define LINUX_FILE_H

#include "linux/loop.h"
#include "vbdkit/vbd_linux.h"

struct vbd_file {
    struct vbd_storage storage;
    int fd;
    bool in_memory; /* reading and writing it is copying: never waits for a device */
};

/* Of struct vbd_storage_ops. */
int vbd_file_open_channel(struct vbd_storage *storage, void *loop, struct vbd_channel **ret);

#endif
