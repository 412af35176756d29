#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| frp_fuzz::proto::exchange_client_v2(data));
