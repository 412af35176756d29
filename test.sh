#!/usr/bin/env bash
# All tests. They use nothing but loopback; comparisons with the original run where FRP_REF names its binaries.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo build --workspace --bins
cargo test --workspace "$@"
