/* faults.h - faults on demand, for tests: $HYPERLESS_FAULTS names operations and what shall happen.
 *
 *   OPERATION:N[+]=ACTION[,...]
 *
 * OPERATION is map, copy (each segment), share, event (each one sent); N counts this process's
 * operations of that kind from 1, and + means that one and all after it. ACTION is refuse, drop
 * (both: it does not happen), double (event only), delay:MILLISECONDS, kill (the whole domain).
 * `vbdkit hyperless exec --fault` sets it. A word that is not understood ends the program: a test
 * must not run without the fault it asked for.
 */
#ifndef HYPERLESS_FAULTS_H
#define HYPERLESS_FAULTS_H

enum hl_fault_kind { HL_FAULT_MAP, HL_FAULT_COPY, HL_FAULT_SHARE, HL_FAULT_EVENT, HL_FAULT_KINDS };
enum hl_fault_action {
    HL_FAULT_NONE,
    HL_FAULT_REFUSE,
    HL_FAULT_DOUBLE,
    HL_FAULT_DELAY, /* done by hl_fault; answers HL_FAULT_NONE */
    HL_FAULT_KILL   /* likewise; does not return */
};

/* Counts one operation, and says what is to happen to it. Any thread. */
enum hl_fault_action hl_fault(enum hl_fault_kind kind);

#endif
