#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| frp_fuzz::oidc::oidc_token(data));
