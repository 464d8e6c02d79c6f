#![no_main]

#[path = "../../crates/oauth-types/tests/properties/resource.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
