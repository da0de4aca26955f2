//! See `kxdns_tests::fuzzing::object`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kxdns_tests::fuzzing::object(data));
