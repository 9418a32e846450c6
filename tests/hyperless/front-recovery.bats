#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# Our front in a domain of hyperless whose backend goes and comes under load: every byte held against a model, so no
# operation is lost and none answered twice. The domain has no privilege: what is removed is EACCES to it.

load common

# under_load SCRIPT: domain 1 has a disk, xvda, and uses it while the script runs in domain 0. Whether anything is under way at
# the moment when the backend goes is chance: diskcheck and test_front_power see to that.
under_load() {
  machine "wrote() { [ \"\$(\"\$VBDKIT\" stat \"\$@\" | sed -n 's/^ *writes *//p')\" -gt 100 ]; }
    busy() { wait_until wrote \"\$@\"; }
    serve_start
    give_vbdkit 1
    in_domain 1 \"\$VBDKIT\" front verify --destroy --operations 20000 --depth 32 --option queues=2 xvda & load_pid=\$!
    busy
    $1
    wait \$load_pid && echo \"the load is content\"
    serve_stop"
  [ "$status" -eq 0 ]
  [[ "$output" == *"recovered="*"verified "*"the load is content"* ]]
}

@test "front recovery: the daemon is killed, and another one comes" {
  under_load 'for round in 1 2 3; do
      kill -KILL $serve_pid; wait $serve_pid 2>/dev/null
      serve_start; busy
    done'
}

@test "front recovery: the daemon ends in order, and the next one takes the ring over" {
  under_load 'for round in 1 2 3; do serve_stop; serve_start; busy; done'
}

@test "front recovery: the backend closes first, and is attached again" {
  under_load 'for round in 1 2 3; do
      "$VBDKIT" detach 1 xvda || fail detach
      "$VBDKIT" attach --no-wait 1 disk1.img xvda || fail attach
      busy
    done'
}

@test "front recovery: the backend is taken by force, and another class serves" {
  under_load '"$VBDKIT" serve --class other 2>other.log & other_pid=$!
    wait_until "$VBDKIT" stat --class other
    "$VBDKIT" detach --force 1 xvda || fail detach
    "$VBDKIT" attach --class other --no-wait 1 disk1.img xvda || fail attach
    busy --class other
    "$VBDKIT" detach --force --class other 1 xvda || fail detach
    "$VBDKIT" attach --no-wait --option queues=1,ring-order=0,barrier=0,indirect-segments=0 1 disk1.img xvda || fail attach
    busy
    kill $other_pid; wait $other_pid'
}

@test "front recovery: an image that can't be opened for a while is waited for" {
  under_load 'mv disk1.img away.img
    kill -KILL $serve_pid; wait $serve_pid 2>/dev/null
    serve_start
    wait_until sh -c "\"$VBDKIT\" list | grep -q cannot.open"
    mv away.img disk1.img
    "$VBDKIT" detach --force 1 xvda || fail detach
    "$VBDKIT" attach --no-wait 1 disk1.img xvda || fail attach
    busy'
}
