#!/usr/bin/env bash
# Builds the kernels for aarch64 and runs their tests there: in qemu, on another processor.
#
# Needs a C compiler for aarch64, qemu, and Rust's standard library for it: from rustup
# (`rustup target add aarch64-unknown-linux-gnu`), or Debian's. As root or with CI set it installs
# Debian's packages by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
debian_rustc=/usr/bin/rustc

has_target() { # RUSTC
  command -v "$1" >/dev/null 2>&1 && [ -n "$(ls "$("$1" --print sysroot)/lib/rustlib/$target/lib" 2>/dev/null)" ]
}

everything_is_there() {
  command -v qemu-aarch64-static >/dev/null 2>&1 && command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 &&
    { has_target rustc || has_target "$debian_rustc"; }
}

if ! everything_is_there; then
  packages="qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
  has_target rustc || packages="$packages rustc-web libstd-rust-web-dev:arm64"
  if [ "$(id -u)" != 0 ]; then
    echo "aarch64: install what is missing with:" >&2
    echo "  sudo sh -c 'dpkg --add-architecture arm64 && apt-get update && apt-get install --no-install-recommends $packages'" >&2
    exit 2
  fi
  dpkg --add-architecture arm64
  apt-get update -q
  # shellcheck disable=SC2086 # one word per package
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
fi
has_target rustc || export RUSTC=$debian_rustc

export CARGO_TARGET_DIR=target/aarch64
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# The loader and the C library must have the same version. With the C library of libc6:arm64 and the
# cross compiler's loader, the first thread waits for ever.
root=/usr/aarch64-linux-gnu
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L $root -E LD_LIBRARY_PATH=$root/lib"
BANTER_TEST_ISAS=neon-dotprod cargo test -p banter-kernels --target "$target" --lib --tests
