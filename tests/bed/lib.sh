# shellcheck shell=sh
# lib.sh - for the payloads of tests/bed, in dom0. Sourced first.
. ./check.sh
export PATH=$PATH:/usr/local/sbin:/usr/local/bin
serve_pid= # of the daemon

# wait_until SECONDS COMMAND...: until it succeeds; fails when the time is over.
wait_until() {
  wait_deadline=$(($(cut -d. -f1 /proc/uptime) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(cut -d. -f1 /proc/uptime)" -lt "$wait_deadline" ] || return 1
    sleep 0.2
  done
}

# serve_start [OPTION]...: starts the daemon and waits until it serves; its log is /tmp/serve.log.
serve_start() {
  vbdkit serve "$@" 2>>/tmp/serve.log &
  serve_pid=$!
  wait_until 20 vbdkit stat
}

# serve_stop: asks the daemon to end; its exit status. Not below check, which has a shell of its own.
serve_stop() {
  kill -TERM "$serve_pid"
  wait "$serve_pid"
}

# check_serve_ends TEXT: stops the daemon and checks that it ended well.
check_serve_ends() {
  serve_stop
  check "$1" test $? -eq 0
}

# in_guest NAME COMMAND: with a limit that suits slow work.
in_guest() {
  domu-exec --timeout 400 "$1" "$2"
}

# disk TARGET [VDEV [ACCESS]]: the disk line of a guest's configuration that puts vbdkit behind it.
disk() {
  echo "format=raw,vdev=${2:-xvda},access=${3:-rw},script=block-vbdkit,target=$1"
}

has_line() { grep -q -- "$1" "$2"; }
