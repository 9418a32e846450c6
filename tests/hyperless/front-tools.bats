#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# "vbdkit front" in a domain of hyperless, against vbdkit's own backend.

load common

# tools SCRIPT: domain 1 has a disk of 16 MB, xvda; V runs vbdkit in it.
tools() {
  machine "serve_start
    give_vbdkit 1
    V() { in_domain 1 \"\$VBDKIT\" \"\$@\"; }
    $1
    serve_stop"
}

@test "front tools: list and info say what there is" {
  tools 'truncate -s 1M other.img
    "$VBDKIT" attach --no-wait --read-only 1 other.img xvdb1
    V front list
    V front list --json
    V front info other.img
    V front info --json --option ring-order=0,indirect-segments=0 xvda'
  [ "$status" -eq 0 ]
  [[ "$output" == *"xvda       51712         0 $SCRATCH/disk1.img"* ]]
  [[ "$output" == *"xvdb1      51729         0 $SCRATCH/other.img"* ]]
  [[ "$output" == *'"image":"'"$SCRATCH"'/other.img"'* || "$output" == *'"image": "'"$SCRATCH"'/other.img"'* ]]
  [[ "$output" == *"bytes                 1048576"* ]]
  [[ "$output" == *"read-only             yes"* ]]
  [[ "$output" == *'"bytes":16777216'* ]]
  [[ "$output" == *'"ring-pages":1'* ]]
  [[ "$output" == *'"segments":11'* ]]
}

@test "front tools: what is written is read, compared and in the image" {
  tools 'head -c 5000000 /dev/urandom >in
    V front write --offset 512 xvda in || fail write
    V front verify --offset 512 --length 4999680 xvda in || fail verify
    V front read --offset 512 --length 5000192 xvda out || fail read
    cmp -n 5000000 in out || fail "the copy differs"
    V front read --depth 3 xvda >whole || fail "read to a pipe"
    V front write xvda <whole || fail "write from a pipe"
    V front flush xvda || fail flush
    cmp whole disk1.img || fail "the image differs"
    V front discard --offset 1M --length 2M xvda || fail discard
    echo copied'
  [ "$status" -eq 0 ]
  [[ "$output" == *copied* ]]
}

@test "front tools: a difference is found, and named" {
  tools 'cp disk1.img same
    V front verify xvda same && echo equal
    printf x | dd of=same bs=1 seek=3000001 conv=notrunc 2>/dev/null
    V front verify xvda same; echo "status $?"
    truncate -s 2M same
    V front verify xvda same; echo "status $?"'
  [ "$status" -eq 0 ]
  [[ "$output" == *equal* ]]
  [[ "$output" == *"front verify: byte 3000001 is 0 on the disk, 120 in same"*"status 1"* ]]
  [[ "$output" == *"front verify: same ends at byte 2097152 of the disk, which goes on"*"status 1"* ]]
}

@test "front tools: bench measures" {
  tools 'V front bench --seconds 0.2 --depth 8 xvda
    V front bench --seconds 0.2 --rw randrw --block 16K --json --destroy xvda'
  [ "$status" -eq 0 ]
  [[ "$output" =~ iops\ +[1-9] ]]
  [[ "$output" == *"p99.9-us"* ]]
  [[ "$output" == *'"block":16384'* ]]
}

@test "front tools: bench measures what is answered before a turn ends" {
  # On one processor the backend may run, and answer, within the call that sends.
  tools 'serve_stop
    taskset -p -c 0 $$ >/dev/null
    serve_start --option poll=0
    half_of_the_mean() {
      V front bench --json --quiet --depth 1 --seconds 0.2 xvda | jq -e "[.\"p50-us\", 1e6 / .iops] | .[0] > .[1] * 0.5"
    }
    wait_until half_of_the_mean && echo measured'
  [ "$status" -eq 0 ]
  [[ "$output" == *measured* ]]
}

@test "front tools: bench awaits the end of its input, connected" {
  tools 'mkfifo go
    V front bench --seconds 0.2 --quiet --await xvda <go >out &
    pid=$!
    exec 4>go
    wait_until sh -c "\"$VBDKIT\" stat --json | jq -e \".devices[0].phase == \\\"connected\\\"\""
    echo "$("$VBDKIT" stat --json | jq .devices[0].counters.reads) reads, $(wc -c <out) bytes of results"
    exec 4>&-
    wait $pid && cat out'
  [ "$status" -eq 0 ]
  [[ "$output" == *"0 reads, 0 bytes of results"*iops* ]]
}

@test "front tools: stat tells a load's rates, and when it counted" {
  tools 'V front bench --seconds 3 --quiet --json xvda >bench.json &
    pid=$!
    wait_until sh -c "\"$VBDKIT\" stat --json | jq -e \".devices[0].counters.reads > 0\""
    "$VBDKIT" stat --json >before
    "$VBDKIT" stat 1 1 >rates
    "$VBDKIT" stat --json >after
    jq -n --slurpfile a before --slurpfile b after "(\$b[0].clock_ns - \$a[0].clock_ns) / 1e9 | . > 1 and . < 60"
    head -1 rates
    awk "/vbd-51712/ && \$2 > 0 && \$2 < 1e8" rates
    wait $pid'
  [ "$status" -eq 0 ]
  [[ "$output" == *true* ]]
  [[ "$output" == *dom1/vbd-51712* ]]
}

@test "front tools: what can't be is refused, with a sentence, and nothing is lost" {
  tools 'head -c 16M /dev/zero | tr "\0" a >disk1.img
    head -c 17M /dev/zero >large
    refused() { V front "$@" </dev/null; echo "status $? of $*"; }
    refused info xvdz
    refused read --offset 100 xvda
    printf kept >old
    refused read --offset 1T xvda old
    refused read xvdz old
    [ "$(cat old)" = kept ] || fail "the file is lost: $(cat old)"
    refused discard --length 17M xvda
    refused bench --rw randwrite xvda
    refused bench --rw sideways xvda
    refused verify xvda
    refused verify --destroy xvda large
    refused verify --destroy --length 64K xvda
    refused read --length 12Q xvda
    refused read --depth 0 xvda
    refused read xvda /nowhere/file
    refused write xvda /nowhere/file
    refused flush --json xvda
    refused info --option nonsense=1 xvda
    refused export xvda
    refused
    refused frobnicate xvda
    [ "$(tr -d a <disk1.img | wc -c)" -eq 0 ] || fail "something was written"
    refused write xvda large'
  [ "$status" -eq 0 ]
  [[ "$output" == *'front info: "xvdz" is no vbd of this domain; there are: xvda (51712'*"status 1 of info xvdz"* ]]
  [[ "$output" == *"multiples of the sector, 512 bytes"*"status 1 of read --offset 100 xvda"* ]]
  [[ "$output" == *"the disk ends at 16777216"*"status 1 of read --offset 1T xvda old"* ]]
  [[ "$output" == *"status 1 of discard --length 17M xvda"* ]]
  [[ "$output" == *"say --destroy"*"status 2 of bench --rw randwrite xvda"* ]]
  [[ "$output" == *"status 2 of bench --rw sideways xvda"* ]]
  [[ "$output" == *"status 2 of verify xvda"* ]]
  [[ "$output" == *"status 2 of verify --destroy xvda large"* ]]
  [[ "$output" == *"status 1 of verify --destroy --length 64K xvda"* ]]
  [[ "$output" == *'"12Q" is no number'*"status 2 of read --length 12Q xvda"* ]]
  [[ "$output" == *"status 2 of read --depth 0 xvda"* ]]
  [[ "$output" == *"cannot open /nowhere/file: No such file or directory"*"status 1 of read xvda /nowhere/file"* ]]
  [[ "$output" == *"status 1 of write xvda /nowhere/file"* ]]
  [[ "$output" == *"status 2 of flush --json xvda"* ]]
  [[ "$output" == *"is no option of a frontend"*"status 2 of info --option nonsense=1 xvda"* ]]
  [[ "$output" == *"status 2 of export xvda"* ]]
  [[ "$output" == *"status 2 of frobnicate xvda"* ]]
  [[ "$output" == *"large goes on where the disk ends, at byte 16777216"*"status 1 of write xvda large"* ]]
  [[ "$output" != *FAILED* ]]
}

@test "front tools: a read-only disk refuses writes" {
  tools 'truncate -s 1M other.img
    "$VBDKIT" attach --no-wait --read-only 1 other.img xvdb
    head -c 1M /dev/urandom | V front write xvdb; echo "status $?"'
  [ "$status" -eq 0 ]
  [[ "$output" == *"front write: at 0: Read-only file system"*"status 1"* ]]
}
