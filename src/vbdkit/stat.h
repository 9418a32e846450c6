/* stat.h - the parts of "vbdkit stat": stat.c asks the daemon, stat_rates.c compares two answers.
 */
#ifndef VBDKIT_STAT_H
#define VBDKIT_STAT_H

#include <json-c/json.h>

/* The value of a key as a string; "-" when it is missing. Valid as long as the object. */
const char *stat_text(json_object *o, const char *key);
/* Prints a table of what the devices of `now` did since `before`, a document of `seconds` ago;
 * NULL: since they were taken up. */
void stat_print_rates(json_object *before, json_object *now, double seconds);

#endif
