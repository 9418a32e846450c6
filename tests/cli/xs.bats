#!/usr/bin/env bats
bats_require_minimum_version 1.5.0
# "vbdkit xs" against the real daemons. $XENSTORED (c or ocaml) says which.

xs() { # runs a shell script beside a fresh xenstored; xs is the command there
  run --separate-stderr "$WITH_XENSTORED" "$VBDKIT" "$XENSTORED" sh -c "xs() { \"\$VBDKIT\" xs \"\$@\"; }
$1"
  echo "$output"
  echo "$stderr"
}

fake() { # HOW COMMAND...: the same for one command and a server that answers nothing, or the wrong thing
  run --separate-stderr timeout 60 "$BATS_TEST_DIRNAME/../support/fake-xenstored" "$@"
  echo "$output"
  echo "$stderr"
}

setup() {
  export VBDKIT
  cd "$BATS_TEST_TMPDIR"
}

@test "$XENSTORED: ls shows a tree, paths, or JSON" {
  xs 'xs write /t/a 1 /t/a/b "two words" /t/c ""
    xs ls /t; xs ls --flat /t; xs ls --json --perms /t; xs ls /none; echo "status $?"'
  [ "${lines[0]}" = 'a = "1"' ]
  [ "${lines[1]}" = ' b = "two words"' ]
  [ "${lines[2]}" = 'c = ""' ]
  [ "${lines[4]}" = '/t/a/b = "two words"' ]
  [[ "$output" == *'status 1' ]]
  [[ "$stderr" == *"vbdkit xs ls: read /none: ENOENT"* ]]
  sed -n '/^{/,/^}/p' <<<"$output" | jq -e '.children.a.children.b.value == "two words" and .perms == "n0"'
}

@test "$XENSTORED: values are bytes: NULs and what is not printable survive" {
  xs 'printf "a\\0b\\001\\n\"\\\\" >in
    xs write --raw /v <in; xs read --raw /v | cmp - in && echo same
    xs read /v; xs read --json /v
    printf "" | xs write --raw /e; xs read --raw /e | wc -c'
  [ "${lines[0]}" = same ]
  [ "${lines[1]}" = 'a\x00b\x01\x0a\"\\' ]
  [[ "$output" == *'"hex":"610062010a225c"'* ]]
  [ "${lines[-1]}" = 0 ]
}

@test "$XENSTORED: a directory larger than a message is listed whole" {
  xs 'for i in $(seq 1 120); do echo "mkdir /big/$i-0123456789012345678901234567890123456789"; done | xs txn
    xs ls --flat /big | wc -l'
  [ "$output" = 120 ]
}

@test "$XENSTORED: several writes, removals or nodes are all or none" {
  xs 'xs write /w/a 1 /w//b 2; echo "status $?"; xs read /w/a
    xs write /w/a 1 /w/b 2; xs rm /w/a /none/x; echo "status $?"; xs read /w/a
    xs mkdir /w/c /w/d; xs ls --flat /w; xs write /odd; echo "status $?"'
  [ "${lines[0]}" = "status 1" ]
  [ "${lines[1]}" = "status 1" ]
  [ "${lines[2]}" = 1 ]
  [ "${lines[3]}" = '/w/a = "1"' ]
  [ "${lines[-2]}" = '/w/d = ""' ]
  [ "${lines[-1]}" = "status 2" ]
}

@test "$XENSTORED: permissions are shown and set, and what is none is refused" {
  xs 'xs write /p x; xs perms /p; xs perms /p n4 r0 b5; xs perms /p; xs perms --json /p
    for bad in x4 n r99999 ""; do xs perms /p "$bad"; echo "status $?"; done'
  [ "${lines[0]}" = n0 ]
  [ "${lines[1]}" = n4,r0,b5 ]
  [ "$(grep -c 'status 1' <<<"$output")" -eq 4 ]
}

