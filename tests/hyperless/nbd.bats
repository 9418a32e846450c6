#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# "vbdkit front export": a vbd for every NBD client, on hyperless.

load common

# exported SCRIPT: domain 1's xvda, a disk of 1 GiB, is exported at $uri.
exported() {
  run as_user timeout --kill-after=5 240 "$VBDKIT" hyperless run --xenstored "$XENSTORED" -- sh -uc ". $LIB
    serve_start
    \"\$VBDKIT\" hyperless create 1
    truncate -s 1G disk.img
    \"\$VBDKIT\" attach --no-wait 1 disk.img xvda || fail attach
    \"\$VBDKIT\" hyperless exec --domid 1 -- \"\$VBDKIT\" front export --socket \$PWD/nbd.sock --option queues=2 xvda &
    export_pid=\$!
    wait_until test -S nbd.sock
    uri=nbd+unix:///?socket=\$PWD/nbd.sock
    $1
    kill -TERM \$export_pid
    wait \$export_pid || fail \"the export ended with status \$?\"
    serve_stop"
  echo "$output"
}

# 700 MB of files.
make_file_system='mkdir tree
  for i in 1 2 3 4 5 6 7; do head -c 100M /dev/urandom >tree/$i; done
  truncate -s 1G fs.img
  mke2fs -q -F -d tree fs.img || fail mke2fs'

@test "nbd: a file system of 1 GiB goes in by nbdcopy and comes out the same" {
  exported "$make_file_system
    nbdcopy --flush fs.img \"\$uri\" || fail 'nbdcopy in'
    cmp fs.img disk.img || fail 'the image differs'
    nbdcopy \"\$uri\" out.img || fail 'nbdcopy out'
    cmp fs.img out.img || fail 'what came out differs'
    e2fsck -fn out.img >/dev/null 2>&1 || fail e2fsck
    qemu-img compare -f raw -F raw fs.img \"\$uri\" || fail 'qemu-img compare'
    qemu-img convert -n -f raw -O raw out.img \"\$uri\" || fail 'qemu-img convert'
    cmp fs.img disk.img || fail 'the image differs after qemu-img'
    echo all is the same"
  [ "$status" -eq 0 ]
  [[ "$output" == *"Images are identical."* ]]
  [[ "$output" == *"all is the same"* ]]
}

@test "nbd: fio verifies what it wrote" {
  exported "cd \"\$PWD\"
    fio --name=verify --ioengine=nbd --uri=\"\$uri\" --rw=randwrite --bsrange=4k-64k --iodepth=32 --size=64M \
      --verify=crc32c --verify_fatal=1 --do_verify=1 --output=fio.log || { cat fio.log; fail fio; }
    grep -q 'err= 0' fio.log || fail 'fio found errors'
    echo fio is content"
  [ "$status" -eq 0 ]
  [[ "$output" == *"fio is content"* ]]
}

@test "nbd: what the disk can is what the export offers" {
  exported "nbdinfo --json \"\$uri\"
    nbdinfo --can trim \"\$uri\" && nbdinfo --can flush \"\$uri\" && nbdinfo --can multi-conn \"\$uri\" && echo offered"
  [ "$status" -eq 0 ]
  [[ "$output" == *'"export-size": 1073741824'* ]]
  [[ "$output" == *'"block_size_minimum": 512'* ]]
  [[ "$output" == *offered* ]]
}

@test "nbd: an export of what is not there ends with a sentence" {
  machine '"$VBDKIT" hyperless create 1
    in_domain 1 timeout 20 "$VBDKIT" front export --socket $PWD/s xvda; echo "status $?"'
  [ "$status" -eq 0 ]
  [[ "$output" == *'"xvda" is no vbd of this domain; there are: none'*"status 1"* ]]
}

@test "nbd: a timeout that no clock has is refused" {
  for value in -1 86401 2147483647 99999999999 soon; do
    run nbdkit "$(dirname "$VBDKIT")/nbdkit/nbdkit-vbd-plugin.so" name=xvda timeout=$value
    echo "$output"
    [ "$status" -ne 0 ]
    [[ "$output" == *timeout* ]]
  done
}
