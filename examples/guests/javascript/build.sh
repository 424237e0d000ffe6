#!/bin/sh
# build.sh OUT: builds the component. componentize-js (package-lock.json) must be in the PATH, as node_modules/.bin is.
set -eu
cd "$(dirname "$0")"
# What is disabled would be imported, and the host has none of it.
exec componentize-js page-views.js --wit ../../../wit --world-name message-processor \
  --disable stdio random clocks http fetch-event --out "$1"
