#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| frp_fuzz::config::config_new_proxy(data));
