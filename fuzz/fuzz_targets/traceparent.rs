#![no_main]

#[path = "../../crates/telemetry/tests/properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::traceparent(input));
