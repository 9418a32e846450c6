# shellcheck shell=sh
# lib.sh - for the payloads of benchmarks on hyperless. Sourced by bench/attach and bench/hyperless.

wait_until() { # COMMAND...: for 20 s
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 2000 ] || { echo "gave up waiting for: $*" >&2; exit 1; }
    sleep 0.01
  done
}
