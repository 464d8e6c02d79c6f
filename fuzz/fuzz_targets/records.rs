#![no_main]

#[path = "../../crates/store/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::records(input));
