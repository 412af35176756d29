#!/usr/bin/env bash
# Builds both programs and shows them at work: a small web service, published through frpc and frps with the
# configuration files of conf/. Ends with Ctrl-C, or after the first answer with --once.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo build --release -p frps -p frpc -p frp-demo
exec target/release/frp-demo "$@"
