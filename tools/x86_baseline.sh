#!/usr/bin/env bash
# Runs the program on processors of x86-64 that lack AVX2, or AVX-512, in qemu, and compares an
# answer at temperature 0 with that of this machine. The program has to find by itself what such a
# processor can do.
#
# Needs qemu. As root or with CI set it installs Debian's package by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

# Each processor, and the instruction set that is the best for it.
processors=("Nehalem scalar" "IvyBridge scalar" "Haswell avx2")

if [ "$(uname -m)" != x86_64 ]; then
  echo "x86_baseline: expected a machine with x86-64, found $(uname -m); run it on another machine" >&2
  exit 2
fi
if ! command -v qemu-x86_64-static >/dev/null 2>&1; then
  if [ "$(id -u)" != 0 ] && [ -z "${CI:-}" ]; then
    echo "x86_baseline: install what is missing with:" >&2
    echo "  sudo apt-get install --no-install-recommends qemu-user-static" >&2
    exit 2
  fi
  as_root=$([ "$(id -u)" = 0 ] || echo sudo)
  $as_root apt-get update -q
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -q -y --no-install-recommends qemu-user-static
fi

cargo build -p banter
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

# Starts the program with the words before it, asks it, and ends it. Prints the answer; what the
# program says is in $work/said.
answer() { # COMMAND...
  : >"$work/ready"
  "$@" target/debug/banter serve --port 0 --no-store --kv-memory 64MiB --log info >"$work/ready" 2>"$work/said" &
  server=$!
  until grep -q '^ready ' "$work/ready"; do
    kill -0 "$server" 2>/dev/null || { cat "$work/said" >&2; return 1; }
    sleep 0.2
  done
  local url
  url=$(awk '{ print $2 }' "$work/ready")
  curl --silent --fail --max-time 300 "$url/v1/completions" -H 'Content-Type: application/json' \
    -d '{"prompt": "Count from 1 to 40.", "temperature": 0, "max_tokens": 40}' |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["choices"][0]["text"])'
  kill "$server"
  wait "$server"
  server=
}

answer env >"$work/here"
[ "$(wc -c <"$work/here")" -gt 20 ] || { echo "x86_baseline: expected an answer, found:" >&2; cat "$work/here" >&2; exit 1; }
for processor in "${processors[@]}"; do
  read -r name expected <<<"$processor"
  answer qemu-x86_64-static -cpu "$name" >"$work/there"
  if ! grep -q "isa=\"$expected\"" "$work/said"; then
    echo "x86_baseline: $name: expected the instruction set $expected, found:" >&2
    cat "$work/said" >&2
    exit 1
  fi
  if ! cmp "$work/here" "$work/there"; then
    echo "x86_baseline: $name: expected the answer of this machine, found another:" >&2
    diff "$work/here" "$work/there" >&2 || true
    exit 1
  fi
  echo "x86_baseline: $name with $expected gives the answer of this machine"
done
