#!/usr/bin/env bash
# All tests. They use nothing but loopback; FRP_REF has them repeated with the original on either side.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo build --workspace --bins
cargo test --workspace "$@"

# `transports` and `impairment` have gone through every pair of ours and a release by now.
# The same tests of whole programs with the original on one side, in each release that is there.
if [ -z "${FRP_REF:-}" ]; then
  echo "skipped: the comparison with the original, as FRP_REF names no folder of its binaries (vX.Y.Z/frps, vX.Y.Z/frpc)"
  exit 0
fi
for folder in "$FRP_REF"/v*/; do
  release=$(basename "$folder")
  for side in FRP_SERVER FRP_CLIENT; do
    echo "== $side=$release"
    suites=(matrix lifecycle types)
    # What each release does with odd requests and groups differs; the newest is the one that we follow.
    if [ "$release" = v0.70.1 ]; then
      suites+=(http websocket udp groups samples)
    fi
    env "$side=$release" cargo test --quiet -p frp-e2e "${suites[@]/#/--test=}"
  done
done
