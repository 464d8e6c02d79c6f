#![no_main]

#[path = "../../crates/oauth-types/tests/properties/redirect_uri.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
