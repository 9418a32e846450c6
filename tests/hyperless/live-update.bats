#!/usr/bin/env bats
# xenstored in C replaces itself by a new process, which takes over its event channels (xenevtchn_fdopen) and maps
# its guests' rings again. (oxenstored 4.17 has no such command.)
load common

@test "the real xenstored updates itself under its clients" {
  machine 'control=/usr/lib/xen-4.17/bin/xenstore-control
    xenstore-write /tool/kept yes
    "$VBDKIT" hyperless create 1
    (in_domain 1 timeout 20 xenstore-watch -n 2 data/w >events) & watcher=$!
    wait_until test -s events
    "$control" live-update -f /usr/lib/xen-4.17/bin/xenstored || fail "live update"
    [ "$(xenstore-read /tool/kept)" = yes ] || fail "the store was lost"
    xenstore-write /local/domain/1/data/w new; wait "$watcher" || fail "the watch was lost"
    in_domain 1 xenstore-write data/a b || fail "the ring was lost"
    (in_domain 2 sleep 60) & wait_until xenstore-exists /local/domain/2
    "$VBDKIT" hyperless destroy 2; "$VBDKIT" hyperless list'
  [ "$status" -eq 0 ]
  [[ "$output" == *dom1 ]]
}
