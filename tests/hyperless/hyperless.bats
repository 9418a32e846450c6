#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# hyperless: real xenstored, QEMU's unmodified qdisk and vbdkit on a machine without Xen. Runs as an ordinary
# user; where the tests run as root, as nobody. $XENSTORED (c or ocaml) says which daemon.

load common

@test "$XENSTORED: a command's status is run's, and nothing is left" {
  machine 'echo "$HYPERLESS" >folder; exit 7'
  [ "$status" -eq 7 ]
  [ ! -e "$(dirname "$(cat folder)")" ]
  machine 'kill -KILL $$'
  [ "$status" -eq 137 ]
  run -127 as_user "$VBDKIT" hyperless run --xenstored "$XENSTORED" -- no-such-program
  [ "$status" -eq 127 ]
  [[ "$output" == *'cannot run "no-such-program": No such file'* ]]
}

@test "$XENSTORED: wrong use is refused, with the reason" {
  run "$VBDKIT" hyperless
  [ "$status" -eq 2 ]
  run "$VBDKIT" hyperless run --xenstored rust
  [ "$status" -eq 2 ]
  run env -u HYPERLESS "$VBDKIT" hyperless exec --domid 1 -- true
  [[ "$status" -eq 1 && "$output" == *"no machine's domain 0"* ]]
  machine '"$VBDKIT" hyperless exec --domid 0 -- true; echo "status $?"
    "$VBDKIT" hyperless exec --domid 40000 -- true; echo "status $?"
    "$VBDKIT" hyperless destroy 9; echo "status $?"
    in_domain 1 "$VBDKIT" hyperless create 2; echo "status $?"
    "$VBDKIT" hyperless create 3; "$VBDKIT" hyperless create 3; echo "status $?"'
  [ "$(grep -c 'status 2' <<<"$output")" -eq 2 ]
  [ "$(grep -c 'status 1' <<<"$output")" -eq 3 ]
  [[ "$output" == *"cannot destroy domain 9: there is none of that number"* ]]
  [[ "$output" == *"cannot create domain 3: there is one of that number"* ]]
}

@test "$XENSTORED: a domain has its own xenstore rights, and no more" {
  machine 'in_domain 1 sh -uc "[ \$(xenstore-read domid) = 1 ] || exit 10
      xenstore-write data/x y && [ \$(xenstore-read data/x) = y ] || exit 11
      xenstore-read /local/domain/0/name 2>/dev/null && exit 12
      xenstore-write /local/domain/0/x y 2>/dev/null && exit 13
      xenstore-write /local/domain/1/name y 2>/dev/null && exit 14
      exit 0"'
  [ "$status" -eq 0 ]
}

@test "$XENSTORED: a guest's quota of watches is its own and real" {
  machine '"$VBDKIT" hyperless create 1
    in_domain 1 timeout 20 xenstore-watch $(seq -f data/%g 1 200) >/dev/null 2>refusal; echo "status $?"
    in_domain 1 xenstore-write data/still works; xenstore-read /local/domain/1/data/still; cat refusal'
  [[ "$output" == *"status 1"*works* ]]
  [[ "$output" == *"Unable to add watch"* || "$output" == *"watch"* ]]
}

@test "$XENSTORED: programs of one domain share its ring and keep their own watches" {
  machine '"$VBDKIT" hyperless create 1
    for i in 1 2 3; do
      (in_domain 1 timeout 20 xenstore-watch -n 2 "data/$i" >"events$i"; echo "ended $?" >>"events$i") &
    done
    for i in 1 2 3; do wait_until test -s "events$i"; done
    in_domain 1 sh -c "xenstore-write data/1 a; xenstore-write data/2 b; xenstore-write data/3 c"
    wait
    cat events1 events2 events3'
  [ "$status" -eq 0 ]
  [ "$(grep -c 'ended 0' <<<"$output")" -eq 3 ]
  [ "$(grep -c '^data/2$' <<<"$output")" -eq 2 ]
}

@test "$XENSTORED: two guests on vbdkit and two on QEMU's qdisk do I/O at once, every byte verified" {
  [ -x /usr/libexec/xen-qemu-system-i386 ]
  machine 'serve_start
    for i in 1 2; do give_vbdkit $i; done
    for i in 3 4; do give_qdisk $i; done
    pids=
    for i in 1 2 3 4; do
      front $i verify --seed $i --requests 3000 --depth 32 --ring-pages $((i % 2 * 3 + 1)) >"front$i.log" 2>&1 &
      pids="$pids $!"
    done
    for pid in $pids; do wait "$pid" || fail "a front: $(cat front*.log) $(cat serve.log)"; done
    cat front*.log
    serve_stop'
  [ "$status" -eq 0 ]
  [ "$(grep -c 'all matched' <<<"$output")" -eq 4 ]
}

