# shellcheck shell=bash
# Functions to use apt without being root: with package lists and a download folder of our own, in
# $CACHE/apt.  Sourced by steps/packages, steps/fio and testbed/rootfs.  Nothing here may install
# anything, nor touch the machine's own apt state.

# The machine's sources that are Debian's, sources of programs switched on as well.
apt_write_sources() { # FOLDER
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
    grep -qsi debian "$file" || continue
    case $file in
    *.sources) sed 's/^Types:.*/Types: deb deb-src/' "$file" ;;
    *.list) awk '/^deb[ \t]/ { print; sub(/^deb/, "deb-src"); print }' "$file" ;;
    esac >"$1/$(basename "$file")"
  done
}

# apt_private get|cache ARGUMENT...
apt_private() {
  local tool=apt-$1 home=$CACHE/apt
  shift
  "$tool" -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$home/sources" \
    -o "Dir::State::lists=$home/lists" -o "Dir::Cache=$home/cache" \
    -o "APT::Sandbox::User=$(id -un)" "$@"
}

# Fetch the package lists, unless they were fetched within the day.
apt_update() {
  local home=$CACHE/apt
  [ -z "$(find "$home/updated" -mtime -1 2>/dev/null)" ] || return 0
  mkdir -p "$home"/{sources,lists/partial,cache/archives/partial}
  apt_write_sources "$home/sources"
  apt_private get update
  touch "$home/updated"
}
