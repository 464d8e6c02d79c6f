#![no_main]

#[path = "../../crates/oauth-types/tests/properties/tokens.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
