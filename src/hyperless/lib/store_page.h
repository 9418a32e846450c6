/* store_page.h - the one page of a domain that has a frame number here: its ring to xenstored. */
#ifndef HYPERLESS_STORE_PAGE_H
#define HYPERLESS_STORE_PAGE_H

#include <stdint.h>

enum { HL_STORE_FRAME = 0x5103 };

/* Maps a domain's store page: the own one (its number, or DOMID_SELF), or from domain 0 any. NULL
 * with errno. */
void *hl_map_store(uint32_t domid, int prot);
/* HVM_PARAM_STORE_PFN and HVM_PARAM_STORE_EVTCHN of the own domain. 0, or -1 with errno. */
int hl_store_parameter(uint32_t domid, uint32_t parameter, uint64_t *ret);

#endif
