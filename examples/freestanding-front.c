/* freestanding-front.c - a front for a kernel or unikernel: the platform that libvbd's frontend and
 * libxsc want, over a dozen functions that your kernel has, and a program on it. It needs no C
 * library but memcpy, memmove, memset and memcmp, and blocks nowhere but in kernel_block.
 *
 * Begin with a copy. Write the functions below for your kernel; the rest stays, but for disk_main.
 * One thread does all of this. Of the installed libraries it needs what is portable: libxsc's and
 * libvbd's files outside of src/linux, built with your compiler's -ffreestanding.
 */
#include <errno.h>
#include <string.h>

#include <vbdkit/front.h>
#include <vbdkit/xsc_ring.h>

/* --- what your kernel has --- */

enum { PAGE = 4096 };

/* Pages one behind the other, zeroed, that may be granted; NULL: there are none. */
void *kernel_pages(size_t count);
void kernel_pages_free(void *pages, size_t count);
/* Grants a page to a domain, to read and to write: its grant reference; 0: none is left. */
uint32_t kernel_grant(unsigned domid, void *page);
/* Ends a grant; false: the other side has the page mapped still. */
bool kernel_grant_end(uint32_t grant);
/* An event channel's port that a domain may bind to. -ENOSPC. */
int kernel_port_new(unsigned domid, uint32_t *ret);
void kernel_port_close(uint32_t port);
void kernel_port_send(uint32_t port);
/* Takes a waiting event of the port and lets the next one in; true when there was one. */
bool kernel_port_take(uint32_t port);
/* Waits until any port has an event. */
void kernel_block(void);
void kernel_say(const char *text);
/* From the start info: xenstore's ring page, mapped, and its port. */
extern void *kernel_store_page;
extern uint32_t kernel_store_port;

/* What the kernel calls: 0, or -errno. */
int disk_main(void);

/* --- memory: blocks of powers of two, each size with a list of free ones --- */

enum { SMALLEST = 5, SIZES = 20 };

struct block {
    struct block *next; /* while it is free */
    size_t size;        /* log2, minus SMALLEST */
};

static struct block *free_blocks[SIZES];

/* Cuts new pages into blocks of this size. */
static void refill(size_t size)
{
    size_t bytes = (size_t)1 << (size + SMALLEST), pages = (bytes + PAGE - 1) / PAGE;
    char *memory = kernel_pages(pages);

    for (size_t at = 0; memory != NULL && at + bytes <= pages * PAGE; at += bytes) {
        struct block *b = (struct block *)(void *)(memory + at);

        b->size = size;
        b->next = free_blocks[size];
        free_blocks[size] = b;
    }
}

static void *heap_alloc(void *ctx, size_t bytes)
{
    size_t size = 0;
    struct block *b;

    (void)ctx;
    while (size < SIZES && ((size_t)1 << (size + SMALLEST)) - sizeof *b < bytes)
        size++;
    if (size == SIZES)
        return NULL;
    if (free_blocks[size] == NULL)
        refill(size);
    b = free_blocks[size];
    if (b == NULL)
        return NULL;
    free_blocks[size] = b->next;
    return memset(b + 1, 0, bytes);
}

static void heap_free(void *ctx, void *memory)
{
    struct block *b = (struct block *)memory - 1;

    (void)ctx;
    if (memory == NULL)
        return;
    b->next = free_blocks[b->size];
    free_blocks[b->size] = b;
}

static const struct vbd_allocator heap = {.alloc = heap_alloc, .free = heap_free};

/* --- the guest's seam --- */

/* A run that was taken back while the backend had it mapped: it is used for nothing else until the
 * backend lets go. */
struct held_run {
    struct held_run *next;
    void *pages;
    size_t count;
    uint32_t grants[];
};

static struct held_run *held_runs;

