#!/usr/bin/env bash
# Drives programs of others against the real server with the demo model.
#
#   tools/clients/long/run.sh           all of them; the first time installs them in target/clients-long (7 GB, most of it Open WebUI)
#   tools/clients/long/run.sh GROUP...  only these groups: random, main, openai-2, aider, node, open-webui
#
# BANTER_REQUESTS is how many requests the group random sends [default: 300].
# BANTER_BINARY is the server to test [default: the newest build in target], PYTHON makes the environments [default: python3].
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
environments=$root/target/clients-long
# Python 3.11 or 3.12: Open WebUI and aider need one of these.
python=${PYTHON:-python3}
failed=()

fail() {
  echo "run.sh: $1" >&2
  exit 1
}

# The server's binary: as told, or built.
binary() {
  local candidate
  for candidate in "${BANTER_BINARY:-}" "$root/target/release/banter" "$root/target/debug/banter"; do
    [ -x "$candidate" ] && { echo "$candidate"; return; }
  done
  fail 'expected a binary in BANTER_BINARY, target/release/banter or target/debug/banter, found none'
}

# The file with the packages of an environment.
requirements() {
  if [ "$1" = main ]; then echo "$here/requirements.txt"; else echo "$here/requirements-$1.txt"; fi
}

# Makes an environment again if it is missing or its packages changed.
environment() {
  local folder=$environments/$1 wanted
  wanted=$(requirements "$1")
  cmp -s "$wanted" "$folder/installed.txt" && return
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
  cp "$wanted" "$folder/installed.txt"
}

# Installs the packages for Node if they are missing or changed.
packages() {
  local installed=$here/node_modules/installed.json
  cmp -s "$here/package-lock.json" "$installed" && return
  (cd "$here" && npm ci --ignore-scripts --no-audit --no-fund)
  cp "$here/package-lock.json" "$installed"
}

# Runs a command in this folder and remembers if it failed.
check() {
  local name=$1
  shift
  echo "== $name"
  (cd "$here" && "$@") || failed+=("$name")
}

# Runs tests with the Python of an environment.
tests() {
  local name=$1
  shift
  check "$name" "$environments/$name/bin/python" -m unittest "$@"
}

# Starts the server at a free port, which it chooses, and waits until it is ready.
start() {
  "$banter" serve --no-store --port 0 "$@" >"$log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    BANTER_URL=$(awk '/^ready / { print $2; exit }' "$log")
    if [ -n "$BANTER_URL" ] && curl --silent --fail --output /dev/null "$BANTER_URL/ready"; then
      export BANTER_URL
      return
    fi
    kill -0 "$server" 2>/dev/null || { cat "$log" >&2; fail 'the server ended'; }
    sleep 0.1
  done
  fail 'the server was not ready within 30 s'
}

# Ends the server.
stop() {
  [ -n "$server" ] || return 0
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}

run() {
  case $1 in
    random)
      start
      check random env --chdir=.. PYTHONPATH=. "$root/.venv/bin/python" -m unittest test_random
      ;;
    main) environment main; start; tests main test_langchain test_litellm test_llm test_pydantic_ai ;;
    openai-2) environment openai-2; start; tests openai-2 test_instructor test_llama_index ;;
    aider) environment aider; start; tests aider test_aider ;;
    node) packages; start; check node node --test ai_sdk.test.mjs ;;
    open-webui)
      environment open-webui
      packages
      # With about 50 tokens a second there is time to press a button.
      start --isa scalar --no-speculation
      check open-webui env OPEN_WEBUI_PYTHON="$environments/open-webui/bin/python" node --test open_webui.test.mjs
      ;;
    *) fail "expected random, main, openai-2, aider, node or open-webui, found $1" ;;
  esac
  stop
}

banter=$(binary)
log=$(mktemp)
server=
trap 'stop; rm -f "$log"' EXIT
export PYTHONDONTWRITEBYTECODE=1

[ $# -gt 0 ] || set -- random main openai-2 aider node open-webui
for group; do run "$group"; done

if [ ${#failed[@]} -gt 0 ]; then fail "failed: ${failed[*]}"; fi
echo 'All clients passed.'
