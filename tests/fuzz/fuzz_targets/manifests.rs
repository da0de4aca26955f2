//! See `kxdns_tests::fuzzing::manifests`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kxdns_tests::fuzzing::manifests(data));