static bool end_grants(uint32_t *grants, size_t count)
{
    bool all = true;

    for (size_t i = 0; i < count; i++)
        if (grants[i] != 0 && kernel_grant_end(grants[i]))
            grants[i] = 0;
        else if (grants[i] != 0)
            all = false;
    return all;
}

static void look_at_held_runs(void)
{
    struct held_run **at = &held_runs;

    while (*at != NULL) {
        struct held_run *run = *at;

        if (!end_grants(run->grants, run->count)) {
            at = &run->next;
            continue;
        }
        *at = run->next;
        kernel_pages_free(run->pages, run->count);
        heap_free(NULL, run);
    }
}

/* Where there is no memory to remember a run that is held, it stays away for good. */
static void unshare(void *ctx, void *pages, size_t count, const uint32_t *grants)
{
    struct held_run *run = heap_alloc(NULL, sizeof *run + count * sizeof *grants);

    (void)ctx;
    if (run == NULL)
        return;
    run->pages = pages;
    run->count = count;
    memcpy(run->grants, grants, count * sizeof *grants);
    run->next = held_runs;
    held_runs = run;
    look_at_held_runs();
}

static int share(void *ctx, unsigned domid, size_t count, uint32_t *ret_grants, void **ret)
{
    char *pages = kernel_pages(count);

    if (pages == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        ret_grants[i] = kernel_grant(domid, pages + i * PAGE);
        if (ret_grants[i] != 0)
            continue;
        while (++i < count)
            ret_grants[i] = 0;
        unshare(ctx, pages, count, ret_grants);
        return -ENOSPC;
    }
    *ret = pages;
    return 0;
}

struct vbd_event_channel {
    uint32_t port;
};

static int offer(void *ctx, unsigned domid, uint32_t *ret_port, struct vbd_event_channel **ret)
{
    struct vbd_event_channel *c = heap_alloc(ctx, sizeof *c);
    int r = c == NULL ? -ENOMEM : kernel_port_new(domid, &c->port);

    if (r < 0) {
        heap_free(ctx, c);
        return r;
    }
    *ret_port = c->port;
    *ret = c;
    return 0;
}

static void withdraw(void *ctx, struct vbd_event_channel *c)
{
    kernel_port_close(c->port);
    heap_free(ctx, c);
}

static void notify(void *ctx, struct vbd_event_channel *c)
{
    (void)ctx;
    kernel_port_send(c->port);
}

static bool take_event(void *ctx, struct vbd_event_channel *c)
{
    (void)ctx;
    return kernel_port_take(c->port);
}

static const struct vbd_guest guest = {.struct_size = sizeof guest,
                                       .share = share,
                                       .unshare = unshare,
                                       .offer = offer,
                                       .withdraw = withdraw,
                                       .notify = notify,
                                       .take_event = take_event};

static const struct vbd_front_platform platform = {.allocator = &heap, .guest = &guest};

/* --- driving --- */

struct disk {
    struct xsc *store;
    struct vbd_front *front;
    uint32_t vdev; /* the first there is */
    bool listed, connected, over;
    int error;
};

/* One turn: what is to be sent is sent, what has come is taken. False: xenstore's ring is broken.
 */
static bool turn(struct disk *d)
{
    bool tell = false;

    (void)kernel_port_take(kernel_store_port);
    if (xsc_ring_receive(d->store, kernel_store_page, &tell) < 0)
        return false;
    while (d->front != NULL && vbd_front_process(d->front))
        ;
    if (xsc_ring_send(d->store, kernel_store_page, &tell) < 0)
        return false;
    if (tell)
        kernel_port_send(kernel_store_port);
    return true;
}

/* Until *flag is true, or the disk is over. */
static bool wait_for(struct disk *d, const bool *flag)
{
    while (turn(d) && !*flag && !d->over)
        kernel_block();
    return *flag;
}

