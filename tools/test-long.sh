#!/usr/bin/env bash
# What takes too long for every run: each fuzz target for a while (FUZZ_SECONDS, 600 unless set).
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked cargo-fuzz
cd fuzz
for target in $(cargo fuzz list); do
  echo "fuzz $target"
  cargo fuzz run "$target" --sanitizer none -- -max_total_time="${FUZZ_SECONDS:-600}" -timeout=10 -rss_limit_mb=2048
done
