/* vdev.c - device numbers and their names (Xen's vbd-interface document). Called by tools.
 *
 *   extended  1 << 28 | disk << 8 | partition      any xvd
 *   xvd       202 << 8 | disk << 4 | partition     up to 16 disks of 15 partitions
 *   sd        8 << 8 | disk << 4 | partition       up to 16 disks of 15 partitions
 *   hd        3 << 8 or 22 << 8 | disk << 6 | partition, two disks each
 */
#include <errno.h>

#include "base/text.h"
#include "vbdkit/vbd.h"

enum { EXTENDED = 1 << 28, XVD = 202 << 8, SD = 8 << 8, HD_FIRST = 3 << 8, HD_SECOND = 22 << 8 };

static int encode(const char *bus, uint32_t disk, uint32_t partition, uint32_t *ret)
{
    if (vbd_str_eq(bus, "xvd") && disk < 16 && partition < 16)
        *ret = (uint32_t)XVD | disk << 4 | partition;
    else if (vbd_str_eq(bus, "xvd") && disk < 1 << 20 && partition < 256)
        *ret = (uint32_t)EXTENDED | disk << 8 | partition;
    else if (vbd_str_eq(bus, "sd") && disk < 16 && partition < 16)
        *ret = (uint32_t)SD | disk << 4 | partition;
    else if (vbd_str_eq(bus, "hd") && disk < 4 && partition < 64)
        *ret = (uint32_t)(disk < 2 ? HD_FIRST : HD_SECOND) | (disk & 1) << 6 | partition;
    else
        return -EINVAL;
    return 0;
}

/* "a" is 0, "z" is 25, "aa" is 26, as Linux counts disks. Returns the letters read. */
static size_t parse_letters(const char *s, uint32_t *ret)
{
    uint32_t n = 0;
    size_t len = 0;

    for (; s[len] >= 'a' && s[len] <= 'z' && len < 5; len++)
        n = n * 26 + (uint32_t)(s[len] - 'a') + 1;
    *ret = n - 1;
    return len;
}

/* "d536p37": disk and partition by number, whatever the guest calls them. */
static int parse_numbered(const char *s, uint32_t *ret)
{
    size_t len = vbd_str_len(s);
    const char *p = vbd_bytes_find(s, len, 'p');
    uint64_t disk = 0, partition = 0;

    if (!vbd_parse_u64(s, p != NULL ? (size_t)(p - s) : len, (1 << 20) - 1, &disk) ||
        (p != NULL && !vbd_parse_u64(p + 1, vbd_str_len(p + 1), 255, &partition)))
        return -EINVAL;
    return encode("xvd", (uint32_t)disk, (uint32_t)partition, ret);
}

static uint32_t digit(char c)
{
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0');
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10 : 16;
}

/* The number itself, as C writes it: 51712, 0xca00, 0145000. */
static bool parse_number(const char *s, uint32_t *ret)
{
    bool hex = s[0] == '0' && (s[1] | 0x20) == 'x', octal = s[0] == '0' && s[1] != '\0' && !hex;
    uint32_t base = hex ? 16 : octal ? 8 : 10, n = 0;

    s += hex ? 2 : 0;
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        if (digit(*s) >= base || n > (EXTENDED * 2u - 1 - digit(*s)) / base)
            return false;
        n = n * base + digit(*s);
    }
    *ret = n;
    return true;
}

int vbd_vdev_parse(const char *name, uint32_t *ret)
{
    static const char *const buses[] = {"xvd", "sd", "hd"};
    uint64_t n = 0;

    if (parse_number(name, ret))
        return 0;
    if (vbd_str_starts(name, "/dev/"))
        name += 5;
    else if (name[0] == 'd')
        return parse_numbered(name + 1, ret);
    for (size_t i = 0; i < 3; i++) {
        const char *at = name + vbd_str_len(buses[i]);
        uint32_t disk;
        size_t letters;

        if (!vbd_str_starts(name, buses[i]))
            continue;
        letters = parse_letters(at, &disk);
        at += letters;
        n = 0;
        if (letters == 0 ||
            (at[0] != '\0' && (at[0] == '0' || !vbd_parse_u64(at, vbd_str_len(at), 255, &n))))
            return -EINVAL;
        return encode(buses[i], disk, (uint32_t)n, ret);
    }
    return -EINVAL;
}

static void put(char name[24], const char *bus, uint32_t disk, uint32_t partition)
{
    struct vbd_text t = vbd_text_on(name, 24);
    char letters[8];
    size_t at = sizeof letters;

    for (disk++; disk > 0; disk = (disk - 1) / 26)
        letters[--at] = (char)('a' + (int)((disk - 1) % 26));
    vbd_text_str(&t, bus);
    vbd_text_bytes(&t, letters + at, sizeof letters - at);
    if (partition > 0)
        vbd_text_u64(&t, partition);
}

void vbd_vdev_name(uint32_t vdev, char name[24])
{
    struct vbd_text t;

    if ((vdev & ~0x0fffffffu) == EXTENDED)
        put(name, "xvd", (vdev & 0x0fffffff) >> 8, vdev & 0xff);
    else if ((vdev & ~0xffu) == XVD)
        put(name, "xvd", (vdev >> 4) & 15, vdev & 15);
    else if ((vdev & ~0xffu) == SD)
        put(name, "sd", (vdev >> 4) & 15, vdev & 15);
    else if ((vdev & ~0x7fu) == HD_FIRST)
        put(name, "hd", (vdev >> 6) & 1, vdev & 63);
    else if ((vdev & ~0x7fu) == HD_SECOND)
        put(name, "hd", 2 + ((vdev >> 6) & 1), vdev & 63);
    else {
        t = vbd_text_on(name, 24);
        vbd_text_u64(&t, vdev);
    }
}
