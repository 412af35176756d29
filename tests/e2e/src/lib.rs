//! Tests of the built programs, each in `tests/`; this library holds nothing.
//!
//! `FRP_SERVER` and `FRP_CLIENT` choose whose programs run, see `frp_test_support::programs`.

#![forbid(unsafe_code)]
