#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# The command line without Xen, against the real xenstored: usage, messages, and the toolstack's side.

in_xenstore() { # runs a shell script beside a fresh xenstored in which dom0 and a guest "web" exist
  "$WITH_XENSTORED" "$VBDKIT" c sh -c "
    xenstore-write /local/domain/0/domid 0 /local/domain/0/name Domain-0 /local/domain/4/name web
    domid() { :; }
    xenstore-write domid 0 2>/dev/null
    $1"
}

setup() {
  IMAGE=$BATS_TEST_TMPDIR/disk.img
  truncate -s 1M "$IMAGE"
  export IMAGE VBDKIT
}

@test "no command prints the usage and fails" {
  run "$VBDKIT"
  [ "$status" -eq 2 ]
  [[ "$output" == *"usage: vbdkit COMMAND"* ]]
}

@test "--help of each command goes to standard output and succeeds" {
  for command in serve attach detach list stat; do
    run --separate-stderr "$VBDKIT" "$command" --help
    [ "$status" -eq 0 ]
    [[ "$output" == "usage: vbdkit $command"* ]]
    [ -z "$stderr" ]
  done
}

@test "an unknown command is named" {
  run "$VBDKIT" frobnicate
  [ "$status" -eq 2 ]
  [[ "$output" == *'there is no command "frobnicate"'* ]]
}

@test "--version prints the version" {
  run "$VBDKIT" --version
  [ "$status" -eq 0 ]
  [[ "$output" =~ ^vbdkit\ [0-9]+\.[0-9]+ ]]
}

@test "wrong arguments of each command print its usage" {
  for arguments in "serve extra" "serve --nonsense" "serve --option in-flight=0" "serve --option nonsense=1" \
    "serve --guest -1" "serve --log loud" "attach" "attach web" "attach a b c d" \
    "attach --timeout x web i" "detach web" "detach a b c" "list extra" "stat extra"; do
    # shellcheck disable=SC2086
    run "$VBDKIT" $arguments
    [ "$status" -eq 2 ] || { echo "$arguments: $status: $output"; return 1; }
    [[ "$output" == *"usage: vbdkit ${arguments%% *}"* ]] || { echo "$arguments: $output"; return 1; }
  done
}

@test "a class that is no name is refused" {
  run "$VBDKIT" serve --class ../vbd
  [ "$status" -ne 0 ]
  [[ "$output" == *'"../vbd" is no class'* ]]
}

@test "without a xenstore the places that were tried are named" {
  run env -u XENSTORED_PATH XENSTORED_RUNDIR=/nonexistent "$VBDKIT" list
  [ "$status" -eq 1 ]
  [[ "$output" == *"no xenstore found: /nonexistent/socket (No such file or directory)"* ]]
}

@test "serve says what is missing where there is no Xen" {
  [ ! -e /dev/xen/gntdev ] || skip "this is a Xen domain"
  run in_xenstore '"$VBDKIT" serve --control "$IMAGE.sock"'
  [ "$status" -eq 1 ]
  [[ "$output" == *"cannot open /dev/xen/gntdev"*"is this a Xen domain"* ]]
}

@test "stat says where it looked when no daemon runs" {
  run "$VBDKIT" stat --control /nonexistent.sock
  [ "$status" -eq 1 ]
  [[ "$output" == *"cannot ask the daemon at /nonexistent.sock: No such file"* ]]
}

@test "attach without a backend says so and leaves nothing behind" {
  run in_xenstore '"$VBDKIT" attach --timeout 0.2 web "$IMAGE" xvdb; echo "status $?"
    xenstore-ls -f / | grep 51728; true'
  [[ "$output" == *'no backend took the disk: is "vbdkit serve --class vbd" running?'* ]]
  [[ "$output" == *"status 1"* ]]
  [[ "$output" != *"/51728"* ]]
}

@test "attach writes nodes with the owners and permissions of libxl" {
  run in_xenstore '
    xenstore-write /libxl/4 ""
    ("$VBDKIT" attach --no-wait web "$IMAGE" xvdb; echo "status $?") &
    until xenstore-exists /local/domain/0/backend/vbd/4/51728/params; do :; done
    xenstore-ls -fp /
    xenstore-write /local/domain/0/backend/vbd/4/51728/hotplug-status connected
    wait'
  [[ "$output" == *"/local/domain/0/backend/vbd/4/51728 = \"\"   (n0,r4)"* ]]
  [[ "$output" == *"/local/domain/0/backend/vbd/4/51728/frontend = \"/local/domain/4/device/vbd/51728\"   (n0,r4)"* ]]
  [[ "$output" == *"/local/domain/0/backend/vbd/4/51728/mode = \"w\""* ]]
  [[ "$output" == *"/local/domain/0/backend/vbd/4/51728/params = \"$IMAGE\""* ]]
  [[ "$output" == *"/local/domain/4/device/vbd/51728 = \"\"   (n4,r0)"* ]]
  [[ "$output" == *"/local/domain/4/device/vbd/51728/backend = \"/local/domain/0/backend/vbd/4/51728\"   (n4,r0)"* ]]
  [[ "$output" == *"/libxl/4/device/vbd/51728/backend = \"/local/domain/0/backend/vbd/4/51728\"   (n0)"* ]]
  [[ "$output" == *"dom4/vbd-51728: xvdb is offered"* ]]
  [[ "$output" == *"status 0"* ]]
}

