#![no_main]

#[path = "../../crates/client-metadata/tests/properties/document.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
