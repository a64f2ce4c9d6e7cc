#!/usr/bin/env bash
# Builds a release of the last commit twice, in folders of different names and without a network, and
# checks that both are the same file, and that it is protected as programs of a distribution are.
#
#   tools/twice.sh              says the checksum; the builds lie in target/twice
#   tools/twice.sh check FILE   checks only how a binary is protected
#
# Whoever builds the same commit with the same compiler and C compiler gets the same file, if the build's
# flags are those below. Without them, the file has the folder's name in the texts of panics.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

check() { # FILE
  local headers missing=()
  headers=$(readelf --wide --file-header --program-headers --dynamic "$1")
  grep -q 'Type: *DYN' <<<"$headers" || missing+=("a position that the system chooses (PIE)")
  grep -q GNU_RELRO <<<"$headers" || missing+=("tables that are read-only after the start (RELRO)")
  grep -qE 'BIND_NOW|Flags:.*NOW' <<<"$headers" || missing+=("all functions bound at the start (BIND_NOW)")
  grep -qE 'GNU_STACK.* RW +0x' <<<"$headers" || missing+=("a stack without code (NX)")
  grep -qE 'LOAD.*RWE' <<<"$headers" && missing+=("no memory that is both written and run")
  if [ ${#missing[@]} -gt 0 ]; then
    printf 'twice: %s: expected %s, found none\n' "$1" "${missing[@]}" >&2
    exit 1
  fi
  echo "twice: $1 has a chosen position, read-only tables and a stack without code"
}

build() { # FOLDER
  git clone --quiet "$root" "$1"
  cd "$1"
  cp -r "$root/target/twice/vendor" vendor
  # Without a network: all code comes from the folder of packages, and no build script asks elsewhere.
  unshare --map-root-user --net env \
    RUSTFLAGS="--remap-path-prefix=$1=/banter" \
    CFLAGS="-ffile-prefix-map=$1=/banter" \
    CARGO_TARGET_DIR="$1/target" CARGO_INCREMENTAL=0 \
    cargo --config 'source.crates-io.replace-with="vendored"' \
    --config 'source.vendored.directory="vendor"' \
    build --release --locked --offline --package banter
  cd "$root"
  # What is compared stays, and what it was made of goes.
  cp "$1/target/release/banter" "$2"
  rm -rf "$1"
}

if [ "${1:-}" = check ]; then
  check "${2:?usage: tools/twice.sh check FILE}"
  exit
fi
if ! unshare --map-root-user --net true 2>/dev/null; then
  echo "twice: expected to be allowed a network of its own (unshare --net), was refused; run it as root" >&2
  exit 2
fi

rm -rf target/twice
mkdir -p target/twice
cargo vendor --quiet --locked target/twice/vendor >target/twice/vendor.toml
build "$root/target/twice/one" target/twice/banter-1
build "$root/target/twice/another-with-a-longer-name" target/twice/banter-2
if ! cmp target/twice/banter-1 target/twice/banter-2; then
  echo "twice: expected two builds to be the same file, found a difference in target/twice" >&2
  exit 1
fi
check target/twice/banter-1
sha256sum target/twice/banter-1