static void event(void *ctx, struct vbd_front *front, enum vbd_front_event what)
{
    struct disk *d = ctx;

    if (what == VBD_FRONT_CONNECTED)
        d->connected = true;
    if (what == VBD_FRONT_FAILED) {
        d->error = vbd_front_error(front);
        kernel_say(vbd_front_why(front));
    }
    d->over |= what == VBD_FRONT_FAILED || what == VBD_FRONT_CLOSED;
}

static void listed(void *ctx, int error, const struct vbd_front_list *list)
{
    struct disk *d = ctx;

    d->listed = true;
    d->error = error == 0 && list->count == 0 ? -ENODEV : error;
    if (d->error == 0)
        d->vdev = list->devices[0].vdev;
}

static int disk_open(struct disk *d)
{
    struct xsc_call reset = {.op = XSC_OP_RESET_WATCHES, .path = ""};
    struct vbd_front_config config = {.event = event, .ctx = d};
    int r = xsc_new(&heap, &d->store);

    if (r == 0)
        r = xsc_submit(d->store, &reset, (struct xsc_completion){0}); /* of who ran here before */
    if (r == 0)
        r = vbd_front_enumerate(&heap, d->store, NULL, listed, d);
    if (r == 0)
        r = wait_for(d, &d->listed) ? d->error : -EPROTO;
    config.vdev = d->vdev;
    if (r == 0)
        r = vbd_front_connect(&platform, d->store, &config, &d->front);
    if (r == 0 && !wait_for(d, &d->connected))
        r = d->error < 0 ? d->error : -EPROTO;
    return r;
}

static void disk_close(struct disk *d)
{
    static const bool never = false;

    if (d->front != NULL && !d->over) {
        vbd_front_disconnect(d->front);
        (void)wait_for(d, &never);
    }
    vbd_front_free(d->front);
    xsc_free(d->store);
    look_at_held_runs();
}

struct operation {
    struct vbd_io io;
    struct vbd_iovec memory;
    bool done;
    int result;
};

static void operation_done(struct vbd_io *io, int result)
{
    struct operation *o = (struct operation *)(void *)io; /* its first member */

    o->done = true;
    o->result = result;
}

/* One operation, waited for. Many may be under way at once: submit them together. */
static int disk_do(struct disk *d, enum vbd_io_op op, uint64_t offset, void *bytes, size_t length)
{
    struct operation o = {.io = {.op = op, .offset = offset, .length = length},
                          .memory = {bytes, length}};
    struct vbd_channel *channel = vbd_front_channel(d->front);
    struct vbd_io *io = &o.io;

    o.io.memory = &o.memory;
    o.io.memory_count = bytes != NULL;
    o.io.done = operation_done;
    channel->ops->submit(channel, &io, 1);
    while (turn(d) && !o.done)
        kernel_block();
    return o.done ? o.result : -EPROTO;
}

/* --- a program: writes the disk's beginning, and reads it again --- */

enum { BYTES = 256 * 1024 };

int disk_main(void)
{
    struct disk d = {0};
    char *bytes = NULL;
    int r = disk_open(&d);

    if (r == 0)
        r = vbd_front_buffer_new(d.front, BYTES, (void **)&bytes); /* no copies */
    for (size_t i = 0; r == 0 && i < BYTES; i++)
        bytes[i] = (char)(i * 7 + (i >> 9));
    if (r == 0)
        r = disk_do(&d, VBD_IO_WRITE, 0, bytes, BYTES);
    if (r == 0)
        r = disk_do(&d, VBD_IO_FLUSH, 0, NULL, 0);
    if (r == 0)
        r = disk_do(&d, VBD_IO_READ, 0, memset(bytes, 0, BYTES), BYTES);
    for (size_t i = 0; r == 0 && i < BYTES; i++)
        if (bytes[i] != (char)(i * 7 + (i >> 9)))
            r = -EIO;
    if (r == 0)
        kernel_say("written, flushed and read again");
    if (bytes != NULL)
        vbd_front_buffer_free(d.front, bytes);
    disk_close(&d);
    return r;
}