@test "$XENSTORED: a disk's bytes are those of the image, in and out" {
  machine 'serve_start
    give_vbdkit 1
    head -c 3145728 /dev/urandom >data
    front 1 write 1M <data || fail write
    front 1 read 1M 3145728 >back || fail read
    cmp data back
    dd if=disk1.img bs=1M skip=1 count=3 2>/dev/null | cmp - data
    serve_stop'
  [ "$status" -eq 0 ]
}

@test "$XENSTORED: a daemon stopped in mid-I/O is picked up by the next" {
  machine 'serve_start
    give_vbdkit 1
    front 1 verify --seconds 3 >front.log 2>&1 & front=$!
    wait_until sh -c "\"$VBDKIT\" stat | grep -q writes"
    for i in 1 2 3; do
      serve_stop
      serve_start
      wait_until sh -c "\"$VBDKIT\" stat | grep -q writes"
    done
    wait $front || fail "$(cat front.log)"
    cat front.log; serve_stop'
  [ "$status" -eq 0 ]
  [[ "$output" == *"all matched"* ]]
}

@test "$XENSTORED: a domain killed in mid-I/O leaves nothing in broker, backend or store" {
  machine 'broker=$PPID
    serve_start
    give_vbdkit 1
    front 1 verify --requests 500 >/dev/null || fail "the first front"
    count() { ls "/proc/$1/fd" | wc -l; }
    "$VBDKIT" hyperless destroy 1
    wait_until sh -c "! xenstore-exists /local/domain/0/backend/vbd/1"
    wait_until sh -c "! \"$VBDKIT\" stat | grep -q dom1"
    b=$(count "$broker"); s=$(count "$serve_pid"); xenstore-ls -f / >before
    for i in 1 2 3; do
      give_vbdkit 1
      front 1 verify --seconds 60 >/dev/null 2>&1 & load=$!
      wait_until sh -c "\"$VBDKIT\" stat | grep -q writes"
      kill -KILL $(pgrep -f "$FRONT xvda verify --seconds" | head -n 1)
      "$VBDKIT" hyperless destroy 1
      wait $load
      wait_until sh -c "! xenstore-exists /local/domain/0/backend/vbd/1"
      wait_until sh -c "! \"$VBDKIT\" stat | grep -q dom1"
    done
    xenstore-ls -f / >after; diff before after || fail "nodes are left"
    [ "$(count "$broker")" -eq "$b" ] || fail "the broker has descriptors left"
    [ "$(count "$serve_pid")" -eq "$s" ] || fail "the backend has descriptors left"
    serve_stop'
  [ "$status" -eq 0 ]
}

@test "$XENSTORED: exec killed with -9 takes its domain along, and the programs in it" {
  machine 'xenstore-ls -f / >before
    "$VBDKIT" hyperless exec --domid 1 -- sh -c "echo \$\$ >inside; \"$FRONT\" list >/dev/null; sleep 100" & holder=$!
    wait_until xenstore-exists /local/domain/1/data
    wait_until test -s inside
    kill -KILL $holder
    wait_until sh -c "! \"$VBDKIT\" hyperless list | grep -q dom1"
    wait_until sh -c "! kill -0 $(cat inside)"
    xenstore-ls -f / >after; diff before after'
  [ "$status" -eq 0 ]
}

@test "$XENSTORED: destroy ends an exec in the domain with status 137" {
  machine '(in_domain 1 sleep 100; echo "exec: $?") &
    wait_until xenstore-exists /local/domain/1/data
    "$VBDKIT" hyperless destroy 1
    wait'
  [[ "$output" == *"exec: 137"* ]]
}

@test "$XENSTORED: TERM and HUP to run end the command, and its status is run's" {
  for signal in TERM HUP; do
    rm -f run
    as_user timeout --kill-after=5 60 "$VBDKIT" hyperless run --xenstored "$XENSTORED" -- \
      sh -c 'trap "exit 5" TERM; echo "$PPID $HYPERLESS" >run.new; mv run.new run; while :; do sleep 0.01; done' 3>&- &
    timeout 20 sh -c 'until [ -e run ]; do sleep 0.01; done'
    read -r broker folder <run
    [ -d "$folder" ]
    kill "-$signal" "$broker"
    status=0
    wait $! || status=$?
    [ "$status" -eq 5 ]
    [ ! -e "$(dirname "$folder")" ]
  done
}

@test "$XENSTORED: a machine whose xenstored is killed ends, with the reason, and leaves nothing" {
  machine 'echo "$HYPERLESS" >folder; "$VBDKIT" hyperless create 1
    kill -KILL "$(cat "$(dirname "$XENSTORED_PATH")/pid")"; exec sleep 100'
  [ "$status" -eq 1 ]
  [[ "$output" == *"xenstored has ended"* ]]
  [ ! -e "$(dirname "$(cat folder)")" ]
}

