#!/bin/sh
# build.sh OUT: builds the component. wit-bindgen, wasm-tools, and a python3 with requirements.txt must be in the PATH.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wit-bindgen c ../../../wit --world message-processor --out-dir "$work" >"$work/log"
# The stack is 16 MiB unless something else is said, and part of every instance's memory.
python3 -m ziglang cc -target wasm32-wasi -mexec-model=reactor -O3 -Wall -Wextra -Werror -I "$work" \
  -Wl,--strip-debug -Wl,-z,stack-size=262144 \
  page_views.c json.c "$work/message_processor.c" "$work/message_processor_component_type.o" -o "$work/page_views.wasm"
wasm-tools component new "$work/page_views.wasm" -o "$1"
