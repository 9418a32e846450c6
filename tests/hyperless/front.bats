#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# Our own front (src/blkfront, src/vbd/front*.c) on hyperless, against vbdkit and against QEMU's qdisk: each cell does
# operations at random, every byte held against a model, and says what was agreed.

load common

# against_vbdkit BACK_OPTIONS FRONT_OPTIONS AGREED: a disk of vbdkit's, used by "vbdkit front verify". Its options: those of --option, then others.
against_vbdkit() {
  machine "serve_start
    \"\$VBDKIT\" hyperless create 1
    truncate -s 16M disk.img
    \"\$VBDKIT\" attach --no-wait --option $1 1 disk.img xvda || fail attach
    in_domain 1 \"\$VBDKIT\" front verify --destroy --option '$2' ${4:-} 51712
    echo \"status \$?\"
    serve_stop"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ "$output" == *"agreed $3"* ]]
  [[ "$output" == *"status 0"* ]]
}

@test "front: vbdkit with all it offers" {
  against_vbdkit queues=4 'queues=3,ring-order=4,pool=1024' \
    'queues=3 ring-pages=16 segments=256 persistent=0 flush=1 barrier=1 discard=1 sector-size=512' '--depth 128'
  [[ "$output" == *"used indirect=1"* ]]
}

@test "front: vbdkit with persistent grants" {
  against_vbdkit persistent=512 '' 'queues=1 ring-pages=4 segments=256 persistent=1'
  [[ "$output" == *"used indirect=1 merged=1"* ]]
}

@test "front: vbdkit with direct requests, one page, no barriers" {
  against_vbdkit indirect-segments=0,ring-order=0,barrier=0 'queues=2' \
    'queues=2 ring-pages=1 segments=11 persistent=0 flush=1 barrier=0'
  [[ "$output" == *"used indirect=0"* ]]
}

@test "front: vbdkit, and a front that wants little" {
  against_vbdkit persistent=512 'ring-order=0,indirect-segments=0,persistent=0,pool=16' \
    'queues=1 ring-pages=1 segments=11 persistent=0' '--depth 8'
}

@test "front: vbdkit with sectors of 4096 bytes, in order" {
  against_vbdkit sector-size=4096,in-order=1 'trusted=1' \
    'queues=1 ring-pages=4 segments=256 persistent=0 flush=1 barrier=1 discard=1 sector-size=4096'
}

# bats test_tags=slow
@test "front: QEMU's qdisk" {
  [ -x /usr/libexec/xen-qemu-system-i386 ]
  for options in '--option ring-order=4' '--option ring-order=0 --depth 4' '--option ring-order=2,trusted --depth 128'; do
    machine "give_qdisk 1
      in_domain 1 \"\$VBDKIT\" front verify --destroy $options 51712
      echo \"status \$?\""
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "$output" == *"agreed queues=1 ring-pages="*" segments=11 persistent=0 flush=1 barrier=0 discard=1 sector-size=512"* ]]
    [[ "$output" == *"status 0"* ]]
  done
}