@test "attach gives a device from xvdq on the two nodes that fronts look at" {
  run in_xenstore '
    back=/local/domain/0/backend/vbd/4/268439552
    "$VBDKIT" attach --no-wait web "$IMAGE" xvdq &
    until xenstore-exists $back/params; do :; done
    xenstore-ls /local/domain/4/device
    xenstore-write $back/hotplug-status connected
    wait'
  [[ "$output" == *"virtual-device = \"268439552\""* ]]
  [[ "$output" == *"virtual-device-ext = \"268439552\""* ]]
  [[ "$output" == *"dom4/vbd-268439552: xvdq is offered"* ]]
}

@test "attach prints the backend's error and takes the nodes away" {
  run in_xenstore '
    ("$VBDKIT" attach web /srv/none.img xvdc; echo "status $?") &
    until xenstore-exists /local/domain/0/backend/vbd/4/51744/params; do :; done
    xenstore-write /local/domain/0/backend/vbd/4/51744/hotplug-error "params: no such thing"
    xenstore-write /local/domain/0/backend/vbd/4/51744/hotplug-status error
    wait; xenstore-ls -f / | grep 51744; true'
  [[ "$output" == *"dom4/vbd-51744: params: no such thing"* ]]
  [[ "$output" == *"status 1"* ]]
  [[ "$output" != *"/51744 "* ]]
}

@test "attach finds the first free device and refuses one that is taken" {
  run in_xenstore '
    xenstore-write /local/domain/4/device/vbd/51712/backend /x
    ("$VBDKIT" attach --no-wait web "$IMAGE") &
    until xenstore-exists /local/domain/0/backend/vbd/4/51728/params; do :; done
    xenstore-write /local/domain/0/backend/vbd/4/51728/hotplug-status connected
    wait
    "$VBDKIT" attach web "$IMAGE" xvda'
  [ "$status" -eq 1 ]
  [[ "$output" == *"dom4/vbd-51728: xvdb is offered"* ]]
  [[ "$output" == *"the guest has this device already"* ]]
}

@test "a guest or device that is none is named" {
  run in_xenstore '"$VBDKIT" attach mail "$IMAGE"'
  [ "$status" -eq 1 ]
  [[ "$output" == *'there is no guest "mail"'* ]]
  run in_xenstore '"$VBDKIT" attach web "$IMAGE" floppy'
  [ "$status" -eq 1 ]
  [[ "$output" == *'"floppy" is no device'* ]]
  run in_xenstore '"$VBDKIT" detach web xvdz'
  [ "$status" -eq 1 ]
  [[ "$output" == *"there is no such device"* ]]
}

@test "detach waits, and says what to do when the guest does not let go" {
  run in_xenstore '
    b=/local/domain/0/backend/vbd/4/51712
    xenstore-write $b/frontend /local/domain/4/device/vbd/51712 $b/state 4 $b/online 1 \
      /local/domain/4/device/vbd/51712/state 4
    "$VBDKIT" detach --timeout 0.2 web xvda; echo "status $?"
    xenstore-read $b/state $b/online
    "$VBDKIT" detach --force --timeout 0.2 web xvda; echo "status $?"
    xenstore-exists $b || echo gone'
  [[ "$output" == *"--force takes it"*"status 1"*"5"*"0"*"detached"*"status 0"*"gone"* ]]
}

@test "list shows disks with states, and errors, as a table and as JSON" {
  run in_xenstore '
    b=/local/domain/0/backend/vbd/4/51712
    xenstore-write $b/frontend /local/domain/4/device/vbd/51712 $b/state 4 $b/params /srv/a.img \
      $b/mode w $b/hotplug-error "went wrong" /local/domain/4/device/vbd/51712/state 3 \
      /local/domain/0/backend/vif/4/0/mac 00
    "$VBDKIT" list; "$VBDKIT" list --json | jq -c ".[0]|[.guest,.domid,.device,.backend,.frontend,.image,.error]"'
  [ "$status" -eq 0 ]
  [[ "$output" == *"web "*"4 xvda "*"Connected "*"Initialised "*"w "*"/srv/a.img"* ]]
  [[ "$output" == *'["web",4,"xvda","Connected","Initialised","/srv/a.img","went wrong"]'* ]]
}
