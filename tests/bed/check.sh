# shellcheck shell=sh
# check.sh - one line for each thing checked. Sourced on both sides: by tests/bed/run on the host, by
# lib.sh in dom0. Failing changes no exit status: the lines are what counts.

# check TEXT COMMAND [ARGUMENT]...: "ok" when the command succeeds; else what it printed.
check() {
  check_text=$1
  shift
  if check_output=$("$@" 2>&1); then
    echo "ok - $check_text"
  else
    echo "not ok - $check_text"
    echo "$check_output" | tail -n 20 | sed 's/^/#   /'
  fi
}

# refuse TEXT PATTERN COMMAND...: "ok" when the command fails and what it printed has PATTERN (grep -E).
refuse() {
  refuse_text=$1 refuse_pattern=$2
  shift 2
  if check_output=$("$@" 2>&1); then
    echo "not ok - $refuse_text: it succeeded"
  elif echo "$check_output" | grep -qE "$refuse_pattern"; then
    echo "ok - $refuse_text"
  else
    echo "not ok - $refuse_text: no \"$refuse_pattern\" in:"
    echo "$check_output" | tail -n 20 | sed 's/^/#   /'
  fi
}
