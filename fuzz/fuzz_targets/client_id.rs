#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| grantd_client_metadata::fuzzing::client_id(input));
