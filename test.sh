#!/usr/bin/env bash
# All tests. They use nothing but loopback; FRP_SERVER and FRP_CLIENT put the original on a side.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo build --workspace --bins
cargo test --workspace "$@"
