#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| grantd_gate::fuzzing::rules(input));
