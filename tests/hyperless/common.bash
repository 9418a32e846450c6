# common.bash - for the bats files here: a folder for each case, and machines. Runs as an ordinary user; where the
# tests run as root, as nobody. $XENSTORED (c or ocaml) says which daemon.

setup() {
  LIB=$BATS_TEST_DIRNAME/lib.sh
  SCRATCH=$(mktemp -d /tmp/hyperless-test.XXXXXX) # nobody must get there
  export LIB SCRATCH
  # The drop-in libraries come before the sanitizer of a sanitized vbdkit; they intercept nothing of its.
  # Its quarantine of freed memory would look like growth.
  export ASAN_OPTIONS=verify_asan_link_order=0:quarantine_size_mb=1:${ASAN_OPTIONS:-}
  cd "$SCRATCH"
  [ "$(id -u)" -ne 0 ] || chown nobody .
}

teardown() {
  rm -rf "$SCRATCH"
}

as_user() {
  if [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME="$SCRATCH" PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
  else
    "$@"
  fi
}

# machine SCRIPT: runs a shell script in domain 0 of a new machine.
machine() {
  run as_user timeout --kill-after=5 60 "$VBDKIT" hyperless run --xenstored "$XENSTORED" -- sh -uc ". $LIB
$1"
  echo "$output"
}
