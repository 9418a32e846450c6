#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# The conformance suite (tests/conformance) on hyperless, against vbdkit and against QEMU's qdisk. What it printed stays
# in $RESULTS, for tests/conformance/table.

load common

# keep NAME: the lines of the checks, without what is around them.
keep() {
  grep -E '^(ok|not ok|skip)' <<<"$output" >"$SCRATCH/results" || true
  [ -z "${RESULTS:-}" ] || { mkdir -p "$RESULTS" && cp "$SCRATCH/results" "$RESULTS/$1.txt"; }
}

# Every check has its line: none was left out by a crash.
all_have_run() {
  diff <("$CONFORMANCE" --list) <(sed -E 's/^(ok|not ok|skip \(not offered\)) ([^ ]*).*/\2/' "$SCRATCH/results")
}

@test "conformance: vbdkit passes every check of what it offers" {
  machine 'serve_start
    "$VBDKIT" hyperless create 1
    truncate -s 16M disk.img ro.img large.img
    "$VBDKIT" attach --no-wait --option persistent=512,indirect-segments=1024 1 disk.img xvda || fail "attach xvda"
    "$VBDKIT" attach --no-wait --read-only 1 ro.img xvdb || fail "attach xvdb"
    "$VBDKIT" attach --no-wait --option sector-size=4096 1 large.img xvdc || fail "attach xvdc"
    resize_when_asked 1 51712 disk.img &
    in_domain 1 "$CONFORMANCE" --resize --timeout 10 --read-only 51728 --large 51744 51712
    echo "status $?"
    serve_stop'
  [ "$status" -eq 0 ]
  keep vbdkit-hyperless
  all_have_run
  ! grep '^not ok' "$SCRATCH/results"
  [[ "$output" == *"status 0"* ]]
  [ "$(grep -c '^skip' "$SCRATCH/results")" -le 3 ]
}

# QEMU 7.2 refuses to make a qdisk of mode r ("Block node is read-only"), so it has the one disk.
# bats test_tags=slow
@test "conformance: QEMU's qdisk fails what it is known to fail" {
  [ -x /usr/libexec/xen-qemu-system-i386 ]
  machine '"$VBDKIT" hyperless create 1
    truncate -s 16M disk.img
    qdisk_start 1
    qdisk_disk 1 51712 xvda disk.img w
    in_domain 1 "$CONFORMANCE" --timeout 2 51712
    echo "status $?"'
  [ "$status" -eq 0 ]
  keep qdisk
  all_have_run
  "$BATS_TEST_DIRNAME/../conformance/known" "$BATS_TEST_DIRNAME/../conformance/qdisk.failures" "$SCRATCH/results"
}
