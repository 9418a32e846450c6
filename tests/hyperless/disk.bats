#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# A disk by libvbd's calls for Linux (front_linux.h), on hyperless.

load common

@test "disk: threads, an event loop and every call of the header" {
  machine "serve_start
    give_vbdkit 1
    in_domain 1 \"\$DISKCHECK\" xvda
    echo \"status \$?\"
    xenstore-read /local/domain/1/device/vbd/51712/state
    serve_stop"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ "$output" == *"status 0"*"6" ]]
}

@test "disk: a vbd without a backend is given up" {
  machine "\"\$VBDKIT\" hyperless create 1
    ahead=/local/domain/1/device/vbd/51712
    xenstore-write \$ahead/backend /local/domain/0/backend/vbd/1/51712 \$ahead/backend-id 0 \$ahead/state 1
    xenstore-chmod -r \$ahead n1 r0
    in_domain 1 timeout 20 \"\$VBDKIT\" front info --timeout 0.2 xvda
    echo \"status \$?\""
  echo "$output"
  [[ "$output" == *'front info: no backend has connected "xvda" in 200 ms'* ]]
  [[ "$output" == *"status 1"* ]]
}

# An unprivileged domain has ten transactions at once.
@test "disk: fifty vbds of one domain connect at once" {
  machine "serve_start
    \"\$VBDKIT\" hyperless create 1
    truncate -s 1M disk.img
    mkfifo end
    in_domain 1 \"\$ATTACH\" fronts 50 <end >fronts.log & fronts_pid=\$!
    exec 3>end
    wait_until grep -q waiting fronts.log
    \"\$ATTACH\" create 1 50 \"\$PWD/disk.img\" || fail create
    wait_until grep -q '^[0-9]' fronts.log
    \"\$VBDKIT\" list --json | grep -c '\"frontend\":\"Connected\"'
    exec 3>&-
    wait \$fronts_pid && echo all left
    serve_stop"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ "$output" == *"50"*"all left" ]]
}
