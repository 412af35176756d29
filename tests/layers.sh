#!/usr/bin/env bash
# Checks that the crates depend downwards only, and that frp-proto pulls in no runtime.
set -euo pipefail
cd "$(dirname "$0")/.."

# A crate may use those of a smaller rank.
rank() {
  case "$1" in
    frp-proto | frp-template | frp-log) echo 0 ;;
    frp-mux | frp-stream) echo 1 ;;
    frp-http | frp-kcp) echo 2 ;;
    frp-net) echo 3 ;;
    frp-config | frp-oidc) echo 4 ;;
    frp-cli | frp-auth) echo 5 ;;
    frps | frpc) echo 6 ;;
    *) echo 9 ;;
  esac
}

failed=0
for manifest in crates/*/Cargo.toml; do
  crate=$(basename "$(dirname "$manifest")")
  dependencies=$(sed -n '/^\[dependencies\]/,/^\[/p' "$manifest" | sed -n 's/^\(frp[a-z-]*\)\(\.workspace\)\? *=.*/\1/p')
  for dependency in $dependencies; do
    if [ "$(rank "$dependency")" -ge "$(rank "$crate")" ]; then
      echo "$crate must not use $dependency" >&2
      failed=1
    fi
  done
done
if cargo tree -q -p frp-proto -e normal --prefix none | grep -E '^(tokio|mio|socket2|async-)'; then
  echo "frp-proto must not pull in a runtime" >&2
  failed=1
fi
exit $failed
