/* front_copy.c - "read" and "write": bytes of the disk to standard output and from standard input,
 * with as many requests in flight as there are. Called by testfront.c; must not look into the data.
 */
#include "front/front.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    REQUEST_SIZE = FRONT_SEGMENTS * FRONT_PAGE /* the most bytes of one */
};

int front_check_range(const struct front *f, uint64_t offset, uint64_t length)
{
    uint64_t bytes = f->sectors * FRONT_SECTOR;

    if (offset % FRONT_SECTOR != 0 || length % FRONT_SECTOR != 0)
        return front_fail(f, "offset %" PRIu64 " and length %" PRIu64 " must be multiples of %d",
                          offset, length, FRONT_SECTOR);
    if (offset > bytes || length > bytes - offset)
        return front_fail(f, "%" PRIu64 " bytes at offset %" PRIu64 " exceed the disk's %" PRIu64,
                          length, offset, bytes);
    return 0;
}

static int stopped(const struct front *f)
{
    return front_fail(f, "ended by signal %d", f->stopped);
}

/* --- out --- */

/* Requests in the order of the disk: the oldest is at fifo[done % depth]. */
struct reading {
    struct front *f;
    struct front_request **fifo;
    unsigned asked, done;
    uint64_t sector, left;
};

static int write_all(const struct front *f, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);

        if (n < 0 && errno != EINTR)
            return front_fail(f, "cannot write to standard output: %s", strerror(errno));
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

static int ask_more(struct reading *o)
{
    struct front_request *r;
    unsigned before = o->asked;

    while (o->left > 0 && (r = front_request_get(o->f)) != NULL) {
        unsigned n = front_request_plain(r, FRONT_READ, o->sector, o->left);

        o->sector += n;
        o->left -= n;
        o->fifo[o->asked++ % o->f->depth] = r;
        front_request_put(o->f, r);
    }
    return o->asked != before ? front_push(o->f) : 0;
}

static int deliver_oldest(struct reading *o)
{
    struct front_request *r = o->fifo[o->done % o->f->depth];
    struct front_request *answered;
    int status;

    while (r->in_flight)
        if (front_answer(o->f, true, &answered) < 0)
            return -1;
    status = write_all(o->f, r->pages, (size_t)front_request_sectors(r) * FRONT_SECTOR);
    front_request_release(r);
    o->done++;
    return status;
}

static int copy_all_out(struct reading *o)
{
    while (o->left > 0 || o->done != o->asked) {
        if (o->f->stopped != 0)
            return stopped(o->f);
        if (ask_more(o) < 0 || deliver_oldest(o) < 0)
            return -1;
    }
    return 0;
}

int front_copy_out(struct front *f, uint64_t offset, uint64_t length)
{
    struct reading o = {.f = f, .sector = offset / FRONT_SECTOR, .left = length / FRONT_SECTOR};
    int r;

    if (front_check_range(f, offset, length) < 0)
        return -1;
    o.fifo = calloc(f->depth, sizeof o.fifo[0]);
    if (o.fifo == NULL)
        return front_fail(f, "no memory for %u requests", f->depth);
    r = copy_all_out(&o);
    free(o.fifo);
    return r;
}

/* --- in --- */

/* Fills a request's pages from standard input; fewer bytes than fit mean its end. */
static int read_input(struct front *f, uint8_t *pages, size_t *ret_len)
{
    const size_t size = REQUEST_SIZE;
    size_t len = 0;
    ssize_t n = 1;

    while (len < size && n != 0) {
        bool ready = false;

        if (front_wait(f, STDIN_FILENO, -1, &ready) < 0)
            return -1;
        if (f->stopped != 0)
            return stopped(f);
        if (!ready)
            continue;
        n = read(STDIN_FILENO, pages + len, size - len);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return front_fail(f, "cannot read standard input: %s", strerror(errno));
        len += n > 0 ? (size_t)n : 0;
    }
    *ret_len = len;
    return 0;
}

/* A free request, when need be one that gets free. */
static struct front_request *wait_for_free(struct front *f)
{
    struct front_request *r = front_request_get(f);

    return r == NULL && front_answer(f, true, &r) < 0 ? NULL : r;
}

static int put_input(struct front *f, struct front_request *r, uint64_t offset, size_t len)
{
    size_t odd = len % FRONT_SECTOR;

    if (front_check_range(f, offset, len - odd) < 0)
        return -1;
    if (len == odd) {
        front_request_release(r);
    } else {
        (void)front_request_plain(r, FRONT_WRITE, offset / FRONT_SECTOR, len / FRONT_SECTOR);
        front_request_put(f, r);
        if (front_push(f) < 0)
            return -1;
    }
    if (odd != 0)
        return front_fail(f, "the input is no multiple of %d bytes: its last %zu were not written",
                          FRONT_SECTOR, odd);
    return 0;
}

static int copy_all_in(struct front *f, uint64_t offset)
{
    size_t len = REQUEST_SIZE;

    while (len == REQUEST_SIZE) {
        struct front_request *r = wait_for_free(f);

        if (r == NULL || read_input(f, r->pages, &len) < 0 || put_input(f, r, offset, len) < 0)
            return -1;
        offset += len;
    }
    return 0;
}

/* What was asked before a failure is waited for all the same. */
int front_copy_in(struct front *f, uint64_t offset)
{
    int r = front_check_range(f, offset, 0);

    if (r == 0)
        r = copy_all_in(f, offset);
    if (front_drain(f) < 0)
        return -1;
    if (r == 0 && f->flush)
        r = front_flush(f);
    return r;
}