@test "$XENSTORED: wait sees a value come, a node come and go, and the end of its time" {
  xs 'xs wait --timeout 0.1 /x; echo "status $?"
    xs wait --timeout 20 /x yes & xs write /x no; xs write /x yes; wait $!; echo "value $?"
    xs wait --timeout 20 --gone /x & xs rm /x; wait $!; echo "gone $?"
    xs wait --gone /x there; echo "wrong $?"'
  [ "${lines[0]}" = "status 3" ]
  [ "${lines[1]}" = "value 0" ]
  [ "${lines[2]}" = "gone 0" ]
  [ "${lines[3]}" = "wrong 2" ]
}

@test "$XENSTORED: watch prints what changes, a number of times or for a time" {
  xs 'xs watch --count 3 /w >events & watcher=$!
    xs wait --timeout 20 /nothing --gone; until [ -s events ]; do xs read /none 2>/dev/null; done
    xs write /w/a 1; xs write /w/b 2; wait $watcher; echo "status $?"; cat events
    xs watch --json --timeout 0.1 /w; echo "status $?"'
  [ "${lines[0]}" = "status 0" ]
  [ "${lines[1]}" = /w ]
  [[ "$output" == *'{"path":"/w"}'* ]]
  [ "${lines[-1]}" = "status 3" ]
}

@test "$XENSTORED: a script is one transaction, and a line that fails undoes all" {
  xs 'printf "# comment\n\nwrite /s/a some words\nread /s/a\nrequire /s/none\n" | xs txn; echo "status $?"
    printf "write /s/b 1\nrequire /s/a other\n" | xs txn; echo "status $?"
    printf "rm /s/a\nfrobnicate /x\n" >script; xs txn script; echo "status $?"; xs ls --flat /s
    xs txn no-such-script; echo "status $?"'
  [ "${lines[0]}" = "some words" ]
  [ "${lines[1]}" = "status 0" ]
  [ "${lines[2]}" = "status 1" ]
  [ "${lines[3]}" = "status 1" ]
  [ "${lines[4]}" = '/s/a = "some words"' ]
  [ "${lines[5]}" = "status 1" ]
  [[ "$stderr" == *"nothing was changed: line 2: /s/a is not as required"* ]]
  [[ "$stderr" == *'line 2: "frobnicate'* ]]
}

@test "$XENSTORED: errors name the operation, the path and the server's word" {
  xs 'xs read /none; xs write "/sp ace" x; xs rm /none/deep; echo done'
  [[ "$stderr" == *"read /none: ENOENT"* ]]
  [[ "$stderr" == *"write /sp ace: the path has a character other than"* ]]
  [[ "$stderr" == *"rm /none/deep: ENOENT"* ]]
}

@test "$XENSTORED: what can't be read whole is not written" {
  xs 'xs write /v before
    xs write --raw /v </; echo "status $?"
    head -c 4094 /dev/zero | xs write --raw /v; echo "status $?"; xs read /v
    head -c 2000 /dev/zero | xs write --raw /v; echo "status $?"
    printf "write /v a\\0b\n" | xs txn; echo "status $?"; xs txn /; echo "status $?"'
  [ "${lines[*]}" = "status 1 status 1 before status 0 status 1 status 1" ]
  [[ "$stderr" == *"cannot read standard input: Is a directory"* ]]
  [[ "$stderr" == *"write /v: the value is too long: with this path, 4093 bytes"* ]]
  [[ "$stderr" == *"line 1: a NUL byte"* ]]
  [[ "$stderr" == *"cannot read the script: Is a directory"* ]]
}

@test "$XENSTORED: a script writes empty values" {
  xs 'printf "write /e\nwrite /f \nread /e\n" | xs txn; xs ls --flat / | grep -c "^/[ef] = \"\"$"'
  [ "${lines[-1]}" = 2 ]
}

