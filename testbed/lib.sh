# shellcheck shell=bash
# Functions shared by the test bed's host side: making root file system trees and packing them
# into initramfs archives.  Sourced by testbed/run and by testbed/steps/*; never run by itself.
# It must not write anywhere but below the paths it is given.
#
# Callers set CACHE, the folder with the build's products.  Of these the functions here use
#   $CACHE/packages   Debian packages, unpacked and not installed (made by steps/packages)

fail() {
  echo "testbed: $*" >&2
  exit 1
}

# The one kernel release among the unpacked packages, e.g. 6.1.0-35-amd64.
kernel_release() {
  local folders=("$CACHE"/packages/lib/modules/*)
  basename "${folders[0]}"
}

unpacked_busybox() {
  echo "$CACHE/packages/bin/busybox"
}

# make_tree TREE: a new root tree with busybox under all its names.  /bin, /sbin and /lib are true
# folders, not links into /usr as on an installed Debian: when the kernel unpacks an initramfs, a
# folder of a later archive replaces a link of the same name, and everything behind it is lost.
make_tree() {
  local tree=$1 name
  mkdir -p "$tree"/{bin,sbin,dev,proc,sys,tmp,run,etc,mnt,root,lib/modules,usr/bin,usr/sbin} \
    "$tree"/var/{lib,log}
  ln -s /run "$tree/var/run"
  cp "$(unpacked_busybox)" "$tree/bin/busybox"
  for name in $("$(unpacked_busybox)" --list); do
    [ "$name" = busybox ] || ln -s /bin/busybox "$tree/bin/$name"
  done
  echo ext4 >"$tree/etc/filesystems" # for mount without -t; the kernel then loads the module
  ln -s /bin/modprobe "$tree/sbin/modprobe" # the path at which the kernel asks for modules
}

# programs_below FOLDER: the ELF files there, one path a line.
programs_below() {
  find "$1" -type f -exec env LC_ALL=C grep -laP '\A\x7fELF' {} + || true # none is no failure
}

# libraries_of FILE [LIBRARY_FOLDERS]: the shared libraries FILE needs, one path a line.
# LIBRARY_FOLDERS (a:b:...) are searched before the system's.
libraries_of() {
  local found
  found=$(LD_LIBRARY_PATH=${2:-} ldd "$1" 2>/dev/null) || return 0 # static, or not a program
  ! grep 'not found' <<<"$found" >&2 || fail "$1 needs a library that is not on this machine"
  grep -o '/[^ ]*' <<<"$found" | grep -v ':$' || true
}

# add_libraries TREE FILE [LIBRARY_FOLDERS [BASE_TREE]]: copy into TREE the libraries FILE needs,
# but for those BASE_TREE has already.
add_libraries() {
  local tree=$1 base=${4:-$1} library target
  libraries_of "$2" "${3:-}" | while read -r library; do
    target=${library#"$CACHE/packages"}
    target=${target#"$tree"}
    [ -e "$base$target" ] || [ -e "$tree$target" ] || install -D "$library" "$tree$target"
  done
}

# add_programs TREE FILE...: copy programs, each with its libraries, to the paths they have here
# (a path below the unpacked packages counts from there).
add_programs() {
  local tree=$1 file target
  shift
  for file; do
    [ -e "$file" ] || fail "$file is missing: run scripts/setup"
    target=${file#"$CACHE/packages"}
    [ -e "$tree$target" ] || install -D "$file" "$tree$target"
    add_libraries "$tree" "$file" "$CACHE/packages/usr/lib/x86_64-linux-gnu"
  done
}

# add_module TREE NAME: copy a kernel module and all those it depends on.
add_module() {
  local folder line path
  folder=lib/modules/$(kernel_release)
  line=$(grep -E "/${2//[-_]/[-_]}\.ko:" "$CACHE/packages/$folder/modules.dep") ||
    fail "the kernel has no module $2"
  for path in ${line/:/ }; do
    [ -e "$1/$folder/$path" ] && continue
    install -D -m 644 "$CACHE/packages/$folder/$path" "$1/$folder/$path"
    [ "$path" = "${line%%:*}" ] || add_module "$1" "$(basename "$path" .ko)"
  done
}

# add_modules TREE NAME...: the same for many, and the index files that modprobe reads.
add_modules() {
  local tree=$1 name
  shift
  for name; do add_module "$tree" "$name"; done
  cp "$CACHE/packages/lib/modules/$(kernel_release)/modules.builtin" \
    "$tree/lib/modules/$(kernel_release)/"
  "$(unpacked_busybox)" depmod -b "$tree" "$(kernel_release)"
}

# pack TREE: the tree as a cpio archive on standard output, everything owned by root.
# Not compressed: to unpack it then costs the kernel no more than a copy.
pack() {
  (cd "$1" && find . | LC_ALL=C sort | "$(unpacked_busybox)" cpio -o -H newc -R 0:0 2>/dev/null)
}