@test "$XENSTORED: the command has the limit of descriptors that run was given, and the broker all it may" {
  ulimit -Sn 300
  machine 'echo "here $(ulimit -Sn)"; in_domain 1 sh -c "echo there \$(ulimit -Sn)"
    awk "/Max open files/ { print \"broker\", \$4 }" "/proc/$PPID/limits"'
  [[ "$output" == *"here 300"* && "$output" == *"there 300"* ]]
  [[ "$output" == *"broker $(ulimit -Hn)"* ]]
}

@test "$XENSTORED: a machine with 60 domains half made ends" {
  machine 'echo "$HYPERLESS" >folder; "$HOSTILE" leave 60'
  [ "$status" -eq 0 ]
  [ ! -e "$(dirname "$(cat folder)")" ]
}

# bats test_tags=slow
@test "$XENSTORED: 1000 domains come and go without growth" {
  machine 'broker=$PPID
    store=$(cat "$(dirname "$XENSTORED_PATH")/pid")
    fds() { ls "/proc/$broker/fd" "/proc/$store/fd" | wc -l; }
    memory() { awk "/VmRSS/ {print \$2}" "/proc/$broker/status"; }
    round() { for i in $(seq 1 50); do "$VBDKIT" hyperless exec --domid "$i" -- true || fail "domain $i"; done; }
    quiet() { [ "$("$VBDKIT" hyperless list)" = dom0 ]; }
    as_before() { [ "$(fds)" -le "$fds" ]; }
    round; round; wait_until quiet
    fds=$(fds) memory=$(memory)
    xenstore-ls -f / >before
    for n in $(seq 1 20); do round; done
    wait_until quiet; wait_until as_before
    xenstore-ls -f / >after; diff before after || fail "nodes are left"
    echo "descriptors $fds, then $(fds); memory of the broker $memory kB, then $(memory) kB"
    [ "$(memory)" -lt $((memory + 1024)) ] || fail "memory grew"'
  [ "$status" -eq 0 ]
}

@test "$XENSTORED: faults on demand: the n-th map, copy, share or event" {
  machine 'serve_start --option poll=0 # a backend that looks by itself does not miss events
    give_vbdkit 1
    fault() { "$VBDKIT" hyperless exec --domid 1 --fault "$1" -- "$FRONT" xvda verify --requests 200 --timeout 5; echo "$1: $?"; }
    fault share:1=refuse
    fault event:3+=drop
    fault event:1+=double
    fault share:2=delay:50
    fault map:0=refuse
    fault nonsense
    serve_stop
    "$VBDKIT" hyperless destroy 1
    for f in map:1=refuse copy:5=refuse copy:3+=delay:1; do
      HYPERLESS_FAULTS=$f serve_start
      give_vbdkit 1
      front 1 verify --requests 50 --timeout 5; echo "serve $f: $?"
      "$VBDKIT" hyperless destroy 1
      serve_stop
    done'
  [[ "$output" == *"share:1=refuse: 1"* ]]
  [[ "$output" == *"event:3+=drop: 1"* ]]
  [[ "$output" == *"event:1+=double: 0"* ]]
  [[ "$output" == *"share:2=delay:50: 0"* ]]
  [[ "$output" == *"map:0=refuse: 2"* ]]
  [[ "$output" == *"nonsense: 2"* ]]
  [[ "$output" == *"serve map:1=refuse: 1"* ]]
  [[ "$output" == *"serve copy:5=refuse: 1"* ]]
  [[ "$output" == *"serve copy:3+=delay:1: 0"* ]]
}

@test "$XENSTORED: a domain killed at a point: its n-th event is its last" {
  machine 'serve_start
    give_vbdkit 1
    give_vbdkit 2
    "$VBDKIT" hyperless exec --domid 1 --fault event:20=kill -- "$FRONT" xvda verify --requests 5000; echo "front: $?"
    wait_until sh -c "! \"$VBDKIT\" hyperless list | grep -q dom1"
    wait_until sh -c "! xenstore-exists /local/domain/0/backend/vbd/1"
    front 2 verify --requests 500 || fail "the other guest"
    serve_stop'
  [ "$status" -eq 0 ]
  [[ "$output" == *"front: 137"* ]]
}

@test "$XENSTORED: a newcomer has a backend, a front and a disk in ten seconds, without root" {
  start=$(date +%s)
  machine 'truncate -s 64M disk.img
    "$VBDKIT" serve 2>serve.log &
    "$VBDKIT" hyperless create 1
    "$VBDKIT" attach --no-wait 1 disk.img xvda || fail "$(cat serve.log)"
    in_domain 1 "$FRONT" xvda verify --requests 1000'
  [ "$status" -eq 0 ]
  [[ "$output" == *"all matched"* ]]
  [ $(($(date +%s) - start)) -lt 10 ]
}
