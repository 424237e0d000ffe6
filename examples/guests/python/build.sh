#!/bin/sh
# build.sh OUT: builds the component. componentize-py (requirements.txt) must be in the PATH.
set -eu
cd "$(dirname "$0")"
# Without --stub-wasi, Python's own library would import files, clocks and sockets, which the host does not have.
exec componentize-py --wit-path ../../../wit --world message-processor componentize --stub-wasi page_views --output "$1"
