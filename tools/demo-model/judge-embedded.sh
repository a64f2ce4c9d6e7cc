#!/usr/bin/env bash
# Judges the embedded model as users meet it: through /ws of a release build. Ends with status 1 when a gate is missed.
#
#   tools/demo-model/judge-embedded.sh [OPTIONS OF evaluate.py]
set -euo pipefail
cd "$(dirname "$0")/../.."

[ -d .venv ] || python3 -m venv .venv
grep -E "^(tokenizers|websockets)==" tools/demo-model/requirements.txt | .venv/bin/pip install --quiet --disable-pip-version-check -r /dev/stdin

cargo build --release -p banter
coproc server { exec target/release/banter serve --port 0 --no-store 2>/dev/null; }
trap 'kill "$server_PID" 2>/dev/null || true' EXIT
read -r _ address _ <&"${server[0]}" # the ready line
.venv/bin/python tools/demo-model/evaluate.py --server "${address/http/ws}/ws" "$@"
