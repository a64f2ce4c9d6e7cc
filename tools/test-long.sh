#!/usr/bin/env bash
# Runs `make test`, and then the tests that take too long for every run, in parts:
#   test       what every run does
#   ignored    a million strings compared with `tokenizers`, a million draws from each filter; models of
#              random weights in real shapes: every stored type, folders, a stop inside 4,000 tokens
#   seeds      ten thousand seeds of the simulations of scheduler and cache
#   schedules  two thousand schedules of the demo model
#   orders     every order in which threads can come through the worker pool's gate, the queue, the
#              inbox and the flags (loom)
#   cuts       ten thousand cuts of sockets, a mass reconnect (docs/RELIABILITY.md)
#   kills      a thousand kills of the store and of the server, and what 19,000 idle sockets cost in ten
#              minutes (docs/RELIABILITY.md)
#   floods     thousands of silent connections, slow heads and stalled readers, and floods of refusals
#   load       ten times the load for ten minutes, and an hour of use by clients of many kinds
#   baseline   an answer on processors without AVX2, in qemu (tools/x86_baseline.sh)
#   asan       the kernels with the address sanitizer, which sees every access outside of an allocation
#   twice      two builds of a release in different folders, without a network (tools/twice.sh)
#   aarch64    the kernels on aarch64, in qemu (tools/aarch64.sh)
#   portable   a release for older systems, and which glibc it needs (tools/portable.sh)
#   answers    a hundred thousand answers made of parts of others, streamed and whole
#   firefox    all browser tests in Firefox, except those in web/tests-browser/setup/left_out.ts
#   clients    programs that others have made for these interfaces, and ten thousand random requests
#              (tools/clients/long)
#   engines    a tab of the tutorial page in real time, and the page in front of real engines
#              (tools/engines/setup.sh)
#   judge      the embedded model judged through /ws (when .venv can install the judge's packages)
#   autobahn   the WebSockets by Autobahn|Testsuite (tools/autobahn)
#   deny       licences, sources and known faults of other people's packages (deny.toml)
#   fuzz       each fuzz target for a while (FUZZ_SECONDS, 600 unless set)
#
# It takes hours. Of a commit without changes, a part that passed is kept in target/test-long/COMMIT
# with its output, and not run again: an interrupted run goes on where it ended.
#
#   make test-long [PARTS="PART..."]
set -euo pipefail
cd "$(dirname "$0")/.."
# Thousands of sockets at a time take as many descriptors.
ulimit -n "$(ulimit -H -n)"

all=(test ignored seeds schedules orders cuts kills floods load baseline asan twice aarch64 portable answers clients firefox
  engines judge autobahn deny fuzz)

long() { cargo test --profile long-test "$@"; }

run_test() { make test; }

run_ignored() { long --workspace -- --ignored --nocapture --test-threads 1; }

run_seeds() {
  BANTER_SEEDS=1000..11000 long -p banter-engine --lib -- \
    thousands_of_random_arrivals an_answer_is_the_same_whatever
}

run_schedules() { BANTER_SEEDS=1000..3000 long -p banter-engine --lib -- everything_switched_on; }

run_orders() {
  RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
    cargo test --release -p banter-kernels -p banter-engine --lib interleavings
}

run_cuts() {
  BANTER_CUTS=10000 BANTER_RECONNECTS=9500 \
    long -p banter-server --test resume -- --nocapture --test-threads 1
}

run_kills() {
  BANTER_KILLS=1000 long -p banter-store s1_ -- --nocapture
  BANTER_KILLS=1000 BANTER_IDLE_SOCKETS=19000 BANTER_IDLE_SECONDS=600 \
    long -p banter --test binary -- s1_ r1_ --nocapture --test-threads 1
}

run_floods() {
  BANTER_SILENT=5000 BANTER_SLOW=2000 BANTER_STALLED=1000 BANTER_BAD_REQUESTS=2000 \
    long -p banter-server --test floods --test connections --test stalled -- \
    --nocapture --test-threads 1
  BANTER_SILENT=5000 long -p banter --test binary -- w12_ --nocapture
}

run_load() {
  BANTER_OVERLOAD_SECONDS=600 BANTER_SOAK_SECONDS=3600 \
    long -p banter --test binary -- r5_ a_server_that_is_used_ --nocapture --test-threads 1
}

run_baseline() { tools/x86_baseline.sh; }

# The compiler's own runtime of the sanitizer is part of the stable toolchain; only its switch is not.
run_asan() {
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=target/asan \
    long --target x86_64-unknown-linux-gnu -p banter-kernels --lib --tests
}

run_twice() { tools/twice.sh; }

run_aarch64() { tools/aarch64.sh; }

run_portable() { tools/portable.sh; }

run_answers() { cd web && BANTER_MIXTURES=100000 npm test -- tests/answers.test.ts; }

run_clients() {
  tools/setup.sh install
  cargo build --release -p banter
  BANTER_REQUESTS=10000 BANTER_BINARY=$PWD/target/release/banter tools/clients/long/run.sh
}

run_firefox() { cd web && BANTER_PYTHON=$PWD/../.venv/bin/python npm run test:firefox; }

run_engines() {
  tools/engines/setup.sh
  # Here, because the tests wait for a build only so long.
  cargo build -p banter
  cd web && npm run test:long
}

run_judge() { tools/demo-model/judge-embedded.sh; }

run_autobahn() { tools/autobahn/run.sh; }

run_deny() {
  command -v cargo-deny >/dev/null 2>&1 || cargo install --locked cargo-deny
  cargo deny --locked check
}

run_fuzz() {
  command -v cargo-fuzz >/dev/null 2>&1 || cargo install --locked cargo-fuzz
  cd fuzz
  for target in $(cargo fuzz list); do
    echo "fuzz $target"
    mkdir -p "corpus/$target"
    cargo fuzz run "$target" "corpus/$target" "seeds/$target" --sanitizer none -- \
      -max_total_time="${FUZZ_SECONDS:-600}" -timeout=10 -rss_limit_mb=2048
  done
}

# Runs one part, in a shell of its own that ends at the first failure, and keeps what it printed.
part() {
  local name=$1 begin=$SECONDS log=$kept/$1.running
  if [ -e "$kept/$name.passed" ]; then
    echo "test-long: $name passed before"
    return
  fi
  echo "test-long: $name"
  tools/test-long.sh --now "$name" 2>&1 | tee "$log"
  echo "test-long: $name passed in $((SECONDS - begin)) s" | tee -a "$log"
  mv "$log" "$kept/$name.passed"
}

if [ "${1:-}" = --now ]; then
  "run_$2"
  exit
fi

if [ $# -eq 0 ]; then set -- "${all[@]}"; fi
for name in "$@"; do
  if [[ " ${all[*]} " != *" $name "* ]]; then
    echo "test-long: there is no part '$name'; the parts are: ${all[*]}" >&2
    exit 2
  fi
done

kept=target/test-long/$(git rev-parse HEAD)
if [ -n "$(git status --porcelain)" ]; then
  echo "test-long: there are changes that are not committed, so every part is run"
  kept=target/test-long/changed
  rm -rf "$kept"
fi
mkdir -p "$kept"

for name in "$@"; do part "$name"; done
grep -h '^test-long: .* passed in' "$kept"/*.passed
echo "test-long: all passed: $*"
