#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| frp_fuzz::kcp::kcp_datagrams(data));
