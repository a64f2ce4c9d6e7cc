#!/usr/bin/env bash
# Runs Autobahn|Testsuite against our WebSockets: the code that serves /ws, behind the route /echo of
# the test build. Fails unless every case passes.
#
#   tools/autobahn/run.sh
#
# The suite is for CPython 2.7, which few systems still have: PYTHON2 names it, `python2.7` unless
# set. Its packages come from PyPI into target/autobahn.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=$PWD/tools/autobahn
place=$PWD/target/autobahn
python2=${PYTHON2:-python2.7}

"$python2" -c 'import sys; assert sys.version_info[:2] == (2, 7)' 2>/dev/null || {
  echo "autobahn: expected CPython 2.7 as $python2, found none; set PYTHON2 to one" >&2
  exit 2
}

install_suite() {
  local wanted
  wanted=$(sha256sum <"$here/requirements.txt")
  [ "$(cat "$place/packages/.installed" 2>/dev/null)" = "$wanted" ] && return
  rm -rf "$place/packages"
  "$python2" -m pip install -q --no-deps --target "$place/packages" -r "$here/requirements.txt"
  # Outside of site-packages, Python finds no packages without this file.
  touch "$place/packages/zope/__init__.py"
  echo "$wanted" >"$place/packages/.installed"
}

# Starts the server on a port that the system chooses.
start_server() {
  cargo build -p banter-server --example scripted
  target/debug/examples/scripted --large-echoes --max-connections 100 >"$place/server" 2>"$place/log" &
  server=$!
  trap 'kill "$server" 2>/dev/null || true' EXIT
  until [ -s "$place/server" ]; do
    kill -0 "$server" || { cat "$place/log" >&2; exit 1; }
  done
  port=$(sed -E 's/.*:([0-9]+) .*/\1/' "$place/server")
}

# Compression (12 and 13) is not offered.
write_spec() {
  cat >"$place/spec.json" <<SPEC
{
  "outdir": "$place/report",
  "servers": [{"agent": "banter", "url": "ws://127.0.0.1:$port/echo"}],
  "cases": ["*"],
  "exclude-cases": ["12.*", "13.*"],
  "exclude-agent-cases": {}
}
SPEC
}

mkdir -p "$place"
install_suite
start_server
write_spec
rm -rf "$place/report"
PYTHONPATH="$place/packages" "$python2" -W ignore -c 'from autobahntestsuite import wstest; wstest.run()' \
  -m fuzzingclient -s "$place/spec.json" >"$place/suite.log" 2>&1 || { tail -20 "$place/suite.log" >&2; exit 1; }
python3 "$here/judge.py" "$place/report/index.json"
