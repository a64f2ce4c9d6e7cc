#!/usr/bin/env bash
# Installs real engines and gives them models: the demo model, which answers, and one of random
# weights in the shape of the 0.5B, which writes until it is stopped. Takes about 9 GB of disk, and a
# quarter of an hour the first time: llama-cpp-python is compiled.
#
#   tools/engines/setup.sh          into .engines, or into the folder that BANTER_ENGINES names
set -euo pipefail
cd "$(dirname "$0")/../.."

engines=${BANTER_ENGINES:-.engines}
requirements=tools/engines/requirements.txt
for compiler in cc c++; do
  command -v "$compiler" >/dev/null 2>&1 || {
    echo "engines: llama-cpp-python is compiled, which needs $compiler (Debian: apt-get install g++)" >&2
    exit 2
  }
done

mkdir -p "$engines"
if [ "$(sha256sum <"$requirements")" != "$(cat "$engines/.installed" 2>/dev/null)" ]; then
  python3 -m venv "$engines/venv"
  "$engines/venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
  sha256sum <"$requirements" >"$engines/.installed"
fi

model() { # NAME: the file NAME.gguf is there; makes the folder that `transformers serve` reads
  [ "$engines/$1/model.safetensors" -nt "$engines/$1.gguf" ] && return
  "$engines/venv/bin/python" tools/engines/convert.py "$engines" "$1.gguf" "$engines/$1"
}
cmp -s crates/banter/assets/banter-demo.gguf "$engines/demo.gguf" ||
  cp crates/banter/assets/banter-demo.gguf "$engines/demo.gguf"
[ -f "$engines/random.gguf" ] ||
  cargo run --release --quiet -p banter -- bench make-model --shape qwen2.5-0.5b --type q8_0 -o "$engines/random.gguf"
model demo
model random
