# shellcheck shell=sh
# lib.sh - for scripts that run in domain 0 of a hyperless machine. Sourced there by hyperless.bats' cases.
# $VBDKIT, $FRONT, $RULES, $RULES_PEER are the built programs, $XENSTORED says which daemon; a folder is current
# that is the case's own.

qemu=/usr/libexec/xen-qemu-system-i386

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# wait_until COMMAND...: until it succeeds; ends the script after 20 s.
wait_until() {
  wait_tries=0
  until "$@" >/dev/null 2>&1; do
    wait_tries=$((wait_tries + 1))
    [ "$wait_tries" -lt 2000 ] || fail "gave up waiting for: $*"
    sleep 0.01
  done
}

in_domain() { # DOMID COMMAND...
  in_domid=$1
  shift
  "$VBDKIT" hyperless exec --domid "$in_domid" -- "$@"
}

front() { # DOMID ARGUMENT...: the test front, on xvda
  front_domid=$1
  shift
  in_domain "$front_domid" "$FRONT" xvda "$@"
}

serve_start() { # [OPTION]...
  "$VBDKIT" serve "$@" 2>>serve.log &
  serve_pid=$!
  wait_until "$VBDKIT" stat
}

serve_stop() {
  kill -TERM "$serve_pid"
  wait "$serve_pid" || fail "vbdkit serve ended with status $?: $(cat serve.log)"
}

# give_vbdkit DOMID: makes the domain, with a disk of 16 MB served by vbdkit.
give_vbdkit() {
  truncate -s 16M "disk$1.img"
  "$VBDKIT" hyperless create "$1" || fail "create $1"
  "$VBDKIT" attach --no-wait "$1" "disk$1.img" xvda || fail "attach to $1"
}

# give_qdisk DOMID: the same served by QEMU, with the nodes that libxl writes.
give_qdisk() {
  truncate -s 16M "disk$1.img"
  "$VBDKIT" hyperless create "$1" || fail "create $1"
  qdisk_start "$1"
  qdisk_disk "$1" 51712 xvda "disk$1.img" w
}

qdisk_start() { # DOMID
  "$qemu" -xen-domid "$1" -xen-attach -machine xenpv -nodefaults -no-user-config -display none -serial none \
    -monitor none >"qemu$1.log" 2>&1 &
  wait_until xenstore-exists "/local/domain/0/device-model/$1/state"
}

qdisk_disk() { # DOMID VDEV DEVICE IMAGE MODE
  back=/local/domain/0/backend/qdisk/$1/$2
  ahead=/local/domain/$1/device/vbd/$2
  xenstore-write "$ahead" "" "$back" ""
  xenstore-chmod "$ahead" "n$1" r0
  xenstore-chmod "$back" n0 "r$1"
  xenstore-write "$ahead/backend" "$back" "$ahead/backend-id" 0 "$ahead/state" 1 "$ahead/virtual-device" "$2" \
    "$ahead/device-type" disk
  xenstore-write "$back/frontend" "$ahead" "$back/frontend-id" "$1" "$back/online" 1 "$back/removable" 0 \
    "$back/bootable" 1 "$back/dev" "$3" "$back/type" qdisk "$back/mode" "$5" "$back/device-type" disk \
    "$back/params" "aio:$PWD/$4" "$back/discard-enable" 1 "$back/state" 1
  wait_until sh -c "xenstore-read $back/hotplug-status | grep -qx connected"
}

# resize_when_asked DOMID VDEV IMAGE: gives the image so many sectors as the domain asks for in data/conformance-resize,
# and tells vbdkit.
resize_when_asked() {
  wish=/local/domain/$1/data/conformance-resize
  wait_until xenstore-exists "$wish"
  truncate -s "$(($(xenstore-read "$wish") * 512))" "$3"
  params=/local/domain/0/backend/vbd/$1/$2/params
  xenstore-write "$params" "$(xenstore-read "$params")"
}
