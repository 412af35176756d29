#!/usr/bin/env bash
# All tests. They use nothing but loopback; FRP_REF has them repeated with the original on either side.
set -euo pipefail
cd "$(dirname "$0")"
./setup.sh
cargo build --workspace --bins
# `old_peers`, `transports` and `impairment` go through ours with each release in FRP_REF by themselves.
cargo test --workspace "$@"

# The same tests of whole programs with the original on one side, in each release that is there.
if [ -z "${FRP_REF:-}" ]; then
  echo "skipped: the comparison with the original, as FRP_REF names no folder of its binaries (vX.Y.Z/frps, vX.Y.Z/frpc)"
  exit 0
fi
for folder in "$FRP_REF"/v*/; do
  release=$(basename "$folder")
  # Releases before that lack types of proxies and say other things when they start, which `old_peers` knows.
  if [ "$(printf '%s\n' v0.38.0 "$release" | sort -V | head -n 1)" != v0.38.0 ]; then
    echo "skipped: $release takes part in old_peers, transports and impairment alone"
    continue
  fi
  for side in FRP_SERVER FRP_CLIENT; do
    echo "== $side=$release"
    suites=(matrix lifecycle types scopes outbound)
    # What each release does with odd requests, groups, refused logins and wire version 2 differs; the newest is the one
    # that we follow.
    if [ "$release" = v0.70.1 ]; then
      suites+=(http vhost_corpus websocket udp groups samples mutual_tls oidc wire_v2)
    fi
    env "$side=$release" cargo test --quiet -p frp-e2e "${suites[@]/#/--test=}"
  done
done
