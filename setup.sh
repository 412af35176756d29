#!/usr/bin/env bash
# Installs what building needs where it is missing: a C compiler and a Rust toolchain. Does nothing otherwise.
set -euo pipefail

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v cc >/dev/null; then
  if command -v apt-get >/dev/null; then
    as_root apt-get update -qq && as_root apt-get install -y -qq gcc libc6-dev
  else
    echo "a C compiler is needed (gcc or clang); install one with your package manager" >&2
    exit 1
  fi
fi
if ! command -v cargo >/dev/null; then
  if command -v rustup >/dev/null || { command -v apt-get >/dev/null && as_root apt-get install -y -qq rustup; }; then
    rustup toolchain install stable --profile minimal --component rustfmt --component clippy
  else
    echo "Rust is needed, 1.88 or newer: https://www.rust-lang.org/tools/install" >&2
    exit 1
  fi
fi
