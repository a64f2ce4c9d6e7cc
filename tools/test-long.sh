#!/usr/bin/env bash
# Runs the tests that take too long for every run:
# - a million strings compared with `tokenizers`, a million draws from each filter
# - ten thousand seeds of the simulations of scheduler and cache, two thousand schedules of the demo model
# - every order in which threads can come through the worker pool's gate, the queue, the inbox and the
#   flags (loom)
# - models of random weights in real shapes: every stored type, folders, a stop inside 4,000 tokens
# - ten thousand cuts of sockets, a mass reconnect, a thousand kills of the server and of the store, and
#   what 19,000 idle sockets cost in ten minutes (docs/RELIABILITY.md)
# - the kernels on aarch64, in qemu (tools/aarch64.sh)
# - a release for older systems, and which glibc it needs (tools/portable.sh)
# - a hundred thousand answers made of parts of others, streamed and whole
# - a tab of the tutorial page in real time, and the page in front of real engines (tools/engines/setup.sh)
# - the embedded model judged through /ws (when .venv can install the judge's packages)
# - each fuzz target for a while (FUZZ_SECONDS, 600 unless set)
set -euo pipefail
cd "$(dirname "$0")/.."
# Thousands of sockets at a time take as many descriptors.
ulimit -n "$(ulimit -H -n)"

cargo test --profile long-test --workspace -- --ignored --nocapture --test-threads 1

BANTER_SEEDS=1000..11000 cargo test --profile long-test -p banter-engine --lib -- \
  thousands_of_random_arrivals an_answer_is_the_same_whatever
BANTER_SEEDS=1000..3000 cargo test --profile long-test -p banter-engine --lib -- everything_switched_on

RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
  cargo test --release -p banter-kernels -p banter-engine --lib interleavings

BANTER_CUTS=10000 BANTER_RECONNECTS=9500 \
  cargo test --profile long-test -p banter-server --test resume -- --nocapture --test-threads 1
BANTER_KILLS=1000 cargo test --profile long-test -p banter-store s1_ -- --nocapture
BANTER_KILLS=1000 BANTER_IDLE_SOCKETS=19000 BANTER_IDLE_SECONDS=600 \
  cargo test --profile long-test -p banter --test binary -- s1_ r1_ --nocapture --test-threads 1

tools/aarch64.sh

tools/portable.sh

tools/engines/setup.sh
(cd web && BANTER_MIXTURES=100000 npm test -- tests/answers.test.ts && npm run test:long)

tools/demo-model/judge-embedded.sh

command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked cargo-fuzz
cd fuzz
for target in $(cargo fuzz list); do
  echo "fuzz $target"
  mkdir -p "corpus/$target"
  cargo fuzz run "$target" "corpus/$target" "seeds/$target" --sanitizer none -- \
    -max_total_time="${FUZZ_SECONDS:-600}" -timeout=10 -rss_limit_mb=2048
done