@test "$XENSTORED: output that can't be written is an error" {
  xs 'xs write /v 1
    for command in "read /v" "ls /" "ls --json /" "watch --count 1 /v" "perms /v"; do
      xs $command >/dev/full; echo "status $?"
    done; echo "read /v" | xs txn >/dev/full; echo "status $?"'
  [ "$(grep -c '^status 1$' <<<"$output")" -eq 6 ]
  [ "$(grep -c 'cannot write to standard output' <<<"$stderr")" -eq 6 ]
}

@test "$XENSTORED: ls shows the rest when a node can't be read, and names it" {
  export ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS:-}
  run --separate-stderr "$VBDKIT" hyperless run --xenstored "$XENSTORED" -- sh -c '
    for node in /t /t/a /t/b /t/b/secret /t/b/secret/c /t/d; do "$VBDKIT" xs write $node 1; done
    for node in /t /t/a /t/b /t/d; do "$VBDKIT" xs perms $node r0; done
    "$VBDKIT" hyperless exec --domid 6 -- "$VBDKIT" xs ls /t; echo "status $?"'
  echo "$output" "$stderr"
  [ "${lines[0]}" = 'a = "1"' ]
  [ "${lines[2]}" = ' secret = "" (not readable)' ]
  [ "${lines[3]}" = 'd = "1"' ]
  [ "${lines[4]}" = "status 1" ]
  [ "$(grep -c 'vbdkit xs ls: ' <<<"$stderr")" -eq 1 ]
  [[ "$stderr" == *"vbdkit xs ls: read /t/b/secret: Permission denied"* ]]
}

@test "$XENSTORED: what is no permission is named, and does not wrap" {
  xs 'xs write /p x
    for bad in garbage n18446744073709551620 n4294967296 n-1 "n 4"; do xs perms /p "$bad"; echo "status $?"; done
    xs perms /p'
  [ "$(grep -c '^status 1$' <<<"$output")" -eq 5 ]
  [ "${lines[-1]}" = n0 ]
  [[ "$stderr" == *'"garbage" is no permission: one of n, r, w and b'* ]]
  [[ "$stderr" == *'"n18446744073709551620" is no permission'* ]]
}

@test "$XENSTORED: wrong arguments are told and exit with 2" {
  xs 'for command in "ls a b" "wait" "wait a b c" "watch" "txn a b" "read" "rm" "mkdir" "perms" "write a" \
      "write --raw" "write --raw a b" "control" "watch --count 0 /a" "wait --timeout x /a"; do
      xs $command </dev/null >/dev/null; echo "$command: $?"
      (XENSTORED_PATH=/none; xs $command </dev/null >/dev/null); echo "$command, without xenstored: $?"
    done; XENSTORED_PATH=/none; echo "rm /a" >script
    for command in "read /a" "ls" "wait /a" "watch /a" "txn script"; do xs $command; echo "$?"; done'
  [ "$(grep -c ': 2$' <<<"$output")" -eq 30 ]
  [ "$(grep -c '^1$' <<<"$output")" -eq 5 ]
  [ "$(grep -c 'no xenstore found: /none' <<<"$stderr")" -eq 5 ]
}

@test "$XENSTORED: the time of wait and watch is over though the server does not answer" {
  for command in "wait /a" "wait --gone /a" "watch /a" "watch --count 2 /a /b"; do
    # shellcheck disable=SC2086 # words
    fake hang "$VBDKIT" xs ${command%% *} --timeout 0.2 ${command#* }
    [ "$status" -eq 3 ]
  done
}

@test "$XENSTORED: a commit that fails is named, with the reason and what is known" {
  echo "write /a 1" >script
  fake refuse "$VBDKIT" xs txn script
  [ "$status" -eq 1 ]
  [[ "$stderr" == *"nothing was changed: the commit failed: transaction end"*"ENOSPC" ]]
  fake drop "$VBDKIT" xs txn script
  [ "$status" -eq 1 ]
  [[ "$stderr" == *"whether anything was changed is unknown: the commit failed: transaction end"*"reset by peer" ]]
}
