#!/usr/bin/env bash
# Builds a release that starts on older systems than the one it is built on.
#
#   tools/portable.sh               builds it: target/x86_64-unknown-linux-gnu/release/banter
#   tools/portable.sh check FILE    says which glibc a binary needs; fails if that is newer than 2.28
#
# A binary needs a glibc with the versions of functions that it was linked with, and cargo links with
# the system's glibc. Zig knows the versions of every glibc, so it can link with one of 2018 (Debian 10,
# Ubuntu 20.04, RHEL 8 and later) on any system. No code of Zig is in the binary.
set -euo pipefail
cd "$(dirname "$0")/.."

least=2.28
target=x86_64-unknown-linux-gnu
tools=target/portable-tools
ziglang_version=0.17.1
zigbuild_version=0.24.1

newest_glibc() { # FILE
  objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -1
}

check() { # FILE
  local needed
  needed=$(newest_glibc "$1")
  [ -n "$needed" ] || { echo "portable: $1 needs no glibc at all"; return; }
  if [ "$(printf '%s\n' "$needed" "$least" | sort -V | tail -1)" != "$least" ]; then
    echo "portable: expected $1 to need at most glibc $least, found $needed:" >&2
    objdump -T "$1" | grep "GLIBC_$needed" >&2
    exit 1
  fi
  echo "portable: $1 needs glibc $needed or newer"
}

install_tools() {
  [ -x "$tools/python/bin/python3" ] || python3 -m venv "$tools/python"
  "$tools/python/bin/pip" install --quiet "ziglang==$ziglang_version"
  [ -x "$tools/bin/cargo-zigbuild" ] ||
    cargo install --quiet --locked --root "$tools" --version "$zigbuild_version" cargo-zigbuild
}

case "${1:-build}" in
  build)
    install_tools
    PATH="$PWD/$tools/bin:$PWD/$tools/python/bin:$PATH" \
      cargo zigbuild --release -p banter --target "$target.$least" "${@:2}"
    check "target/$target/release/banter"
    ;;
  check) check "${2:?usage: tools/portable.sh check FILE}" ;;
  *) echo "usage: tools/portable.sh [build|check FILE]" >&2; exit 2 ;;
esac
