/* kernel.c - a simulated kernel for examples/freestanding-front.c: its functions over Xen's
 * libraries, in a domain that is its program's alone (`vbdkit hyperless exec --unikernel`). All its
 * memory is granted to domain 0 at the start, which is how these libraries share memory.
 * Called by tests/freestanding/run, which links it with the freestanding object.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>

#include <stdbool.h>

/* After xenctrl.h, which says how Xen's headers are read. */
#include <xen/hvm/params.h>

enum { PAGE = 4096, PAGES = 1024, PORTS = 64, PATIENCE_MS = 20000 };

/* As the example declares them. */
extern void *kernel_store_page;
extern uint32_t kernel_store_port;
void *kernel_pages(size_t count);
void kernel_pages_free(void *pages, size_t count);
uint32_t kernel_grant(unsigned domid, void *page);
bool kernel_grant_end(uint32_t grant);
int kernel_port_new(unsigned domid, uint32_t *ret);
void kernel_port_close(uint32_t port);
void kernel_port_send(uint32_t port);
bool kernel_port_take(uint32_t port);
void kernel_block(void);
void kernel_say(const char *text);
int disk_main(void);

void *kernel_store_page;
uint32_t kernel_store_port;

static char *memory;
static bool taken[PAGES], granted[PAGES];
static uint32_t grants[PAGES];
static int grant_count, port_count;
static xenevtchn_handle *events;
static bool pending[PORTS];

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

/* --- memory --- */

void *kernel_pages(size_t count)
{
    for (size_t first = 0, run = 0; first + run < PAGES;) {
        if (taken[first + run]) {
            first += run + 1;
            run = 0;
        } else if (++run == count) {
            memset(taken + first, true, count);
            return memset(memory + first * PAGE, 0, count * PAGE);
        }
    }
    return NULL;
}

static size_t number_of(const void *page)
{
    return (size_t)((const char *)page - memory) / PAGE;
}

void kernel_pages_free(void *pages, size_t count)
{
    for (size_t i = number_of(pages); i < number_of(pages) + count; i++) {
        if (!taken[i] || granted[i])
            abort(); /* a page given back that is free, or that another domain may reach */
        taken[i] = false;
    }
}

uint32_t kernel_grant(unsigned domid, void *page)
{
    size_t i = number_of(page);

    if (domid != 0 || !taken[i] || granted[i])
        abort();
    granted[i] = true;
    grant_count++;
    return grants[i];
}

bool kernel_grant_end(uint32_t grant)
{
    size_t i = 0;

    while (grants[i] != grant)
        i++;
    if (!granted[i])
        abort();
    granted[i] = false;
    grant_count--;
    return true;
}

/* --- events --- */

int kernel_port_new(unsigned domid, uint32_t *ret)
{
    xenevtchn_port_or_error_t port = xenevtchn_bind_unbound_port(events, domid);

    if (port < 0)
        return -errno;
    *ret = (uint32_t)port;
    port_count++;
    return 0;
}

void kernel_port_close(uint32_t port)
{
    (void)xenevtchn_unbind(events, port);
    port_count--;
}

void kernel_port_send(uint32_t port)
{
    (void)xenevtchn_notify(events, port);
}

/* Moves what has come into `pending`. */
static void collect(int patience)
{
    struct pollfd p = {.fd = xenevtchn_fd(events), .events = POLLIN};
    xenevtchn_port_or_error_t port;

    if (poll(&p, 1, patience) <= 0) {
        if (patience != 0)
            fail("no event came");
        return;
    }
    port = xenevtchn_pending(events);
    if (port < 0 || port >= PORTS || xenevtchn_unmask(events, (evtchn_port_t)port) < 0)
        fail("events");
    pending[port] = true;
}

bool kernel_port_take(uint32_t port)
{
    bool came;

    collect(0);
    came = pending[port];
    pending[port] = false;
    return came;
}

void kernel_block(void)
{
    for (int i = 0; i < PORTS; i++)
        if (pending[i])
            return;
    collect(PATIENCE_MS);
}

void kernel_say(const char *text)
{
    (void)printf("kernel: %s\n", text);
}

/* --- starting --- */

static void find_store(void)
{
    xenforeignmemory_handle *foreign = xenforeignmemory_open(NULL, 0);
    xc_interface *xc = xc_interface_open(NULL, NULL, 0);
    uint64_t frame, offered;
    xenevtchn_port_or_error_t port;
    xen_pfn_t pfn;

    if (foreign == NULL || xc == NULL ||
        xc_hvm_param_get(xc, DOMID_SELF, HVM_PARAM_STORE_PFN, &frame) < 0 ||
        xc_hvm_param_get(xc, DOMID_SELF, HVM_PARAM_STORE_EVTCHN, &offered) < 0)
        fail("the store's page");
    pfn = frame;
    kernel_store_page =
        xenforeignmemory_map(foreign, DOMID_SELF, PROT_READ | PROT_WRITE, 1, &pfn, NULL);
    port = xenevtchn_bind_interdomain(events, DOMID_SELF, (evtchn_port_t)offered);
    if (kernel_store_page == NULL || port < 0)
        fail("the store's page");
    kernel_store_port = (uint32_t)port;
    (void)xenforeignmemory_close(foreign);
    (void)xc_interface_close(xc);
}

int main(void)
{
    xengntshr_handle *sharing = xengntshr_open(NULL, 0);
    int r;

    events = xenevtchn_open(NULL, 0);
    if (sharing == NULL || events == NULL)
        fail("Xen's libraries");
    memory = xengntshr_share_pages(sharing, 0, PAGES, grants, 1);
    if (memory == NULL)
        fail("memory");
    find_store();
    r = disk_main();
    if (r < 0)
        (void)fprintf(stderr, "kernel: %s\n", strerror(-r));
    if (grant_count != 0 || port_count != 0)
        (void)fprintf(stderr, "kernel: %d grants and %d ports were left\n", grant_count,
                      port_count);
    return r < 0 || grant_count != 0 || port_count != 0;
}
