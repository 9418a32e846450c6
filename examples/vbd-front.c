/* vbd-front.c - a front in fifty lines: finds a vbd of this domain, reads its first sector, counts
 * its use there, and makes sure that the count is on the disk.
 *
 *   cc -o vbd-front vbd-front.c $(pkg-config --cflags --libs libvbd)
 *   ./vbd-front xvdb
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vbdkit/front_linux.h>

int main(int argc, char **argv)
{
    struct vbd_disk *disk = NULL;
    struct vbd_error why = {""};
    struct vbd_front_info info;
    char *sector;
    int r;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: vbd-front VBD\n");
        return 2;
    }
    r = vbd_disk_open(argv[1], NULL, &disk, &why);
    if (r < 0) {
        (void)fprintf(stderr, "vbd-front: %s\n", why.text);
        return 1;
    }
    vbd_disk_info(disk, &info);
    sector = calloc(1, info.disk.sector_size);
    if (sector == NULL)
        r = -1;
    if (r == 0)
        r = vbd_disk_read(disk, sector, info.disk.sector_size, 0, &why);
    if (r == 0) {
        unsigned long uses = strtoul(sector, NULL, 10) + 1;

        (void)snprintf(sector, info.disk.sector_size, "%lu", uses);
        (void)printf("%llu sectors, use number %lu\n", (unsigned long long)info.disk.sectors, uses);
        r = vbd_disk_write(disk, sector, info.disk.sector_size, 0, &why);
    }
    if (r == 0)
        r = vbd_disk_flush(disk, &why);
    if (r < 0)
        (void)fprintf(stderr, "vbd-front: %s\n", why.text);
    free(sector);
    vbd_disk_close(disk);
    return r < 0 ? 1 : 0;
}
