//! See `kxdns_tests::fuzzing::frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kxdns_tests::fuzzing::frame(data));
